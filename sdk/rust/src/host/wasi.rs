//! The host as WASI 0.2: `wasi:http` for requests and calls, and the interfaces of `sdk/wit`. A component imports only
//! the functions that it can reach, so a function that opens no store imports no `wasi:keyvalue`.

#[allow(unsafe_code, missing_docs, unreachable_pub, reason = "generated: calls through the canonical ABI")]
mod bindings;
mod client;
mod executor;
mod headers;
mod incoming;
mod outgoing;
mod server;
mod store;

pub use server::serve;
pub use wasip2;
pub use wasip2::exports::http::incoming_handler;
pub use wasip2::http::types;

pub(crate) use client::send;
pub(crate) use store::{Bucket, Cas};

use crate::config::ConfigError;
use bindings::wasi::config::store as config;

pub(crate) fn config_get(key: &str) -> Result<Option<String>, ConfigError> {
    config::get(key).map_err(unreadable)
}

pub(crate) fn config_all() -> Result<Vec<(String, String)>, ConfigError> {
    config::get_all().map_err(unreadable)
}

fn unreadable(error: config::Error) -> ConfigError {
    let (config::Error::Upstream(text) | config::Error::Io(text)) = error;
    ConfigError::Unreadable(text)
}

/// Tells the operator what the caller must not read.
#[cfg(not(feature = "logging"))]
pub(crate) fn report(line: &str) {
    eprintln!("{line}");
}

/// Tells the operator what the caller must not read.
#[cfg(feature = "logging")]
pub(crate) fn report(line: &str) {
    tracing::error!("{line}");
}

#[cfg(feature = "logging")]
pub(crate) fn log(level: tracing::Level, target: &str, line: &str) {
    use bindings::wasi::logging::logging::{Level, log};
    let level = match level {
        tracing::Level::TRACE => Level::Trace,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::INFO => Level::Info,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::ERROR => Level::Error,
    };
    log(level, target, line);
}

/// Exports a function as the component's `wasi:http/incoming-handler`.
#[doc(hidden)]
#[macro_export]
macro_rules! __rimward_export {
    ($function:path) => {
        struct Export;

        impl $crate::__private::incoming_handler::Guest for Export {
            fn handle(
                request: $crate::__private::types::IncomingRequest,
                reply: $crate::__private::types::ResponseOutparam,
            ) {
                $crate::__private::serve($function, request, reply);
            }
        }

        $crate::__private::wasip2::http::proxy::export!(Export with_types_in $crate::__private::wasip2);
    };
}
pub use crate::__rimward_export as export;
