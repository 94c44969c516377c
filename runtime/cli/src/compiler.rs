//! How this binary compiles components: it starts itself as a child process (`rimward compile-component GENERATION`),
//! so that a hostile component cannot take a node down by being compiled. Without the feature `compile` there is
//! nothing here, and a node serves precompiled bundles only.

#![cfg(feature = "compile")]

use rimward_engine::{ChildLimits, Compiler};

/// The hidden command that compiles.
pub(crate) const COMMAND: &str = "compile-component";

/// This very binary, also after its file was replaced by another version.
const THIS_BINARY: &str = "/proc/self/exe";

/// A compiler that is this binary in another process.
pub(crate) fn child() -> Compiler {
    Compiler::child(THIS_BINARY.into(), vec![COMMAND.into()], ChildLimits::default())
}
