//! Which toolchain builds guests on this machine. Changes nothing and downloads nothing.

use std::env;

use crate::guest::GuestToolchain;
use crate::{CHOICE, CommandError, LINKED, TARGET};

/// There is no toolchain that builds guests.
#[derive(Debug, thiserror::Error)]
pub enum NoToolchain {
    /// There is no Rust at all, or it does not run.
    #[error("cannot ask `rustc` for its targets: install Rust with rustup")]
    NoRust(#[source] CommandError),
    /// The toolchain that the user named is not there.
    #[error("there is no toolchain `{name}`, which `{CHOICE}` names")]
    NoSuchChoice {
        /// Its name.
        name: String,
        /// What rustup said.
        source: CommandError,
    },
    /// The toolchain that the user named cannot build guests.
    #[error("the toolchain `{name}`, which `{CHOICE}` names, lacks the target `{TARGET}`")]
    ChoiceLacksTarget {
        /// Its name.
        name: String,
    },
    /// Neither the default toolchain nor the linked one can build guests.
    #[error("no Rust toolchain here has the target `{TARGET}`: run `rustup target add {TARGET}`")]
    NoTarget,
}

/// The toolchain that builds guests: the one that `RIMWARD_GUEST_TOOLCHAIN` names, else the default one if it has the
/// target, else the linked one. Asks `rustc` once or twice, about 20 ms each.
pub fn find() -> Result<GuestToolchain, NoToolchain> {
    match env::var(CHOICE) {
        Ok(name) if !name.is_empty() => chosen(name),
        _ => default_or_linked(),
    }
}

fn chosen(name: String) -> Result<GuestToolchain, NoToolchain> {
    match GuestToolchain::probe(Some(&name)) {
        Ok(Some(toolchain)) => Ok(toolchain),
        Ok(None) => Err(NoToolchain::ChoiceLacksTarget { name }),
        Err(source) => Err(NoToolchain::NoSuchChoice { name, source }),
    }
}

fn default_or_linked() -> Result<GuestToolchain, NoToolchain> {
    if let Some(toolchain) = GuestToolchain::probe(None).map_err(NoToolchain::NoRust)? {
        return Ok(toolchain);
    }
    // An error here is rustup's word for "no such toolchain", or a rustc that knows no toolchains.
    GuestToolchain::probe(Some(LINKED)).ok().flatten().ok_or(NoToolchain::NoTarget)
}
