//! Between the error types of the two sides: outgoing calls ([`rimward_upstream::Error`]) and `wasi:http`, whose cases are
//! the error types of RFC 9209.
//! What a guest reads of a failed call is a match without `_`: no case of ours is lost.

use rimward_upstream::Error as Upstream;
use std::sync::Arc;
use wasmtime_wasi_http::Error;

/// What a guest reads when its call failed: the case, and nothing that names a host or an address.
pub fn from_upstream(error: Upstream) -> Error {
    match error {
        Upstream::DnsTimeout => Error::DnsTimeout,
        Upstream::Dns(error) => Error::DnsError { rcode: error.code().map(rcode_name), info_code: None },
        Upstream::DestinationNotFound => Error::DestinationNotFound,
        Upstream::DestinationProhibited(_) => Error::DestinationIpProhibited,
        // `destination-unavailable` is left for what was not even tried, so that a function can tell the two apart.
        Upstream::DestinationUnavailable(_) => Error::DestinationIpUnroutable,
        Upstream::LoopDetected => Error::LoopDetected,
        Upstream::ConnectionRefused => Error::ConnectionRefused,
        Upstream::ConnectionTimeout => Error::ConnectionTimeout,
        Upstream::ConnectionTerminated(_) => Error::ConnectionTerminated,
        Upstream::Unsent(_) | Upstream::IdleClosed(_) => Error::ConnectionTerminated,
        // What a proxy says of a destination that it has not even tried (RFC 9209, section 2.3.5).
        Upstream::CircuitOpen | Upstream::Credentials(_) => Error::DestinationUnavailable,
        Upstream::BulkheadFull | Upstream::ConnectionLimit => Error::ConnectionLimitReached,
        Upstream::TlsCertificate(_) => Error::TlsCertificateError,
        Upstream::TlsAlert(id) => Error::TlsAlertReceived { alert_id: Some(id), alert_message: None },
        Upstream::TlsProtocol(_) => Error::TlsProtocolError,
        Upstream::RequestDenied(_) => Error::HttpRequestDenied,
        Upstream::RequestMethodInvalid => Error::HttpRequestMethodInvalid,
        Upstream::RequestUriInvalid => Error::HttpRequestUriInvalid,
        Upstream::RequestUriTooLong => Error::HttpRequestUriTooLong,
        Upstream::RequestHeadersTooLarge => Error::HttpRequestHeaderSectionSize(None),
        Upstream::RequestBodyLength | Upstream::RequestBodyTooLarge => Error::HttpRequestBodySize(None),
        Upstream::RequestBody(cause) => guests_own(&cause).unwrap_or(Error::HttpProtocolError),
        Upstream::FirstByteTimeout | Upstream::TotalTimeout | Upstream::Deadline => {
            Error::HttpResponseTimeout
        }
        Upstream::BetweenBytesTimeout => Error::ConnectionReadTimeout,
        Upstream::ResponseIncomplete(_) => Error::HttpResponseIncomplete,
        Upstream::ResponseHeadersTooLarge => Error::HttpResponseHeaderSectionSize(None),
        Upstream::ResponseBodyTooLarge => Error::HttpResponseBodySize(None),
        Upstream::ResponseProtocol(_) => Error::HttpProtocolError,
        Upstream::ResponseUpgrade => Error::HttpUpgradeFailed,
    }
}

/// As the registry of DNS parameters names it.
fn rcode_name(code: u16) -> String {
    match code {
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        other => other.to_string(),
    }
}

/// A guest's body failed on its way out.
pub fn to_upstream(error: Error) -> Upstream {
    match error {
        Error::HttpRequestBodySize(_) => Upstream::RequestBodyLength,
        other => Upstream::RequestBody(Arc::new(other)),
    }
}

/// The error that the guest's own body ended with, if that is what the call failed of.
fn guests_own(cause: &rimward_upstream::Cause) -> Option<Error> {
    match cause.downcast_ref::<Error>()? {
        Error::HttpRequestBodySize(size) => Some(Error::HttpRequestBodySize(*size)),
        _ => None,
    }
}

/// Whose failure it is that a function answered with this error: it may only pass on what an upstream did to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerBlame {
    /// The function's own, or it is not to be told.
    Guest,
    /// An upstream could not be reached, or broke off.
    UpstreamUnreachable,
    /// An upstream took too long.
    UpstreamTimeout,
}

/// Reads the blame from an error that a function answered with.
pub fn answer_blame(error: &Error) -> AnswerBlame {
    match error {
        Error::DnsTimeout
        | Error::ConnectionTimeout
        | Error::ConnectionReadTimeout
        | Error::ConnectionWriteTimeout
        | Error::HttpResponseTimeout => AnswerBlame::UpstreamTimeout,
        Error::DnsError { .. }
        | Error::DestinationNotFound
        | Error::DestinationUnavailable
        | Error::DestinationIpUnroutable
        | Error::ConnectionRefused
        | Error::ConnectionTerminated
        | Error::TlsProtocolError
        | Error::TlsCertificateError
        | Error::TlsAlertReceived { .. }
        | Error::HttpResponseIncomplete
        | Error::HttpResponseHeaderSectionSize(_)
        | Error::HttpResponseBodySize(_) => AnswerBlame::UpstreamUnreachable,
        _ => AnswerBlame::Guest,
    }
}

/// What the caller of a function may read when the function itself answered with an error: the case, as RFC 9209 names
/// it, without what it carries.
pub fn answer_text(error: &Error) -> &'static str {
    match error {
        Error::DnsTimeout => "dns_timeout",
        Error::DnsError { .. } => "dns_error",
        Error::DestinationNotFound => "destination_not_found",
        Error::DestinationUnavailable => "destination_unavailable",
        Error::DestinationIpProhibited => "destination_ip_prohibited",
        Error::DestinationIpUnroutable => "destination_ip_unroutable",
        Error::ConnectionRefused => "connection_refused",
        Error::ConnectionTerminated => "connection_terminated",
        Error::ConnectionTimeout => "connection_timeout",
        Error::ConnectionReadTimeout => "connection_read_timeout",
        Error::ConnectionWriteTimeout => "connection_write_timeout",
        Error::ConnectionLimitReached => "connection_limit_reached",
        Error::TlsProtocolError => "tls_protocol_error",
        Error::TlsCertificateError => "tls_certificate_error",
        Error::TlsAlertReceived { .. } => "tls_alert_received",
        Error::HttpRequestDenied => "http_request_denied",
        Error::HttpResponseIncomplete => "http_response_incomplete",
        Error::HttpResponseTimeout => "http_response_timeout",
        Error::HttpUpgradeFailed => "http_upgrade_failed",
        Error::HttpProtocolError => "http_protocol_error",
        Error::LoopDetected => "proxy_loop_detected",
        Error::ConfigurationError => "proxy_configuration_error",
        _ => "proxy_internal_error",
    }
}
