//! Key-value stores as `wasi:keyvalue` 0.2.0-draft2.

use super::bindings::wasi::keyvalue::{atomics, batch, store};
use crate::keyvalue::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

#[derive(Debug)]
pub(crate) struct Bucket(store::Bucket);

#[derive(Debug)]
pub(crate) struct Cas(atomics::Cas);

impl From<store::Error> for StoreError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::NoSuchStore => Self::NoSuchStore,
            store::Error::AccessDenied => Self::AccessDenied,
            store::Error::Other(text) => Self::Other(text),
        }
    }
}

impl Bucket {
    pub(crate) fn open(name: &str) -> Result<Self> {
        Ok(Self(store::open(name)?))
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(key)?)
    }

    pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        Ok(self.0.set(key, value)?)
    }

    pub(crate) fn delete(&self, key: &str) -> Result<()> {
        Ok(self.0.delete(key)?)
    }

    pub(crate) fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.0.exists(key)?)
    }

    /// One page of keys, and where the next one starts.
    pub(crate) fn keys(&self, cursor: Option<&str>) -> Result<(Vec<String>, Option<String>)> {
        let page = self.0.list_keys(cursor)?;
        Ok((page.keys, page.cursor))
    }

    pub(crate) fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        Ok(atomics::increment(&self.0, key, delta)?)
    }

    pub(crate) fn compare(&self, key: &str) -> Result<Cas> {
        Ok(Cas(atomics::Cas::new(&self.0, key)?))
    }

    pub(crate) fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>> {
        let found = batch::get_many(&self.0, keys)?;
        Ok(found.into_iter().map(|pair| pair.map(|(_, value)| value)).collect())
    }

    pub(crate) fn set_many(&self, values: &[(&str, &[u8])]) -> Result<()> {
        Ok(batch::set_many(&self.0, values)?)
    }

    pub(crate) fn delete_many(&self, keys: &[&str]) -> Result<()> {
        Ok(batch::delete_many(&self.0, keys)?)
    }
}

impl Cas {
    pub(crate) fn current(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.0.current()?)
    }

    /// None when the value was written, else the handle for another attempt.
    pub(crate) fn swap(self, value: &[u8]) -> Result<Option<Self>> {
        match atomics::swap(self.0, value) {
            Ok(()) => Ok(None),
            Err(atomics::CasError::CasFailed(newer)) => Ok(Some(Self(newer))),
            Err(atomics::CasError::StoreError(error)) => Err(error.into()),
        }
    }
}
