//! The bundle itself: what is deployed as a whole, complete and named by its digest.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use rimward_manifest::{App, AppPath, Name};

use crate::digest::Digest;
use crate::folder::{self, Error};
use crate::oci;
use crate::precompiled::Precompiled;

/// An app packed for deployment. Cloning shares the bytes.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// What the app declares.
    pub app: App,
    /// The component of every function of the app.
    pub components: BTreeMap<Name, Component>,
    /// The other files that the app names.
    pub files: BTreeMap<AppPath, Bytes>,
    /// The sha256 of the bundle's OCI manifest; the same for the same app on every machine.
    pub revision: Digest,
}

/// A WebAssembly component.
#[derive(Debug, Clone)]
pub struct Component {
    /// The component in its binary form.
    pub bytes: Bytes,
    /// Its digest.
    pub digest: Digest,
    /// Machine code that was made from it, for nodes without a compiler.
    pub precompiled: Vec<Precompiled>,
}

/// Why bytes are not a component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentError {
    /// A core module: what most toolchains make when they are not told otherwise.
    #[error("it is a WebAssembly module, not a component: build it for `wasm32-wasip2`")]
    Module,
    /// Something else.
    #[error("it is not WebAssembly")]
    NotWasm,
}

/// The first eight bytes of a component: `\0asm`, version 13, layer 1 (component model, "Binary format").
const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 13, 0, 1, 0];
/// The first eight bytes of a module: `\0asm`, version 1, layer 0.
const MODULE: [u8; 8] = [0, b'a', b's', b'm', 1, 0, 0, 0];

impl Bundle {
    /// The bundle of `app` with the component of each of its functions and its other files.
    ///
    /// # Panics
    /// If a function or a file of `app` is missing in `components` or `files`, or one is there that it does not name.
    pub fn new(app: App, components: BTreeMap<Name, Component>, files: BTreeMap<AppPath, Bytes>) -> Self {
        assert!(app.functions.keys().eq(components.keys()), "one component per function");
        assert!(app.files().into_iter().eq(files.keys()), "every file that the app names, and no other");
        let mut bundle = Self { app, components, files, revision: Digest::of(b"") };
        bundle.revision = Digest::of(&oci::manifest(&bundle));
        bundle
    }

    /// The app in the folder `path`: its `rimward.toml`, the components and files that it names, and precompiled forms.
    pub fn from_directory(path: &Path) -> Result<Self, Error> {
        folder::read(path)
    }

    /// A bare component as an app of one function, both of that name, which answers every request and is granted
    /// nothing.
    pub fn from_component(name: Name, bytes: impl Into<Bytes>) -> Result<Self, ComponentError> {
        let component = Component::new(bytes)?;
        let app = App::of_component(name.clone(), format!("{name}.wasm").into());
        Ok(Self::new(app, BTreeMap::from([(name, component)]), BTreeMap::new()))
    }

    /// The manifest whose sha256 is [`Bundle::revision`], as it would be pushed.
    pub fn oci_manifest(&self) -> Vec<u8> {
        oci::manifest(self)
    }

    /// The config blob that the manifest names.
    pub fn oci_config(&self) -> Vec<u8> {
        oci::config(self)
    }
}

impl Component {
    /// A component of `bytes`. Only its first bytes are looked at; the compiler validates the rest.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, ComponentError> {
        let bytes = bytes.into();
        match bytes.first_chunk() {
            Some(&COMPONENT) => Ok(Self { digest: Digest::of(&bytes), bytes, precompiled: Vec::new() }),
            Some(&MODULE) => Err(ComponentError::Module),
            _ => Err(ComponentError::NotWasm),
        }
    }

    /// The machine code for the engine with that key.
    pub fn precompiled(&self, engine: &str) -> Option<&Bytes> {
        self.precompiled
            .iter()
            .find(|precompiled| precompiled.engine == engine)
            .map(|precompiled| &precompiled.bytes)
    }
}
