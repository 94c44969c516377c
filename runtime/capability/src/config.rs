//! `wasi:config/store`: a function's own configuration and the secrets it was granted, read-only, from memory.
//! Both versions in the wild; they have the same functions.

use crate::State;
use crate::limits::CONFIG_BYTES;
use std::collections::BTreeMap;
use std::sync::Arc;
use wasmtime::component::{HasSelf, Linker};

mod rc1 {
    wasmtime::component::bindgen!({ path: "../../sdk/wit/config-0.2.0-rc.1", world: "imports" });
}

mod draft_2024_09_27 {
    wasmtime::component::bindgen!({ path: "../../sdk/wit/config-0.2.0-draft-2024-09-27", world: "imports" });
}

/// What a function was granted: its keys and values. Values may be secrets, so this has no `Debug`.
#[derive(Clone, Default)]
pub struct Grant(Arc<BTreeMap<String, String>>);

/// The configuration of one instance.
pub(crate) type Config = Grant;

/// The configuration is larger than a function may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {bytes} bytes, more than the {CONFIG_BYTES} that a function may have")]
pub struct TooLarge {
    /// Keys and values together, bytes.
    pub bytes: usize,
}

pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    rc1::wasi::config::store::add_to_linker::<_, HasSelf<_>>(linker, |state: &mut State| &mut state.config)?;
    draft_2024_09_27::wasi::config::store::add_to_linker::<_, HasSelf<_>>(linker, |state: &mut State| {
        &mut state.config
    })
}

/// Grants a function these keys and values.
pub fn grant(entries: BTreeMap<String, String>) -> Result<Grant, TooLarge> {
    let bytes = entries.iter().map(|(key, value)| key.len() + value.len()).sum();
    match bytes <= CONFIG_BYTES {
        true => Ok(Grant(Arc::new(entries))),
        false => Err(TooLarge { bytes }),
    }
}

pub(crate) fn open(grant: &Grant) -> Config {
    grant.clone()
}

impl Grant {
    fn get(&self, key: &str) -> Option<String> {
        self.0.get(key).cloned()
    }

    fn all(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

impl rc1::wasi::config::store::Host for Config {
    fn get(&mut self, key: String) -> Result<Option<String>, rc1::wasi::config::store::Error> {
        Ok(Grant::get(self, &key))
    }

    fn get_all(&mut self) -> Result<Vec<(String, String)>, rc1::wasi::config::store::Error> {
        Ok(self.all())
    }
}

impl draft_2024_09_27::wasi::config::store::Host for Config {
    fn get(&mut self, key: String) -> Result<Option<String>, draft_2024_09_27::wasi::config::store::Error> {
        Ok(Grant::get(self, &key))
    }

    fn get_all(&mut self) -> Result<Vec<(String, String)>, draft_2024_09_27::wasi::config::store::Error> {
        Ok(self.all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_granted_up_to_its_size_and_no_further() {
        let of = |bytes: usize| BTreeMap::from([("k".to_owned(), "v".repeat(bytes - 1))]);
        assert!(grant(of(CONFIG_BYTES)).is_ok());
        assert_eq!(grant(of(CONFIG_BYTES + 1)).err(), Some(TooLarge { bytes: CONFIG_BYTES + 1 }));
    }
}
