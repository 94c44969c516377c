//! An OCI image manifest as it comes from elsewhere: judged before anything that it names is fetched.
//!
//! (OCI image specification 1.1, "Image Manifest" and "Content Descriptors".) Two kinds are understood: an app, as
//! `oci` writes it, and a bare component as the wasm working group packs it (CNCF, "Wasm OCI Artifact Layout"). What a
//! descriptor may name, how large it may be and how many there may be is decided here, so whoever fetches the blobs
//! knows every bound beforehand. Pure: whoever calls this has the bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::limits::{
    COMPONENT_BYTES_MAX, CONFIG_BYTES_MAX, FILE_BYTES_MAX, LAYERS_MAX, MANIFEST_BYTES_MAX, MODEL_BYTES_MAX,
    TOTAL_BYTES_MAX,
};
use crate::oci::{COMPONENT_TYPE, CONFIG_TYPE, FILE_TYPE, MANIFEST_TYPE, MODEL_TYPE, TITLE};

/// The media type of the config blob beside a bare component.
pub const WASM_CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";

/// What names a blob: its type, digest and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What kind of artifact the manifest that it names is of; in an index only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// The name that it has in the app: a component's function and `.wasm`, or a file's path.
    pub(crate) fn title(&self) -> Option<&str> {
        self.annotations.get(TITLE).map(String::as_str)
    }
}

/// What an image holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An app.
    App,
    /// A component without a declaration.
    Component,
}

/// A manifest that was read and found to be of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The digest of the manifest's bytes: the name of the revision.
    pub digest: Digest,
    /// What it holds.
    pub kind: Kind,
    /// The config blob.
    pub config: Descriptor,
    /// Components and files.
    pub layers: Vec<Descriptor>,
}

/// Why a manifest is of no use here.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// More bytes than a manifest needs.
    #[error("the manifest is larger than {MANIFEST_BYTES_MAX} bytes")]
    TooLarge,
    /// No manifest at all.
    #[error("it is not an OCI image manifest")]
    Json(#[from] serde_json::Error),
    /// An index, a docker manifest, another version.
    #[error("its media type is `{0}`: an image manifest (`{MANIFEST_TYPE}`) is needed")]
    MediaType(String),
    /// A container image, a chart, something else.
    #[error(
        "it holds `{0}`: a Rimward app (`{CONFIG_TYPE}`) or a wasm component (`{WASM_CONFIG_TYPE}`) is needed"
    )]
    Content(String),
    /// A layer of a type that does not belong in it.
    #[error("a layer has the media type `{0}`, which does not belong in it")]
    Layer(String),
    /// No component, or several in an image of one.
    #[error("it has {0} layers instead of one component")]
    Components(usize),
    /// More layers than any app has.
    #[error("it has more than {LAYERS_MAX} layers")]
    TooManyLayers,
    /// A blob that is larger than its kind may be.
    #[error("the blob {digest} is said to have {size} bytes: at most {bytes_max} are allowed")]
    BlobTooLarge {
        /// The blob.
        digest: Digest,
        /// Its size, as the manifest says.
        size: u64,
        /// What its kind may have.
        bytes_max: u64,
    },
    /// All blobs together are too large.
    #[error("its blobs have more than {TOTAL_BYTES_MAX} bytes together")]
    TooMuch,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u32,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl Image {
    /// The image that `manifest` describes.
    pub fn parse(manifest: &[u8]) -> Result<Self, ManifestError> {
        if manifest.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge);
        }
        let raw: Raw = serde_json::from_slice(manifest)?;
        let media_type = raw.media_type.as_deref().unwrap_or(MANIFEST_TYPE);
        if media_type != MANIFEST_TYPE || raw.schema_version != 2 {
            return Err(ManifestError::MediaType(media_type.into()));
        }
        let kind = kind(&raw)?;
        let image = Self { digest: Digest::of(manifest), kind, config: raw.config, layers: raw.layers };
        image.check()?;
        Ok(image)
    }

    /// Every blob once, in the order of the manifest.
    pub fn blobs(&self) -> Vec<&Descriptor> {
        let mut seen = std::collections::BTreeSet::new();
        let all = std::iter::once(&self.config).chain(&self.layers);
        all.filter(|blob| seen.insert(blob.digest)).collect()
    }

    fn check(&self) -> Result<(), ManifestError> {
        if self.layers.len() > LAYERS_MAX {
            return Err(ManifestError::TooManyLayers);
        }
        if self.kind == Kind::Component && self.layers.len() != 1 {
            return Err(ManifestError::Components(self.layers.len()));
        }
        bounded(&self.config, CONFIG_BYTES_MAX)?;
        for layer in &self.layers {
            match (layer.media_type.as_str(), self.kind) {
                (COMPONENT_TYPE, _) => bounded(layer, COMPONENT_BYTES_MAX)?,
                (MODEL_TYPE, Kind::App) => bounded(layer, MODEL_BYTES_MAX)?,
                (FILE_TYPE, Kind::App) => bounded(layer, FILE_BYTES_MAX)?,
                (other, _) => return Err(ManifestError::Layer(other.into())),
            }
        }
        let total =
            self.layers.iter().fold(self.config.size, |total, layer| total.saturating_add(layer.size));
        if total > TOTAL_BYTES_MAX { Err(ManifestError::TooMuch) } else { Ok(()) }
    }
}

/// `artifactType` says what it is; where it is missing, the config's media type does ("Guidelines for Artifact Usage").
fn kind(raw: &Raw) -> Result<Kind, ManifestError> {
    match (raw.artifact_type.as_deref(), raw.config.media_type.as_str()) {
        (Some(CONFIG_TYPE) | None, CONFIG_TYPE) => Ok(Kind::App),
        (_, WASM_CONFIG_TYPE) => Ok(Kind::Component),
        (artifact, config) => Err(ManifestError::Content(artifact.unwrap_or(config).into())),
    }
}

fn bounded(blob: &Descriptor, bytes_max: u64) -> Result<(), ManifestError> {
    match blob.size > bytes_max {
        true => Err(ManifestError::BlobTooLarge { digest: blob.digest, size: blob.size, bytes_max }),
        false => Ok(()),
    }
}
