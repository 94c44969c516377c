//! The folder for what the demo fetches and for the logs of what it starts: `rimward/demo` in the user's cache
//! folder, which may be deleted at any time. One demo at a time uses it; another waits.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context, Result};

pub(super) struct Cache {
    folder: PathBuf,
    /// Held until the demo ends.
    _lock: File,
}

impl Cache {
    pub(super) fn open() -> Result<Self> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        let base = base.context("there is no cache folder: set `HOME` or `XDG_CACHE_HOME`")?;
        let folder = base.join("rimward/demo");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        let lock = File::create(folder.join("lock")).context("cannot make the lock of the cache folder")?;
        if lock.try_lock().is_err() {
            println!("another demo is running on this machine: waiting for it");
            lock.lock().context("cannot lock the cache folder")?;
        }
        Ok(Self { folder, _lock: lock })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
