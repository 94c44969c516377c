//! A named service outside the node: where it is, what is added to a call, and how long it is waited for.
//!
//! The app declares it, the node may bind it to something else ([`Upstream::bind`]); the node then builds the client's
//! own upstream from the result.

mod auth;
mod breaker;
mod bulkhead;
mod cache;
mod endpoints;
mod fallback;
mod hedge;
mod outbox;
mod percent;
mod retry;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use toml::de::DeValue;

use crate::document::Table;
use crate::duration::Duration;
use crate::header::{HeaderKey, HeaderTemplate};
use crate::limits;
use crate::name::Name;
use crate::node::UpstreamBinding;
use crate::path::{AppPath, FileAt};
use crate::scalar::{Scalar, Trouble};
use crate::url::BaseUrl;

pub use auth::{Auth, Aws, ClientAuth, OAuth};
pub use breaker::CircuitBreaker;
pub use bulkhead::Bulkhead;
pub use cache::Cache;
pub use endpoints::{Balance, Endpoint, Health};
pub use fallback::{Fallback, ReplyStatus};
pub use hedge::{Hedge, HedgeAfter};
pub use outbox::{Deferred, Outbox, OutboxOrder, WhenDamaged, WhenFull};
pub use percent::{Percent, PercentError};
pub use retry::{Backoff, BackoffError, Retry, RetryOn, RetryOnError};

/// A named service outside the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Upstream {
    /// Where it is. The path is put before a call's path.
    pub url: BaseUrl,
    /// The places that calls go to instead, where there are several.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// How calls are spread over them.
    #[serde(default)]
    pub balance: Balance,
    /// How they are asked whether they are well; they are not where it is absent.
    pub health: Option<Health>,
    /// What proves to it who calls.
    pub auth: Option<Auth>,
    /// How long it is waited for.
    #[serde(default)]
    pub timeout: Timeouts,
    /// Headers that the node sets on every call, over the guest's own; values may hold `{secret:NAME}`.
    #[serde(default)]
    pub headers: BTreeMap<HeaderKey, HeaderTemplate>,
    /// Certificate authorities (PEM) that are trusted for it besides the system's.
    pub ca: Option<FileAt>,
    /// The certificate that the node shows to it.
    pub client_certificate: Option<ClientCertificate>,
    /// How failed calls are tried again.
    #[serde(default)]
    pub retry: Retry,
    /// When calls are refused because it keeps failing.
    #[serde(default)]
    pub circuit_breaker: CircuitBreaker,
    /// How many calls are under way at a time.
    #[serde(default)]
    pub bulkhead: Bulkhead,
    /// When a second try is sent beside a slow one; never where it is absent.
    pub hedge: Option<Hedge>,
    /// Which of its answers are kept; none where it is absent.
    pub cache: Option<Cache>,
    /// What answers in its place when it does not.
    pub fallback: Option<Fallback>,
    /// How deferred calls are kept until they are delivered; none is where it is absent.
    pub outbox: Option<Outbox>,
    /// Which calls are deferred.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deferred: Deferred,
}

fn is_default(deferred: &Deferred) -> bool {
    *deferred == Deferred::default()
}

/// A client certificate: the chain is a file, the private key a secret, so that it stays on the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClientCertificate {
    /// The certificate chain (PEM).
    pub cert: FileAt,
    /// The name of the secret that holds the private key (PEM).
    pub key: Name,
}

/// The timeouts of an upstream as declared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Timeouts {
    /// Resolving the name, connecting and the TLS handshake.
    pub connect: Option<Duration>,
    /// From the sent request to the response's head.
    pub first_byte: Option<Duration>,
    /// Between two parts of the response's body.
    pub between_bytes: Option<Duration>,
    /// The whole call.
    pub total: Option<Duration>,
}

/// The timeouts that hold for an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// Resolving the name, connecting and the TLS handshake.
    pub connect: std::time::Duration,
    /// From the sent request to the response's head.
    pub first_byte: std::time::Duration,
    /// Between two parts of the response's body.
    pub between_bytes: std::time::Duration,
    /// The whole call.
    pub total: std::time::Duration,
}

impl Upstream {
    /// The upstream as this node reaches it: whatever the binding names replaces the declaration, header by header.
    pub fn bind(mut self, binding: &UpstreamBinding) -> Self {
        if binding.url.is_some() || !binding.endpoints.is_empty() {
            self.endpoints.clone_from(&binding.endpoints);
        }
        self.url = binding.url.clone().unwrap_or(self.url);
        self.headers.extend(binding.headers.clone());
        self.ca = binding.ca.clone().or(self.ca);
        self.auth = binding.auth.clone().or(self.auth);
        self.client_certificate = binding.client_certificate.clone().or(self.client_certificate);
        self
    }

    /// The secrets that a call needs.
    pub fn secrets(&self) -> BTreeSet<&Name> {
        let key = self.client_certificate.as_ref().map(|certificate| &certificate.key);
        let of_auth = self.auth.iter().flat_map(Auth::secrets);
        self.headers.values().flat_map(HeaderTemplate::secrets).chain(key).chain(of_auth).collect()
    }

    /// The files of the app that a call needs.
    pub fn app_files(&self) -> impl Iterator<Item = &AppPath> {
        let cert = self.client_certificate.as_ref().map(|certificate| &certificate.cert);
        let of_call = self.ca.iter().chain(cert).filter_map(|file| match file {
            FileAt::App(path) => Some(path),
            FileAt::Node(_) => None,
        });
        of_call.chain(self.fallback.as_ref().and_then(|fallback| fallback.file.as_ref()))
    }

    /// `functions` are those of the app.
    pub(crate) fn read(table: &mut Table<'_>, functions: &[&str]) -> Option<Self> {
        let in_app: fn(AppPath) -> FileAt = FileAt::App;
        let url = table.required("url");
        let upstream = Self {
            endpoints: Endpoint::read_all(table),
            balance: table.table("balance", Balance::read).unwrap_or_default(),
            health: table.table("health", Health::read),
            auth: table.table("auth", Auth::read),
            timeout: table.table("timeout", Timeouts::read).unwrap_or_default(),
            headers: table.map("headers"),
            ca: table.optional("ca").map(in_app),
            client_certificate: table
                .table("client-certificate", |table| ClientCertificate::read(table, in_app)),
            retry: table.table("retry", Retry::read).unwrap_or_default(),
            circuit_breaker: table.table("circuit-breaker", CircuitBreaker::read).unwrap_or_default(),
            bulkhead: table.table("bulkhead", Bulkhead::read).unwrap_or_default(),
            hedge: table.table("hedge", Hedge::read),
            cache: table.table("cache", Cache::read),
            fallback: table.table("fallback", |table| Fallback::read(table, functions)),
            outbox: table.table("outbox", |table| Outbox::read(table, functions)),
            deferred: table.optional("deferred").unwrap_or_default(),
            url: url?,
        };
        if let Some(auth) = &upstream.auth {
            auth.check_headers(&upstream.headers, table);
        }
        if upstream.deferred == Deferred::Always && upstream.outbox.is_none() {
            let message = "calls are deferred, and there is no outbox".to_owned();
            table.problem_at("deferred", message, "declare where they wait: `outbox = {}` has the defaults");
        }
        let cached = upstream.fallback.as_ref().and_then(|fallback| fallback.cached);
        if cached.is_some() && upstream.cache.is_none() {
            let message = "the fallback is a kept answer, and none are kept".to_owned();
            table.problem_at("fallback", message, "declare that they are: `cache = {}` has the defaults");
        }
        Some(upstream)
    }
}

impl ClientCertificate {
    /// `at` says which side has the certificate's file.
    pub(crate) fn read<P: Scalar>(table: &mut Table<'_>, at: fn(P) -> FileAt) -> Option<Self> {
        let (cert, key) = (table.required("cert"), table.required::<KeySecret>("key"));
        Some(Self { cert: at(cert?), key: key?.0 })
    }
}

/// The name of the secret that is a private key, with a hint for those who write a path.
struct KeySecret(Name);

impl Scalar for KeySecret {
    const HINT: &'static str = "name the secret that holds the private key: the key itself stays on the node";

    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        Name::scalar(value).map(Self)
    }
}

impl Timeouts {
    /// The timeouts that hold: the declared ones, and the defaults where none is declared.
    pub fn resolve(&self) -> UpstreamTimeouts {
        let or = |declared: Option<Duration>, default| declared.map_or(default, Duration::get);
        UpstreamTimeouts {
            connect: or(self.connect, limits::UPSTREAM_CONNECT),
            first_byte: or(self.first_byte, limits::UPSTREAM_FIRST_BYTE),
            between_bytes: or(self.between_bytes, limits::UPSTREAM_BETWEEN_BYTES),
            total: or(self.total, limits::UPSTREAM_TOTAL),
        }
    }

    fn read(table: &mut Table<'_>) -> Option<Self> {
        Some(Self {
            connect: table.optional("connect"),
            first_byte: table.optional("first-byte"),
            between_bytes: table.optional("between-bytes"),
            total: table.optional("total"),
        })
    }
}
