//! `http-error-code` of `wasi:http` 0.2: which error code a failed read of a body stands for.
//!
//! wasmtime-wasi-http 48 keeps such a failure as its own error type and looks for the type of the WIT, so that it never
//! finds one and every guest reads "some failure". This takes the function's place in the linker; guests call it after a
//! read that failed. Cases that no body fails with are `none`, as the WIT allows.

use crate::State;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::bindings::io::error::Error as IoError;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, TlsAlertReceivedPayload};

/// In the version that wasmtime-wasi-http links.
const TYPES: &str = "wasi:http/types@0.2.12";

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance(TYPES)?.func_wrap("http-error-code", http_error_code)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn http_error_code(
    store: StoreContextMut<'_, State>,
    (error,): (Resource<IoError>,),
) -> wasmtime::Result<(Option<ErrorCode>,)> {
    let error = store.data().table.get(&error)?;
    let of_the_wit = error.downcast_ref::<ErrorCode>().cloned();
    Ok((of_the_wit.or_else(|| error.downcast_ref::<Error>().and_then(code)),))
}

fn code(error: &Error) -> Option<ErrorCode> {
    Some(match error {
        Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        Error::ConnectionWriteTimeout => ErrorCode::ConnectionWriteTimeout,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        Error::TlsProtocolError => ErrorCode::TlsProtocolError,
        Error::TlsAlertReceived { alert_id, alert_message } => {
            ErrorCode::TlsAlertReceived(TlsAlertReceivedPayload {
                alert_id: *alert_id,
                alert_message: alert_message.clone(),
            })
        }
        Error::HttpRequestBodySize(bytes) => ErrorCode::HttpRequestBodySize(*bytes),
        Error::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        Error::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        Error::HttpResponseBodySize(bytes) => ErrorCode::HttpResponseBodySize(*bytes),
        Error::HttpProtocolError => ErrorCode::HttpProtocolError,
        Error::InternalError(text) => ErrorCode::InternalError(text.clone()),
        _ => return None,
    })
}
