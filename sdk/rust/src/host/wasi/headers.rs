//! Header fields between `wasi:http` and the `http` crate.

use http::{HeaderMap, HeaderName, HeaderValue};
use wasip2::http::types::{Fields, HeaderError};

/// Fields as the host gives them. What `http` would not accept is left out: the host has checked them before.
pub(super) fn from_fields(fields: Fields) -> HeaderMap {
    let entries = fields.entries();
    let mut headers = HeaderMap::with_capacity(entries.len());
    for (name, value) in entries {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// Fails on a field that `wasi:http` keeps for the host, such as `connection`.
pub(super) fn to_fields(headers: &HeaderMap) -> Result<Fields, HeaderError> {
    let entries: Vec<(String, Vec<u8>)> =
        headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned())).collect();
    Fields::from_list(&entries)
}
