//! Whether a revision may be deployed: which keys are trusted, and what the signatures say.
//!
//! Pure and offline. One good signature is enough; others beside it may be of keys that nobody here knows. A signature
//! is good when a trusted key that is not revoked made it, for this very manifest, and it has not expired.

use std::collections::BTreeSet;
use std::time::SystemTime;

use crate::digest::Digest;
use crate::key::PublicKey;
use crate::signature::{Claim, Signature};

/// The keys that somebody trusts.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// In the order in which they are tried.
    pub keys: Vec<TrustedKey>,
    /// Ids of keys ([`PublicKey::id`]) that are not trusted any more, whoever lists them.
    pub revoked: BTreeSet<Digest>,
}

/// A key and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// As the operator calls it.
    pub name: String,
    /// The key.
    pub key: PublicKey,
    /// What it signs is trusted until then, by the signer's own time of signing; `None`: always.
    pub until: Option<SystemTime>,
}

/// Who vouches for a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The key's name.
    pub key: String,
    /// The key's id.
    pub id: Digest,
    /// What its owner says.
    pub claim: Claim,
}

/// Why nobody vouches for a revision. Of several reasons the one that is nearest to being right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No signature at all.
    #[error("it is not signed: `rimward sign` signs it with a key that this node trusts")]
    Unsigned,
    /// Signed, but by nobody who is trusted.
    #[error("none of its {0} signatures is of a key that this node trusts")]
    UnknownKey(usize),
    /// A trusted key's signature is that of another revision.
    #[error("the signature of the key `{key}` is for another revision, {signed}")]
    OtherRevision {
        /// The key's name.
        key: String,
        /// What was signed.
        signed: Digest,
    },
    /// A trusted key's signature is of something else altogether.
    #[error("what the key `{0}` signed is not the signature of an image")]
    NotASignature(String),
    /// The key was taken back.
    #[error("the key `{0}` is revoked")]
    Revoked(String),
    /// The key signed after its time.
    #[error("the key `{0}` was not to be used any more when it signed")]
    KeyEnded(String),
    /// The signature's time is up.
    #[error("the signature of the key `{0}` has expired: sign the revision again")]
    Expired(String),
}

impl Refused {
    fn nearness(&self) -> u8 {
        match self {
            Self::Unsigned => 0,
            Self::UnknownKey(_) => 1,
            Self::NotASignature(_) => 2,
            Self::OtherRevision { .. } => 3,
            Self::Revoked(_) => 4,
            Self::KeyEnded(_) => 5,
            Self::Expired(_) => 6,
        }
    }
}

impl Trust {
    /// Who vouches for `revision`, at the time `now`.
    pub fn verify(
        &self,
        revision: &Digest,
        signatures: &[Signature],
        now: SystemTime,
    ) -> Result<Vouched, Refused> {
        let mut refused = match signatures.len() {
            0 => Refused::Unsigned,
            count => Refused::UnknownKey(count),
        };
        for signature in signatures {
            for key in
                self.keys.iter().filter(|key| key.key.verifies(&signature.payload, &signature.signature))
            {
                match self.judge(revision, signature, key, now) {
                    Ok(vouched) => return Ok(vouched),
                    Err(reason) if reason.nearness() > refused.nearness() => refused = reason,
                    Err(_) => {}
                }
            }
        }
        Err(refused)
    }

    fn judge(
        &self,
        revision: &Digest,
        signature: &Signature,
        key: &TrustedKey,
        now: SystemTime,
    ) -> Result<Vouched, Refused> {
        let name = || key.name.clone();
        let claim = signature.claim().map_err(|_| Refused::NotASignature(name()))?;
        let id = key.key.id();
        if claim.revision != *revision {
            return Err(Refused::OtherRevision { key: name(), signed: claim.revision });
        }
        if self.revoked.contains(&id) {
            return Err(Refused::Revoked(name()));
        }
        // Who does not say when, may have signed today.
        if key.until.is_some_and(|until| claim.signed_at.unwrap_or(now) > until) {
            return Err(Refused::KeyEnded(name()));
        }
        if claim.expires.is_some_and(|expires| now >= expires) {
            return Err(Refused::Expired(name()));
        }
        Ok(Vouched { key: name(), id, claim })
    }
}
