//! All stores of a process: opens each once, by name, and shares the handle.
//!
//! The node makes one [`Stores`] at start, opens the stores an app declares when it installs the app, and closes all
//! when it stops, after the last invocation. At most [`OPEN_STORES_MAX`] are open; the next is refused.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::durable::{Durable, OpenError, Readers};
use crate::id::StoreId;
use crate::limits::{Limits, OPEN_STORES_MAX, READ_QUEUE_MAX, READER_THREADS};
use crate::memory::Memory;
use crate::store::Store;

/// How one store behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Its bounds.
    pub limits: Limits,
    /// When a write is answered.
    pub durability: Durability,
}

/// What a power cut may take from a durable store. A store in memory ignores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A write is answered once the commit that contains it is on disk: nothing answered is lost.
    #[default]
    Commit,
    /// A write is answered at once and reaches the disk within this time: a power cut takes the writes of the last
    /// interval, all changes of a write or none. For counters and caches on slow flash.
    Interval(Duration),
}

/// The stores of a process.
#[derive(Debug)]
pub struct Stores {
    place: Place,
    open: Mutex<Option<HashMap<StoreId, Handle>>>,
}

#[derive(Debug)]
enum Place {
    Memory,
    Disk { state: PathBuf, readers: Arc<Readers> },
}

#[derive(Clone, Debug)]
enum Handle {
    Memory(Memory),
    Durable(Durable),
}

impl Stores {
    /// Stores that live as long as this value and its handles.
    pub fn memory() -> Stores {
        Stores::at(Place::Memory)
    }

    /// Stores as files under the state directory `state`, in `tenants/<tenant>/<app>/stores/<name>.redb`. Folders are
    /// made when a store is first opened, readable by this user only. Fails if the reader threads cannot be started.
    pub fn durable(state: impl Into<PathBuf>) -> io::Result<Stores> {
        let readers = Arc::new(Readers::start(READER_THREADS, READ_QUEUE_MAX)?);
        Ok(Stores::at(Place::Disk { state: state.into(), readers }))
    }

    fn at(place: Place) -> Stores {
        Stores { place, open: Mutex::new(Some(HashMap::new())) }
    }

    /// The store named `id`, made if it does not exist. A store that is already open is shared, and `settings` hold
    /// for all its users from now on.
    ///
    /// Dropping the future before it ends leaves the store closed.
    pub async fn open(&self, id: &StoreId, settings: Settings) -> Result<Arc<dyn Store>, OpenError> {
        let mut open = self.open.lock().await;
        let open = open.as_mut().ok_or(OpenError::Closed)?;
        if let Some(handle) = open.get(id) {
            handle.configure(settings);
            return Ok(handle.store());
        }
        if open.len() >= OPEN_STORES_MAX {
            return Err(OpenError::TooMany { max: OPEN_STORES_MAX });
        }
        let handle = self.place.open(id, settings).await?;
        let store = handle.store();
        open.insert(id.clone(), handle);
        Ok(store)
    }

    /// Closes all stores: what was accepted is written and on disk when this returns, whatever the durability.
    /// Operations that come later fail with [`StoreError::Closed`](crate::StoreError::Closed).
    ///
    /// Dropping the future before it ends lets the rest close by itself.
    pub async fn close(&self) {
        let open = self.open.lock().await.take().unwrap_or_default();
        for handle in open.into_values() {
            if let Handle::Durable(durable) = handle {
                durable.close().await;
            }
        }
    }
}

impl Place {
    async fn open(&self, id: &StoreId, settings: Settings) -> Result<Handle, OpenError> {
        match self {
            Place::Memory => Ok(Handle::Memory(Memory::new(settings.limits))),
            Place::Disk { state, readers } => {
                let durable = Durable::open_file(id.file(state), settings, Arc::clone(readers)).await?;
                Ok(Handle::Durable(durable))
            }
        }
    }
}

impl Handle {
    fn configure(&self, settings: Settings) {
        match self {
            Handle::Memory(memory) => memory.configure(settings.limits),
            Handle::Durable(durable) => durable.configure(settings),
        }
    }

    fn store(&self) -> Arc<dyn Store> {
        match self {
            Handle::Memory(memory) => Arc::new(memory.clone()),
            Handle::Durable(durable) => Arc::new(durable.clone()),
        }
    }
}
