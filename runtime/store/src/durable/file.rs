//! The file of a store: its format, its transactions, and what can be wrong with it.
//!
//! One redb database per store, so that one damaged file is one damaged store. Table `entries` holds key → (version,
//! value), table `rimward-store` the format's number and the [`Ledger`]. The writer thread calls this, and readers for
//! snapshots; it does not know about queues.
//!
//! A new file is made beside its place and renamed, so that a power cut leaves no half-made store. Every open verifies
//! the whole file: damage is reported then, and the file is left as it is for the operator.

use std::error::Error;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, ReadableTable,
    StorageBackend, StorageError, TableDefinition, TableError, WriteTransaction,
};

use crate::ledger::{Ledger, Operation, Outcome, Table};
use crate::limits::{CACHE_BYTES, Limits};
use crate::store::{Entry, Page, StoreError, Version};

/// The number of the format this version writes, and the newest it reads.
const FORMAT: u64 = 1;

const ENTRIES: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("entries");
const LEDGER: TableDefinition<'_, &str, u64> = TableDefinition::new("rimward-store");

const KEY_FORMAT: &str = "format";
const KEY_USED_BYTES: &str = "used-bytes";
const KEY_VERSION: &str = "version";

/// Opens the database of a store, as often as needed.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, OpenError> + Send + Sync>;

/// Why a store could not be opened. Meant for the operator: it names files.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or the file cannot be made, opened or read.
    #[error("cannot open the store file `{path}`", path = path.display())]
    Io {
        /// The store's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the store open.
    #[error("the store file `{path}` is in use by another process: stop that process first", path = path.display())]
    InUse {
        /// The store's file.
        path: PathBuf,
    },
    /// The file is not a store, or its content is damaged. It was left as it is.
    #[error(
        "the store file `{path}` is damaged or not a store: restore it from a copy, or move it away to begin with an \
         empty store", path = path.display()
    )]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What was found.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A newer version of Rimward wrote the file.
    #[error(
        "the store file `{path}` has format {found} and this version reads up to {known}: run the version that wrote \
         it, or a newer one", path = path.display()
    )]
    Newer {
        /// The store's file.
        path: PathBuf,
        /// The file's format.
        found: u64,
        /// The newest format this version reads.
        known: u64,
    },
    /// As many stores are open as may be.
    #[error("{max} stores are open already, which is the limit of a process")]
    TooMany {
        /// [`OPEN_STORES_MAX`](crate::limits::OPEN_STORES_MAX).
        max: usize,
    },
    /// The store's thread cannot be started.
    #[error("cannot start the thread of a store")]
    Thread(#[source] io::Error),
    /// The stores were closed, because the node stops.
    #[error("the stores are closed")]
    Closed,
}

/// A store's open file, reopened after a failure.
pub(super) struct StoreFile {
    path: PathBuf,
    opener: Opener,
    state: RwLock<State>,
}

enum State {
    Open(Database),
    /// It failed and could not be opened again; the next write tries once more.
    Failed,
    Closed,
}

impl StoreFile {
    /// `path` is for messages; `opener` knows where the file is.
    pub(super) fn open(path: PathBuf, opener: Opener) -> Result<StoreFile, OpenError> {
        let database = opener()?;
        Ok(StoreFile { path, opener, state: RwLock::new(State::Open(database)) })
    }

    /// Runs `read` on a snapshot that has every write answered so far.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.with(|database| read(&database.begin_read().map_err(failed)?))
    }

    /// Applies `operations` in one transaction and commits it. Each has its own outcome; an error of this function
    /// means that none of them was applied, or that this is not known.
    pub(super) fn apply(
        &self,
        operations: Vec<Operation>,
        limits: &Limits,
        durability: Durability,
    ) -> Result<Vec<Result<Outcome, StoreError>>, StoreError> {
        if matches!(*self.state.read().unwrap_or_else(PoisonError::into_inner), State::Failed) {
            self.reopen();
        }
        self.with(|database| {
            let mut transaction = database.begin_write().map_err(failed)?;
            transaction.set_durability(durability).map_err(failed)?;
            let (outcomes, changed) = apply(&transaction, operations, limits)?;
            if changed {
                transaction.commit().map_err(failed)?;
            }
            Ok(outcomes)
        })
    }

    /// Brings to disk what earlier commits left in memory.
    pub(super) fn save(&self) -> Result<(), StoreError> {
        self.with(|database| database.begin_write().map_err(failed)?.commit().map_err(failed))
    }

    /// Closes the file and opens it again, because redb refuses to go on after a failed write.
    pub(super) fn recover(&self, error: &StoreError) {
        tracing::error!(path = %self.path.display(), error = error as &dyn Error, "a store failed, opening it anew");
        self.reopen();
    }

    fn reopen(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // Closed first: the file is locked as long as it is open.
        drop(std::mem::replace(&mut *state, State::Failed));
        match (self.opener)() {
            Ok(database) => *state = State::Open(database),
            Err(error) => {
                tracing::error!(path = %self.path.display(), error = &error as &dyn Error, "a store stays closed");
            }
        }
    }

    pub(super) fn close(&self) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = State::Closed;
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Open(database) => work(database),
            State::Failed => Err(StoreError::failed("the file could not be opened after a failure")),
            State::Closed => Err(StoreError::Closed),
        }
    }
}

impl fmt::Debug for StoreFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The entry at `key`.
pub(super) fn get(snapshot: &ReadTransaction, key: &str) -> Result<Option<Entry>, StoreError> {
    let entries = snapshot.open_table(ENTRIES).map_err(failed)?;
    Ok(entries.get(key).map_err(failed)?.map(|found| entry(found.value())))
}

/// The keys after `cursor`, at most `limit`.
pub(super) fn keys(
    snapshot: &ReadTransaction,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page, StoreError> {
    let entries = snapshot.open_table(ENTRIES).map_err(failed)?;
    let after = cursor.map_or(Bound::Unbounded, Bound::Excluded);
    let range = entries.range::<&str>((after, Bound::Unbounded)).map_err(failed)?;
    Page::collect(range.map(|found| found.map(|(key, _)| key.value().to_owned()).map_err(failed)), limit)
}

fn apply(
    transaction: &WriteTransaction,
    operations: Vec<Operation>,
    limits: &Limits,
) -> Result<(Vec<Result<Outcome, StoreError>>, bool), StoreError> {
    let mut entries = transaction.open_table(ENTRIES).map_err(failed)?;
    let mut numbers = transaction.open_table(LEDGER).map_err(failed)?;
    let before = load(&numbers)?;
    let mut ledger = before;
    let mut outcomes = Vec::with_capacity(operations.len());
    for operation in operations {
        match operation.apply(&mut entries, &mut ledger, limits) {
            Err(error @ StoreError::Failed(_)) => return Err(error),
            outcome => outcomes.push(outcome),
        }
    }
    numbers.insert(KEY_USED_BYTES, ledger.used_bytes).map_err(failed)?;
    numbers.insert(KEY_VERSION, ledger.version).map_err(failed)?;
    Ok((outcomes, ledger != before))
}

fn load(numbers: &impl ReadableTable<&'static str, u64>) -> Result<Ledger, StoreError> {
    let number = |key| Ok(numbers.get(key).map_err(failed)?.map_or(0, |found| found.value()));
    Ok(Ledger { used_bytes: number(KEY_USED_BYTES)?, version: number(KEY_VERSION)? })
}

impl Table for redb::Table<'_, &'static str, (u64, &'static [u8])> {
    fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        Ok(ReadableTable::get(self, key).map_err(failed)?.map(|found| entry(found.value())))
    }

    fn set(&mut self, key: &str, entry: &Entry) -> Result<(), StoreError> {
        self.insert(key, (entry.version.0, &*entry.value)).map(drop).map_err(failed)
    }

    fn delete(&mut self, key: &str) -> Result<(), StoreError> {
        self.remove(key).map(drop).map_err(failed)
    }
}

fn entry((version, value): (u64, &[u8])) -> Entry {
    Entry { value: Bytes::copy_from_slice(value), version: Version(version) }
}

fn failed(error: impl Into<redb::Error>) -> StoreError {
    StoreError::failed(error.into())
}

/// Opens the store at `path`, or makes an empty one there.
pub(super) fn open_or_create(path: &Path) -> Result<Database, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    if !path.try_exists().map_err(io)? {
        create(path)?;
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
    // redb would make a new database in an empty file; here that is a file that lost its content.
    if file.metadata().map_err(io)?.len() == 0 {
        return Err(damaged(path)("the file is empty"));
    }
    open(path, file)
}

/// Makes an empty store beside `path` and renames it: it is at its place whole or not at all.
fn create(path: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let folder = path.parent().expect("a store's file is in its app's folder");
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
    let beside = path.with_extension("redb.new");
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&beside);
    drop(open(path, file.map_err(io)?)?);
    fs::rename(&beside, path).map_err(io)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
}

fn open(path: &Path, file: File) -> Result<Database, OpenError> {
    let backend = FileBackend::new(file).map_err(|error| open_error(path, error))?;
    open_backend(path, backend)
}

/// Opens a database and sees to its format. `path` is for messages.
pub(super) fn open_backend(path: &Path, backend: impl StorageBackend) -> Result<Database, OpenError> {
    // redb trusts some pages until it has checked them, and panics if it should not have.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let database = builder.create_with_backend(backend).map_err(|error| open_error(path, error))?;
        settle_format(path, &database)?;
        Ok(database)
    }));
    opened.unwrap_or_else(|_| Err(damaged(path)("its pages contradict each other")))
}

/// Writes the format's number to a new database, and refuses one that this version cannot read.
fn settle_format(path: &Path, database: &Database) -> Result<(), OpenError> {
    let found = format_of(database).map_err(damaged(path))?;
    match found {
        Found::Nothing => begin(database).map_err(damaged(path)),
        Found::Format(FORMAT) => Ok(()),
        Found::Format(found) if found > FORMAT => {
            Err(OpenError::Newer { path: path.to_owned(), found, known: FORMAT })
        }
        Found::Format(_) | Found::Other => Err(damaged(path)("the file is a database but not a store")),
    }
}

enum Found {
    Nothing,
    Format(u64),
    Other,
}

fn format_of(database: &Database) -> Result<Found, redb::Error> {
    let snapshot = database.begin_read()?;
    match snapshot.open_table(LEDGER) {
        Ok(numbers) => {
            Ok(numbers.get(KEY_FORMAT)?.map_or(Found::Other, |number| Found::Format(number.value())))
        }
        Err(TableError::TableDoesNotExist(_)) if snapshot.list_tables()?.next().is_none() => {
            Ok(Found::Nothing)
        }
        Err(TableError::Storage(error)) => Err(error.into()),
        Err(_) => Ok(Found::Other),
    }
}

fn begin(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(ENTRIES)?;
    transaction.open_table(LEDGER)?.insert(KEY_FORMAT, FORMAT)?;
    Ok(transaction.commit()?)
}

fn open_error(path: &Path, error: DatabaseError) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: path.to_owned() },
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() != io::ErrorKind::InvalidData => {
            OpenError::Io { path: path.to_owned(), source }
        }
        other => damaged(path)(other),
    }
}

fn damaged<E: Into<Box<dyn Error + Send + Sync>>>(path: &Path) -> impl FnOnce(E) -> OpenError {
    move |source| OpenError::Damaged { path: path.to_owned(), source: source.into() }
}
