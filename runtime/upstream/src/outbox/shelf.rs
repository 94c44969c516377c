//! Where an outbox lies on disk: its index, its blobs, and what was set aside.
//!
//! ```text
//! FOLDER/vision.redb                      the index
//! FOLDER/blobs/vision/4711                a large body
//! FOLDER/vision.redb.damaged-1790000000   an index that was found to be damaged, and
//! FOLDER/blobs/vision.damaged-1790000000  its bodies; never deleted by the node
//! ```
//!
//! A new index is made beside its place and renamed, so that a power cut leaves no half-made one. Every open verifies all
//! of it. A blob is complete and on disk before the index names it; one that no index names is removed at the start.

use super::index;
use super::trouble::{Shut, Trouble};
use crate::limits::outbox as limits;
use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, StorageBackend, StorageError, TableError};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Where the index comes from. The real one is a [`Folder`]; simulations bring a disk in memory.
pub(super) trait Shelf: Send + Sync {
    /// Opens the index, or makes one.
    fn open(&self) -> Result<Database, Shut>;
    /// Moves a damaged index out of the way, and names the place.
    fn set_aside(&self, wall_ms: u64) -> io::Result<String>;
    /// What was moved out of the way and is still there.
    fn aside(&self) -> Vec<String>;
}

/// An outbox in a folder.
#[derive(Clone, Debug)]
pub struct Folder {
    index: PathBuf,
    blobs: PathBuf,
    mark: u32,
}

impl Folder {
    /// The outbox `name` in `folder`; a new index is marked with `mark`.
    #[must_use]
    pub fn new(folder: &Path, name: &str, mark: u32) -> Self {
        Self { index: folder.join(format!("{name}.redb")), blobs: folder.join("blobs").join(name), mark }
    }

    pub(super) fn blob(&self, id: u64) -> PathBuf {
        self.blobs.join(id.to_string())
    }

    /// A file for a large body, and its folder, which must be synced after it.
    pub(super) fn new_blob(&self, id: u64) -> io::Result<File> {
        make_folder(&self.blobs)?;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.blob(id))
    }

    pub(super) fn settle_blob(&self, mut file: &File) -> io::Result<()> {
        file.flush()?;
        file.sync_all()?;
        File::open(&self.blobs)?.sync_all()
    }

    /// Removes files that `is_named` knows nothing of, and says how many there were.
    pub(super) fn sweep(&self, is_named: impl Fn(u64) -> Result<bool, Trouble>) -> Result<usize, Trouble> {
        let entries = match fs::read_dir(&self.blobs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries.map_err(Trouble::new)?,
        };
        let mut swept = 0;
        for entry in entries {
            let entry = entry.map_err(Trouble::new)?;
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if !is_named(id)? {
                fs::remove_file(entry.path()).map_err(Trouble::new)?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    fn create(&self) -> Result<(), Shut> {
        let folder = self.index.parent().expect("an index is in a folder");
        make_folder(folder).map_err(unopened)?;
        let beside = self.index.with_extension("redb.new");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        drop(open_file(options.open(&beside).map_err(unopened)?, self.mark)?);
        fs::rename(&beside, &self.index).map_err(unopened)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(unopened)
    }

    fn damaged_name(path: &Path, seconds: u64) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{seconds}"));
        name.into()
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // The folder's own name must be on disk too, before anything in it is acknowledged.
    folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

impl Shelf for Folder {
    fn open(&self) -> Result<Database, Shut> {
        if !self.index.try_exists().map_err(unopened)? {
            self.create()?;
        }
        let file = OpenOptions::new().read(true).write(true).open(&self.index).map_err(unopened)?;
        // redb would make a new database in an empty file; here that is a file that lost its content.
        if file.metadata().map_err(unopened)?.len() == 0 {
            return Err(Shut::Damaged(Trouble::new("the file is empty")));
        }
        open_file(file, self.mark)
    }

    fn set_aside(&self, wall_ms: u64) -> io::Result<String> {
        // The second may have one already: two damages in a row.
        let free = (wall_ms / 1000..).find(|second| !Self::damaged_name(&self.index, *second).exists());
        let second = free.expect("some second has no damaged file");
        let to = Self::damaged_name(&self.index, second);
        fs::rename(&self.index, &to)?;
        if self.blobs.is_dir() {
            fs::rename(&self.blobs, Self::damaged_name(&self.blobs, second))?;
        }
        self.index.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
        Ok(to.display().to_string())
    }

    fn aside(&self) -> Vec<String> {
        let Some((folder, name)) = self.index.parent().zip(self.index.file_name()) else { return Vec::new() };
        let start = format!("{}.damaged-", name.to_string_lossy());
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&start))
            .map(|entry| entry.path().display().to_string())
            .collect();
        found.sort();
        found
    }
}

fn unopened(error: io::Error) -> Shut {
    Shut::Io(Trouble::new(error))
}

fn open_file(file: File, mark: u32) -> Result<Database, Shut> {
    open_backend(FileBackend::new(file).map_err(refused)?, mark)
}

/// Opens an index and sees to its format.
pub(super) fn open_backend(backend: impl StorageBackend, mark: u32) -> Result<Database, Shut> {
    // redb trusts some pages until it has checked them, and panics if it should not have.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let mut builder = Builder::new();
        builder.set_cache_size(limits::CACHE_BYTES).set_check_integrity_on_open(true);
        let database = builder.create_with_backend(backend).map_err(refused)?;
        settle_format(&database, mark)?;
        Ok(database)
    }));
    opened.unwrap_or_else(|_| Err(Shut::Damaged(Trouble::new("its pages contradict each other"))))
}

fn settle_format(database: &Database, mark: u32) -> Result<(), Shut> {
    let damaged = |error: redb::Error| match error {
        redb::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => unopened(error),
        error => Shut::Damaged(Trouble::new(error)),
    };
    match format_of(database).map_err(damaged)? {
        Format::New => begin(database, mark).map_err(Shut::Io),
        Format::Is(index::FORMAT) => Ok(()),
        Format::Is(found) if found > index::FORMAT => Err(Shut::Newer { found, known: index::FORMAT }),
        Format::Is(_) | Format::Other => {
            Err(Shut::Damaged(Trouble::new("the file is a database but not an outbox")))
        }
    }
}

enum Format {
    New,
    Is(u64),
    Other,
}

fn format_of(database: &Database) -> Result<Format, redb::Error> {
    let snapshot = database.begin_read()?;
    match snapshot.open_table(index::NUMBERS) {
        Ok(numbers) => {
            Ok(numbers.get(index::KEY_FORMAT)?.map_or(Format::Other, |found| Format::Is(found.value())))
        }
        Err(TableError::TableDoesNotExist(_)) if snapshot.list_tables()?.next().is_none() => Ok(Format::New),
        Err(TableError::Storage(error)) => Err(error.into()),
        Err(_) => Ok(Format::Other),
    }
}

fn begin(database: &Database, mark: u32) -> Result<(), Trouble> {
    let transaction = database.begin_write()?;
    index::begin(&transaction, mark)?;
    Ok(transaction.commit()?)
}

fn refused(error: DatabaseError) -> Shut {
    match error {
        DatabaseError::DatabaseAlreadyOpen => Shut::InUse,
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() != io::ErrorKind::InvalidData => {
            unopened(error)
        }
        other => Shut::Damaged(Trouble::new(other)),
    }
}
