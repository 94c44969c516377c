//! Bundles as OCI images and layouts: what comes out is what went in, and nothing that was changed gets through.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rimward_bundle::limits::{
    COMPONENT_BYTES_MAX, CONFIG_BYTES_MAX, FILE_BYTES_MAX, INDEX_BYTES_MAX, LAYERS_MAX, LAYOUT_FILES_MAX,
    MANIFEST_BYTES_MAX, MODEL_BYTES_MAX, TOTAL_BYTES_MAX,
};
use rimward_bundle::{
    Bundle, COMPONENT_TYPE, CONFIG_TYPE, Component, Digest, FILE_TYPE, Image, ImageError, Kind, Layout,
    LayoutError, ManifestError, WASM_CONFIG_TYPE,
};
use rimward_manifest::{App, Name};
use serde_json::{Value, json};
use tempfile::TempDir;

const MANIFEST: &str = r#"
[app]
name = "shop"
version = "1.0.0"
[function.b]
component = "b.wasm"
config = { greeting = "" }
limits = { memory = "32MiB" }
[function.a]
component = "out/a.wasm"
build = { command = "make a" }
upstreams = ["vision"]
hosts = ["https://*.example.com"]
reuse = 10
[[trigger.http]]
route = "GET,POST /a/:id"
function = "a"
[[trigger.http]]
route = "/b/*rest"
host = "b.example.com"
function = "b"
[upstream.vision]
url = "https://vision.example.com"
ca = "certs/ca.pem"
headers = { authorization = "Bearer {secret:vision-key}" }
timeout = { total = "3s" }
retry = { attempts = 2, backoff = "10ms..1s", on = ["5xx"] }
[store.counts]
kind = "memory"
[model.classifier]
local = { file = "models/small.onnx" }
"#;

fn component(tail: &[u8]) -> Vec<u8> {
    [b"\0asm\x0d\0\x01\0", tail].concat()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn shop() -> Bundle {
    let app = App::parse(MANIFEST).unwrap();
    let components = ["a", "b"].map(|each| (name(each), Component::new(component(each.as_bytes())).unwrap()));
    let files = app.files().into_iter().map(|path| (path.clone(), Bytes::from("pem"))).collect();
    Bundle::new(app, components.into(), files)
}

/// Manifest and blobs of an image.
struct Parts {
    manifest: Value,
    blobs: BTreeMap<Digest, Bytes>,
}

impl Parts {
    fn of(bundle: &Bundle) -> Self {
        let blobs = std::iter::once(Bytes::from(bundle.oci_config()))
            .chain(bundle.components.values().map(|component| component.bytes.clone()))
            .chain(bundle.files.values().cloned());
        Self {
            manifest: serde_json::from_slice(&bundle.oci_manifest()).unwrap(),
            blobs: blobs.map(|blob| (Digest::of(&blob), blob)).collect(),
        }
    }

    /// A component as other tools pack it.
    fn bare(bytes: &[u8]) -> Self {
        let config = json!({ "architecture": "wasm", "os": "wasip2", "layerDigests": [Digest::of(bytes)] });
        let mut parts = Self { manifest: json!({ "schemaVersion": 2 }), blobs: BTreeMap::new() };
        parts.manifest["config"] = parts.add(WASM_CONFIG_TYPE, config.to_string().as_bytes());
        parts.manifest["layers"] = json!([parts.add(COMPONENT_TYPE, bytes)]);
        parts
    }

    fn add(&mut self, media_type: &str, blob: &[u8]) -> Value {
        let blob = Bytes::copy_from_slice(blob);
        let digest = Digest::of(&blob);
        let size = blob.len();
        self.blobs.insert(digest, blob);
        json!({ "mediaType": media_type, "digest": digest, "size": size })
    }

    /// Changes the declaration, and the manifest with it.
    fn declare(&mut self, change: impl FnOnce(&mut Value)) {
        let digest: Digest = self.manifest["config"]["digest"].as_str().unwrap().parse().unwrap();
        let mut config: Value = serde_json::from_slice(&self.blobs[&digest]).unwrap();
        change(&mut config);
        self.manifest["config"] = self.add(CONFIG_TYPE, config.to_string().as_bytes());
    }

    fn image(&self) -> Result<Image, ManifestError> {
        Image::parse(self.manifest.to_string().as_bytes())
    }

    fn bundle(&self) -> Result<Bundle, ImageError> {
        Bundle::from_image(&self.image().unwrap(), &self.blobs, &name("some"))
    }
}

#[test]
fn an_image_gives_the_bundle_that_it_was_made_of() {
    let shop = shop();
    let again = Parts::of(&shop).bundle().unwrap();
    assert_eq!(again.app.http, shop.app.http);
    assert_eq!(again.app.upstreams, shop.app.upstreams);
    assert_eq!(again.app.stores, shop.app.stores);
    assert_eq!(again.oci_config(), shop.oci_config(), "what is declared is the same");
    assert_eq!(again.files, shop.files);
    let bytes = |bundle: &Bundle| -> Vec<_> {
        bundle.components.values().map(|component| component.bytes.clone()).collect()
    };
    assert_eq!(bytes(&again), bytes(&shop));
    // The manifest as text of another order is another revision, and the same app.
    assert_eq!(again.revision, Digest::of(Parts::of(&shop).manifest.to_string().as_bytes()));
    let image = Image::parse(&shop.oci_manifest()).unwrap();
    let exact = Bundle::from_image(&image, &Parts::of(&shop).blobs, &name("some")).unwrap();
    assert_eq!(exact.revision, shop.revision);
}

#[test]
fn a_component_that_others_packed_is_an_app_of_one_function() {
    let parts = Parts::bare(&component(b"x"));
    assert_eq!(parts.image().unwrap().kind, Kind::Component);
    let bundle = parts.bundle().unwrap();
    assert_eq!(bundle.app.name.as_str(), "some");
    assert_eq!(bundle.components["some"].bytes, component(b"x"));
    assert_eq!(bundle.revision, parts.image().unwrap().digest, "the revision is what was fetched");
}

/// D5: bytes that are not what the manifest names are refused, whichever blob it is.
#[test]
fn a_changed_blob_is_refused() {
    let shop = shop();
    for digest in Parts::of(&shop).blobs.into_keys() {
        let mut parts = Parts::of(&shop);
        let blob = parts.blobs.get_mut(&digest).unwrap();
        let mut bytes = blob.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        *blob = bytes.into();
        assert!(matches!(parts.bundle(), Err(ImageError::Changed { named, .. }) if named == digest));
        parts.blobs.get_mut(&digest).unwrap().truncate(1);
        assert!(matches!(parts.bundle(), Err(ImageError::Size { digest: named, .. }) if named == digest));
        parts.blobs.remove(&digest);
        assert!(matches!(parts.bundle(), Err(ImageError::Missing(named)) if named == digest));
    }
}

/// D7: a component of another revision under a function's name is not what the declaration names.
#[test]
fn layers_of_two_revisions_do_not_mix() {
    let refused = |change: &dyn Fn(&mut Parts)| {
        let mut parts = Parts::of(&shop());
        change(&mut parts);
        parts.bundle().unwrap_err()
    };
    let older = refused(&|parts| {
        let title = parts.manifest["layers"][0]["annotations"].clone();
        parts.manifest["layers"][0] = parts.add(COMPONENT_TYPE, &component(b"older"));
        parts.manifest["layers"][0]["annotations"] = title;
    });
    assert!(matches!(&older, ImageError::Function(function) if function.as_str() == "a"), "{older}");
    let swapped = refused(&|parts| {
        let titles = [0, 1].map(|at| parts.manifest["layers"][at]["annotations"].clone());
        parts.manifest["layers"][0]["annotations"] = titles[1].clone();
        parts.manifest["layers"][1]["annotations"] = titles[0].clone();
    });
    assert!(matches!(swapped, ImageError::Function(_)), "{swapped}");
    let twice = refused(&|parts| {
        let layer = parts.manifest["layers"][0].clone();
        parts.manifest["layers"].as_array_mut().unwrap().push(layer);
    });
    assert!(matches!(&twice, ImageError::Stray(title) if title == "a.wasm"), "{twice}");
    let without = refused(&|parts| drop(parts.manifest["layers"].as_array_mut().unwrap().remove(2)));
    assert!(matches!(&without, ImageError::File(path) if path.as_str() == "certs/ca.pem"), "{without}");
    let disguised = refused(&|parts| parts.manifest["layers"][3]["mediaType"] = FILE_TYPE.into());
    assert!(
        matches!(&disguised, ImageError::File(path) if path.as_str() == "models/small.onnx"),
        "{disguised}"
    );
    let stray = refused(&|parts| {
        let layer = parts.add(FILE_TYPE, b"more");
        parts.manifest["layers"].as_array_mut().unwrap().push(layer);
    });
    assert!(matches!(stray, ImageError::Stray(_)), "{stray}");
}

#[test]
fn a_declaration_that_says_something_else_is_refused_with_the_place() {
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut parts = Parts::of(&shop());
        parts.declare(change);
        let error = parts.bundle().unwrap_err();
        format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default())
    };
    let unknown = refused(&|config| config["function"]["a"]["privileged"] = true.into());
    assert!(unknown.contains("privileged"), "{unknown}");
    let outside = refused(&|config| config["upstream"]["vision"]["ca"] = "../../etc/passwd".into());
    assert!(outside.contains("etc/passwd"), "{outside}");
    let odd = refused(&|config| config["function"]["a"]["reuse"] = Value::Null);
    assert!(odd.contains("does not declare an app"), "{odd}");
    let undeclared = refused(&|config| config["function"]["c"] = json!({ "component": "sha256:00" }));
    assert!(undeclared.starts_with("no layer is the component of the function `c`"), "{undeclared}");
}

#[test]
fn other_artifacts_are_told_apart() {
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut parts = Parts::of(&shop());
        change(&mut parts.manifest);
        parts.image().unwrap_err().to_string()
    };
    let check = |change: &dyn Fn(&mut Value), expected: &str| {
        let error = refused(change);
        assert!(error.contains(expected), "{error}");
    };
    check(&|manifest| manifest["schemaVersion"] = 1.into(), "an image manifest");
    check(
        &|manifest| manifest["mediaType"] = "application/vnd.oci.image.index.v1+json".into(),
        "image.index.v1",
    );
    check(
        &|manifest| manifest["artifactType"] = "application/vnd.cncf.helm.config.v1+json".into(),
        "it holds `application/vnd.cncf.helm.config.v1+json`",
    );
    check(&|manifest| manifest["layers"][0]["mediaType"] = "text/plain".into(), "`text/plain`");
    check(&|manifest| manifest["layers"][0]["digest"] = "sha512:00".into(), "not an OCI image manifest");
    check(&|manifest| manifest["layers"][0]["size"] = (-1).into(), "not an OCI image manifest");
    let mut two = Parts::bare(&component(b"x"));
    let layer = two.manifest["layers"][0].clone();
    two.manifest["layers"].as_array_mut().unwrap().push(layer);
    assert!(matches!(two.image(), Err(ManifestError::Components(2))));
    for bytes in [&b""[..], b"{", b"[]", b"null", &[0xff; 9]] {
        assert!(matches!(Image::parse(bytes), Err(ManifestError::Json(_))));
    }
}

/// D8: what is too large or too many is refused before a byte of it is fetched, and the limit itself is allowed.
#[test]
fn an_image_may_fill_its_bounds_and_no_more() {
    let size = |at: &str, bytes: u64| {
        let mut parts = Parts::of(&shop());
        *parts.manifest.pointer_mut(at).unwrap() = bytes.into();
        parts.image()
    };
    for (at, bytes_max) in [
        ("/config/size", CONFIG_BYTES_MAX),
        ("/layers/0/size", COMPONENT_BYTES_MAX),
        ("/layers/2/size", FILE_BYTES_MAX),
        ("/layers/3/size", MODEL_BYTES_MAX),
    ] {
        assert!(size(at, bytes_max).is_ok(), "{at}");
        assert!(matches!(size(at, bytes_max + 1), Err(ManifestError::BlobTooLarge { .. })), "{at}");
    }
    let layers = |count: usize, bytes: u64| {
        let mut parts = Parts::of(&shop());
        let mut layer = parts.manifest["layers"][0].clone();
        layer["size"] = bytes.into();
        parts.manifest["layers"] = vec![layer; count].into();
        parts.manifest["config"]["size"] = 0.into();
        parts.image()
    };
    assert!(layers(LAYERS_MAX, 1).is_ok());
    assert!(matches!(layers(LAYERS_MAX + 1, 1), Err(ManifestError::TooManyLayers)));
    assert!(layers(8, TOTAL_BYTES_MAX / 8).is_ok());
    assert!(matches!(layers(8, TOTAL_BYTES_MAX / 8 + 1), Err(ManifestError::TooMuch)));
    let manifest = |bytes: u64| {
        let text = Parts::of(&shop()).manifest.to_string();
        let spaces = " ".repeat(usize::try_from(bytes).unwrap() - text.len());
        Image::parse((text + &spaces).as_bytes())
    };
    assert!(manifest(MANIFEST_BYTES_MAX).is_ok());
    assert!(matches!(manifest(MANIFEST_BYTES_MAX + 1), Err(ManifestError::TooLarge)));
}

#[test]
fn a_blob_that_two_layers_share_is_fetched_once() {
    let app = App::parse(MANIFEST).unwrap();
    let components = ["a", "b"].map(|each| (name(each), Component::new(component(b"same")).unwrap()));
    let files = app.files().into_iter().map(|path| (path.clone(), Bytes::from("pem"))).collect();
    let bundle = Bundle::new(app, components.into(), files);
    let image = Image::parse(&bundle.oci_manifest()).unwrap();
    assert_eq!((image.layers.len(), image.blobs().len()), (4, 3));
    Parts::of(&bundle).bundle().unwrap();
}

/// A layout in a file.
fn archived(layout: &Layout) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.tar");
    layout.write(fs::File::create(&path).unwrap()).unwrap();
    (folder, path)
}

fn read(path: &Path) -> Result<Bundle, LayoutError> {
    Layout::read(path)?.bundle(&name("some")).map(|(bundle, _)| bundle)
}

#[test]
fn a_layout_gives_the_bundle_that_it_was_made_of_and_the_same_bytes_each_time() {
    let shop = shop();
    let (_folder, path) = archived(&Layout::of(&shop, &[]));
    let (_other, again) = archived(&Layout::of(&shop, &[]));
    assert_eq!(fs::read(&path).unwrap(), fs::read(again).unwrap());
    let read = read(&path).unwrap();
    assert_eq!((read.revision, read.oci_config()), (shop.revision, shop.oci_config()));
}

/// The layout in a folder, as `tar x` or another tool writes it.
fn unpacked(layout: &Layout) -> TempDir {
    let (_folder, path) = archived(layout);
    let out = tempfile::tempdir().unwrap();
    tar::Archive::new(fs::File::open(path).unwrap()).unpack(&out).unwrap();
    out
}

#[test]
fn a_layout_in_a_folder_is_read_too() {
    let shop = shop();
    let folder = unpacked(&Layout::of(&shop, &[]));
    assert_eq!(read(folder.path()).unwrap().revision, shop.revision);
}

/// D5: a layout whose files were changed is refused.
#[test]
fn a_changed_layout_is_refused() {
    let refused = |change: &dyn Fn(&Path)| {
        let folder = unpacked(&Layout::of(&shop(), &[]));
        change(folder.path());
        read(folder.path()).unwrap_err()
    };
    let a_blob =
        |folder: &Path| fs::read_dir(folder.join("blobs/sha256")).unwrap().next().unwrap().unwrap().path();
    let changed = refused(&|folder| fs::write(a_blob(folder), "changed").unwrap());
    assert!(matches!(changed, LayoutError::Changed { .. }), "{changed}");
    let stray = refused(&|folder| fs::write(folder.join("blobs/sha256/passwd"), "").unwrap());
    assert!(matches!(stray, LayoutError::Stray(_)), "{stray}");
    let link = refused(&|folder| {
        let blob = a_blob(folder);
        fs::rename(&blob, folder.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(folder.join("elsewhere"), blob).unwrap();
    });
    assert!(matches!(link, LayoutError::Stray(_)), "{link}");
    let version =
        refused(&|folder| fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"2"}"#).unwrap());
    assert!(matches!(version, LayoutError::NotALayout), "{version}");
    let index = |text: &'static str| refused(&|folder| fs::write(folder.join("index.json"), text).unwrap());
    assert!(matches!(index(r#"{"schemaVersion":2,"manifests":[]}"#), LayoutError::Apps(0)));
    assert!(matches!(index("{"), LayoutError::Index(_)));
    let missing = refused(&|folder| {
        fs::read_dir(folder.join("blobs/sha256"))
            .unwrap()
            .for_each(|blob| fs::remove_file(blob.unwrap().path()).unwrap());
    });
    assert!(matches!(missing, LayoutError::Image(ImageError::Missing(_))), "{missing}");
}

/// An archive of those files, each with a type.
fn archive(files: &[(&str, tar::EntryType, &[u8])]) -> (TempDir, PathBuf) {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, kind, bytes) in files {
        let mut header = tar::Header::new_ustar();
        // Written by hand: the library does not write a name that leaves the folder.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_entry_type(*kind);
        if kind.is_symlink() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        archive.append(&header, *bytes).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.tar");
    fs::File::create(&path).unwrap().write_all(&archive.into_inner().unwrap()).unwrap();
    (folder, path)
}

/// D16: names that leave the folder, links and devices are refused; nothing is ever unpacked.
#[test]
fn an_archive_with_other_names_or_kinds_is_refused() {
    let refused = |name: &str, kind: tar::EntryType| {
        let (_folder, path) = archive(&[(name, kind, b"")]);
        let error = Layout::read(&path).unwrap_err();
        assert!(
            matches!(&error, LayoutError::Stray(stray) if stray == name.trim_start_matches("./")),
            "{error}"
        );
    };
    for name in
        ["../evil", "/etc/passwd", "blobs/sha256/../../evil", "blobs/sha256/", "index.json/x", "x", "."]
    {
        refused(name, tar::EntryType::Regular);
    }
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Fifo, tar::EntryType::Char] {
        refused("index.json", kind);
    }
}

/// D8: an archive of too much or too many is refused while it is read.
#[test]
fn an_archive_may_fill_its_bounds_and_no_more() {
    let index = |bytes: u64| {
        let bytes = vec![b' '; usize::try_from(bytes).unwrap()];
        let (_folder, path) = archive(&[("index.json", tar::EntryType::Regular, &bytes)]);
        Layout::read(&path).unwrap_err()
    };
    assert!(matches!(index(INDEX_BYTES_MAX), LayoutError::NotALayout));
    assert!(matches!(index(INDEX_BYTES_MAX + 1), LayoutError::TooLarge { .. }));
    let files = |count: usize| {
        let (_folder, path) = archive(&vec![("blobs", tar::EntryType::Directory, &b""[..]); count]);
        Layout::read(&path).unwrap_err()
    };
    assert!(matches!(files(LAYOUT_FILES_MAX), LayoutError::NotALayout));
    assert!(matches!(files(LAYOUT_FILES_MAX + 1), LayoutError::TooManyFiles));
}

/// D1: an archive that was cut off anywhere is refused.
#[test]
fn a_cut_archive_is_refused() {
    let (_folder, path) = archived(&Layout::of(&shop(), &[]));
    let bytes = fs::read(&path).unwrap();
    // The two empty records at the end say nothing.
    for length in (0..bytes.len() - 1024).step_by(97) {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(read(&path).is_err(), "{length} of {}", bytes.len());
    }
}
