//! Keys that sign bundles, and keys that nodes trust.
//!
//! ECDSA on P-256 with SHA-256, which cosign makes by default, and Ed25519. A private key is PKCS #8 (RFC 5958) in PEM, a
//! public one a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7; RFC 5480; RFC 8410) in PEM, as OpenSSL and cosign write
//! them. The mathematics is ring's.

use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};

use crate::digest::Digest;

/// Everything before the point in the public key of P-256 (RFC 5480, section 2).
const P256_HEAD: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
const P256_BYTES: usize = 65;
/// Everything before the point in the public key of Ed25519 (RFC 8410, section 4).
const ED25519_HEAD: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
const ED25519_BYTES: usize = 32;

const PRIVATE_LABEL: &str = "PRIVATE KEY";
const PUBLIC_LABEL: &str = "PUBLIC KEY";

/// Which kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on the curve P-256 with SHA-256; signatures are in DER.
    P256,
    /// Ed25519 (RFC 8032).
    Ed25519,
}

/// Why a text is not a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Nothing between `BEGIN` and `END`.
    #[error("it is not a key in PEM form")]
    Pem(#[from] pem::PemError),
    /// A certificate, an encrypted key, a key in an older form.
    #[error("it holds `{found}` instead of `{wanted}`{}", remedy(found))]
    Label {
        /// What it says.
        found: String,
        /// What it should say.
        wanted: &'static str,
    },
    /// Another algorithm or curve, or damaged.
    #[error("it is not a key for ECDSA on P-256 or for Ed25519")]
    Algorithm,
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

fn remedy(found: &str) -> &'static str {
    match found {
        "EC PRIVATE KEY" => ": `openssl pkcs8 -topk8 -nocrypt` writes it in the form that is needed",
        "ENCRYPTED PRIVATE KEY" => ": `openssl pkcs8 -topk8 -nocrypt` takes its password off",
        "ENCRYPTED SIGSTORE PRIVATE KEY" | "ENCRYPTED COSIGN PRIVATE KEY" => {
            ": sign with cosign, its signatures are understood"
        }
        "CERTIFICATE" => ": `openssl x509 -pubkey -noout` writes the key that is in it",
        _ => "",
    }
}

/// A key that signs.
pub struct PrivateKey {
    pair: Pair,
    der: Box<[u8]>,
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A key that verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    point: Box<[u8]>,
}

impl PrivateKey {
    /// A new key.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let der = match algorithm {
            Algorithm::P256 => {
                EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, &random)
            }
            Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
        };
        Self::from_der(der.map_err(|_| KeyError::Random)?.as_ref())
    }

    /// The key that `text` holds, in PEM.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Self::from_der(&contents(text, PRIVATE_LABEL)?)
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let p256 =
            EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, der, &SystemRandom::new());
        // OpenSSL leaves the public key out, which is only a check.
        let pair = match p256 {
            Ok(pair) => Pair::P256(pair),
            Err(_) => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                .map(Pair::Ed25519)
                .map_err(|_| KeyError::Algorithm)?,
        };
        Ok(Self { pair, der: der.into() })
    }

    /// The key in PEM. Whoever has it can sign.
    pub fn to_pem(&self) -> String {
        pem::encode(&pem::Pem::new(PRIVATE_LABEL, &*self.der))
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> PublicKey {
        let (algorithm, point) = match &self.pair {
            Pair::P256(pair) => (Algorithm::P256, pair.public_key().as_ref()),
            Pair::Ed25519(pair) => (Algorithm::Ed25519, pair.public_key().as_ref()),
        };
        PublicKey { algorithm, point: point.into() }
    }

    /// The signature of `message`.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.pair {
            Pair::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| KeyError::Random)?;
                Ok(signature.as_ref().into())
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().into()),
        }
    }
}

impl PublicKey {
    /// The key that `text` holds, in PEM.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let der = contents(text, PUBLIC_LABEL)?;
        let key = |algorithm, head: &[u8], bytes| {
            let point = der.strip_prefix(head).filter(|point| point.len() == bytes)?;
            Some(Self { algorithm, point: point.into() })
        };
        key(Algorithm::P256, P256_HEAD, P256_BYTES)
            .or_else(|| key(Algorithm::Ed25519, ED25519_HEAD, ED25519_BYTES))
            .ok_or(KeyError::Algorithm)
    }

    /// The key in PEM.
    pub fn to_pem(&self) -> String {
        pem::encode(&pem::Pem::new(PUBLIC_LABEL, self.der()))
    }

    /// What people call the key by when they compare: the sha256 of its SubjectPublicKeyInfo.
    pub fn id(&self) -> Digest {
        Digest::of(&self.der())
    }

    /// Which kind of key it is.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's for `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &dyn signature::VerificationAlgorithm = match self.algorithm {
            Algorithm::P256 => &signature::ECDSA_P256_SHA256_ASN1,
            Algorithm::Ed25519 => &signature::ED25519,
        };
        signature::UnparsedPublicKey::new(algorithm, &self.point).verify(message, signature).is_ok()
    }

    fn der(&self) -> Vec<u8> {
        let head = match self.algorithm {
            Algorithm::P256 => P256_HEAD,
            Algorithm::Ed25519 => ED25519_HEAD,
        };
        [head, &self.point].concat()
    }
}

fn contents(text: &str, wanted: &'static str) -> Result<Vec<u8>, KeyError> {
    let found = pem::parse(text)?;
    match found.tag() == wanted {
        true => Ok(found.into_contents()),
        false => Err(KeyError::Label { found: found.tag().into(), wanted }),
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("id", &self.public().id()).finish_non_exhaustive()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?}, {})", self.algorithm, self.id())
    }
}
