//! The settings of a node that `RIMWARD_*` variables replace; the table is at [`NodeFile::with_environment`].

use toml::de::DeValue;

use super::NodeFile;
use super::walk::AddressOrOff;
use crate::scalar::Scalar;

/// A variable that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment's `{variable}`: {reason}")]
pub struct EnvironmentError {
    /// The variable.
    pub variable: String,
    /// What is wrong with its value.
    pub reason: String,
}

/// Takes over `value` if `variable` is one of the node's.
pub(super) fn set(file: &mut NodeFile, variable: &str, value: &str) -> Result<(), EnvironmentError> {
    if value.is_empty() {
        return Ok(());
    }
    put(file, variable, value).map_err(|reason| EnvironmentError { variable: variable.into(), reason })
}

fn put(file: &mut NodeFile, variable: &str, value: &str) -> Result<(), String> {
    match variable {
        "RIMWARD_STATE" => file.node.state = text(value)?,
        "RIMWARD_CACHE" => file.node.cache = text(value)?,
        "RIMWARD_LISTEN" => file.node.listen = value.split(',').map(text).collect::<Result<_, _>>()?,
        "RIMWARD_CORES" => file.node.cores = Some(literal(value)?),
        "RIMWARD_WASI_HTTP_03" => file.node.wasi_http_03 = literal(value)?,
        "RIMWARD_CONFINE" => file.node.confine = text(value)?,
        "RIMWARD_OPS_LISTEN" => file.ops.listen = text::<AddressOrOff>(value)?.0,
        "RIMWARD_ADMIN_SOCKET" => file.admin.socket = Some(text(value)?),
        "RIMWARD_LOG_FORMAT" => file.log.format = text(value)?,
        "RIMWARD_LOG_LEVEL" => file.log.level = text(value)?,
        "RIMWARD_LOG_REQUESTS" => file.log.requests = text(value)?,
        _ => {}
    }
    Ok(())
}

/// What the file would hold in quotes.
fn text<T: Scalar>(value: &str) -> Result<T, String> {
    T::scalar(&DeValue::String(value.trim().into())).map_err(|trouble| trouble.to_string())
}

/// What the file would hold without quotes.
fn literal<T: Scalar>(value: &str) -> Result<T, String> {
    match DeValue::parse(value.trim()) {
        Ok(value) => T::scalar(value.get_ref()).map_err(|trouble| trouble.to_string()),
        Err(_) => text(value),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::node::{LogFormat, LogLevel, LogRequests};

    fn with(variables: &[(&str, &str)]) -> Result<NodeFile, String> {
        NodeFile::default().with_environment(variables.iter().copied()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_variable_replaces_what_the_file_says() {
        let file = with(&[
            ("RIMWARD_STATE", "/s"),
            ("RIMWARD_CACHE", "/c"),
            ("RIMWARD_LISTEN", "127.0.0.1:1, [::1]:2"),
            ("RIMWARD_CORES", "2"),
            ("RIMWARD_WASI_HTTP_03", "true"),
            ("RIMWARD_OPS_LISTEN", "off"),
            ("RIMWARD_ADMIN_SOCKET", "/a.sock"),
            ("RIMWARD_LOG_FORMAT", "json"),
            ("RIMWARD_LOG_LEVEL", "debug"),
            ("RIMWARD_LOG_REQUESTS", "all"),
        ])
        .unwrap();
        assert_eq!(file.node.state, Path::new("/s"));
        assert_eq!(file.node.cache, Path::new("/c"));
        assert_eq!(file.node.listen, ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
        assert_eq!(file.node.cores.unwrap().get(), 2);
        assert!(file.node.wasi_http_03);
        assert_eq!(file.ops.listen, None);
        assert_eq!(file.admin_socket(), Path::new("/a.sock"));
        assert_eq!(file.log.format, LogFormat::Json);
        assert_eq!(file.log.level, LogLevel::Debug);
        assert_eq!(file.log.requests, LogRequests::All);
    }

    #[test]
    fn an_empty_or_foreign_variable_changes_nothing() {
        assert_eq!(
            with(&[("RIMWARD_STATE", ""), ("RIMWARD_OTHER", "x"), ("PATH", "/bin")]).unwrap(),
            NodeFile::default()
        );
    }

    #[test]
    fn a_variable_that_cannot_be_read_is_named() {
        let check =
            |variable, value, expected: &str| assert_eq!(with(&[(variable, value)]).unwrap_err(), expected);
        check(
            "RIMWARD_CORES",
            "many",
            "the environment's `RIMWARD_CORES`: a whole number is expected, not a string",
        );
        check("RIMWARD_CORES", "0", "the environment's `RIMWARD_CORES`: the number is zero");
        check(
            "RIMWARD_LISTEN",
            "8080",
            "the environment's `RIMWARD_LISTEN`: `8080` is not an address with a port",
        );
        check(
            "RIMWARD_LOG_LEVEL",
            "loud",
            "the environment's `RIMWARD_LOG_LEVEL`: `loud` is not one of `error`, `warn`, `info`, `debug`, `trace`",
        );
    }
}
