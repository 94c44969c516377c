//! Why a call to a service outside the node failed: one variant per cause that `wasi:http` tells apart.
//!
//! Made wherever a call fails; the capability crate maps each variant to the `error-code` of the WIT by a match
//! without `_`. `Display` and `source()` are for the operator and may name hosts and addresses; what a function may
//! read is [`Error::caller_text`]. No variant ever holds a header, a body or a secret.

use crate::LookupError;
use std::net::IpAddr;
use std::sync::Arc;

/// What lies under an [`Error`], for the operator's log.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why an exchange failed. Cheap to make and to clone: at most one reference-counted allocation.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The name was not resolved in time.
    #[error("name lookup timed out")]
    DnsTimeout,
    /// The resolver failed: no such name, or no answer from its servers.
    #[error("name lookup failed")]
    Dns(#[source] LookupError),
    /// The name exists and has no address.
    #[error("name has no address")]
    DestinationNotFound,
    /// No address of the destination may be reached; this is one of them.
    #[error("address `{0}` is prohibited")]
    DestinationProhibited(IpAddr),
    /// The network has no way to the destination.
    #[error("destination cannot be reached")]
    DestinationUnavailable(#[source] Cause),
    /// The destination is an address this node listens on.
    #[error("the call leads back to this node")]
    LoopDetected,
    /// Nobody listens there.
    #[error("connection refused")]
    ConnectionRefused,
    /// No connection within the connect timeout.
    #[error("connecting timed out")]
    ConnectionTimeout,
    /// The connection ended before the response head.
    #[error("connection ended before the response")]
    ConnectionTerminated(#[source] Cause),
    /// A connection that had been idle closed as the request was sent on it. Whether the request arrived is not known, and
    /// nothing is said about the next connection.
    #[error("an idle connection closed")]
    IdleClosed(#[source] Cause),
    /// The server did not take the request: the connection closed before it, or the stream was refused (RFC 9113, section
    /// 8.7). Nothing was done about it.
    #[error("the request was not taken")]
    Unsent(#[source] Cause),
    /// The upstream's circuit breaker is open: it failed too often of late.
    #[error("the circuit breaker is open")]
    CircuitOpen,
    /// As many calls to the upstream are under way and waiting as may be.
    #[error("too many calls are under way")]
    BulkheadFull,
    /// The node has nothing that proves to the upstream who calls: its access token could not be had.
    #[error("no credentials for it")]
    Credentials(#[source] Cause),
    /// The caller's own time is up.
    #[error("the caller's time is up")]
    Deadline,
    /// The client is at its connection limit and no connection became free in time.
    #[error("too many open connections")]
    ConnectionLimit,
    /// The server's certificate is not acceptable: expired, untrusted, wrong name.
    #[error("the server's certificate is not acceptable")]
    TlsCertificate(#[source] Cause),
    /// The server ended the TLS session with this alert (RFC 8446, section 6), often for want of a client certificate.
    #[error("TLS alert {0} received")]
    TlsAlert(u8),
    /// The TLS handshake failed for another reason.
    #[error("TLS handshake failed")]
    TlsProtocol(#[source] Cause),
    /// The function may not reach this origin.
    #[error("destination `{0}` is not granted")]
    RequestDenied(Box<str>),
    /// `CONNECT` is not forwarded.
    #[error("request method is not forwarded")]
    RequestMethodInvalid,
    /// The URI has no usable scheme, authority or path.
    #[error("request URI is not valid")]
    RequestUriInvalid,
    /// Path and query are over [`PATH_BYTES_MAX`](crate::limits::PATH_BYTES_MAX).
    #[error("request URI is too long")]
    RequestUriTooLong,
    /// The headers are over [`REQUEST_HEADERS_BYTES_MAX`](crate::limits::REQUEST_HEADERS_BYTES_MAX).
    #[error("request headers are too large")]
    RequestHeadersTooLarge,
    /// The request body is longer or shorter than its `content-length`, or that header is not one number.
    #[error("request body and `content-length` differ")]
    RequestBodyLength,
    /// The request body is over its bound. Made by whoever produces the body.
    #[error("request body is too large")]
    RequestBodyTooLarge,
    /// The producer of the request body failed before the response head arrived.
    #[error("request body ended with an error")]
    RequestBody(#[source] Cause),
    /// No response head in time.
    #[error("waiting for the response timed out")]
    FirstByteTimeout,
    /// The response body stalled.
    #[error("waiting for more of the response timed out")]
    BetweenBytesTimeout,
    /// The whole exchange took too long.
    #[error("the exchange timed out")]
    TotalTimeout,
    /// The response body ended before its end.
    #[error("response ended early")]
    ResponseIncomplete(#[source] Cause),
    /// The response head is over its bound.
    #[error("response headers are too large")]
    ResponseHeadersTooLarge,
    /// The response body is over its bound. Made by whoever consumes the body.
    #[error("response body is too large")]
    ResponseBodyTooLarge,
    /// The response is not HTTP.
    #[error("response is malformed")]
    ResponseProtocol(#[source] Cause),
    /// The server switched protocols, which nobody asked for.
    #[error("response switches protocols")]
    ResponseUpgrade,
}

impl Error {
    /// Whether time ran out, at any stage.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(
            self,
            Self::DnsTimeout
                | Self::ConnectionTimeout
                | Self::FirstByteTimeout
                | Self::BetweenBytesTimeout
                | Self::TotalTimeout
                | Self::Deadline
        )
    }

    /// Whether the server has provably seen nothing of the request, so that any request may be sent again.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::DnsTimeout
                | Self::Dns(_)
                | Self::DestinationUnavailable(_)
                | Self::ConnectionRefused
                | Self::ConnectionTimeout
                | Self::Unsent(_)
                | Self::Credentials(_)
        )
    }

    /// Whether it says something about the upstream; not what its caller or this node did.
    #[must_use]
    pub fn is_upstreams(&self) -> bool {
        match self {
            Self::DnsTimeout
            | Self::Dns(_)
            | Self::DestinationNotFound
            | Self::DestinationUnavailable(_)
            | Self::ConnectionRefused
            | Self::ConnectionTimeout
            | Self::ConnectionTerminated(_)
            | Self::Unsent(_)
            | Self::TlsCertificate(_)
            | Self::TlsAlert(_)
            | Self::TlsProtocol(_)
            | Self::FirstByteTimeout
            | Self::BetweenBytesTimeout
            | Self::TotalTimeout
            | Self::ResponseIncomplete(_)
            | Self::ResponseHeadersTooLarge
            | Self::ResponseProtocol(_)
            | Self::ResponseUpgrade => true,
            Self::IdleClosed(_)
            | Self::CircuitOpen
            | Self::BulkheadFull
            | Self::Credentials(_)
            | Self::Deadline
            | Self::ConnectionLimit
            | Self::DestinationProhibited(_)
            | Self::LoopDetected
            | Self::RequestDenied(_)
            | Self::RequestMethodInvalid
            | Self::RequestUriInvalid
            | Self::RequestUriTooLong
            | Self::RequestHeadersTooLarge
            | Self::RequestBodyLength
            | Self::RequestBodyTooLarge
            | Self::RequestBody(_)
            | Self::ResponseBodyTooLarge => false,
        }
    }

    /// What the function and its caller may read: no host, no address, no cause.
    #[must_use]
    pub fn caller_text(&self) -> &'static str {
        match self {
            Self::DnsTimeout => "name lookup timed out",
            Self::Dns(_) => "name lookup failed",
            Self::DestinationNotFound => "destination not found",
            Self::DestinationProhibited(_) => "destination address is prohibited",
            Self::DestinationUnavailable(_) => "destination cannot be reached",
            Self::LoopDetected => "the call leads back to this node",
            Self::ConnectionRefused => "connection refused",
            Self::ConnectionTimeout => "connecting timed out",
            Self::ConnectionTerminated(_) => "connection ended before the response",
            Self::IdleClosed(_) => "an idle connection closed",
            Self::Unsent(_) => "the request was not taken",
            Self::CircuitOpen => "the circuit breaker is open",
            Self::BulkheadFull => "too many calls are under way",
            Self::Credentials(_) => "the node has no credentials for it",
            Self::Deadline => "the caller's time is up",
            Self::ConnectionLimit => "too many open connections",
            Self::TlsCertificate(_) => "the server's certificate is not acceptable",
            Self::TlsAlert(_) => "TLS alert received",
            Self::TlsProtocol(_) => "TLS handshake failed",
            Self::RequestDenied(_) => "destination is not granted",
            Self::RequestMethodInvalid => "request method is not forwarded",
            Self::RequestUriInvalid => "request URI is not valid",
            Self::RequestUriTooLong => "request URI is too long",
            Self::RequestHeadersTooLarge => "request headers are too large",
            Self::RequestBodyLength => "request body and content-length differ",
            Self::RequestBodyTooLarge => "request body is too large",
            Self::RequestBody(_) => "request body ended with an error",
            Self::FirstByteTimeout => "waiting for the response timed out",
            Self::BetweenBytesTimeout => "waiting for more of the response timed out",
            Self::TotalTimeout => "the exchange timed out",
            Self::ResponseIncomplete(_) => "response ended early",
            Self::ResponseHeadersTooLarge => "response headers are too large",
            Self::ResponseBodyTooLarge => "response body is too large",
            Self::ResponseProtocol(_) => "response is malformed",
            Self::ResponseUpgrade => "response switches protocols",
        }
    }

    /// Wraps what a request body's producer failed with.
    pub fn request_body(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::RequestBody(Arc::new(cause))
    }

    /// What it means that hyper failed before the response head.
    pub(crate) fn before_head(error: hyper::Error) -> Self {
        if let Some(tls) = Self::tls(&error) {
            return tls;
        }
        if let Some(reset) = reset(&error) {
            return match reset {
                h2::Reason::REFUSED_STREAM => Self::Unsent(Arc::new(error)),
                _ => Self::ResponseProtocol(Arc::new(error)),
            };
        }
        if error.is_parse_too_large() {
            Self::ResponseHeadersTooLarge
        } else if error.is_parse() {
            Self::ResponseProtocol(Arc::new(error))
        } else {
            Self::ConnectionTerminated(Arc::new(error))
        }
    }

    /// What it means that hyper failed inside the response body.
    pub(crate) fn in_body(error: hyper::Error) -> Self {
        Self::ResponseIncomplete(Arc::new(error))
    }

    /// What it means that a TCP connection could not be made.
    pub(crate) fn connecting(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::ConnectionRefused,
            ErrorKind::TimedOut => Self::ConnectionTimeout,
            _ => Self::DestinationUnavailable(Arc::new(error)),
        }
    }

    /// The TLS failure somewhere under `error`, if there is one.
    ///
    /// A server that demands a client certificate says so after the handshake, so the alert may arrive through hyper.
    pub(crate) fn tls(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(tls) = error.downcast_ref::<rustls::Error>() {
                return Some(from_rustls(tls));
            }
            // An I/O error hides what it wraps: its `source` is the source of the wrapped one.
            next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }

    /// What it means that a TLS handshake failed.
    pub(crate) fn handshaking(error: std::io::Error) -> Self {
        Self::tls(&error).unwrap_or_else(|| Self::TlsProtocol(Arc::new(error)))
    }
}

/// Why an HTTP/2 server reset the stream instead of answering. `REFUSED_STREAM` says that it did not begin to work on
/// it (RFC 9113, section 8.7).
fn reset(error: &hyper::Error) -> Option<h2::Reason> {
    let cause = std::error::Error::source(error)?.downcast_ref::<h2::Error>()?;
    if cause.is_reset() { cause.reason() } else { None }
}

fn from_rustls(error: &rustls::Error) -> Error {
    match error {
        rustls::Error::AlertReceived(alert) => Error::TlsAlert(u8::from(*alert)),
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Error::TlsCertificate(Arc::new(error.clone()))
        }
        _ => Error::TlsProtocol(Arc::new(error.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_stays_small() {
        assert!(size_of::<Error>() <= 24, "{}", size_of::<Error>());
    }

    #[test]
    fn the_callers_text_names_no_host_and_no_address() {
        let denied = Error::RequestDenied("db.internal.example:5432".into());
        assert!(denied.to_string().contains("db.internal.example"));
        assert!(!denied.caller_text().contains("db.internal"));
        let prohibited = Error::DestinationProhibited([10, 0, 0, 7].into());
        assert!(prohibited.to_string().contains("10.0.0.7"));
        assert!(!prohibited.caller_text().contains("10."));
    }

    #[test]
    fn an_alert_wrapped_in_io_errors_is_found() {
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        let wrapped = std::io::Error::other(std::io::Error::other(alert));
        assert!(matches!(Error::handshaking(wrapped), Error::TlsAlert(116)));
    }
}
