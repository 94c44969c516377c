//! What went wrong with an outbox's file, for the operator.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A failure of the disk or of the file. Cheap to clone: all calls of a group get it.
#[derive(Clone)]
pub struct Trouble(Arc<dyn Error + Send + Sync>);

impl Trouble {
    pub(super) fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }
}

impl fmt::Debug for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// With what lies under it: it is shown where no chain is printed.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Error for Trouble {}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for Trouble {
            fn from(error: $error) -> Self {
                Self::new(redb::Error::from(error))
            }
        }
    )*};
}

from_redb!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::SetDurabilityError
);

/// Why the file of an outbox is not open.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Shut {
    /// The folder or the file cannot be made, opened or read.
    #[error("the outbox's file cannot be opened: {0}")]
    Io(Trouble),
    /// Another process has it open.
    #[error("the outbox's file is in use by another process: stop that process first")]
    InUse,
    /// It is not an outbox, or its content is damaged.
    #[error("the outbox's file is damaged or not an outbox: {0}")]
    Damaged(Trouble),
    /// A newer version of Rimward wrote it.
    #[error(
        "the outbox's file has format {found} and this version reads up to {known}: run the version that wrote it, or a newer \
         one"
    )]
    Newer {
        /// The file's format.
        found: u64,
        /// The newest format that this version reads.
        known: u64,
    },
    /// The node stops.
    #[error("the outbox is closed")]
    Closed,
}
