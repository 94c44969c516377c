//! Which files an app is made from, and when they change. Watches the folders that `build.watch` names and no more, so
//! that what a build writes elsewhere costs nothing. Changes are collected until somebody asks for them; a file that
//! changes again meanwhile counts once, so what waits is bounded by the number of watched files.

use crate::limits::QUIET;
use crate::shell;
use anyhow::{Context, Result};
use glob::{MatchOptions, Pattern};
use notify_debouncer_full::notify::{self, EventKind, RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, NoCache, new_debouncer_opt};
use rimward_manifest::{App, Name};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// A pattern of `build.watch` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("function `{function}` watches `{pattern}`, which is no pattern")]
pub(super) struct BadPattern {
    function: Name,
    pattern: String,
    source: glob::PatternError,
}

/// Files that are watched, and for whom.
#[derive(Debug, Clone)]
struct Watched {
    /// Where the pattern starts.
    root: PathBuf,
    pattern: Pattern,
    /// The function that is made from them, or all of them.
    whom: Whom,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Whom {
    Function(Name),
    App,
}

/// What changed since somebody last asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) files: BTreeSet<PathBuf>,
    /// Functions that are made from them.
    pub(super) functions: BTreeSet<Name>,
    /// Whether the app's declaration, or a file that belongs to no single function, is among them.
    pub(super) app: bool,
}

/// Watches the files of an app. Dropping it stops.
pub(super) struct Watch {
    changes: Arc<Shared>,
    _debouncer: Debouncer<RecommendedWatcher, NoCache>,
}

#[derive(Default)]
struct Shared {
    changes: Mutex<Changes>,
    some: Notify,
}

impl Watch {
    /// Starts to watch what `app` in `folder`, an absolute path, is made from.
    pub(super) fn start(folder: &Path, app: &App) -> Result<Self> {
        let watched = watched(folder, app)?;
        let shared = Arc::new(Shared::default());
        let (heard, patterns) = (shared.clone(), watched.clone());
        let hear = move |result: DebounceEventResult| heard.add(&patterns, result);
        let mut debouncer = new_debouncer_opt(QUIET, None, hear, NoCache, notify::Config::default())
            .context("cannot watch files")?;
        for (path, mode) in roots(&watched) {
            debouncer.watch(&path, mode).map_err(|error| explain(error, &path))?;
        }
        Ok(Self { changes: shared, _debouncer: debouncer })
    }

    /// Waits for changes and takes them. Dropping it loses none.
    pub(super) async fn changed(&self) -> Changes {
        loop {
            let changes = std::mem::take(&mut *self.changes.lock());
            if !changes.files.is_empty() {
                return changes;
            }
            self.changes.some.notified().await;
        }
    }
}

fn explain(error: notify::Error, path: &Path) -> anyhow::Error {
    let remedy = match error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            ": this user watches too many files; raise `fs.inotify.max_user_watches` (sysctl), or narrow `build.watch`"
        }
        _ => "",
    };
    anyhow::Error::new(error).context(format!("cannot watch `{}`{remedy}", path.display()))
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, watched: &[Watched], result: DebounceEventResult) {
        let Ok(events) = result else { return };
        let changing = events.iter().filter(|event| !matches!(event.kind, EventKind::Access(_)));
        let mut changes = self.lock();
        changing.flat_map(|event| &event.paths).for_each(|path| changes.add(watched, path));
        if !changes.files.is_empty() {
            self.some.notify_one();
        }
    }
}

impl Changes {
    fn add(&mut self, watched: &[Watched], path: &Path) {
        for watched in watched.iter().filter(|watched| watched.covers(path)) {
            self.files.insert(path.to_owned());
            match &watched.whom {
                Whom::Function(name) => {
                    self.functions.insert(name.clone());
                }
                Whom::App => self.app = true,
            }
        }
    }
}

impl Watched {
    fn new(root: PathBuf, pattern: &str, whom: Whom) -> Result<Self, glob::PatternError> {
        Ok(Self { root, pattern: Pattern::new(pattern)?, whom })
    }

    /// Exactly that file.
    fn file(root: &Path, file: &Path, whom: Whom) -> Self {
        let pattern = Pattern::escape(&file.to_string_lossy());
        Self::new(root.to_owned(), &pattern, whom).expect("an escaped pattern is one")
    }

    fn covers(&self, path: &Path) -> bool {
        /// `*` stays within a folder, as in a shell; `**` does not.
        const AS_IN_A_SHELL: MatchOptions = MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: false,
        };
        path.strip_prefix(&self.root).is_ok_and(|path| self.pattern.matches_path_with(path, AS_IN_A_SHELL))
    }

    /// The deepest folder that holds everything the pattern can match, and whether also folders below it do.
    fn base(&self) -> (PathBuf, RecursiveMode) {
        let pattern = Path::new(self.pattern.as_str());
        let is_plain = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
        let plain: PathBuf = pattern.components().take_while(is_plain).collect();
        match plain == pattern {
            true => (self.root.join(plain.parent().unwrap_or(Path::new(""))), RecursiveMode::NonRecursive),
            false => (self.root.join(plain), RecursiveMode::Recursive),
        }
    }
}

/// Everything that an app is made from: its declaration, what builds name, components that nothing builds, and files
/// that the declaration names.
fn watched(folder: &Path, app: &App) -> Result<Vec<Watched>, BadPattern> {
    let mut watched = vec![Watched::file(folder, Path::new("rimward.toml"), Whom::App)];
    watched.extend(
        app.files().into_iter().map(|file| Watched::file(folder, &file.under(Path::new("")), Whom::App)),
    );
    for (name, function) in &app.functions {
        let whom = Whom::Function(name.clone());
        let Some(build) = &function.build else {
            watched.push(Watched::file(folder, &function.component, whom));
            continue;
        };
        let root = plain(&shell::dir(folder, build));
        for pattern in &build.watch {
            let bad = |source| BadPattern { function: name.clone(), pattern: pattern.clone(), source };
            watched.push(Watched::new(root.clone(), pattern, whom.clone()).map_err(bad)?);
        }
    }
    Ok(watched)
}

/// The path as changes name it.
fn plain(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The folders to watch; one that is not there yet is waited for in the nearest one above it.
fn roots(watched: &[Watched]) -> BTreeMap<PathBuf, RecursiveMode> {
    let mut roots = BTreeMap::new();
    for (base, mode) in watched.iter().map(Watched::base) {
        let Some(exists) = base.ancestors().find(|folder| folder.is_dir()) else { continue };
        let mode = if exists == base { mode } else { RecursiveMode::Recursive };
        let known = roots.entry(exists.to_owned()).or_insert(mode);
        if mode == RecursiveMode::Recursive {
            *known = mode;
        }
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(watch: &str) -> App {
        let text = format!(
            "[app]\nname = \"shop\"\n\
             [function.one]\ncomponent = \"one.wasm\"\nbuild = {{ command = \"make\", watch = {watch} }}\n\
             [function.two]\ncomponent = \"out/two.wasm\"\n"
        );
        App::parse(&text).unwrap()
    }

    fn check(watch: &str, path: &str, expected: &str) {
        let watched = watched(Path::new("/no/such/app"), &app(watch)).unwrap();
        let mut changes = Changes::default();
        changes.add(&watched, &Path::new("/no/such/app").join(path));
        let functions: Vec<_> = changes.functions.iter().map(Name::as_str).collect();
        let found = if changes.app { "app".into() } else { functions.join(" ") };
        assert_eq!(found, expected, "{watch} {path}");
    }

    #[test]
    fn a_change_is_for_the_functions_that_are_made_from_it() {
        let watch = r#"["src/**", "Cargo.toml", "*.wit"]"#;
        check(watch, "src/lib.rs", "one");
        check(watch, "src/deep/er/mod.rs", "one");
        check(watch, "Cargo.toml", "one");
        check(watch, "a.wit", "one");
        check(watch, "wit/a.wit", "");
        check(watch, "target/x.rs", "");
        check(watch, "out/two.wasm", "two");
        check(watch, "one.wasm", "");
        check(watch, "rimward.toml", "app");
        check(r#"["src/**/*.rs"]"#, "src/lib.rs", "one");
        check(r#"["src/**/*.rs"]"#, "src/a/b.rs", "one");
        check(r#"["src/**/*.rs"]"#, "src/a/b.txt", "");
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = watched(Path::new("/"), &app(r#"["a/***"]"#)).unwrap_err();
        assert_eq!(error.to_string(), "function `one` watches `a/***`, which is no pattern");
    }

    #[test]
    fn only_the_folders_that_patterns_name_are_watched() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("src")).unwrap();
        let roots = roots(&watched(&root, &app(r#"["src/**", "Cargo.toml"]"#)).unwrap());
        assert_eq!(roots.get(&root.join("src")), Some(&RecursiveMode::Recursive));
        // `out` is not there yet.
        assert_eq!(roots.get(&root), Some(&RecursiveMode::Recursive));
        std::fs::create_dir(root.join("out")).unwrap();
        let roots = super::roots(&watched(&root, &app(r#"["src/**", "Cargo.toml"]"#)).unwrap());
        assert_eq!(roots.get(&root), Some(&RecursiveMode::NonRecursive));
    }

    #[tokio::test]
    async fn a_written_file_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("src")).unwrap();
        let watch = Watch::start(&root, &app(r#"["src/**"]"#)).unwrap();
        std::fs::write(root.join("ignored"), "x").unwrap();
        std::fs::write(root.join("src/lib.rs"), "x").unwrap();
        let changes = watch.changed().await;
        assert_eq!(changes.files, BTreeSet::from([root.join("src/lib.rs")]));
        assert_eq!(changes.functions, BTreeSet::from(["one".parse().unwrap()]));
    }
}
