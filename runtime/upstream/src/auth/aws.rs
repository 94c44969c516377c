//! Signatures of requests to AWS and to services that check the same ones ("AWS Signature Version 4 for API requests", IAM
//! User Guide).
//!
//! Each try is signed anew, with its own date. A body is kept in memory and hashed, up to
//! [`SIGNED_BODY_BYTES_MAX`](limits::SIGNED_BODY_BYTES_MAX); larger ones go unsigned to `s3` over TLS, the one service that
//! takes that (`UNSIGNED-PAYLOAD`), and are refused elsewhere. Where the upstream's clock differs and it refuses the signature
//! for that, its own `date` is the base of those that follow.

use crate::route::Target;
use crate::{Body, Error, Secret, Upstream, limits};
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::{digest, hmac};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whose signature, for which service.
#[derive(Clone, Debug)]
pub struct Config {
    /// `eu-central-1` and the like.
    pub region: String,
    /// The service's name in signatures: `sagemaker`, `bedrock`, `lambda`, `execute-api`, `s3`.
    pub service: String,
    /// The access key's id.
    pub access_key: Secret,
    /// The secret access key.
    pub secret_key: Secret,
    /// The token of temporary keys.
    pub session_token: Option<Secret>,
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Signer {
    config: Config,
    /// What the upstream's clock is ahead of this one, in seconds.
    skew: AtomicI64,
}

const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// What stands in a URI as it is (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

impl Signer {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, skew: AtomicI64::new(0) }
    }

    pub(crate) async fn authorize(
        &self,
        upstream: &Upstream,
        endpoint: usize,
        request: Request<Body>,
    ) -> Result<Request<Body>, Error> {
        let route = Target::Endpoint(upstream, endpoint).route(request.uri())?;
        let origin = route.key.origin();
        let (path, host) = (route.path.clone(), origin.authority().clone());
        let may_be_unsigned = self.is_s3() && origin.is_secure();
        let (mut parts, body) = request.into_parts();
        // What is added to every call is signed too, so it has to be there now.
        for (name, value) in route.headers() {
            parts.headers.insert(name, value.clone());
        }
        let (hash, body) = match hashed(body).await? {
            Hashed::Whole(hash, body) => (hash, body),
            Hashed::TooLarge(body) if may_be_unsigned => (UNSIGNED.to_owned(), body),
            Hashed::TooLarge(_) => return Err(Error::RequestBodyTooLarge),
        };
        let headers = &mut parts.headers;
        let set = |headers: &mut HeaderMap, name: HeaderName, value: &str| {
            let mut value = HeaderValue::from_str(value).map_err(|_| unusable())?;
            value.set_sensitive(true);
            headers.insert(name, value);
            Ok::<_, Error>(())
        };
        let date = timestamp(self.now());
        set(headers, X_AMZ_DATE, &date)?;
        set(headers, X_AMZ_CONTENT_SHA256, &hash)?;
        headers.remove(X_AMZ_SECURITY_TOKEN);
        if let Some(token) = &self.config.session_token {
            set(headers, X_AMZ_SECURITY_TOKEN, token.expose())?;
        }
        let signed = Signed {
            method: parts.method.as_str(),
            path: path.path(),
            query: path.query(),
            host: host.as_str(),
        };
        let authorization = self.authorization(&signed, headers, &date, &hash);
        set(headers, AUTHORIZATION, &authorization)?;
        Ok(Request::from_parts(parts, body))
    }

    fn is_s3(&self) -> bool {
        self.config.service == "s3"
    }

    fn now(&self) -> SystemTime {
        let skew = self.skew.load(Relaxed);
        let by = Duration::from_secs(skew.unsigned_abs());
        if skew < 0 { SystemTime::now() - by } else { SystemTime::now() + by }
    }

    /// Whether the upstream's clock differs by so much that this is why it refused. From now on that is made good.
    pub(crate) fn learn_skew(&self, headers: &HeaderMap) -> bool {
        let theirs = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let Some(theirs) = theirs else { return false };
        let seconds = |time: SystemTime| {
            time.duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
        };
        let signed_with = seconds(self.now());
        let differs = seconds(theirs).abs_diff(signed_with) >= limits::CLOCK_SKEW_MIN.as_secs();
        if differs {
            let skew = seconds(theirs).saturating_sub(seconds(SystemTime::now()));
            tracing::warn!(
                skew_s = skew,
                "an upstream that checks signatures has another time than this node"
            );
            self.skew.store(skew, Relaxed);
        }
        differs
    }

    fn authorization(&self, signed: &Signed<'_>, headers: &HeaderMap, date: &str, hash: &str) -> String {
        let Config { region, service, access_key, secret_key, .. } = &self.config;
        let (names, canonical) = signed.canonical(headers, hash, !self.is_s3());
        let day = &date[..8];
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let mut key = format!("AWS4{}", secret_key.expose()).into_bytes();
        for part in [day, region, service, "aws4_request"] {
            key = keyed(&key, part.as_bytes());
        }
        let signature = hex(&keyed(&key, text.as_bytes()));
        let credential = access_key.expose();
        format!(
            "AWS4-HMAC-SHA256 Credential={credential}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
    }
}

/// What is signed of a request besides its headers.
struct Signed<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    host: &'a str,
}

impl Signed<'_> {
    /// The names of the signed headers, and the canonical request. `is_encoded_again` is so for every service but S3.
    fn canonical(&self, headers: &HeaderMap, hash: &str, is_encoded_again: bool) -> (String, String) {
        let Self { method, path, query, host } = self;
        let path = match is_encoded_again {
            true => utf8_percent_encode(path, RESERVED_IN_PATH).to_string(),
            false => utf8_percent_encode(&decoded(path), RESERVED_IN_PATH).to_string(),
        };
        let is_signed = |name: &&HeaderName| **name == CONTENT_TYPE || name.as_str().starts_with("x-amz-");
        let mut lines: Vec<(&str, String)> = vec![(HOST.as_str(), (*host).to_owned())];
        lines.extend(headers.keys().filter(is_signed).map(|name| (name.as_str(), joined(headers, name))));
        lines.sort_unstable();
        let names: Vec<_> = lines.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = lines.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical =
            format!("{method}\n{path}\n{}\n{lines}\n{names}\n{hash}", parameters(query.unwrap_or("")));
        (names, canonical)
    }
}

/// Sorted by name, then by value, each encoded anew.
fn parameters(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let encoded = |text: &str| utf8_percent_encode(&decoded(text), RESERVED).to_string();
            (encoded(name), encoded(value))
        })
        .collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// All values of a header, with their spaces brought together.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter().map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes());
        text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    });
    values.collect::<Vec<_>>().join(",")
}

enum Hashed {
    Whole(String, Body),
    TooLarge(Body),
}

/// The body's hash, once it has been read. One that is too large is as it was.
async fn hashed(mut body: Body) -> Result<Hashed, Error> {
    let mut kept: Vec<Bytes> = Vec::new();
    let mut bytes = 0_usize;
    if body.size_hint().lower() > limits::SIGNED_BODY_BYTES_MAX as u64 {
        return Ok(Hashed::TooLarge(body));
    }
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let Ok(data) = frame.into_data() else { continue };
        bytes += data.len();
        kept.push(data);
        if bytes > limits::SIGNED_BODY_BYTES_MAX {
            let read =
                futures_util::stream::iter(kept.into_iter().map(|data| Ok(http_body::Frame::data(data))));
            let rest = http_body_util::BodyStream::new(body);
            let whole = futures_util::StreamExt::chain(read, rest);
            return Ok(Hashed::TooLarge(BodyExt::boxed_unsync(http_body_util::StreamBody::new(whole))));
        }
    }
    let mut whole = BytesMut::with_capacity(bytes);
    kept.iter().for_each(|data| whole.extend_from_slice(data));
    let hash = sha256(&whole);
    Ok(Hashed::Whole(hash, Full::new(whole.freeze()).map_err(|never| match never {}).boxed_unsync()))
}

fn unusable() -> Error {
    Error::Credentials(std::sync::Arc::new(std::io::Error::other("a key cannot stand in a header")))
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn keyed(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a string does not fail
        text
    })
}

/// `20150830T123600Z`.
fn timestamp(time: SystemTime) -> String {
    // The days of the civil calendar: RFC 9110's date has them all, and its form is fixed (section 5.6.7).
    let text = httpdate::fmt_http_date(time);
    let [day, month, year, clock] = [&text[5..7], &text[8..11], &text[12..16], &text[17..25]];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| *name == month).map_or(1, |at| at + 1);
    format!("{year}{month:02}{day}T{}Z", clock.replace(':', ""))
}

#[cfg(test)]
mod tests;
