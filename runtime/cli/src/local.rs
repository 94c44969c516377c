//! A node in this process: how `dev`, `serve`, `invoke` and `check` start one, and what the names in an app mean on the
//! user's own machine, where there is no `node.toml`.

use crate::limits::ONE_SHOT_CONCURRENCY;
use crate::{app, print};
use anyhow::Result;
use rimward_manifest::{App, Bind, Name, NodeFile, Secret, limits};
use rimward_node::{GivenSocket, InstallError, Node, Observer, Options, Placement, Profile, StateChoice};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a developer's machine keeps in the app's folder.
pub(crate) const STATE: &str = ".rimward";

/// Starts a node that compiles with this binary, where it can compile at all.
pub(crate) fn start(
    file: NodeFile,
    profile: Profile,
    state: StateChoice,
    observer: Arc<dyn Observer>,
    given: Vec<GivenSocket>,
) -> Result<Node> {
    let compiler = crate::compiler::child(&file.compile, file.node.confine);
    let model_launcher = Some(crate::models::launcher(&file.models, file.node.confine));
    let memory = rimward_node::machine_memory();
    let options = Options { file, profile, state, compiler, model_launcher, observer, memory, given };
    Ok(Node::start(options)?)
}

/// Where a node without a state directory of its own keeps compiled code and the key that authenticates it: the user's
/// cache, or a folder for temporary files where there is none.
pub(crate) fn scratch() -> PathBuf {
    let temporary = || std::env::temp_dir().join(format!("rimward-{}", rustix::process::geteuid().as_raw()));
    app::cache().unwrap_or_else(|_| temporary()).join("node")
}

/// A node's file that listens nowhere and keeps what it must in `state`, and compiled code beside it.
pub(crate) fn quiet_file(state: &Path) -> NodeFile {
    let mut file = NodeFile::default();
    file.node.state = state.to_owned();
    file.node.cache = state.join("code");
    file.node.listen = Vec::new();
    file.ops.listen = None;
    file
}

/// A node's file for one command: nothing to listen on, one core, little reserved.
pub(crate) fn one_shot_file(state: Option<&Path>) -> NodeFile {
    let mut file = quiet_file(&state.map_or_else(scratch, Path::to_owned));
    file.node.cores = Some(NonZeroU32::MIN);
    file.limits.concurrency = NonZeroU32::new(ONE_SHOT_CONCURRENCY).expect("the bound is not zero");
    file
}

/// Binds the app's secrets as developers have them: the file `.rimward/secrets/NAME` in the app's folder if it is
/// there, else the environment's variable `NAME` in upper case with `_` for `-`.
pub(crate) fn bind_secrets(file: &mut NodeFile, app: &App, folder: &Path) {
    for name in app.secrets() {
        file.secrets.insert(name.clone(), secret(name, folder));
    }
}

fn secret(name: &Name, folder: &Path) -> Secret {
    let in_file = folder.join(STATE).join("secrets").join(name.as_str());
    match in_file.is_file() {
        true => Secret::File(in_file),
        false => Secret::Env(variable(name)),
    }
}

fn variable(secret: &Name) -> String {
    secret.as_str().to_uppercase().replace('-', "_")
}

/// Why an app was not installed, told to its author: a node's operator has other remedies.
pub(crate) fn to_author(error: InstallError) -> anyhow::Error {
    match &error {
        InstallError::Secret { name, .. } | InstallError::NoSecret { name } => {
            let remedy = format!(
                "the app needs the secret `{name}`: set the variable `{}`, or write it to `{STATE}/secrets/{name}`, and start again",
                variable(name)
            );
            anyhow::Error::new(error).context(remedy)
        }
        _ => error.into(),
    }
}

/// The tenant of whoever names none.
pub(crate) fn tenant() -> Name {
    limits::TENANT.parse().expect("the default tenant is a name")
}

/// An app of the default tenant, as it is declared.
pub(crate) fn as_declared() -> Placement {
    Placement { tenant: tenant(), bind: Bind::default() }
}

/// Lets this process open as many files as the system allows it: every connection is one.
pub(crate) fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // What cannot be raised is reported by `rimward doctor`; the node runs with what it has.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Tells of a line that a function logged, on standard error.
pub(crate) fn note_log(line: &rimward_node::LogLine<'_>) {
    let style = print::DIM;
    let text = print::printable(line.text.trim_end());
    print::note!("{style}{} {}{style:#} {text}", line.function.function, level_name(line.level));
}

/// A level as people write it.
pub(crate) fn level_name(level: rimward_capability::Level) -> String {
    format!("{level:?}").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_its_file_or_from_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let name: Name = "vision-key".parse().unwrap();
        assert_eq!(secret(&name, folder.path()), Secret::Env("VISION_KEY".into()));
        let file = folder.path().join(".rimward/secrets/vision-key");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "x").unwrap();
        assert_eq!(secret(&name, folder.path()), Secret::File(file));
    }
}
