//! Runs an author's build commands and tests with the right toolchain.
//!
//! A build command is a line for the shell, so what it needs reaches it through its environment: `RUSTUP_TOOLCHAIN`
//! names the guest toolchain where that is not the default one, and what an outer cargo left in our own environment is
//! taken out. What a command prints goes to standard error, as it comes.

use crate::sdk;
use anyhow::Result;
use rimward_manifest::{App, Build, Name};
use rimward_toolchain::{GuestToolchain, NoToolchain, TARGET};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Why a build did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// There is no toolchain for components, and the command asks for one.
    #[error(
        "`{command}` needs a Rust toolchain for components; `rimward doctor --fix` sets one up where rustup cannot"
    )]
    NoToolchain { command: String, source: NoToolchain },
    /// The command could not be started.
    #[error("cannot run `{command}` in `{}`", dir.display())]
    Start { command: String, dir: PathBuf, source: std::io::Error },
    /// The command said why.
    #[error("`{command}` failed ({status})")]
    Failed { command: String, status: ExitStatus },
}

/// One build command and the functions that it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// For the shell.
    pub(crate) command: String,
    /// Where it runs.
    pub(crate) dir: PathBuf,
    /// What it makes.
    pub(crate) functions: Vec<Name>,
}

/// The build commands of an app in `folder`: each once, also where several functions name the same.
pub(crate) fn steps(folder: &Path, app: &App) -> Vec<Step> {
    let mut steps: BTreeMap<(PathBuf, &str), Vec<Name>> = BTreeMap::new();
    for (name, function) in &app.functions {
        let Some(build) = &function.build else { continue };
        steps.entry((dir(folder, build), &build.command)).or_default().push(name.clone());
    }
    let step =
        |((dir, command), functions): ((PathBuf, &str), _)| Step { command: command.into(), dir, functions };
    steps.into_iter().map(step).collect()
}

/// Where a build runs.
pub(crate) fn dir(folder: &Path, build: &Build) -> PathBuf {
    build.dir.as_ref().map_or_else(|| folder.to_owned(), |dir| folder.join(dir))
}

impl Step {
    /// The command, ready to run, with the SDK where it needs it.
    pub(crate) fn prepare(&self) -> Result<Command> {
        sdk::provide(&self.dir)?;
        let mut shell = Command::new("sh");
        shell.args(["-c", &self.command]).current_dir(&self.dir);
        match rimward_toolchain::find() {
            Ok(toolchain) => choose(&mut shell, &toolchain),
            Err(source) if self.command.contains(TARGET) => {
                return Err(BuildError::NoToolchain { command: self.command.clone(), source }.into());
            }
            Err(_) => {}
        }
        shell.stdin(Stdio::null()).stdout(std::io::stderr());
        Ok(shell)
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Result<()> {
        let status = self.prepare()?.status();
        Ok(self.judge(status)?)
    }

    /// What its end means.
    pub(crate) fn judge(&self, status: std::io::Result<ExitStatus>) -> Result<(), BuildError> {
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(BuildError::Failed { command: self.command.clone(), status }),
            Err(source) => {
                Err(BuildError::Start { command: self.command.clone(), dir: self.dir.clone(), source })
            }
        }
    }
}

/// Gives a shell the environment in which the toolchain's own cargo would run.
fn choose(shell: &mut Command, toolchain: &GuestToolchain) {
    clean(shell, toolchain);
    if let Some(name) = toolchain.name() {
        shell.env("RUSTUP_TOOLCHAIN", name);
    }
}

fn clean(command: &mut Command, toolchain: &GuestToolchain) {
    for (name, value) in toolchain.cargo().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// The cargo that builds for this machine: the default toolchain's, in the same clean environment.
pub(crate) fn host_cargo() -> Command {
    let mut cargo = Command::new("cargo");
    if let Ok(toolchain) = rimward_toolchain::find() {
        clean(&mut cargo, &toolchain);
    }
    cargo
}

/// A path as people read it: relative to the current folder where it is in it.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let inside = path.strip_prefix(here).or_else(|_| path.strip_prefix(".")).unwrap_or(path);
    if inside == Path::new("") { ".".into() } else { inside.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_several_functions_name_runs_once() {
        let text = r#"
            [app]
            name = "shop"
            [function.one]
            component = "one.wasm"
            build = { command = "make", watch = ["src/**"] }
            [function.two]
            component = "two.wasm"
            build = { command = "make" }
            [function.three]
            component = "three.wasm"
            build = { command = "make", dir = "three" }
            [function.ready]
            component = "ready.wasm"
        "#;
        let app = App::parse(text).unwrap();
        let steps = steps(Path::new("/app"), &app);
        let told: Vec<_> =
            steps.iter().map(|step| (step.dir.to_str().unwrap(), step.functions.len())).collect();
        assert_eq!(told, [("/app", 2), ("/app/three", 1)]);
    }
}
