//! Key-value stores: what a function remembers between invocations.
//!
//! One object-safe trait, [`Store`], and two backends: one in memory for tests and one-off runs, and a durable one
//! (a crash-safe file per store). [`Stores`] opens them by (tenant, app, name) and shares one open handle per store.
//! The key-value capability calls this crate; it knows no wasm, no manifest and no request, and every method may be
//! awaited on any number of single-threaded runtimes at once: blocking work happens on threads of its own.
//!
//! Everything is bounded ([`Limits`], [`limits`]). A refused operation changes nothing; a failed one is a [`StoreError`].
//!
//! ```
//! use rimward_store::{Batch, Settings, StoreId, Stores};
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let stores = Stores::memory();
//! let id = StoreId::new("default", "shop-camera", "sightings")?;
//! let store = stores.open(&id, Settings::default()).await?;
//! store.write(Batch::new().set("door", "open")).await?;
//! assert_eq!(store.increment("visits", 2).await?, 2);
//! assert_eq!(store.get("door").await?.expect("was just set").value, "open");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod durable;
mod id;
mod ledger;
pub mod limits;
mod memory;
mod store;
mod stores;

pub use durable::OpenError;
pub use id::{InvalidName, StoreId};
pub use limits::Limits;
pub use store::{Answer, Batch, Entry, Page, Store, StoreError, Swap, Version};
pub use stores::{Durability, Settings, Stores};
