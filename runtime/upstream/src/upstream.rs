//! A named service outside the node: where it is, what is added to each request, whom it trusts.
//!
//! Made by the node once per revision, its secrets resolved; read by `route` for every request. Everything that can be
//! wrong with it is found here and never at a request.

use crate::address::{AddressRules, Allowed};
use crate::auth::{self, Auth};
use crate::origin::Origin;
use crate::pool::Key;
use crate::state::{Policy, State};
use crate::tls::{self, Identity, Roots, TlsError};
use crate::{Error, Secret, Timeouts, limits};
use arc_swap::ArcSwap;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderName, HeaderValue};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What an upstream is declared as, its secrets resolved.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// `http` or `https`, host, port, and perhaps a path under which every request goes. No query, no user.
    pub url: String,
    /// Headers set on every request, in place of the function's own of that name.
    pub headers: Vec<(String, Secret)>,
    /// Certificate authorities to trust besides the roots, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// The certificate to show to the server.
    pub identity: Option<Identity>,
    /// What proves who calls, where headers do not.
    pub auth: Option<auth::Config>,
    /// How long a call may take, unless the function wants less.
    pub timeouts: Timeouts,
    /// Special addresses the upstream may be at, by the operator's word.
    pub allowed: Vec<Allowed>,
    /// How calls are made.
    pub policy: Policy,
}

impl UpstreamConfig {
    /// A service at `url` with nothing added and the default timeouts.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
            ca_pem: None,
            identity: None,
            auth: None,
            timeouts: Timeouts::default(),
            allowed: Vec::new(),
            policy: Policy::default(),
        }
    }
}

/// Why an upstream cannot be made. No text of a header or key is in it.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The URL is no `http` or `https` origin with an optional path.
    #[error("`{0}` is not an http or https URL with an optional path")]
    Url(String),
    /// The header's name or value is not one, or the header is not for an upstream to set.
    #[error("header `{0}` cannot be set")]
    Header(String),
    /// Its certificates cannot be used.
    #[error("setting up TLS")]
    Tls(#[source] TlsError),
    /// The place where access tokens come from cannot be used.
    #[error("setting up where access tokens come from")]
    Token(#[source] Box<Self>),
}

/// A named service outside the node.
#[derive(Debug)]
pub struct Upstream {
    origin: Origin,
    /// Path under which every request goes, without a trailing slash; empty for none.
    base: Box<str>,
    credentials: ArcSwap<Credentials>,
    timeouts: Timeouts,
    addresses: AddressRules,
    state: Arc<State>,
    /// Where calls go, if not to `origin` and `base`: in the order of the policy's places.
    sites: Box<[Site]>,
}

/// One of several places of an upstream.
#[derive(Debug)]
struct Site {
    origin: Origin,
    base: Box<str>,
}

/// What an upstream is shown, and whom it is taken for. May be replaced while it is called.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// The connections that lead to each of its places; new ones for another TLS identity.
    keys: Box<[Key]>,
    pub(crate) headers: Box<[(HeaderName, HeaderValue)]>,
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    pub(crate) auth: Option<Auth>,
}

impl Credentials {
    fn new<'a>(
        config: UpstreamConfig,
        roots: &Roots,
        origins: impl Iterator<Item = &'a Origin>,
    ) -> Result<Self, UpstreamError> {
        let tls = own_tls(&config, roots).map_err(UpstreamError::Tls)?;
        let identity = if tls.is_some() { IDENTITIES.fetch_add(1, Relaxed) } else { 0 };
        let auth = config.auth.map(|auth| Auth::new(auth, roots, &config.allowed)).transpose()?;
        Ok(Self {
            keys: origins.map(|origin| Key::new(origin.clone(), identity)).collect(),
            headers: config.headers.into_iter().map(header).collect::<Result<_, _>>()?,
            tls,
            auth,
        })
    }

    /// The connections that lead to the place `endpoint`.
    pub(crate) fn key(&self, endpoint: usize) -> &Key {
        self.keys.get(endpoint).unwrap_or(&self.keys[0])
    }
}

/// The next TLS identity; 0 is the client's.
static IDENTITIES: AtomicU64 = AtomicU64::new(1);

impl Upstream {
    /// Checks and prepares a declared upstream. It trusts `roots` and its own authorities.
    ///
    /// # Errors
    /// [`UpstreamError`] says which part of the declaration cannot be used.
    pub fn new(config: UpstreamConfig, roots: &Roots) -> Result<Self, UpstreamError> {
        let (origin, base) =
            parse_url(&config.url).ok_or_else(|| UpstreamError::Url(printable(&config.url)))?;
        let sites = config.policy.endpoints.places.iter().take(limits::ENDPOINTS_MAX).map(|place| {
            let (origin, base) =
                parse_url(&place.url).ok_or_else(|| UpstreamError::Url(printable(&place.url)))?;
            Ok(Site { origin, base })
        });
        let sites = sites.collect::<Result<Box<[_]>, UpstreamError>>()?;
        Ok(Self {
            timeouts: config.timeouts.clamped(),
            addresses: AddressRules::new(config.allowed.clone()),
            state: Arc::new(State::unwatched(config.policy.clone())),
            credentials: ArcSwap::from_pointee(Credentials::new(config, roots, origins(&origin, &sites))?),
            origin,
            base,
            sites,
        })
    }

    /// Takes over the headers, the TLS identity and authorities and the `auth` of `config`, and nothing else of it. Calls
    /// under way finish with what they began with; connections of another identity are not used again.
    ///
    /// # Errors
    /// [`UpstreamError`]: then nothing has changed.
    pub fn renew(&self, config: UpstreamConfig, roots: &Roots) -> Result<(), UpstreamError> {
        let credentials = Credentials::new(config, roots, origins(&self.origin, &self.sites))?;
        self.credentials.store(Arc::new(credentials));
        Ok(())
    }

    /// The same upstream with the state that calls to it share, in place of one of its own.
    #[must_use]
    pub fn with_state(mut self, state: Arc<State>) -> Self {
        self.state = state;
        self
    }

    /// What is known from its calls, and the policy for them.
    #[must_use]
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// How long a call may take; narrow it by what the function wants ([`Timeouts::narrowed`]).
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Whether `uri` is a place at this upstream by its real origin, so that its policy applies to the request.
    #[must_use]
    pub fn covers(&self, uri: &Uri) -> bool {
        let here = &self.origin;
        let is_here = here.is_literally(uri) || Origin::of(uri).is_ok_and(|origin| origin == *here);
        is_here && self.base_contains(uri.path())
    }

    fn base_contains(&self, path: &str) -> bool {
        let below = path.strip_prefix(&*self.base);
        self.base.is_empty()
            || below.is_some_and(|rest| (rest.is_empty() || rest.starts_with('/')) && !climbs(path))
    }

    /// The path of `uri` below this upstream, as a call by the upstream's name has it: what a deferred call keeps, so
    /// that it goes to wherever the upstream is when it is delivered.
    #[must_use]
    pub fn relative(&self, uri: &Uri) -> Uri {
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let below = match self.covers(uri) {
            true => path.strip_prefix(&*self.base).unwrap_or(path),
            false => path,
        };
        let below = if below.starts_with('/') { below.to_owned() } else { format!("/{below}") };
        below.parse().unwrap_or_else(|_| Uri::from_static("/"))
    }

    /// `path` of a request for `uri` as the place `endpoint` has it: under the place's own path, whatever of the
    /// upstream's own it had. A path that climbs out of it is refused.
    pub(crate) fn path_at(
        &self,
        endpoint: usize,
        uri: &Uri,
        path: PathAndQuery,
    ) -> Result<PathAndQuery, Error> {
        let is_whole = self.covers(uri);
        let Some(site) = self.sites.get(endpoint) else {
            return if is_whole { Ok(path) } else { under(&self.base, path) };
        };
        if !is_whole || self.base.is_empty() {
            return under(&site.base, path);
        }
        let below = &path.as_str()[self.base.len()..];
        let below = if below.starts_with('/') { below.to_owned() } else { format!("/{below}") };
        under(&site.base, PathAndQuery::try_from(below).map_err(|_| Error::RequestUriInvalid)?)
    }

    /// What is shown to it now.
    pub(crate) fn credentials(&self) -> arc_swap::Guard<Arc<Credentials>> {
        self.credentials.load()
    }

    pub(crate) fn addresses(&self) -> &AddressRules {
        &self.addresses
    }
}

/// Of each of its places.
fn origins<'a>(own: &'a Origin, sites: &'a [Site]) -> impl Iterator<Item = &'a Origin> {
    let only = sites.is_empty().then_some(own);
    only.into_iter().chain(sites.iter().map(|site| &site.origin))
}

fn under(base: &str, path: PathAndQuery) -> Result<PathAndQuery, Error> {
    if base.is_empty() {
        return Ok(path);
    }
    if climbs(path.path()) {
        return Err(Error::RequestUriInvalid);
    }
    PathAndQuery::try_from(format!("{base}{path}")).map_err(|_| Error::RequestUriInvalid)
}

fn parse_url(url: &str) -> Option<(Origin, Box<str>)> {
    let uri: Uri = url.parse().ok()?;
    let origin = Origin::of(&uri).ok()?;
    let is_plain = uri.query().is_none() && !url.contains('#') && !climbs(uri.path());
    is_plain.then(|| (origin, uri.path().trim_end_matches('/').into()))
}

/// The URL without what stands before an `@`, which may be a password.
fn printable(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default()),
        None => url.rsplit('@').next().unwrap_or_default().to_owned(),
    }
}

/// Whether a segment of `path` is `..`, in any spelling that a server may read as one.
fn climbs(path: &str) -> bool {
    let plain = path
        .to_ascii_lowercase()
        .replace("%2e", ".")
        .replace("%2f", "/")
        .replace("%5c", "/")
        .replace('\\', "/");
    plain.split('/').any(|segment| segment == ".." || segment.starts_with("..;"))
}

/// TLS settings of its own, where the upstream trusts or shows something of its own.
fn own_tls(config: &UpstreamConfig, roots: &Roots) -> Result<Option<Arc<rustls::ClientConfig>>, TlsError> {
    if config.ca_pem.is_none() && config.identity.is_none() {
        return Ok(None);
    }
    let roots = match &config.ca_pem {
        Some(pem) => roots.with_pem(pem)?,
        None => roots.clone(),
    };
    tls::settings(&roots, config.identity.as_ref()).map(Some)
}

/// Headers that belong to the connection or the message's framing.
const NOT_TO_SET: [&str; 8] =
    ["connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

fn header((name, value): (String, Secret)) -> Result<(HeaderName, HeaderValue), UpstreamError> {
    let refused = || UpstreamError::Header(name.clone());
    let parsed: HeaderName = name.parse().map_err(|_| refused())?;
    if NOT_TO_SET.contains(&parsed.as_str()) {
        return Err(refused());
    }
    let mut value = HeaderValue::from_str(value.expose()).map_err(|_| refused())?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::PlaceConfig;
    use crate::route::Target;

    fn upstream(url: &str) -> Result<Upstream, UpstreamError> {
        Upstream::new(UpstreamConfig::new(url), &Roots::none())
    }

    fn check_path(url: &str, request: &str, expected: Option<&str>) {
        let upstream = upstream(url).unwrap();
        let path =
            Target::Upstream(&upstream).route(&request.parse().unwrap()).map(|route| route.path.to_string());
        assert_eq!(path.ok().as_deref(), expected, "{url} and {request}");
    }

    #[test]
    fn a_request_goes_under_the_upstreams_path() {
        check_path("https://v.example.com", "http://v.upstream.internal/a?b", Some("/a?b"));
        check_path("https://v.example.com/", "http://v.upstream.internal", Some("/"));
        check_path("https://v.example.com/v2/", "http://v.upstream.internal/a?b", Some("/v2/a?b"));
        check_path("https://v.example.com/v2", "http://v.upstream.internal/v2/a", Some("/v2/v2/a"));
    }

    #[test]
    fn a_request_to_the_real_origin_keeps_its_path() {
        check_path("https://v.example.com/v2", "https://V.example.com:443/v2/a", Some("/v2/a"));
        let upstream = upstream("https://v.example.com/v2").unwrap();
        let covers = |uri: &str| upstream.covers(&uri.parse().unwrap());
        assert!(covers("https://v.example.com/v2"));
        assert!(!covers("https://v.example.com/v20"));
        assert!(!covers("https://v.example.com/v2/../admin"));
        assert!(!covers("http://v.example.com/v2"));
        assert!(!covers("https://v.example.com:8443/v2"));
    }

    #[test]
    fn a_deferred_call_keeps_its_path_below_the_upstream() {
        let check = |url: &str, request: &str, expected: &str| {
            let relative = upstream(url).unwrap().relative(&request.parse().unwrap());
            assert_eq!(relative, expected, "{url} and {request}");
            // And so it goes to the same place as the request would.
            let way = |uri: &Uri| {
                Target::Upstream(&upstream(url).unwrap())
                    .route(uri)
                    .map(|route| route.path.to_string())
                    .unwrap()
            };
            assert_eq!(way(&relative), way(&request.parse().unwrap()));
        };
        check("https://v.example.com/v2", "http://v.upstream.internal/a?b", "/a?b");
        check("https://v.example.com/v2", "https://v.example.com/v2/a?b", "/a?b");
        check("https://v.example.com/v2", "http://v.upstream.internal/v2/a", "/v2/a");
        check("https://v.example.com", "https://v.example.com/a", "/a");
        check("https://v.example.com", "https://v.example.com?q", "/?q");
    }

    #[test]
    fn a_request_cannot_climb_out_of_the_upstreams_path() {
        for path in ["/../admin", "/a/..", "/%2e%2E/admin", "/.%2e/x", "/a/..%2fx", "/..\\x", "/..;/x"] {
            check_path("https://v.example.com/v2", &format!("http://v.upstream.internal{path}"), None);
        }
        check_path("https://v.example.com/v2", "http://v.upstream.internal/..a/b..", Some("/v2/..a/b.."));
        check_path("https://v.example.com", "http://v.upstream.internal/a/../b", Some("/a/../b"));
    }

    #[test]
    fn a_request_goes_under_the_path_of_its_place() {
        let place = |url: &str| PlaceConfig { url: url.into(), zone: None, weight: 1 };
        let mut config = UpstreamConfig::new("https://v.example.com/v2");
        config.policy.endpoints.places =
            vec![place("https://a.example.com"), place("http://b.example.com:81/x/")];
        let upstream = Upstream::new(config, &Roots::none()).unwrap();
        let check = |endpoint: usize, request: &str, expected: Option<&str>| {
            let route = Target::Endpoint(&upstream, endpoint).route(&request.parse().unwrap()).ok();
            let found = route.map(|route| format!("{}{}", route.key.origin(), route.path));
            assert_eq!(found.as_deref(), expected, "{endpoint} and {request}");
        };
        check(0, "http://v.upstream.internal/a?b", Some("https://a.example.com/a?b"));
        check(1, "http://v.upstream.internal/a?b", Some("http://b.example.com:81/x/a?b"));
        check(0, "https://v.example.com/v2/a", Some("https://a.example.com/a"));
        check(1, "https://v.example.com/v2?q", Some("http://b.example.com:81/x/?q"));
        check(1, "https://v.example.com/v2", Some("http://b.example.com:81/x/"));
        check(1, "http://v.upstream.internal/../a", None);
    }

    #[test]
    fn a_url_that_is_not_an_origin_and_a_path_is_refused() {
        for url in [
            "",
            "v.example.com",
            "ftp://v.example.com",
            "https://v.example.com/?q",
            "https://u:hunter2@v.example.com",
            "https://v.example.com/a/../b",
        ] {
            let error = upstream(url).unwrap_err();
            assert!(matches!(error, UpstreamError::Url(_)), "{url}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_header_that_cannot_be_set_is_refused_without_its_value() {
        for (name, value) in
            [("host", "x"), ("Content-Length", "5"), ("b ad", "x"), ("authorization", "s3cret\r\nx: y")]
        {
            let headers = vec![(name.to_owned(), Secret::new(value))];
            let config = UpstreamConfig { headers, ..UpstreamConfig::new("https://v.example.com") };
            let error = Upstream::new(config, &Roots::none()).unwrap_err();
            assert_eq!(error.to_string(), format!("header `{name}` cannot be set"));
        }
    }
}
