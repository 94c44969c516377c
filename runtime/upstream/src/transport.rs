//! One try of a call, as the policy stack sees it: a request goes out, a response's head comes back.
//!
//! The real one is [`Client`]; simulations bring their own. A transport knows nothing of tries before or after.

use crate::exchange::Resend;
use crate::timeouts::Clock;
use crate::{Body, Client, Error, Target, Timeouts, Upstream};
use http::{Request, Response};
use std::future::Future;
use tokio::time::Instant;

/// Whatever carries one try.
pub trait Transport: Sync {
    /// Sends `request` and waits for the response's head. Dropping the future cancels the try.
    ///
    /// # Errors
    /// What went wrong; [`Error::is_unsent`] says whether the upstream can have seen anything of it.
    fn send(
        &self,
        request: Request<Body>,
        attempt: Attempt<'_>,
    ) -> impl Future<Output = Result<Response<Body>, Error>> + Send;
}

/// Where a try goes, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The upstream.
    pub upstream: &'a Upstream,
    /// Which of its places, in the order of declaration.
    pub endpoint: usize,
    /// The stages of the try.
    pub timeouts: Timeouts,
    /// When the caller's time is up: the response's head must be there.
    pub head_by: Option<Instant>,
    /// When the call is over, response body included.
    pub end: Instant,
    /// Who sends the request again where an idle connection closed under it.
    pub resend: Resend,
}

impl Transport for Client {
    fn send(
        &self,
        request: Request<Body>,
        attempt: Attempt<'_>,
    ) -> impl Future<Output = Result<Response<Body>, Error>> + Send {
        let clock = Clock::until(attempt.timeouts, attempt.head_by, attempt.end);
        let target = Target::Endpoint(attempt.upstream, attempt.endpoint);
        self.send_within(request, target, clock, attempt.resend)
    }
}
