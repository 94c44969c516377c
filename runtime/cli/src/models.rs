//! How this binary runs models: it starts itself as a child process (`rimward run-models`), so that what a model takes and what
//! it breaks is not the node's.

use crate::compiler::mode;
use rimward_inference::local::Launcher;
use rimward_manifest::{Confine, Models};

/// The hidden command that runs them.
pub(crate) const COMMAND: &str = "run-models";

/// Models run by this binary in another process.
pub(crate) fn launcher(models: &Models, confine: Confine) -> Launcher {
    /// Also after its file was replaced by another version.
    const THIS_BINARY: &str = "/proc/self/exe";
    Launcher {
        program: THIS_BINARY.into(),
        arguments: vec![COMMAND.into()],
        memory_bytes: models.memory.get(),
        confine: mode(confine),
    }
}
