//! The function's configuration: the `config` and `secrets` of rimward.toml, read through `wasi:config/store`. Values are
//! strings, read from the host each time; nothing is cached.

use std::error::Error as StdError;
use std::str::FromStr;

use thiserror::Error;

use crate::host;

/// Why a value of the configuration cannot be used. As an error of a function it becomes a bare 500: the texts are for
/// the operator. They name the key and never quote the value, which may be a secret.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The key has no value.
    #[error("`{0}` is not configured")]
    Missing(String),
    /// The value is not of the type that was asked for.
    #[error("`{0}` has a value of the wrong form")]
    Wrong(String, #[source] Box<dyn StdError + Send + Sync>),
    /// The node could not read its configuration.
    #[error("the configuration cannot be read: {0}")]
    Unreadable(String),
}

/// The value of a key; none if there is no such key.
pub fn get(key: &str) -> Result<Option<String>, ConfigError> {
    host::config_get(key)
}

/// The value of a key that must be there, as any type that is made from a string.
///
/// ```
/// use rimward_sdk::{Result, config};
///
/// async fn threshold() -> Result<String> {
///     let threshold: f64 = config::require("threshold")?;
///     Ok(format!("{threshold:.2}"))
/// }
///
/// use rimward_sdk::test::{Host, get};
/// assert_eq!(Host::new().config("threshold", "0.8").run(threshold, get("/")).text(), "0.80");
/// ```
pub fn require<T>(key: &str) -> Result<T, ConfigError>
where
    T: FromStr<Err: Into<Box<dyn StdError + Send + Sync>>>,
{
    let value = get(key)?.ok_or_else(|| ConfigError::Missing(key.to_owned()))?;
    value.parse().map_err(|error: T::Err| ConfigError::Wrong(key.to_owned(), error.into()))
}

/// Every key with its value.
pub fn all() -> Result<Vec<(String, String)>, ConfigError> {
    host::config_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Host;

    #[test]
    fn a_key_is_there_or_not() {
        Host::new().config("a", "1").config("b", "2").within(|| {
            assert_eq!(get("a").unwrap().as_deref(), Some("1"));
            assert_eq!(get("c").unwrap(), None);
            assert_eq!(all().unwrap(), [("a".into(), "1".into()), ("b".into(), "2".into())]);
        });
    }

    #[test]
    fn a_required_key_is_named_when_it_is_missing_or_wrong() {
        Host::new().config("port", "eighty").within(|| {
            let check =
                |key, message: &str| assert_eq!(require::<u16>(key).unwrap_err().to_string(), message);
            check("host", "`host` is not configured");
            check("port", "`port` has a value of the wrong form");
            assert_eq!(require::<String>("port").unwrap(), "eighty");
        });
    }
}
