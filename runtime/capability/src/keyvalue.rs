//! `wasi:keyvalue`: the stores that a function was granted, by name, in both drafts that guests in the wild import.
//!
//! A store that was not granted is `no-such-store`, whether it exists or not: a function cannot find out what others
//! have. Guests that know only one store call it `default` or nothing at all; they get the only one that was granted.

mod draft;
mod draft2;

use crate::State;
use crate::limits::{KEYVALUE_BATCH, KEYVALUE_PAGE};
use bytes::Bytes;
use rimward_store::{Batch, Entry, Store, StoreError, Swap};
use std::collections::BTreeMap;
use std::sync::Arc;
use wasmtime::component::{Linker, ResourceTable};

/// The stores that a function was granted, by the name it knows them by.
#[derive(Clone, Default)]
pub struct Grant(Arc<BTreeMap<String, Arc<dyn Store>>>);

/// The stores of one instance.
pub(crate) struct KeyValue {
    grant: Grant,
    /// Where pages start, for the draft whose cursors are numbers.
    cursors: Vec<String>,
}

/// An open store, as the guest holds it.
#[derive(Clone)]
pub struct Bucket(Arc<dyn Store>);

/// A value as it was read, to be swapped for another.
pub struct Cas {
    store: Arc<dyn Store>,
    key: String,
    read: Option<Entry>,
}

/// What an interface's functions work on.
pub(crate) struct View<'a> {
    keyvalue: &'a mut KeyValue,
    table: &'a mut ResourceTable,
}

struct HasView;

impl wasmtime::component::HasData for HasView {
    type Data<'a> = View<'a>;
}

/// Why an operation did not happen; each draft has its own type for the same three.
#[derive(Debug)]
enum Failed {
    NoSuchStore,
    Other(String),
}

pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    draft::link(linker, view)?;
    draft2::link(linker, view)
}

fn view(state: &mut State) -> View<'_> {
    View { keyvalue: &mut state.keyvalue, table: &mut state.table }
}

/// Grants a function these open stores.
pub fn grant(stores: BTreeMap<String, Arc<dyn Store>>) -> Grant {
    Grant(Arc::new(stores))
}

pub(crate) fn open(grant: &Grant) -> KeyValue {
    KeyValue { grant: grant.clone(), cursors: Vec::new() }
}

impl Grant {
    /// Whether the function was granted no store at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, name: &str) -> Option<&Arc<dyn Store>> {
        self.0.get(name).or_else(|| {
            let unnamed = matches!(name, "" | "default") && self.0.len() == 1;
            self.0.values().next().filter(|_| unnamed)
        })
    }
}

impl KeyValue {
    fn bucket(&self, name: &str) -> Result<Bucket, Failed> {
        self.grant.find(name).cloned().map(Bucket).ok_or(Failed::NoSuchStore)
    }
}

impl Bucket {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        Ok(self.0.get(key).await?.map(|entry| entry.value.to_vec()))
    }

    async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Failed> {
        Ok(self.0.write(Batch::new().set(key, value)).await?)
    }

    async fn delete(&self, key: String) -> Result<(), Failed> {
        Ok(self.0.write(Batch::new().delete(key)).await?)
    }

    /// One page of keys, and where the next one starts.
    async fn keys(&self, cursor: Option<&str>) -> Result<(Vec<String>, Option<String>), Failed> {
        let page = self.0.keys(cursor, KEYVALUE_PAGE).await?;
        Ok((page.keys, page.next))
    }

    async fn increment(&self, key: &str, delta: i64) -> Result<i64, Failed> {
        Ok(self.0.increment(key, delta).await?)
    }

    async fn get_many(&self, keys: Vec<String>) -> Result<Vec<Option<(String, Vec<u8>)>>, Failed> {
        check_batch(keys.len())?;
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(self.get(&key).await?.map(|value| (key, value)));
        }
        Ok(found)
    }

    async fn set_many(&self, pairs: Vec<(String, Vec<u8>)>) -> Result<(), Failed> {
        check_batch(pairs.len())?;
        let batch = pairs.into_iter().fold(Batch::new(), |batch, (key, value)| batch.set(key, value));
        Ok(self.0.write(batch).await?)
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<(), Failed> {
        check_batch(keys.len())?;
        Ok(self.0.write(keys.into_iter().fold(Batch::new(), Batch::delete)).await?)
    }

    async fn cas(&self, key: String) -> Result<Cas, Failed> {
        let read = self.0.get(&key).await?;
        Ok(Cas { store: self.0.clone(), key, read })
    }
}

impl Cas {
    fn current(&self) -> Option<Vec<u8>> {
        self.read.as_ref().map(|entry| entry.value.to_vec())
    }

    /// `Ok(Some(..))` when the value had changed: the handle for another attempt.
    async fn swap(self, value: Vec<u8>) -> Result<Option<Self>, Failed> {
        let version = self.read.as_ref().map(|entry| entry.version);
        match self.store.compare_and_swap(&self.key, version, Bytes::from(value)).await? {
            Swap::Done(_) => Ok(None),
            Swap::Conflict(read) => Ok(Some(Self { read, ..self })),
        }
    }
}

fn check_batch(len: usize) -> Result<(), Failed> {
    match len <= KEYVALUE_BATCH {
        true => Ok(()),
        false => Err(Failed::Other(format!(
            "{len} keys at once are more than the {KEYVALUE_BATCH} that are accepted"
        ))),
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        if let StoreError::Failed(cause) = &error {
            // The guest learns that it failed; what failed is the operator's.
            tracing::error!(cause = %cause, "a key-value store failed");
        }
        Self::Other(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rimward_store::{Settings, StoreId, Stores};

    async fn granted(names: &[&str]) -> Grant {
        let stores = Stores::memory();
        let mut granted = BTreeMap::new();
        for name in names {
            let id = StoreId::new("default", "app", name).unwrap();
            granted.insert((*name).to_owned(), stores.open(&id, Settings::default()).await.unwrap());
        }
        grant(granted)
    }

    #[tokio::test]
    async fn a_store_is_found_by_name_and_the_only_one_also_without() {
        let check = |grant: &Grant, name: &str, found: bool| {
            assert_eq!(grant.find(name).is_some(), found, "{name:?}")
        };
        let one = granted(&["a"]).await;
        check(&one, "a", true);
        check(&one, "b", false);
        check(&one, "default", true);
        check(&one, "", true);
        let two = granted(&["a", "b"]).await;
        check(&two, "b", true);
        check(&two, "default", false);
    }

    #[tokio::test]
    async fn a_batch_is_accepted_up_to_its_length_and_no_further() {
        let bucket = open(&granted(&["a"]).await).bucket("a").unwrap();
        let keys = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        assert_eq!(bucket.get_many(keys(KEYVALUE_BATCH)).await.unwrap().len(), KEYVALUE_BATCH);
        assert!(bucket.get_many(keys(KEYVALUE_BATCH + 1)).await.is_err());
        assert!(bucket.delete_many(keys(KEYVALUE_BATCH + 1)).await.is_err());
    }

    #[tokio::test]
    async fn a_swap_that_lost_gets_the_new_value_and_can_be_tried_again() {
        let bucket = open(&granted(&["a"]).await).bucket("a").unwrap();
        let cas = bucket.cas("k".into()).await.unwrap();
        assert_eq!(cas.current(), None);
        bucket.set("k".into(), b"theirs".to_vec()).await.unwrap();
        let again = cas.swap(b"ours".to_vec()).await.unwrap().expect("somebody was faster");
        assert_eq!(again.current(), Some(b"theirs".to_vec()));
        assert!(again.swap(b"ours".to_vec()).await.unwrap().is_none());
        assert_eq!(bucket.get("k").await.unwrap(), Some(b"ours".to_vec()));
    }
}
