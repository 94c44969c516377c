//! A toolchain that builds guests, ready to run.
//!
//! Comes from [`find`](crate::find()) or [`install`](crate::install()), which have seen that it has the target.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use crate::command::run;
use crate::environment::clean;
use crate::limits::QUERY;
use crate::{CommandError, TARGET};

/// A toolchain that has the target [`TARGET`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestToolchain {
    name: Option<String>,
    sysroot: PathBuf,
}

/// A guest could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Cargo is not installed, or may not be run.
    #[error("cannot run `cargo`")]
    Start(#[source] io::Error),
    /// Cargo said why, on its standard error.
    #[error("the guest in `{dir}` did not build ({status})", dir = dir.display())]
    Failed {
        /// Where it was built.
        dir: PathBuf,
        /// Cargo's exit status.
        status: ExitStatus,
    },
}

impl GuestToolchain {
    /// The rustup toolchain called `name`, or the default toolchain, if it has the target.
    pub(crate) fn probe(name: Option<&str>) -> Result<Option<GuestToolchain>, CommandError> {
        let sysroot = run(rust("rustc", name).args(["--print", "sysroot"]), QUERY)?;
        let sysroot = PathBuf::from(sysroot.trim_end());
        Ok(has_target(&sysroot).then(|| GuestToolchain { name: name.map(str::to_owned), sysroot }))
    }

    /// A cargo of this toolchain, in an environment without what an outer cargo left in ours. The caller adds the
    /// command, `--target` and the folder, and decides where the output goes.
    pub fn cargo(&self) -> Command {
        rust("cargo", self.name.as_deref())
    }

    /// Runs `cargo build --release --target wasm32-wasip2` with `args` in `dir`. Cargo's output goes where ours goes.
    pub fn build<A: AsRef<OsStr>>(
        &self,
        dir: &Path,
        args: impl IntoIterator<Item = A>,
    ) -> Result<(), BuildError> {
        let mut cargo = self.cargo();
        cargo.args(["build", "--release", "--target", TARGET]).args(args).current_dir(dir);
        let status = cargo.status().map_err(BuildError::Start)?;
        if status.success() { Ok(()) } else { Err(BuildError::Failed { dir: dir.to_owned(), status }) }
    }

    /// The rustup toolchain's name, or `None` for the default toolchain.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where the toolchain is.
    pub fn sysroot(&self) -> &Path {
        &self.sysroot
    }

    /// One line for people: which toolchain, which rustc.
    pub fn describe(&self) -> String {
        let version = run(rust("rustc", self.name.as_deref()).arg("--version"), QUERY);
        let version = version.as_deref().map_or("unknown rustc", str::trim_end);
        format!("{self}, {version}")
    }
}

impl fmt::Display for GuestToolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "toolchain `{name}`"),
            None => f.write_str("the default toolchain"),
        }
    }
}

/// `program +name`, in a clean environment.
fn rust(program: &str, name: Option<&str>) -> Command {
    let mut command = Command::new(program);
    command.args(name.map(|name| format!("+{name}")));
    clean(&mut command);
    command
}

/// Whether there is a standard library for the target, not merely a folder.
pub(crate) fn has_target(sysroot: &Path) -> bool {
    let Ok(files) = sysroot.join("lib/rustlib").join(TARGET).join("lib").read_dir() else { return false };
    files.flatten().any(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_toolchain_has_the_target_when_its_standard_library_is_there() {
        let sysroot = tempfile::tempdir().unwrap();
        let lib = sysroot.path().join("lib/rustlib").join(TARGET).join("lib");
        assert!(!has_target(sysroot.path()));
        fs::create_dir_all(&lib).unwrap();
        fs::write(lib.join("libcore-1.rlib"), "").unwrap();
        assert!(!has_target(sysroot.path()));
        fs::write(lib.join("libstd-1.rlib"), "").unwrap();
        assert!(has_target(sysroot.path()));
    }

    #[test]
    fn cargo_is_that_of_the_named_toolchain() {
        let toolchain = GuestToolchain { name: Some("other".to_owned()), sysroot: PathBuf::new() };
        assert_eq!(crate::command::rendered(&toolchain.cargo()), "cargo +other");
        let toolchain = GuestToolchain { name: None, sysroot: PathBuf::new() };
        assert_eq!(crate::command::rendered(&toolchain.cargo()), "cargo");
    }
}
