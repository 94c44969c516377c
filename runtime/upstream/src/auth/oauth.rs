//! Bearer tokens by client credentials (RFC 6749, section 4.4; RFC 6750, section 2.1).
//!
//! A token is fetched by the first call that needs one and kept until shortly before it expires; others wait for that one
//! fetch. When three quarters of its life are over, one call at a time renews it while the others go on with the old one. A
//! server that gives none is left alone for a while that grows, and calls fail at once meanwhile. `401` from the upstream
//! costs the token its place, once for each call.

use crate::address::Allowed;
use crate::random::Random;
use crate::state::State;
use crate::transport::{Attempt, Transport};
use crate::upstream::UpstreamError;
use crate::{Body, Error, Resend, Roots, Secret, Timeouts, Upstream, UpstreamConfig, fault, limits};
use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep, timeout};

/// Where tokens come from, and for whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// The token endpoint (RFC 6749, section 3.2).
    pub token_url: String,
    /// The client's name there.
    pub client_id: String,
    /// Its password.
    pub client_secret: Secret,
    /// What is asked for, separated by spaces; empty for what the server gives by itself.
    pub scope: String,
    /// For whom the token is, where the server asks for that (`audience`).
    pub audience: Option<String>,
    /// How the client says who it is.
    pub style: Style,
    /// Certificate authorities to trust besides the roots, PEM.
    pub ca_pem: Option<Vec<u8>>,
}

/// How the client says who it is (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// With HTTP's basic authentication.
    #[default]
    Basic,
    /// In the body.
    Post,
}

/// Why there is no token. Nothing that the server was sent is in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// The server did not answer.
    #[error("asking for an access token")]
    Unanswered(#[source] Error),
    /// It refused, with a code of RFC 6749, section 5.2, where it gave one.
    #[error("the authorization server refused with status {status}{}", text(code))]
    Refused {
        /// Of its answer.
        status: u16,
        /// `invalid_client`, `invalid_scope` and the like.
        code: Option<String>,
    },
    /// Its answer is no token that can be used.
    #[error("the authorization server's answer is no bearer token: {0}")]
    Unusable(&'static str),
}

fn text(code: &Option<String>) -> String {
    code.as_ref().map(|code| format!(" and `{code}`")).unwrap_or_default()
}

#[derive(Debug)]
struct Token {
    header: HeaderValue,
    since: Instant,
    renew: Instant,
    expires: Instant,
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Tokens {
    config: Config,
    server: Upstream,
    token: ArcSwapOption<Token>,
    /// Held by whoever fetches one.
    fetching: Mutex<Failures>,
    random: Random,
}

#[derive(Debug, Default)]
struct Failures {
    in_a_row: u32,
    last: Option<(Instant, TokenError)>,
}

/// The answer (RFC 6749, section 5.1), or the refusal (section 5.2).
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<f64>,
    error: Option<String>,
}

impl Tokens {
    pub(crate) fn new(config: Config, roots: &Roots, allowed: &[Allowed]) -> Result<Self, UpstreamError> {
        let mut server = UpstreamConfig::new(&*config.token_url);
        server.allowed = allowed.to_vec();
        server.ca_pem.clone_from(&config.ca_pem);
        Ok(Self {
            server: Upstream::new(server, roots)?,
            config,
            token: ArcSwapOption::empty(),
            fetching: Mutex::default(),
            random: Random::unpredictable(),
        })
    }

    pub(crate) async fn authorize<T: Transport>(
        &self,
        transport: &T,
        state: &State,
        mut request: Request<Body>,
    ) -> Result<Request<Body>, Error> {
        let header =
            self.header(transport, state).await.map_err(|error| Error::Credentials(Arc::new(error)))?;
        request.headers_mut().insert(AUTHORIZATION, header);
        Ok(request)
    }

    /// Forgets the token, unless it is newer than `start`. Returns whether another one is worth a try.
    pub(crate) fn forget(&self, start: Instant) -> bool {
        if self.token.load().as_ref().is_some_and(|token| token.since <= start) {
            self.token.store(None);
        }
        true
    }

    async fn header<T: Transport>(&self, transport: &T, state: &State) -> Result<HeaderValue, TokenError> {
        let now = Instant::now();
        if let Some(header) = self.valid(now) {
            let is_due = self.token.load().as_ref().is_some_and(|token| now >= token.renew);
            // One renews it; if that fails, the old one is still good.
            if is_due && let Ok(failures) = self.fetching.try_lock() {
                let renewed = self.renewed(transport, state, failures, limits::TOKEN_RENEWAL_TIME).await;
                return Ok(renewed.unwrap_or(header));
            }
            return Ok(header);
        }
        let failures = self.fetching.lock().await;
        match self.valid(Instant::now()) {
            Some(header) => Ok(header),
            None => self.renewed(transport, state, failures, limits::TOKEN_TIME).await,
        }
    }

    fn valid(&self, now: Instant) -> Option<HeaderValue> {
        self.token.load().as_ref().filter(|token| now < token.expires).map(|token| token.header.clone())
    }

    async fn renewed<T: Transport>(
        &self,
        transport: &T,
        state: &State,
        mut failures: MutexGuard<'_, Failures>,
        within: Duration,
    ) -> Result<HeaderValue, TokenError> {
        if let Some((when, error)) = &failures.last
            && when.elapsed() < self.pause(failures.in_a_row)
        {
            return Err(error.clone());
        }
        let fetched = timeout(within, self.fetched(transport, state)).await;
        match fetched.unwrap_or(Err(TokenError::Unanswered(Error::TotalTimeout))) {
            Ok(token) => {
                *failures = Failures::default();
                let header = token.header.clone();
                self.token.store(Some(Arc::new(token)));
                Ok(header)
            }
            Err(error) => {
                tracing::warn!(token_url = self.config.token_url, error = %chain(&error), "no access token");
                let in_a_row = failures.in_a_row.saturating_add(1);
                *failures = Failures { in_a_row, last: Some((Instant::now(), error.clone())) };
                Err(error)
            }
        }
    }

    /// How long the server is left alone.
    fn pause(&self, in_a_row: u32) -> Duration {
        let doublings = in_a_row.saturating_sub(1).min(16);
        limits::TOKEN_PAUSE.saturating_mul(1 << doublings).min(limits::TOKEN_PAUSE_MAX)
    }

    /// A few tries: a link that was down a moment ago may be up.
    async fn fetched<T: Transport>(&self, transport: &T, state: &State) -> Result<Token, TokenError> {
        let mut tries = 1;
        loop {
            let error = match self.fetch(transport, state).await {
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            let is_passing = match &error {
                TokenError::Unanswered(error) => {
                    error.is_upstreams() || matches!(error, Error::IdleClosed(_))
                }
                TokenError::Refused { status, .. } => *status >= 500 || *status == 429,
                TokenError::Unusable(_) => false,
            };
            if !is_passing || tries == limits::TOKEN_TRIES {
                return Err(error);
            }
            tries += 1;
            sleep(self.random.up_to(limits::TOKEN_RETRY_PAUSE)).await;
        }
    }

    async fn fetch<T: Transport>(&self, transport: &T, state: &State) -> Result<Token, TokenError> {
        let start = Instant::now();
        let timeouts = Timeouts { total: limits::TOKEN_TIME, ..Timeouts::default() };
        let attempt = Attempt {
            upstream: &self.server,
            endpoint: 0,
            timeouts,
            head_by: None,
            end: start + timeouts.total,
            resend: Resend::Client,
        };
        let answer = fault::send(state, transport, self.request(), attempt).await;
        let (status, body) = read(answer.map_err(TokenError::Unanswered)?).await?;
        self.understood(status, &body, start)
    }

    fn request(&self) -> Request<Body> {
        let Config { client_id, client_secret, scope, audience, style, .. } = &self.config;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !scope.is_empty() {
            form.append_pair("scope", scope);
        }
        if let Some(audience) = audience {
            form.append_pair("audience", audience);
        }
        if *style == Style::Post {
            form.append_pair("client_id", client_id).append_pair("client_secret", client_secret.expose());
        }
        let body = Full::new(Bytes::from(form.finish())).map_err(|never| match never {}).boxed_unsync();
        // The path of the token endpoint is that of the upstream that it is.
        let mut request = Request::new(body);
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.config.token_url.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if *style == Style::Basic {
            headers.insert(AUTHORIZATION, basic(client_id, client_secret));
        }
        request
    }

    fn understood(&self, status: StatusCode, body: &[u8], start: Instant) -> Result<Token, TokenError> {
        let answer: Option<Answer> = serde_json::from_slice(body).ok();
        if status != StatusCode::OK {
            // Printable ASCII and short (RFC 6749, section 5.2), or not told.
            let is_code = |code: &String| code.len() <= 64 && code.bytes().all(|b| b.is_ascii_graphic());
            let code = answer.and_then(|answer| answer.error).filter(is_code);
            return Err(TokenError::Refused { status: status.as_u16(), code });
        }
        let answer = answer.ok_or(TokenError::Unusable("it is not the JSON of a token"))?;
        if !answer.token_type.as_deref().unwrap_or("bearer").eq_ignore_ascii_case("bearer") {
            return Err(TokenError::Unusable("its type is not `bearer`"));
        }
        let text = answer.access_token.ok_or(TokenError::Unusable("it has no `access_token`"))?;
        let header = HeaderValue::from_str(&format!("Bearer {text}"));
        let mut header = header.map_err(|_| TokenError::Unusable("the token cannot stand in a header"))?;
        header.set_sensitive(true);
        let told = answer.expires_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let lives = told.unwrap_or(limits::TOKEN_LIFE_UNKNOWN).min(limits::TOKEN_LIFE_MAX);
        let early = limits::TOKEN_EARLY.min(lives / 10);
        // Jittered, so that a fleet that began together does not renew together.
        let renew = lives.mul_f64(0.75 + 0.15 * self.random.fraction());
        Ok(Token { header, since: Instant::now(), renew: start + renew, expires: start + (lives - early) })
    }
}

/// Both parts are encoded as in a form first (RFC 6749, section 2.3.1).
fn basic(id: &str, secret: &Secret) -> HeaderValue {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(id), encoded(secret.expose()));
    let text = format!("Basic {}", STANDARD.encode(pair));
    let mut header = HeaderValue::try_from(text).expect("base64 is plain ASCII");
    header.set_sensitive(true);
    header
}

async fn read(response: Response<Body>) -> Result<(StatusCode, Bytes), TokenError> {
    let status = response.status();
    let body = Limited::new(response.into_body(), limits::TOKEN_ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| match error.downcast::<Error>() {
        Ok(error) => TokenError::Unanswered(*error),
        Err(_) => TokenError::Unusable("it is too large"),
    })?;
    Ok((status, body.to_bytes()))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests;
