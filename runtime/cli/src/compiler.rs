//! How this binary compiles components: it starts itself as a child process (`rimward compile-component GENERATION`),
//! so that a hostile component cannot take a node down by being compiled. Without the feature `compile` there is
//! nothing here, and a node serves precompiled bundles only.

#![cfg(feature = "compile")]

use anyhow::{Context, Result};
use rimward_engine::{ChildLimits, Compiler};

/// The hidden command that compiles.
pub(crate) const COMMAND: &str = "compile-component";

/// A compiler that is this very binary in another process.
pub(crate) fn child() -> Result<Compiler> {
    let this = std::env::current_exe().context("cannot find out which binary this is, to compile with it")?;
    Ok(Compiler::child(this, vec![COMMAND.into()], ChildLimits::default()))
}
