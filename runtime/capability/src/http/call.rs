//! One invocation of a function over HTTP, from the request to the head of its reply.
//!
//! The guest runs in the future of whoever awaits [`Call::reply`] and afterwards in the future of whoever reads the
//! [`ReplyBody`]: nothing is spawned while all goes well. Dropping either ends the guest and gives back
//! all that the invocation holds. What came of it is told once, to `on_close`.

use super::reply::{Reply, ReplyBody, Streaming};
use super::wall::Wall;
use crate::Offences;
use crate::function::{Function, Instance, Proxy};
use crate::limits::{HOG_REPLY_GRACE, LINGER, REPLY_COLLECTED_BYTES};
use bytes::BytesMut;
use http_body::Body;
use rimward_engine::{Engine, Lost, NoRoom, Run, Starved, Stop, Usage};
use rimward_upstream::Client;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Sleep;
use wasmtime::Trap;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView, p3};

/// What belongs to one invocation.
#[derive(Clone)]
pub struct Invocation {
    /// Names the request in logs.
    pub request_id: Arc<str>,
    /// The tenant's client on this core, for outgoing requests.
    pub client: Arc<Client>,
    /// When it must have answered.
    pub wall: Wall,
    /// How many calls from function to function it is deep.
    pub depth: u8,
    /// Where what it may not do is counted.
    pub offences: Arc<Offences>,
    /// The trace it belongs to.
    pub traceparent: Option<http::HeaderValue>,
    /// Whether the client came over TLS.
    pub scheme: ClientScheme,
}

/// How the client came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientScheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

/// Which instance serves an invocation, and how long it lives.
pub enum InstanceUse {
    /// A fresh one. It is gone as soon as its code has returned.
    Once,
    /// This one, or else a fresh one. It is handed to `on_close` where it can be used again.
    Repeated(Option<Instance>),
}

/// One invocation, running.
pub struct Call {
    running: Running,
    head: oneshot::Receiver<Head>,
    response: Option<http::Response<WasiBody>>,
    collected: BytesMut,
    wall: Wall,
    alarm: Option<Pin<Box<Sleep>>>,
    /// How long the rest of a hog's reply is waited for.
    grace: Option<Pin<Box<Sleep>>>,
}

type Head = Result<http::Response<WasiBody>, Error>;

/// Why a function did not answer, or did not finish its answer.
#[derive(Debug, thiserror::Error)]
pub enum GuestFailure {
    /// It spent its CPU budget.
    #[error("the function used up its CPU time")]
    Cpu,
    /// It did not answer in time.
    #[error("the function did not answer within {} ms", .0.as_millis())]
    Wall(Duration),
    /// It was refused memory and then trapped.
    #[error("the function ran out of memory")]
    Memory(#[source] wasmtime::Error),
    /// It was refused memory because its owner, or the node, had none left, and then trapped.
    #[error("{}", starved_text(*.0))]
    Starved(Starved, #[source] wasmtime::Error),
    /// It trapped.
    #[error("the function trapped")]
    Trap(#[source] wasmtime::Error),
    /// It called `exit`.
    #[error("the function exited with status {0}")]
    Exit(i32),
    /// It returned without an answer.
    #[error("the function returned without sending a response")]
    NoResponse,
    /// It answered with an error instead of a response.
    #[error("the function answered with an error")]
    Answered(#[source] Arc<Error>),
    /// There was no room for another instance.
    #[error("there is no room for another instance")]
    PoolFull(#[source] wasmtime::Error),
    /// Its reply stood still for too long.
    #[error("the function's reply stood still")]
    Idle,
    /// Its reply came more slowly than it may.
    #[error("the function's reply came too slowly")]
    TooSlow,
    /// Its reply took longer than it may.
    #[error("the function's reply took too long")]
    TooLong,
    /// A fault of the host.
    #[error("the host failed")]
    Host(#[source] Lost),
}

/// How an invocation ended.
pub struct Closing {
    /// What it used.
    pub usage: Arc<Usage>,
    /// `Ok` when everything was sent; a failure may come after a complete reply. `None` when the client went away first.
    pub outcome: Option<Result<(), GuestFailure>>,
    /// The status of its reply, where there was one.
    pub status: Option<http::StatusCode>,
    /// The instance, where it can be used again.
    pub instance: Option<Instance>,
}

/// The guest of an invocation and what is to happen when it has ended.
pub(super) struct Running {
    run: Option<Run<Ended>>,
    /// Tells a 0.3 guest's event loop that the body has been read.
    body_read: Option<oneshot::Sender<()>>,
    function: Arc<Function>,
    usage: Arc<Usage>,
    failure: Option<GuestFailure>,
    status: Option<http::StatusCode>,
    reusable: Option<Reusable>,
    /// The guest's code has returned; its store may go at any moment.
    returned: Arc<AtomicBool>,
    on_close: Option<Box<dyn FnOnce(Closing) + Send>>,
}

/// What is left when a guest's code has returned.
struct Ended {
    result: wasmtime::Result<()>,
    reusable: Option<Reusable>,
}

/// An instance that can be used again. It occupies what the invocation held until somebody has taken it.
struct Reusable {
    instance: Instance,
    kept: Box<dyn Send>,
}

/// Tells that the guest's code has returned, before its store is dropped.
struct Returning(Arc<AtomicBool>);

impl Drop for Returning {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Everything that a guest's future owns.
struct Guest<K> {
    function: Arc<Function>,
    engine: Arc<Engine>,
    instance: InstanceUse,
    request: http::Request<WasiBody>,
    invocation: Invocation,
    usage: Arc<Usage>,
    head: oneshot::Sender<Head>,
    body_read: oneshot::Receiver<()>,
    returning: Returning,
    /// Released when the guest and its store are gone.
    kept: K,
}

impl Function {
    /// Starts an invocation. `kept` is released when the guest is gone, `on_close` is called once when all is over.
    pub fn call<K: Send + 'static>(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        instance: InstanceUse,
        request: http::Request<WasiBody>,
        invocation: Invocation,
        kept: K,
        on_close: Box<dyn FnOnce(Closing) + Send>,
    ) -> Call {
        let usage = Arc::<Usage>::default();
        let (head_sender, head) = oneshot::channel();
        let (body_read, when_read) = oneshot::channel();
        let (wall, depth) = (invocation.wall.clone(), invocation.depth);
        let returned = Arc::<AtomicBool>::default();
        let guest = Guest {
            function: self.clone(),
            engine: engine.clone(),
            instance,
            request,
            invocation,
            usage: usage.clone(),
            head: head_sender,
            body_read: when_read,
            returning: Returning(returned.clone()),
            kept,
        };
        let running = Running {
            run: Some(engine.run(usage.clone(), self.share().clone(), self.yielding(depth), guest.run())),
            body_read: Some(body_read),
            function: self.clone(),
            usage,
            failure: None,
            status: None,
            reusable: None,
            returned,
            on_close: Some(on_close),
        };
        Call { running, head, response: None, collected: BytesMut::new(), wall, alarm: None, grace: None }
    }
}

impl<K: Send + 'static> Guest<K> {
    async fn run(self) -> Ended {
        let Self { function, engine, instance, request, invocation, usage, head, body_read, returning, kept } =
            self;
        let (warm, repeated) = match instance {
            InstanceUse::Once => (None, false),
            InstanceUse::Repeated(warm) => (warm, true),
        };
        let instance = match warm {
            Some(mut instance) => {
                instance.store.data_mut().reopen(function.grants(), &invocation, usage);
                instance.store.set_epoch_deadline(1);
                Ok(instance)
            }
            None => function.instantiate(&engine, &invocation, usage).await,
        };
        let mut instance = match instance {
            Ok(instance) => instance,
            Err(error) => return Ended { result: Err(error), reusable: None },
        };
        // Dropped before the instance, also when a panic unwinds.
        let returning = returning;
        let result = match &instance.proxy {
            Proxy::V2(proxy) => call_02(&mut instance.store, proxy, request, invocation.scheme, head).await,
            Proxy::V3(service) => {
                let request = absolute(request, invocation.scheme);
                call_03(&mut instance.store, service, request, head, body_read).await
            }
        };
        drop(returning);
        instance.store.data_mut().close();
        if result.is_err() || !repeated {
            // Here, where the guest ran: giving back its memory takes time.
            drop(instance);
            drop(kept);
            return Ended { result, reusable: None };
        }
        Ended { result, reusable: Some(Reusable { instance, kept: Box::new(kept) }) }
    }
}

type Store = wasmtime::Store<crate::State>;

async fn call_02(
    store: &mut Store,
    proxy: &wasmtime_wasi_http::p2::bindings::Proxy,
    request: http::Request<WasiBody>,
    scheme: ClientScheme,
    head: oneshot::Sender<Head>,
) -> wasmtime::Result<()> {
    let scheme = match scheme {
        ClientScheme::Http => Scheme::Http,
        ClientScheme::Https => Scheme::Https,
    };
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(scheme, request)?;
    let outparam = http.new_response_outparam_from_callback(move |response| {
        // The caller may be gone.
        let _ = head.send(response.map_err(Error::from).and_then(final_head));
    })?;
    store.data_mut().guest_starts();
    proxy.wasi_http_incoming_handler().call_handle(store, request, outparam).await
}

/// The request with all of its target in its URI: a 0.3 guest learns scheme and authority from nowhere else.
fn absolute(mut request: http::Request<WasiBody>, scheme: ClientScheme) -> http::Request<WasiBody> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    let host = || http::uri::Authority::try_from(request.headers().get(http::header::HOST)?.as_bytes()).ok();
    parts.authority = parts.authority.take().or_else(host);
    parts.scheme = parts.authority.is_some().then_some(match scheme {
        ClientScheme::Http => http::uri::Scheme::HTTP,
        ClientScheme::Https => http::uri::Scheme::HTTPS,
    });
    parts.path_and_query.get_or_insert(http::uri::PathAndQuery::from_static("/"));
    *request.uri_mut() =
        http::Uri::from_parts(parts).expect("scheme and authority come together, with a path");
    request
}

async fn call_03(
    store: &mut Store,
    service: &p3::bindings::Service,
    request: http::Request<WasiBody>,
    head: oneshot::Sender<Head>,
    body_read: oneshot::Receiver<()>,
) -> wasmtime::Result<()> {
    store
        .run_concurrent(async move |accessor| {
            let (request, request_io) = accessor.with(|mut store| {
                let (request, io) = p3::Request::from_http(store.get().http().hooks, request);
                store.get().guest_starts();
                (request, Box::pin(io) as Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>)
            });
            match service.handle(accessor, request).await? {
                Ok(response) => {
                    let response = accessor.with(|mut store| response.into_http(&mut store, request_io))?;
                    let _ = head.send(final_head(response));
                    // The guest goes on writing the body in this event loop until it has been read or dropped.
                    let _ = body_read.await;
                    std::future::poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
                }
                Err(code) => {
                    let _ = head.send(Err(Error::from(code)));
                }
            }
            Ok(())
        })
        .await?
}

/// A reply has a final status (RFC 9110, section 15): clients would go on waiting after an informational one, and make of
/// one above 599 what they like.
fn final_head(response: http::Response<WasiBody>) -> Head {
    let status = response.status();
    if status.is_informational() || status.as_u16() > 599 {
        return Err(Error::InternalError(Some(format!(
            "a reply cannot have the status {}",
            status.as_u16()
        ))));
    }
    Ok(response)
}

/// What stands between the head of a reply and its end.
#[derive(Debug, Clone, Copy)]
pub struct StreamLimits {
    /// How long the body may stand still.
    pub idle: Duration,
    /// Bytes that it must have each second, on average over `idle`, while it is waited for.
    pub bytes_per_second_min: Option<u64>,
    /// How long the body may take.
    pub max: Option<Duration>,
}

impl Call {
    /// Runs the guest until its reply begins. A small reply that is ready by then is collected, so that it has a
    /// `content-length`; the body of any other is streamed.
    pub async fn reply(mut self, limits: StreamLimits) -> Result<Reply, GuestFailure> {
        let complete = poll_fn(|cx| self.poll(cx)).await;
        match complete {
            Ok(Complete::Yes(trailers)) => {
                let (parts, _empty) = self.take_response().into_parts();
                self.running.finish();
                let body = ReplyBody::collected(self.collected.freeze(), trailers);
                Ok(http::Response::from_parts(parts, body))
            }
            Ok(Complete::No) => {
                let (parts, body) = self.take_response().into_parts();
                let collected = (!self.collected.is_empty()).then(|| self.collected.freeze());
                let streaming = Streaming::new(self.running, body, collected, limits);
                Ok(http::Response::from_parts(parts, ReplyBody::streaming(streaming)))
            }
            Err(failure) => {
                let told = failure.again();
                self.running.fail(failure);
                Err(told)
            }
        }
    }

    fn take_response(&mut self) -> http::Response<WasiBody> {
        self.response.take().expect("polling ends with a response or a failure")
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Complete, GuestFailure>> {
        loop {
            self.running.poll(cx);
            if self.response.is_none() {
                match self.poll_head(cx) {
                    Poll::Ready(Ok(response)) => {
                        self.wall.answered();
                        self.running.status = Some(response.status());
                        self.response = Some(response);
                    }
                    Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                    Poll::Pending => return self.poll_alarm(cx),
                }
            }
            let body = self.response.as_mut().expect("it is there by now").body_mut();
            match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.collected.extend_from_slice(&data),
                    Err(frame) => return Poll::Ready(self.ended(frame.into_trailers().ok())),
                },
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(self.running.failure_or(GuestFailure::answered(error))));
                }
                Poll::Ready(None) if self.running.is_ending() => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(self.ended(None)),
                Poll::Pending => {
                    return match self.running.unfinished() {
                        Some(failure) => Poll::Ready(Err(failure)),
                        None if self.is_on_its_way(cx) => Poll::Pending,
                        None => Poll::Ready(Ok(Complete::No)),
                    };
                }
            }
            if self.collected.len() > REPLY_COLLECTED_BYTES {
                return Poll::Ready(Ok(Complete::No));
            }
        }
    }

    /// A guest that was moved to other threads sends its head from there: what follows at once is a moment behind.
    fn is_on_its_way(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.running.usage.overran() {
            return false;
        }
        let grace = self.grace.get_or_insert_with(|| Box::pin(tokio::time::sleep(HOG_REPLY_GRACE)));
        grace.as_mut().poll(cx).is_pending()
    }

    /// The body has ended; if that is because the guest failed, nothing has been sent yet and the caller learns it.
    fn ended(&mut self, trailers: Option<http::HeaderMap>) -> Result<Complete, GuestFailure> {
        match self.running.failed() {
            Some(failure) => Err(failure),
            None => Ok(Complete::Yes(trailers)),
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<http::Response<WasiBody>, GuestFailure>> {
        match Pin::new(&mut self.head).poll(cx) {
            Poll::Ready(Ok(Ok(response))) => Poll::Ready(Ok(response)),
            Poll::Ready(Ok(Err(error))) => {
                Poll::Ready(Err(self.running.failure_or(GuestFailure::answered(error))))
            }
            Poll::Ready(Err(_never_sent)) if self.running.run.is_none() => {
                Poll::Ready(Err(self.running.failure_or(GuestFailure::NoResponse)))
            }
            // Whoever could answer is gone, but the guest still runs: it may trap, and that says more.
            Poll::Ready(Err(_)) => {
                let (_never, head) = oneshot::channel();
                self.head = head;
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// The guest is waiting or elsewhere: is there still time?
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Result<Complete, GuestFailure>> {
        loop {
            let deadline = self.wall.deadline();
            if std::time::Instant::now() >= deadline {
                return Poll::Ready(Err(GuestFailure::Wall(self.wall.limit())));
            }
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // The client let the guest wait meanwhile: it has more time.
            alarm.as_mut().reset(self.wall.deadline().into());
        }
    }
}

enum Complete {
    Yes(Option<http::HeaderMap>),
    No,
}

impl Running {
    /// Drives the guest; afterwards `failure` and `reusable` say what came of it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        let Some(run) = &mut self.run else { return };
        let Poll::Ready(ended) = Pin::new(run).poll(cx) else { return };
        self.run = None;
        self.function.learn(&self.usage);
        match ended {
            Ok(Ended { result: Ok(()), reusable }) => self.reusable = reusable,
            Ok(Ended { result: Err(error), .. }) => self.failure = classify(error, &self.usage),
            Err(lost) => self.failure = Some(GuestFailure::Host(lost)),
        }
    }

    /// Whether the guest's code has returned and what came of it is on its way here from another thread. Until then the end
    /// of a body says nothing: a body ends with its store, cleanly even after a trap.
    pub(super) fn is_ending(&self) -> bool {
        self.run.is_some() && self.returned.load(Ordering::Acquire)
    }

    /// The failure that the guest ended with, once; it is kept for the closing too.
    pub(super) fn failed(&mut self) -> Option<GuestFailure> {
        self.failure.as_ref().map(GuestFailure::again)
    }

    /// Why a body that has not ended will not go on, if so: a guest that has returned writes no more.
    pub(super) fn unfinished(&mut self) -> Option<GuestFailure> {
        match self.run {
            Some(_) => None,
            None => Some(self.failure_or(GuestFailure::answered(Error::HttpResponseIncomplete))),
        }
    }

    pub(super) fn failure_or(&mut self, other: GuestFailure) -> GuestFailure {
        self.failed().unwrap_or(other)
    }

    /// The reply is complete. The guest may still have something to do: it gets a moment for it.
    pub(super) fn finish(mut self) {
        if let Some(body_read) = self.body_read.take() {
            let _ = body_read.send(());
        }
        self.poll(&mut Context::from_waker(std::task::Waker::noop()));
        if self.run.is_none() {
            return self.close();
        }
        tokio::spawn(async move {
            let ended = poll_fn(|cx| {
                self.poll(cx);
                match self.run {
                    None => Poll::Ready(()),
                    Some(_) => Poll::Pending,
                }
            });
            // Whoever is not done by then is ended with the store.
            let _ = tokio::time::timeout(LINGER, ended).await;
            self.close();
        });
    }

    pub(super) fn fail(mut self, failure: GuestFailure) {
        self.failure = Some(failure);
        self.close();
    }

    fn close(mut self) {
        let outcome = Some(self.failure.take().map_or(Ok(()), Err));
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: Option<Result<(), GuestFailure>>) {
        if let Some(on_close) = self.on_close.take() {
            if self.run.is_some() {
                self.function.learn(&self.usage);
            }
            let (usage, status) = (self.usage.clone(), self.status);
            let reusable = self.reusable.take().map(|Reusable { instance, kept }| (instance, kept));
            let (instance, _kept_until_it_is_taken) = reusable.unzip();
            on_close(Closing { usage, outcome, status, instance });
        }
    }
}

/// Dropped before the end: the client went away.
impl Drop for Running {
    fn drop(&mut self) {
        self.tell(None);
    }
}

fn starved_text(starved: Starved) -> &'static str {
    match starved {
        Starved::Share => "the functions of the tenant hold all the memory that they may",
        Starved::Node => "the functions of the node hold all the memory that they may",
    }
}

/// What a guest's error means. `None`: it exited with success, which is a way to return.
fn classify(error: wasmtime::Error, usage: &Usage) -> Option<GuestFailure> {
    if usage.stopped() == Some(Stop::Cpu) || error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return Some(GuestFailure::Cpu);
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return (exit.0 != 0).then_some(GuestFailure::Exit(exit.0));
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() || error.is::<NoRoom>() {
        return Some(GuestFailure::PoolFull(error));
    }
    if let Some(starved) = usage.starved() {
        return Some(GuestFailure::Starved(starved, error));
    }
    Some(match usage.refusals() {
        0 => GuestFailure::Trap(error),
        _ => GuestFailure::Memory(error),
    })
}

impl GuestFailure {
    pub(super) fn answered(error: Error) -> Self {
        Self::Answered(Arc::new(error))
    }

    /// The same failure for a second reader. What lies under it goes to the first only.
    pub(super) fn again(&self) -> Self {
        let text = |error: &wasmtime::Error| wasmtime::format_err!("{error:#}");
        match self {
            Self::Cpu => Self::Cpu,
            Self::Wall(limit) => Self::Wall(*limit),
            Self::Memory(error) => Self::Memory(text(error)),
            Self::Starved(starved, error) => Self::Starved(*starved, text(error)),
            Self::Trap(error) => Self::Trap(text(error)),
            Self::Exit(status) => Self::Exit(*status),
            Self::NoResponse => Self::NoResponse,
            Self::Answered(error) => Self::Answered(error.clone()),
            Self::PoolFull(error) => Self::PoolFull(text(error)),
            Self::Idle => Self::Idle,
            Self::TooSlow => Self::TooSlow,
            Self::TooLong => Self::TooLong,
            Self::Host(lost) => Self::Host(*lost),
        }
    }
}
