//! A key-value store in memory. Each write gives its key a new version, which is what a swap compares.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use crate::keyvalue::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// Keys of one page: 100. Small enough that a test of a few hundred keys turns pages.
const PAGE_KEYS_MAX: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct Store {
    values: BTreeMap<String, Entry>,
    writes: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    value: Vec<u8>,
    version: u64,
}

impl Store {
    fn set(&mut self, key: &str, value: &[u8]) {
        self.writes += 1;
        let entry = Entry { value: value.to_owned(), version: self.writes };
        self.values.insert(key.to_owned(), entry);
    }

    fn version(&self, key: &str) -> Option<u64> {
        self.values.get(key).map(|entry| entry.version)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Bucket(Rc<RefCell<Store>>);

impl Bucket {
    pub(crate) fn open(name: &str) -> Result<Self> {
        super::store(name).map(Self)
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.borrow().values.get(key).map(|entry| entry.value.clone()))
    }

    pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.0.borrow_mut().set(key, value);
        Ok(())
    }

    pub(crate) fn delete(&self, key: &str) -> Result<()> {
        self.0.borrow_mut().values.remove(key);
        Ok(())
    }

    pub(crate) fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.0.borrow().values.contains_key(key))
    }

    /// The cursor is the last key of the page before.
    pub(crate) fn keys(&self, cursor: Option<&str>) -> Result<(Vec<String>, Option<String>)> {
        let store = self.0.borrow();
        let from = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let mut keys = store.values.range::<str, _>((from, Bound::Unbounded)).map(|(key, _)| key);
        let page: Vec<String> = keys.by_ref().take(PAGE_KEYS_MAX).cloned().collect();
        let next = keys.next().and(page.last()).cloned();
        Ok((page, next))
    }

    /// Numbers are decimal text.
    pub(crate) fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        let value = self.get(key)?.unwrap_or_else(|| b"0".to_vec());
        let number: Option<i64> = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
        let sum = number.and_then(|number| number.checked_add(delta));
        let sum =
            sum.ok_or_else(|| StoreError::Other(format!("`{key}` holds no number that can be added to")))?;
        self.set(key, sum.to_string().as_bytes())?;
        Ok(sum)
    }

    pub(crate) fn compare(&self, key: &str) -> Result<Cas> {
        let read = self.0.borrow().values.get(key).cloned();
        Ok(Cas { bucket: self.clone(), key: key.to_owned(), read })
    }

    pub(crate) fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    pub(crate) fn set_many(&self, values: &[(&str, &[u8])]) -> Result<()> {
        values.iter().try_for_each(|(key, value)| self.set(key, value))
    }

    pub(crate) fn delete_many(&self, keys: &[&str]) -> Result<()> {
        keys.iter().try_for_each(|key| self.delete(key))
    }
}

#[derive(Debug)]
pub(crate) struct Cas {
    bucket: Bucket,
    key: String,
    read: Option<Entry>,
}

impl Cas {
    pub(crate) fn current(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.read.as_ref().map(|entry| entry.value.clone()))
    }

    pub(crate) fn swap(self, value: &[u8]) -> Result<Option<Self>> {
        let mut store = self.bucket.0.borrow_mut();
        if store.version(&self.key) != self.read.as_ref().map(|entry| entry.version) {
            drop(store);
            return self.bucket.compare(&self.key).map(Some);
        }
        store.set(&self.key, value);
        Ok(None)
    }
}
