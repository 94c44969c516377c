//! Key-value stores that rimward.toml grants with the function's `stores`, through `wasi:keyvalue`. Every operation is
//! one call into the host and returns when the host has done it; a write that returned is durable as the node's store is.
//! What is stored is bytes; JSON and numbers are conveniences.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::host;
use crate::limits::UPDATE_ATTEMPTS_MAX;

/// Why an operation on a store failed. As an error of a function it becomes a bare 500.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The node has no store of this name.
    #[error("there is no store of this name")]
    NoSuchStore,
    /// rimward.toml does not grant the store to the function.
    #[error("the store is not granted")]
    AccessDenied,
    /// Others kept changing the value.
    #[error("`{0}` changed during every attempt to update it")]
    Contended(String),
    /// The value is not the JSON that was expected, or cannot be written as JSON.
    #[error("the value is not the JSON that was expected")]
    Json(#[from] serde_json::Error),
    /// Anything else: a full store, an I/O error, a value that is no number.
    #[error("the store failed: {0}")]
    Other(String),
}

/// An open store.
///
/// ```
/// use rimward_sdk::{Result, keyvalue::Store};
///
/// async fn visit() -> Result<String> {
///     let visits = Store::open("visits")?;
///     Ok(format!("visit {}", visits.increment("all", 1)?))
/// }
///
/// use rimward_sdk::test::{Host, get};
/// let host = Host::new().store("visits");
/// assert_eq!(host.run(visit, get("/")).text(), "visit 1");
/// assert_eq!(host.run(visit, get("/")).text(), "visit 2");
/// ```
#[derive(Debug)]
pub struct Store(host::Bucket);

impl Store {
    /// Opens a store by its name.
    pub fn open(name: &str) -> Result<Self, StoreError> {
        host::Bucket::open(name).map(Self)
    }

    /// The value of a key; none if there is no such key.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(key)
    }

    /// The value of a key, parsed as JSON.
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        let value = self.get(key)?;
        Ok(value.map(|value| serde_json::from_slice(&value)).transpose()?)
    }

    /// Writes a key, replacing the value it had.
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), StoreError> {
        self.0.set(key, value.as_ref())
    }

    /// Writes a value as JSON.
    pub fn set_json<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<(), StoreError> {
        self.set(key, serde_json::to_vec(value)?)
    }

    /// Removes a key. Removing an absent one is no error.
    pub fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.0.delete(key)
    }

    /// Whether a key has a value.
    pub fn exists(&self, key: &str) -> Result<bool, StoreError> {
        self.0.exists(key)
    }

    /// Every key, in no promised order, fetched a page at a time while it is iterated. An error ends it.
    pub fn keys(&self) -> impl Iterator<Item = Result<String, StoreError>> + '_ {
        Keys { store: self, page: Vec::new().into_iter(), next: Next::First }
    }

    /// Adds to the number under a key and returns the sum, as one step that no other invocation can come between. An
    /// absent key counts as zero. How the host writes the number is its own business: read it with `increment(key, 0)`.
    pub fn increment(&self, key: &str, delta: i64) -> Result<i64, StoreError> {
        self.0.increment(key, delta)
    }

    /// Reads a key, to replace its value later only if nobody else has.
    pub fn compare(&self, key: &str) -> Result<Compare, StoreError> {
        self.0.compare(key).map(Compare)
    }

    /// Replaces the value of a key by what `change` makes of it, as one step: when another invocation comes between,
    /// `change` is asked again. Returns the new value, or [`StoreError::Contended`] after
    /// [`UPDATE_ATTEMPTS_MAX`] attempts.
    ///
    /// ```
    /// # use rimward_sdk::keyvalue::{Store, StoreError};
    /// fn remember(name: &str) -> Result<(), StoreError> {
    ///     Store::open("guests")?.update("names", |names| {
    ///         let mut names = names.unwrap_or_default();
    ///         names.extend_from_slice(name.as_bytes());
    ///         names.push(b'\n');
    ///         names
    ///     })?;
    ///     Ok(())
    /// }
    /// # rimward_sdk::test::Host::new().store("guests").within(|| {
    /// #     remember("Ada").unwrap();
    /// #     remember("Alan").unwrap();
    /// #     assert_eq!(Store::open("guests").unwrap().get("names").unwrap().unwrap(), b"Ada\nAlan\n");
    /// # });
    /// ```
    pub fn update(
        &self,
        key: &str,
        mut change: impl FnMut(Option<Vec<u8>>) -> Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        let mut compare = self.compare(key)?;
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let value = change(compare.current()?);
            match compare.swap(&value)? {
                Swap::Done => return Ok(value),
                Swap::Changed(newer) => compare = newer,
            }
        }
        Err(StoreError::Contended(key.to_owned()))
    }

    /// The values of many keys, in their order.
    pub fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.0.get_many(keys)
    }

    /// Writes many keys. When it fails, part of them may have been written.
    pub fn set_many(&self, values: &[(&str, &[u8])]) -> Result<(), StoreError> {
        self.0.set_many(values)
    }

    /// Removes many keys. When it fails, part of them may have been removed.
    pub fn delete_many(&self, keys: &[&str]) -> Result<(), StoreError> {
        self.0.delete_many(keys)
    }
}

/// A key's value as it was read, to be swapped if it is still the same.
#[derive(Debug)]
pub struct Compare(host::Cas);

/// What became of a swap.
#[derive(Debug)]
pub enum Swap {
    /// The value was written.
    Done,
    /// Someone else was first. Holds the value as it is now.
    Changed(Compare),
}

impl Compare {
    /// The value that was read; none if the key had none.
    pub fn current(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.current()
    }

    /// Writes a value if the key has not changed since it was read.
    pub fn swap(self, value: &[u8]) -> Result<Swap, StoreError> {
        Ok(match self.0.swap(value)? {
            None => Swap::Done,
            Some(newer) => Swap::Changed(Compare(newer)),
        })
    }
}

/// Which page of keys comes next.
enum Next {
    First,
    From(String),
    End,
}

struct Keys<'a> {
    store: &'a Store,
    page: std::vec::IntoIter<String>,
    next: Next,
}

impl Iterator for Keys<'_> {
    type Item = Result<String, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(key) = self.page.next() {
                return Some(Ok(key));
            }
            let cursor = match std::mem::replace(&mut self.next, Next::End) {
                Next::First => None,
                Next::From(cursor) => Some(cursor),
                Next::End => return None,
            };
            match self.store.0.keys(cursor.as_deref()) {
                Ok((keys, cursor)) => {
                    self.page = keys.into_iter();
                    self.next = cursor.map_or(Next::End, Next::From);
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Host;

    fn with_store(test: impl FnOnce(Store)) {
        Host::new().store("s").within(|| test(Store::open("s").unwrap()));
    }

    #[test]
    fn a_key_is_written_read_and_removed() {
        with_store(|store| {
            assert_eq!(store.get("k").unwrap(), None);
            store.set("k", "v").unwrap();
            assert_eq!(store.get("k").unwrap().unwrap(), b"v");
            assert!(store.exists("k").unwrap());
            store.delete("k").unwrap();
            store.delete("k").unwrap();
            assert!(!store.exists("k").unwrap());
        });
    }

    #[test]
    fn json_is_read_as_it_was_written() {
        with_store(|store| {
            store.set_json("k", &[1, 2]).unwrap();
            assert_eq!(store.get_json::<Vec<u8>>("k").unwrap(), Some(vec![1, 2]));
            assert!(matches!(store.get_json::<String>("k"), Err(StoreError::Json(_))));
        });
    }

    #[test]
    fn a_store_that_was_not_granted_cannot_be_opened() {
        with_store(|_| assert!(matches!(Store::open("other"), Err(StoreError::AccessDenied))));
    }

    #[test]
    fn all_keys_are_listed_across_pages() {
        with_store(|store| {
            let names: Vec<String> = (0..250).map(|n| format!("key-{n:03}")).collect();
            names.iter().for_each(|name| store.set(name, "").unwrap());
            let listed: Result<Vec<_>, _> = store.keys().collect();
            assert_eq!(listed.unwrap(), names);
        });
    }

    #[test]
    fn a_swap_that_comes_too_late_returns_the_newer_value() {
        with_store(|store| {
            let compare = store.compare("k").unwrap();
            store.set("k", "theirs").unwrap();
            let Swap::Changed(newer) = compare.swap(b"ours").unwrap() else { panic!("swapped") };
            assert_eq!(newer.current().unwrap().unwrap(), b"theirs");
            assert!(matches!(newer.swap(b"ours").unwrap(), Swap::Done));
            assert_eq!(store.get("k").unwrap().unwrap(), b"ours");
        });
    }

    #[test]
    fn an_update_is_repeated_until_the_bound() {
        let update = |interruptions: usize| {
            let mut result = Ok(Vec::new());
            with_store(|store| {
                let mut attempts = 0;
                result = store.update("k", |_| {
                    attempts += 1;
                    if attempts <= interruptions {
                        store.set("k", attempts.to_string()).unwrap();
                    }
                    b"mine".to_vec()
                });
            });
            result
        };
        assert_eq!(update(UPDATE_ATTEMPTS_MAX - 1).unwrap(), b"mine");
        assert!(matches!(update(UPDATE_ATTEMPTS_MAX), Err(StoreError::Contended(_))));
    }

    #[test]
    fn many_keys_are_served_in_one_call() {
        with_store(|store| {
            store.set_many(&[("a", b"1"), ("b", b"2")]).unwrap();
            assert_eq!(store.get_many(&["b", "x"]).unwrap(), [Some(b"2".to_vec()), None]);
            store.delete_many(&["a", "x"]).unwrap();
            assert_eq!(store.keys().count(), 1);
        });
    }

    #[test]
    fn increment_counts_from_zero_and_refuses_what_is_no_number() {
        with_store(|store| {
            assert_eq!(store.increment("n", 5).unwrap(), 5);
            assert_eq!(store.increment("n", -7).unwrap(), -2);
            store.set("text", "abc").unwrap();
            assert!(matches!(store.increment("text", 1), Err(StoreError::Other(_))));
        });
    }
}
