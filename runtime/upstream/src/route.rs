//! Where one request goes, and by whose policy.
//!
//! The first step of [`Client::send`](crate::Client::send); pure, and cheap for an upstream, whose origin was parsed when
//! it was made.

use crate::address::AddressRules;
use crate::origin::Origin;
use crate::pool::Key;
use crate::upstream::Credentials;
use crate::{Egress, Error, Upstream, limits};
use arc_swap::Guard;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderName, HeaderValue};
use std::sync::Arc;

/// Whom a request is for.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// The origin in the request's URI, as far as the function's egress permits it.
    Host(&'a Egress),
    /// A named upstream. The request's path is joined to the upstream's, whatever its authority, except where
    /// the request names the upstream's own origin: then its path is whole already.
    Upstream(&'a Upstream),
    /// One of the places of an upstream that has several.
    Endpoint(&'a Upstream, usize),
}

/// One request's way: decided, not yet gone.
pub(crate) struct Route<'a> {
    pub(crate) key: Key,
    pub(crate) path: PathAndQuery,
    pub(crate) rules: &'a AddressRules,
    /// What the upstream is shown.
    credentials: Option<Guard<Arc<Credentials>>>,
}

impl Route<'_> {
    /// The upstream's own TLS settings, where it has any.
    pub(crate) fn tls(&self) -> Option<&Arc<rustls::ClientConfig>> {
        self.credentials.as_ref()?.tls.as_ref()
    }

    /// Headers in place of the function's own.
    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        self.credentials.as_ref().map_or(&[], |credentials| &credentials.headers)
    }
}

impl<'a> Target<'a> {
    pub(crate) fn route(self, uri: &Uri) -> Result<Route<'a>, Error> {
        let path = path(uri)?;
        match self {
            Self::Host(egress) => {
                let origin = Origin::of(uri)?;
                if !egress.permits(&origin) {
                    return Err(Error::RequestDenied(origin.to_string().into()));
                }
                Ok(Route { key: Key::new(origin, 0), path, rules: egress.addresses(), credentials: None })
            }
            Self::Upstream(upstream) => Self::Endpoint(upstream, 0).route(uri),
            Self::Endpoint(upstream, endpoint) => {
                let credentials = upstream.credentials();
                Ok(Route {
                    key: credentials.key(endpoint).clone(),
                    path: upstream.path_at(endpoint, uri, path)?,
                    rules: upstream.addresses(),
                    credentials: Some(credentials),
                })
            }
        }
    }
}

/// Path and query, absolute and within bounds.
fn path(uri: &Uri) -> Result<PathAndQuery, Error> {
    let Some(path) = uri.path_and_query() else { return Ok(PathAndQuery::from_static("/")) };
    if path.as_str().len() > limits::PATH_BYTES_MAX {
        Err(Error::RequestUriTooLong)
    } else if path.as_str().starts_with('/') {
        Ok(path.clone())
    } else if path.as_str().starts_with('?') {
        PathAndQuery::try_from(format!("/{}", path.as_str())).map_err(|_| Error::RequestUriInvalid)
    } else {
        Err(Error::RequestUriInvalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(uri: &str) -> Result<PathAndQuery, Error> {
        let egress = Egress::new(vec!["*.example.com".parse().unwrap()], Vec::new());
        let uri = uri.parse().map_err(|_| Error::RequestUriInvalid)?;
        Target::Host(&egress).route(&uri).map(|route| route.path)
    }

    /// G21.
    #[test]
    fn a_path_is_absolute() {
        assert_eq!(route("http://a.example.com").unwrap(), "/");
        assert_eq!(route("http://a.example.com?q").unwrap(), "/?q");
        assert_eq!(route("http://a.example.com/x?q").unwrap(), "/x?q");
        assert!(matches!(route("*"), Err(Error::RequestUriInvalid)));
        assert!(matches!(route("/x"), Err(Error::RequestUriInvalid)));
    }

    #[test]
    fn a_path_may_fill_its_bound_and_no_more() {
        let with = |bytes: usize| route(&format!("http://a.example.com/{}", "a".repeat(bytes - 1)));
        assert!(with(limits::PATH_BYTES_MAX).is_ok());
        assert!(matches!(with(limits::PATH_BYTES_MAX + 1), Err(Error::RequestUriTooLong)));
    }

    #[test]
    fn an_origin_that_is_not_granted_is_refused_by_name() {
        let Err(Error::RequestDenied(origin)) = route("https://evil.example/") else { panic!("not refused") };
        assert_eq!(&*origin, "https://evil.example");
    }
}
