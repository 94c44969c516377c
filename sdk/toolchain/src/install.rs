//! Sets up the guest toolchain where it is missing: asks rustup first, then assembles one from Debian's packages.
//!
//! Called by the chore that prepares a checkout, at most once per machine and version. A lock in the user's cache keeps
//! two runs apart. What is there and current is left alone, so a second call takes a fraction of a second. Nothing is
//! replaced before the new toolchain has built and linked a component.

mod assemble;
mod debian;
mod missing;
mod rustup;
mod verify;

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::find::{NoToolchain, find};
use crate::guest::GuestToolchain;
use crate::{CHOICE, CommandError, LINKED, SOURCE, TARGET};

/// What [`install`] is doing.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// It begins this.
    Started(&'a str),
    /// It has done this.
    Done(&'a str, Duration),
    /// This did not work; another way may be tried.
    Failed(&'a str, Duration),
}

/// The guest toolchain could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The user named a toolchain, which is not ours to change.
    #[error("the toolchain named by `{CHOICE}` cannot be used")]
    Choice(#[source] NoToolchain),
    /// There is no folder for what is built.
    #[error("cannot use the cache folder `{path}`", path = path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `HOME` is not set.
    #[error("there is no cache folder: set `HOME` or `XDG_CACHE_HOME`")]
    NoCache,
    /// Neither way worked.
    #[error(
        "the target `{TARGET}` could not be set up in either way\n\
         1. with rustup: {rustup}\n\
         2. from Debian's packages: {debian}\n\
         to set it up by hand, run `rustup target add {TARGET}` where rustup may download, or set `{CHOICE}` to the \
         rustup toolchain that has it",
        rustup = chain(rustup), debian = chain(debian)
    )]
    NeitherWay {
        /// Why rustup could not.
        rustup: Box<WayError>,
        /// Why it could not be assembled.
        debian: Box<WayError>,
    },
    /// It was set up, and yet is not found.
    #[error("the toolchain was set up but cannot be found")]
    Lost(#[source] NoToolchain),
}

/// Why one way of setting up the toolchain did not work.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// A command did not work.
    #[error("cannot {doing}")]
    Command {
        /// What it was for.
        doing: &'static str,
        /// What went wrong.
        source: CommandError,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} `{path}`", path = path.display())]
    File {
        /// What it was for.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The machine lacks something, and says what.
    #[error("{0}")]
    Lacks(String),
}

/// Sets up the toolchain that builds guests, unless it is there, and returns it. `progress` hears of every step.
///
/// May download tens of megabytes, and install Debian packages where it may (as root, or with `sudo` without a
/// password). Blocks, for minutes the first time.
pub fn install(progress: &mut dyn FnMut(Step<'_>)) -> Result<GuestToolchain, InstallError> {
    if env::var_os(CHOICE).is_some_and(|name| !name.is_empty()) {
        return find().map_err(InstallError::Choice);
    }
    let cache = cache_folder()?;
    let mut progress = Progress(progress);
    let _lock = lock(&cache, &mut progress)?;
    let found = find();
    if let Ok(toolchain) = &found
        && (toolchain.name() != Some(LINKED) || assemble::is_current(&cache))
    {
        return Ok(toolchain.clone());
    }
    if let Err(rustup) = with_rustup(&mut progress)
        && let Err(debian) = assemble::assemble(&cache, &mut progress)
    {
        return Err(InstallError::NeitherWay { rustup: Box::new(rustup), debian: Box::new(debian) });
    }
    find().map_err(InstallError::Lost)
}

/// With rustup, unless the user wants it assembled: a build farm may not depend on what rustup's servers say.
fn with_rustup(progress: &mut Progress<'_>) -> Result<(), WayError> {
    match env::var_os(SOURCE).is_some_and(|source| source == "debian") {
        true => Err(WayError::Lacks(format!("left out, because `{SOURCE}` says `debian`"))),
        false => rustup::add_target(progress),
    }
}

/// An error with all its causes, for a message that has room for more than one error.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn cache_folder() -> Result<PathBuf, InstallError> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    Ok(base.ok_or(InstallError::NoCache)?.join("rimward"))
}

/// Waits until no other process sets up the toolchain. The lock ends with the file that is returned, or the process.
fn lock(cache: &Path, progress: &mut Progress<'_>) -> Result<File, InstallError> {
    let io = |source| InstallError::Cache { path: cache.to_owned(), source };
    fs::create_dir_all(cache).map_err(io)?;
    let file = File::create(cache.join("guest-toolchain.lock")).map_err(io)?;
    if file.try_lock().is_err() {
        progress
            .step("wait for another process that sets up the guest toolchain", || file.lock())
            .map_err(io)?;
    }
    Ok(file)
}

/// Tells the caller of each step and its time.
struct Progress<'a>(&'a mut dyn FnMut(Step<'_>));

impl Progress<'_> {
    fn step<T, E>(&mut self, what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        (self.0)(Step::Started(what));
        let started = Instant::now();
        let result = work();
        let took = started.elapsed();
        (self.0)(if result.is_ok() { Step::Done(what, took) } else { Step::Failed(what, took) });
        result
    }
}

/// Names what a failed command or file was for.
trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, WayError>;
}

impl<T> Doing<T> for Result<T, CommandError> {
    fn doing(self, doing: &'static str) -> Result<T, WayError> {
        self.map_err(|source| WayError::Command { doing, source })
    }
}

fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WayError {
    let path = path.to_owned();
    move |source| WayError::File { doing, path, source }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn a_second_run_says_that_it_waits_for_the_first() {
        let cache = tempfile::tempdir().unwrap();
        let first = lock(cache.path(), &mut Progress(&mut |step| panic!("{step:?}"))).unwrap();
        let (say, said) = channel();
        thread::scope(|scope| {
            let second = scope.spawn(|| {
                let mut tell = |step: Step<'_>| say.send(matches!(step, Step::Started(_))).unwrap();
                lock(cache.path(), &mut Progress(&mut tell)).map(drop)
            });
            assert!(said.recv().unwrap(), "it says that it begins to wait");
            drop(first);
            second.join().unwrap().unwrap();
            assert!(!said.recv().unwrap(), "it says that it has waited");
        });
    }

    #[test]
    fn when_neither_way_works_both_reasons_and_the_remedy_are_told() {
        let lacks = |what: &str| Box::new(WayError::Lacks(what.to_owned()));
        let source = io::Error::other("disk full");
        let debian = Box::new(WayError::File { doing: "write", path: "/x".into(), source });
        let error = InstallError::NeitherWay { rustup: lacks("no network"), debian };
        assert_eq!(
            error.to_string(),
            "the target `wasm32-wasip2` could not be set up in either way\n\
             1. with rustup: no network\n\
             2. from Debian's packages: cannot write `/x`: disk full\n\
             to set it up by hand, run `rustup target add wasm32-wasip2` where rustup may download, or set \
             `RIMWARD_GUEST_TOOLCHAIN` to the rustup toolchain that has it"
        );
    }
}
