//! How this binary compiles components: it starts itself as a child process (`rimward compile-component`),
//! so that a hostile component cannot take a node down by being compiled. Without the feature `compile` there is
//! no compiler, and a node serves precompiled bundles only.

use rimward_confine::Mode;
use rimward_engine::Compiler;
use rimward_manifest::{Compile, Confine};

/// What node.toml says, to the crate that knows no node.toml.
pub(crate) fn mode(confine: Confine) -> Mode {
    match confine {
        Confine::Auto => Mode::Auto,
        Confine::Required => Mode::Required,
        Confine::Off => Mode::Off,
    }
}

/// The hidden command that compiles.
#[cfg(feature = "compile")]
pub(crate) const COMMAND: &str = "compile-component";

/// A compiler that is this binary in another process.
#[cfg(feature = "compile")]
pub(crate) fn child(limits: &Compile, confine: Confine) -> Option<Compiler> {
    /// Also after its file was replaced by another version.
    const THIS_BINARY: &str = "/proc/self/exe";
    let limits = rimward_engine::ChildLimits {
        cpu: limits.cpu.get(),
        wall: limits.wall.get(),
        memory_bytes: limits.memory.get(),
        confine: mode(confine),
    };
    Some(Compiler::child(THIS_BINARY.into(), vec![COMMAND.into()], limits))
}

/// None: this build cannot compile.
#[cfg(not(feature = "compile"))]
pub(crate) fn child(_: &Compile, _: Confine) -> Option<Compiler> {
    None
}
