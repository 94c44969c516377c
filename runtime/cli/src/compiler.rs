//! How this binary compiles components: it starts itself as a child process (`rimward compile-component`),
//! so that a hostile component cannot take a node down by being compiled. Without the feature `compile` there is
//! no compiler, and a node serves precompiled bundles only.

use rimward_engine::Compiler;
use rimward_manifest::Compile;

/// The hidden command that compiles.
#[cfg(feature = "compile")]
pub(crate) const COMMAND: &str = "compile-component";

/// A compiler that is this binary in another process.
#[cfg(feature = "compile")]
pub(crate) fn child(limits: &Compile) -> Option<Compiler> {
    /// Also after its file was replaced by another version.
    const THIS_BINARY: &str = "/proc/self/exe";
    let limits = rimward_engine::ChildLimits {
        cpu: limits.cpu.get(),
        wall: limits.wall.get(),
        memory_bytes: limits.memory.get(),
    };
    Some(Compiler::child(THIS_BINARY.into(), vec![COMMAND.into()], limits))
}

/// None: this build cannot compile.
#[cfg(not(feature = "compile"))]
pub(crate) fn child(_: &Compile) -> Option<Compiler> {
    None
}
