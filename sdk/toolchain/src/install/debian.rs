//! The parts that Debian has: a compiler with the source of its standard library, a C library for WASI, LLVM's archiver.
//!
//! Finds them among the installed packages, and installs what is missing where that is allowed. Package names move
//! between releases (`rustc-web` or `rustc`, `llvm-22` or another number), so they are looked for, not assumed.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use super::{Doing, Progress, WayError, at};
use crate::CommandError;
use crate::command::run;
use crate::limits::{APT_INSTALL, APT_UPDATE, APT_UPDATE_PAUSE, APT_UPDATE_TRIES, QUERY};

/// The compiler's package and that of its source, the more current pair first. Only one pair can be installed.
const RUST: [[&str; 2]; 2] = [["rustc-web", "rust-web-src"], ["rustc", "rust-src"]];

const LIBC: &str = "wasi-libc";

/// The oldest compiler whose standard library knows the target as we need it: our own minimum.
const OLDEST_RUST: (u32, u32) = (1, 95);

/// Where Debian puts programs.
const PROGRAMS: &str = "/usr/bin";

/// What is installed, and where.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) rustc: PathBuf,
    pub(super) rustdoc: PathBuf,
    /// The folder with `libc.a` and the start files for WASI.
    pub(super) libc: PathBuf,
    pub(super) ar: PathBuf,
    pub(super) nm: PathBuf,
    /// The packages with their versions, one per line.
    pub(super) versions: String,
}

/// The parts; missing packages are installed first.
pub(super) fn provide(progress: &mut Progress<'_>) -> Result<Parts, WayError> {
    if !in_path("dpkg-query") || !in_path("apt-get") {
        return Err(WayError::Lacks(
            "this is not Debian or a relative of it: there is no `apt-get`".to_owned(),
        ));
    }
    if let Some(parts) = installed()? {
        return Ok(parts);
    }
    progress.step("apt-get update", update)?;
    let missing = missing()?;
    progress.step(&format!("apt-get install {}", missing.join(" ")), || install(&missing))?;
    installed()?.ok_or_else(|| {
        WayError::Lacks(format!("{} are installed, but not the files expected of them", missing.join(", ")))
    })
}

/// The parts, if all packages are installed.
pub(super) fn installed() -> Result<Option<Parts>, WayError> {
    let (Some(rust), Some(libc), Some([ar, nm])) = (rust_pair(), version(LIBC), llvm_tools()) else {
        return Ok(None);
    };
    let [(rustc, rustc_version), (source, source_version)] = rust;
    let program = |name: &str| Path::new(PROGRAMS).join(name);
    Ok(Some(Parts {
        rustc: program("rustc"),
        rustdoc: program("rustdoc"),
        libc: libc_folder()?,
        ar,
        nm,
        versions: format!("{rustc} {rustc_version}\n{source} {source_version}\n{LIBC} {libc}\n"),
    }))
}

/// The installed compiler and its source with their versions, if they match each other and are new enough.
fn rust_pair() -> Option<[(&'static str, String); 2]> {
    RUST.into_iter().find_map(|[rustc, source]| {
        let (rustc_version, source_version) = (version(rustc)?, version(source)?);
        let ok = rustc_version == source_version && release(&rustc_version) >= Some(OLDEST_RUST);
        ok.then_some([(rustc, rustc_version), (source, source_version)])
    })
}

/// The version of an installed package.
fn version(package: &str) -> Option<String> {
    let format = "${db:Status-Status} ${Version}";
    let said =
        run(Command::new("dpkg-query").args(["--show", "--showformat", format, package]), QUERY).ok()?;
    said.strip_prefix("installed ").map(str::to_owned)
}

/// `1.96` of `1.96.0+dfsg1-1~deb12u2`.
fn release(version: &str) -> Option<(u32, u32)> {
    let upstream = version.rsplit(':').next()?;
    let mut numbers = upstream.split(['.', '+', '-', '~']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn libc_folder() -> Result<PathBuf, WayError> {
    let files = run(Command::new("dpkg-query").args(["--listfiles", LIBC]), QUERY)
        .doing("look into the C library")?;
    let start = files.lines().find(|file| file.ends_with("/crt1-command.o")).map(Path::new);
    let folder = start.and_then(Path::parent).map(Path::to_owned);
    folder.ok_or_else(|| WayError::Lacks(format!("the package `{LIBC}` has no `crt1-command.o`")))
}

/// The newest `llvm-ar` with the `llvm-nm` beside it: with a number in its name, or without.
fn llvm_tools() -> Option<[PathBuf; 2]> {
    let names = fs::read_dir(PROGRAMS).ok()?.flatten().filter_map(|file| file.file_name().into_string().ok());
    let suffixes = names.filter_map(|name| name.strip_prefix("llvm-ar").map(str::to_owned));
    let number = |suffix: &String| suffix.strip_prefix('-').and_then(|number| number.parse::<u32>().ok());
    let newest =
        suffixes.filter(|suffix| suffix.is_empty() || number(suffix).is_some()).max_by_key(number)?;
    let tools = ["llvm-ar", "llvm-nm"].map(|tool| Path::new(PROGRAMS).join(format!("{tool}{newest}")));
    tools.iter().all(|tool| tool.exists()).then_some(tools)
}

/// The names of the packages to install, by what apt offers.
fn missing() -> Result<Vec<String>, WayError> {
    let mut packages = Vec::new();
    if rust_pair().is_none() {
        packages.extend(offered_rust()?.map(str::to_owned));
    }
    if version(LIBC).is_none() {
        packages.push(LIBC.to_owned());
    }
    if llvm_tools().is_none() {
        packages.push(offered_llvm()?);
    }
    Ok(packages)
}

fn offered_rust() -> Result<[&'static str; 2], WayError> {
    let offers = RUST.into_iter().filter_map(|pair| Some((release(&candidate(pair[0])?)?, pair)));
    match offers.max_by_key(|(release, _)| *release) {
        Some((release, pair)) if release >= OLDEST_RUST => Ok(pair),
        Some(((major, minor), _)) => Err(WayError::Lacks(format!(
            "the newest Rust that apt offers is {major}.{minor}, and {}.{} is needed",
            OLDEST_RUST.0, OLDEST_RUST.1
        ))),
        None => Err(WayError::Lacks(format!("apt offers neither `{}` nor `{}`", RUST[0][0], RUST[1][0]))),
    }
}

/// The version that apt would install.
fn candidate(package: &str) -> Option<String> {
    let said = run(Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C"), QUERY).ok()?;
    let version = said.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

fn offered_llvm() -> Result<String, WayError> {
    let names = run(Command::new("apt-cache").args(["pkgnames", "llvm-"]), QUERY).doing("ask for LLVM")?;
    newest_llvm(&names)
        .ok_or_else(|| WayError::Lacks("apt offers no package `llvm-NN` (for llvm-ar)".to_owned()))
}

fn newest_llvm(names: &str) -> Option<String> {
    let numbers = names.lines().filter_map(|name| name.strip_prefix("llvm-")?.parse::<u32>().ok());
    numbers.max().map(|number| format!("llvm-{number}"))
}

fn update() -> Result<(), WayError> {
    let mut tries = 1;
    loop {
        match apt(&["update"], APT_UPDATE) {
            Err(_) if tries < APT_UPDATE_TRIES => thread::sleep(APT_UPDATE_PAUSE),
            result => return result.doing("refresh the package lists"),
        }
        tries += 1;
    }
}

fn install(packages: &[String]) -> Result<(), WayError> {
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages.iter().map(String::as_str));
    apt(&arguments, APT_INSTALL).doing("install the packages")
}

/// Runs apt-get as root, or with a sudo that asks for no password.
fn apt(arguments: &[&str], limit: std::time::Duration) -> Result<(), CommandError> {
    let mut command = if is_root() {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        sudo
    };
    command.args(["-q", "-o", "DPkg::Lock::Timeout=300"]).args(arguments);
    run(command.env("DEBIAN_FRONTEND", "noninteractive"), limit).map(drop)
}

/// Our own entry in `/proc` belongs to the user that we run as.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

fn in_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// The packages of the standard library's source are unpacked below the compiler's sysroot.
pub(super) fn check_source(sysroot: &Path) -> Result<(), WayError> {
    let library = sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml");
    fs::metadata(&library).map(drop).map_err(at("find the source of the standard library", &library))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_from_a_packages_version() {
        for (version, expected) in [
            ("1.96.0+dfsg1-1~deb12u2", Some((1, 96))),
            ("2:1.100~rc1", Some((1, 100))),
            ("1.63-1", Some((1, 63))),
            ("unknown", None),
        ] {
            assert_eq!(release(version), expected, "{version}");
        }
    }

    #[test]
    fn the_newest_llvm_is_chosen_by_number() {
        assert_eq!(
            newest_llvm("llvm-9\nllvm-22\nllvm-22-dev\nllvm-14\nllvm-dev"),
            Some("llvm-22".to_owned())
        );
        assert_eq!(newest_llvm("llvm-dev\n"), None);
    }
}
