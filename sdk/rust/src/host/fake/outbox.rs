//! The outboxes of a test's upstreams. Accepted calls wait until the test delivers them; within an ordering key they go
//! in order, and none overtakes one that failed. Time, bounds and the disk it has not.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{Peer, State as Host, body_of};
use crate::call::{AnswerText, IDEMPOTENCY_KEY, ORDER_KEY, PREFER, RESPOND_ASYNC, State, StatusText};
use crate::{Body, Bytes, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

/// A call as it is kept.
struct Letter {
    authority: String,
    request: Request<Bytes>,
    order_key: Option<String>,
    status: StatusText,
}

/// All outboxes of a host.
#[derive(Default)]
pub(crate) struct Outbox {
    /// The authorities of the upstreams that have one.
    granted: BTreeSet<String>,
    /// By number, in the order in which they were accepted.
    letters: RefCell<BTreeMap<u64, Letter>>,
}

/// Whether a call asks to be deferred.
fn is_deferred(headers: &HeaderMap) -> bool {
    let preferences = headers.get_all(PREFER).into_iter().filter_map(|value| value.to_str().ok());
    preferences.flat_map(|list| list.split(',')).any(|one| one.trim() == "respond-async")
}

impl Outbox {
    pub(crate) fn grant(&mut self, authority: String) {
        self.granted.insert(authority);
    }

    pub(super) fn takes(&self, authority: &str, headers: &HeaderMap) -> bool {
        self.granted.contains(authority) && is_deferred(headers)
    }

    /// Whether any upstream has one, and so `outbox.internal` is there.
    pub(super) fn is_granted(&self) -> bool {
        !self.granted.is_empty()
    }

    /// Writes a call down, and says where its status is.
    pub(super) async fn accept(&self, authority: String, request: Request) -> Response {
        let (mut head, body) = request.into_parts();
        head.headers.remove(PREFER);
        let own_key = head.headers.get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok()).map(str::to_owned);
        let order_key = head.headers.remove(ORDER_KEY).and_then(|key| key.to_str().ok().map(str::to_owned));
        let body = match body.bytes_up_to(usize::MAX).await {
            Ok(body) => body,
            Err(error) => panic!("the body of a deferred call broke off: {error}"),
        };
        let mut letters = self.letters.borrow_mut();
        let same = |letter: &Letter| {
            letter.authority == authority && Some(&letter.status.idempotency_key) == own_key.as_ref()
        };
        let known = letters.iter().find(|(_, letter)| same(letter)).map(|(number, _)| *number);
        let number = known.unwrap_or_else(|| {
            let number = letters.last_key_value().map_or(1, |(last, _)| last + 1);
            let idempotency_key = own_key.unwrap_or_else(|| format!("key-{number}"));
            let value = HeaderValue::try_from(&idempotency_key).expect("it was a header, or is plain text");
            head.headers.insert(IDEMPOTENCY_KEY, value);
            let status = StatusText {
                state: State::Waiting,
                attempts: 0,
                idempotency_key,
                age_ms: 0,
                next_try_ms: Some(0),
                reason: None,
                answer: None,
            };
            let request = Request::from_parts(head, body);
            letters.insert(number, Letter { authority, request, order_key, status });
            number
        });
        let mut answer = reply(StatusCode::ACCEPTED, Body::empty());
        let location = format!("http://outbox.internal/{}", id(number));
        answer.headers_mut().insert(header::LOCATION, location.try_into().expect("digits and a dash"));
        answer.headers_mut().insert("preference-applied", RESPOND_ASYNC);
        answer
    }

    /// Answers a request to `outbox.internal`.
    pub(super) fn status(&self, request: &Request) -> Response {
        let mut letters = self.letters.borrow_mut();
        let asked = request.uri().path().trim_start_matches('/');
        let number = letters.keys().copied().find(|number| id(*number) == asked);
        let Some((number, letter)) = number.and_then(|number| Some((number, letters.get(&number)?))) else {
            return reply(StatusCode::NOT_FOUND, Body::empty());
        };
        match *request.method() {
            Method::GET => reply(StatusCode::OK, Body::json(&letter.status).expect("a status is JSON")),
            Method::DELETE if letter.status.state == State::Waiting => {
                letters.remove(&number);
                reply(StatusCode::NO_CONTENT, Body::empty())
            }
            _ => reply(StatusCode::NOT_FOUND, Body::empty()),
        }
    }

    /// What waits for an upstream, as it will be sent.
    pub(crate) fn waiting(&self, authority: &str) -> Vec<Request<Bytes>> {
        let letters = self.letters.borrow();
        let of_it = letters.values().filter(|letter| letter.authority == authority);
        of_it
            .filter(|letter| letter.status.state == State::Waiting)
            .map(|letter| letter.request.clone())
            .collect()
    }
}

/// Offers every waiting call to its upstream once, and says how many were taken.
pub(crate) async fn deliver(host: &Rc<Host>) -> usize {
    let letters = || host.outbox.letters.borrow_mut();
    let numbers: Vec<u64> = letters().keys().copied().collect();
    let (mut taken, mut stuck) = (0, BTreeSet::new());
    for number in numbers {
        let Some((peer, sequence, request)) = letters().get(&number).and_then(|letter| due(host, letter))
        else {
            continue;
        };
        if stuck.contains(&sequence) {
            continue;
        }
        let answer = match peer(request.map(Body::from)).await {
            Ok(answer) => Ok(body_of(answer).await),
            Err(error) => Err(error),
        };
        let mut letters = letters();
        // It may have been taken back meanwhile, by the upstream's own doing.
        let Some(status) = letters.get_mut(&number).map(|letter| &mut letter.status) else { continue };
        match answer {
            Ok(answer) => {
                status.attempts += 1;
                (status.state, status.reason) = verdict(answer.status());
                status.answer = Some(AnswerText::write(&answer));
            }
            Err(error) => status.reason = Some(error.to_string()),
        }
        match status.state {
            State::Delivered => taken += 1,
            State::Waiting => drop(stuck.insert(sequence)),
            State::Dead => {}
        }
        if status.state != State::Waiting {
            status.next_try_ms = None;
        }
    }
    taken
}

/// Whose calls are delivered one after the other: those to one upstream with one ordering key.
type Sequence = (String, Option<String>);

/// The upstream that a waiting call goes to, the sequence that it belongs to, and the call.
fn due(host: &Host, letter: &Letter) -> Option<(Peer, Sequence, Request<Bytes>)> {
    let is_due = letter.status.state == State::Waiting;
    let peer = host.peers.get(&letter.authority).filter(|_| is_due)?.clone();
    Some((peer, (letter.authority.clone(), letter.order_key.clone()), letter.request.clone()))
}

/// What an answer means for its call, as on a node.
fn verdict(status: StatusCode) -> (State, Option<String>) {
    match status.as_u16() {
        200..300 => (State::Delivered, None),
        408 | 425 | 429 | 500.. => (State::Waiting, Some(format!("the upstream answered {status}"))),
        _ => (State::Dead, Some(format!("the upstream answered {status}"))),
    }
}

fn id(number: u64) -> String {
    format!("00000000-{number}")
}

fn reply(status: StatusCode, body: Body) -> Response {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply
}
