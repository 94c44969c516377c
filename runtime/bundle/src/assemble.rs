//! A bundle put together again from an image and its blobs.
//!
//! Every blob is checked against the digest and the size that the manifest names, so the manifest's digest vouches for
//! all of it: neither a changed layer nor one of another revision gets through. What the config declares and what the
//! layers hold must be the same app.

use std::collections::BTreeMap;

use bytes::Bytes;
use rimward_manifest::{App, AppPath, JsonError, Name};
use serde_json::Value;

use crate::bundle::{Bundle, Component, ComponentError};
use crate::digest::Digest;
use crate::image::{Descriptor, Image, Kind};
use crate::oci::{COMPONENT_TYPE, component_title, file_type};

/// Why blobs do not make up the app that their manifest names.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A blob is not there.
    #[error("the blob {0} is missing")]
    Missing(Digest),
    /// A blob is not what the manifest names.
    #[error("the blob {named} was changed: its bytes have the digest {found}")]
    Changed {
        /// What the manifest names.
        named: Digest,
        /// What was there.
        found: Digest,
    },
    /// A blob has another size than the manifest says.
    #[error("the blob {digest} has {found} bytes instead of {said}")]
    Size {
        /// The blob.
        digest: Digest,
        /// What the manifest says.
        said: u64,
        /// What was there.
        found: u64,
    },
    /// The config blob is no declaration.
    #[error("the config blob does not declare an app")]
    Config(#[from] JsonError),
    /// A function's layer is not there, or is not the one that the config names.
    #[error("no layer is the component of the function `{0}`")]
    Function(Name),
    /// A file's layer is not there.
    #[error("no layer is the file `{0}`")]
    File(AppPath),
    /// A layer that the app does not name.
    #[error("the layer `{0}` belongs to nothing in the app")]
    Stray(String),
    /// A layer is not a component.
    #[error("a layer is not the component of `{function}`")]
    Component {
        /// The function.
        function: Name,
        /// What it is instead.
        source: ComponentError,
    },
}

impl Bundle {
    /// The bundle of `image`, whose blobs `blobs` has. A component without a declaration becomes an app named `name`, of
    /// one function that answers every request and is granted nothing.
    pub fn from_image(
        image: &Image,
        blobs: &BTreeMap<Digest, Bytes>,
        name: &Name,
    ) -> Result<Self, ImageError> {
        let mut bundle = match image.kind {
            Kind::App => app(image, blobs)?,
            Kind::Component => bare(image, blobs, name)?,
        };
        bundle.revision = image.digest;
        Ok(bundle)
    }
}

fn app(image: &Image, blobs: &BTreeMap<Digest, Bytes>) -> Result<Bundle, ImageError> {
    let (app, digests) = declared(blob(blobs, &image.config)?)?;
    let mut layers: Vec<&Descriptor> = image.layers.iter().collect();
    let components = app.functions.keys().map(|function| {
        let layer = take(&mut layers, COMPONENT_TYPE, &component_title(function));
        let is_named =
            |layer: &&Descriptor| digests.get(function.as_str()) == Some(&layer.digest.to_string());
        let layer = layer.filter(is_named).ok_or_else(|| ImageError::Function(function.clone()))?;
        Ok((function.clone(), component(function, blob(blobs, layer)?)?))
    });
    let components = components.collect::<Result<_, ImageError>>()?;
    let files = app.files().into_iter().map(|path| {
        let layer = take(&mut layers, file_type(&app, path), path.as_str());
        Ok((path.clone(), blob(blobs, layer.ok_or_else(|| ImageError::File(path.clone()))?)?))
    });
    let files = files.collect::<Result<_, ImageError>>()?;
    match layers.first() {
        Some(layer) => Err(ImageError::Stray(layer.title().unwrap_or("without a title").into())),
        None => Ok(Bundle::new(app, components, files)),
    }
}

/// Takes the layer of that type and title out of `layers`; one of the same name stays, and is one too many.
fn take<'l>(layers: &mut Vec<&'l Descriptor>, media_type: &str, title: &str) -> Option<&'l Descriptor> {
    let is_it = |layer: &&Descriptor| layer.media_type == media_type && layer.title() == Some(title);
    let at = layers.iter().position(is_it)?;
    Some(layers.remove(at))
}

/// The app that the config blob declares, and the digest of each function's component. The blob names a component by its
/// digest; a declaration names a file, which is the layer's title.
fn declared(config: Bytes) -> Result<(App, BTreeMap<String, String>), ImageError> {
    let mut config: Value = serde_json::from_slice(&config).map_err(JsonError::Json)?;
    let mut digests = BTreeMap::new();
    if let Some(functions) = config.get_mut("function").and_then(Value::as_object_mut) {
        for (name, function) in functions {
            let Some(component) = function.get_mut("component") else { continue };
            if let Value::String(digest) = std::mem::replace(component, component_title(name).into()) {
                digests.insert(name.clone(), digest);
            }
        }
    }
    let app = App::parse_json(config.to_string().as_bytes())?;
    Ok((app, digests))
}

fn bare(image: &Image, blobs: &BTreeMap<Digest, Bytes>, name: &Name) -> Result<Bundle, ImageError> {
    // The config says what the component imports and exports; the component itself says it too, and is believed.
    blob(blobs, &image.config)?;
    let component = component(name, blob(blobs, &image.layers[0])?)?;
    let app = App::of_component(name.clone(), component_title(name).into());
    Ok(Bundle::new(app, BTreeMap::from([(name.clone(), component)]), BTreeMap::new()))
}

fn component(function: &Name, bytes: Bytes) -> Result<Component, ImageError> {
    Component::new(bytes).map_err(|source| ImageError::Component { function: function.clone(), source })
}

/// The blob, which is what its descriptor says.
fn blob(blobs: &BTreeMap<Digest, Bytes>, descriptor: &Descriptor) -> Result<Bytes, ImageError> {
    let bytes = blobs.get(&descriptor.digest).ok_or(ImageError::Missing(descriptor.digest))?;
    check(descriptor, bytes)?;
    Ok(bytes.clone())
}

/// Whether `bytes` are the blob that `descriptor` names.
pub(crate) fn check(descriptor: &Descriptor, bytes: &[u8]) -> Result<(), ImageError> {
    let (named, found) = (descriptor.digest, bytes.len() as u64);
    if found != descriptor.size {
        return Err(ImageError::Size { digest: named, said: descriptor.size, found });
    }
    match Digest::of(bytes) {
        digest if digest == named => Ok(()),
        found => Err(ImageError::Changed { named, found }),
    }
}
