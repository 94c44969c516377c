//! Signatures of a revision, in the form that cosign stores and verifies.
//!
//! What is signed is a small JSON text that names the manifest's digest ("Simple Signing", containers/image,
//! `docs/containers-signature.5.md`); the texts and their signatures are the layers of an image of their own, whose name
//! is made from the digest (sigstore, `cosign/specs/SIGNATURE_SPEC.md`). So a revision that was signed here is verified by
//! cosign, and the other way round. Whether a signature is worth something is `trust`'s question.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::assemble::{self, ImageError};
use crate::digest::Digest;
use crate::image::Descriptor;
use crate::key::{KeyError, PrivateKey};
use crate::limits::{MANIFEST_BYTES_MAX, PAYLOAD_BYTES_MAX, SIGNATURES_MAX};
use crate::oci::MANIFEST_TYPE;

const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const IMAGE_CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// What a payload says that it is.
const KIND: &str = "cosign container image signature";

/// One signature as it came: nobody has verified it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// What was signed.
    pub payload: Bytes,
    /// The signature, in the algorithm's own form.
    pub signature: Vec<u8>,
}

/// What a signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The manifest.
    pub revision: Digest,
    /// What the signer calls the image: a repository, or the app's name.
    pub identity: String,
    /// When it was signed, as the signer says.
    pub signed_at: Option<SystemTime>,
    /// Until when it may be deployed, as the signer says.
    pub expires: Option<SystemTime>,
}

/// Why something is no set of signatures.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// More bytes than the manifest of a few signatures needs.
    #[error("the manifest of the signatures is larger than {MANIFEST_BYTES_MAX} bytes")]
    TooLarge,
    /// No manifest, or no payload.
    #[error("it is not readable")]
    Json(#[from] serde_json::Error),
    /// More of them than anybody gives.
    #[error("there are more than {SIGNATURES_MAX} signatures")]
    TooMany,
    /// A layer that is no payload.
    #[error("a layer has the media type `{0}` instead of `{PAYLOAD_TYPE}`")]
    Layer(String),
    /// A payload is too large.
    #[error("what was signed is larger than {PAYLOAD_BYTES_MAX} bytes")]
    Payload,
    /// No signature beside the payload, or not in Base64.
    #[error("the signature is not in the annotation `{SIGNATURE_ANNOTATION}`")]
    Annotation,
    /// A payload is missing or was changed.
    #[error(transparent)]
    Blob(#[from] ImageError),
    /// A payload of another kind.
    #[error("it is a `{0}` instead of a `{KIND}`")]
    Kind(String),
}

#[derive(Serialize, Deserialize)]
struct Payload {
    critical: Critical,
    optional: Option<Optional>,
}

#[derive(Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: ImageOf,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ImageOf {
    docker_manifest_digest: Digest,
}

/// Whoever signs may say more; of that only the times are used, in seconds since 1970.
#[derive(Serialize, Deserialize)]
struct Optional {
    #[serde(skip_serializing_if = "Option::is_none")]
    creator: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Value>,
}

impl Signature {
    /// Signs `claim` with `key`.
    pub fn sign(claim: &Claim, key: &PrivateKey) -> Result<Self, KeyError> {
        let payload = claim.payload();
        Ok(Self { signature: key.sign(&payload)?, payload: payload.into() })
    }

    /// What it says, whoever says it.
    pub fn claim(&self) -> Result<Claim, SignatureError> {
        let payload: Payload = serde_json::from_slice(&self.payload)?;
        if payload.critical.kind != KIND {
            return Err(SignatureError::Kind(payload.critical.kind));
        }
        let time = |value: Option<Value>| Some(UNIX_EPOCH + Duration::from_secs(value?.as_u64()?));
        let (signed_at, expires) =
            payload.optional.map_or((None, None), |said| (time(said.timestamp), time(said.expires)));
        Ok(Claim {
            revision: payload.critical.image.docker_manifest_digest,
            identity: payload.critical.identity.docker_reference,
            signed_at,
            expires,
        })
    }
}

impl Claim {
    fn payload(&self) -> Vec<u8> {
        let seconds =
            |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).into();
        let payload = Payload {
            critical: Critical {
                identity: Identity { docker_reference: self.identity.clone() },
                image: ImageOf { docker_manifest_digest: self.revision },
                kind: KIND.into(),
            },
            optional: Some(Optional {
                creator: Some(concat!("rimward/", env!("CARGO_PKG_VERSION")).into()),
                timestamp: self.signed_at.map(seconds),
                expires: self.expires.map(seconds),
            }),
        };
        serde_json::to_vec(&payload).expect("a payload has only texts as keys")
    }
}

/// The name, in a registry or a layout, of the signatures of `revision`.
pub fn tag(revision: &Digest) -> String {
    format!("sha256-{}.sig", revision.hex())
}

/// Whether `name` names signatures.
pub(crate) fn is_tag(name: &str) -> bool {
    let hex = name.strip_prefix("sha256-").and_then(|rest| rest.strip_suffix(".sig"));
    hex.is_some_and(|hex| format!("sha256:{hex}").parse::<Digest>().is_ok())
}

/// The image that carries signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureImage {
    /// Its manifest.
    pub manifest: Vec<u8>,
    /// The blobs that the manifest names.
    pub blobs: Vec<Bytes>,
}

/// The image that carries `signatures`.
pub fn image(signatures: &[Signature]) -> SignatureImage {
    let layers: Vec<_> = signatures
        .iter()
        .map(|signature| Descriptor {
            annotations: BTreeMap::from([(
                SIGNATURE_ANNOTATION.into(),
                STANDARD.encode(&signature.signature),
            )]),
            ..descriptor(PAYLOAD_TYPE, &signature.payload)
        })
        .collect();
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
    // As cosign writes it: tools that look at images want one.
    let config = json!({
        "architecture": "", "os": "", "created": "0001-01-01T00:00:00Z", "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config: Bytes = config.to_string().into();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(IMAGE_CONFIG_TYPE, &config),
        "layers": layers,
    });
    let payloads = signatures.iter().map(|signature| signature.payload.clone());
    SignatureImage {
        manifest: manifest.to_string().into(),
        blobs: std::iter::once(config).chain(payloads).collect(),
    }
}

fn descriptor(media_type: &str, blob: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.into(),
        digest: Digest::of(blob),
        size: blob.len() as u64,
        annotations: BTreeMap::new(),
        artifact_type: None,
    }
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Descriptor>,
}

/// The blobs that the image `manifest` of signatures names, each bounded.
pub fn blobs(manifest: &[u8]) -> Result<Vec<Descriptor>, SignatureError> {
    if manifest.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(SignatureError::TooLarge);
    }
    let layers = serde_json::from_slice::<Manifest>(manifest)?.layers;
    if layers.len() > SIGNATURES_MAX {
        return Err(SignatureError::TooMany);
    }
    match layers.iter().find(|layer| layer.media_type != PAYLOAD_TYPE || layer.size > PAYLOAD_BYTES_MAX) {
        Some(layer) if layer.media_type == PAYLOAD_TYPE => Err(SignatureError::Payload),
        Some(layer) => Err(SignatureError::Layer(layer.media_type.clone())),
        None => Ok(layers),
    }
}

/// The signatures in the image `manifest`, whose payloads `payloads` has.
pub fn read(manifest: &[u8], payloads: &BTreeMap<Digest, Bytes>) -> Result<Vec<Signature>, SignatureError> {
    let signature = |layer: &Descriptor| {
        let text = layer.annotations.get(SIGNATURE_ANNOTATION).ok_or(SignatureError::Annotation)?;
        let signature = STANDARD.decode(text).map_err(|_| SignatureError::Annotation)?;
        let payload = payloads.get(&layer.digest).ok_or(ImageError::Missing(layer.digest))?;
        assemble::check(layer, payload)?;
        Ok(Signature { payload: payload.clone(), signature })
    };
    blobs(manifest)?.iter().map(signature).collect()
}
