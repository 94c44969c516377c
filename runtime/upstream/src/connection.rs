//! One connection to a server, HTTP/1.1 or HTTP/2, as the pool keeps it and an exchange uses it.
//!
//! Made by `dial`. The driver task moves the bytes; dropping the last [`Connection`] of a driver ends it and closes
//! the socket. Knows no policy beyond remembering whether its peer is a special address.

use crate::address::{AddressRules, Reach, reach};
use crate::origin::Origin;
use crate::steady::Socket;
use crate::task::Task;
use crate::upload::Upload;
use crate::witness::Testimony;
use crate::{Error, limits};
use futures_util::future::Either;
use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) struct Connection {
    sender: Sender,
    peer: SocketAddr,
    /// Of the peer.
    reach: Reach,
    driver: Arc<Task<()>>,
    /// Why TLS failed, where HTTP cannot say it.
    testimony: Testimony,
}

pub(crate) enum Sender {
    /// With its socket, which tells at once whether the server has closed.
    Http1(http1::SendRequest<Upload>, Socket),
    Http2(http2::SendRequest<Upload>),
}

impl Connection {
    pub(crate) fn new(sender: Sender, peer: SocketAddr, driver: Task<()>, testimony: Testimony) -> Self {
        Self { sender, peer, reach: reach(peer.ip()), driver: Arc::new(driver), testimony }
    }

    /// Whether another request can share this connection with those under way.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// The connection again, for one more stream. Only HTTP/2 can.
    pub(crate) fn share(&self) -> Option<Self> {
        let Sender::Http2(sender) = &self.sender else { return None };
        Some(Self {
            sender: Sender::Http2(sender.clone()),
            peer: self.peer,
            reach: self.reach,
            driver: self.driver.clone(),
            testimony: self.testimony.clone(),
        })
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.driver, &other.driver)
    }

    pub(crate) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender, _) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Whether a pooled connection can take a request now: HTTP/1.1 has finished the last one and its server has
    /// not closed, HTTP/2 is not full.
    pub(crate) fn is_free(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender, socket) => sender.is_ready() && socket.is_quiet(),
            Sender::Http2(_) => self.lent() < limits::STREAMS_MAX,
        }
    }

    /// How many exchanges use a pooled connection: every one has a share of the driver, and so has the pool.
    pub(crate) fn lent(&self) -> usize {
        Arc::strong_count(&self.driver) - 1
    }

    /// Whether `rules` would let this connection be made.
    pub(crate) fn is_permitted(&self, rules: &AddressRules) -> bool {
        rules.permit_known(self.peer, self.reach)
    }

    /// Puts a request with an origin-form or absolute URI into the form that this connection's protocol wants.
    pub(crate) fn address(&self, request: &mut Request<Upload>, origin: &Origin) {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        match self.sender {
            Sender::Http1(..) => {
                *request.version_mut() = Version::HTTP_11;
                *request.uri_mut() = Uri::from(path);
                request.headers_mut().insert(HOST, origin.host_header());
                if request.body().is_unmeasured() {
                    // Without it hyper drops an unmeasured body of a GET, HEAD or DELETE.
                    request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
                }
            }
            Sender::Http2(_) => {
                *request.version_mut() = Version::HTTP_2;
                *request.uri_mut() = origin.uri(path);
                request.headers_mut().remove(HOST);
                request.headers_mut().remove(TRANSFER_ENCODING);
            }
        }
    }

    /// Sends a request and waits for the response head. A request that was never sent comes back in the error.
    pub(crate) fn send(
        &mut self,
        request: Request<Upload>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Upload>>>> + use<> {
        match &mut self.sender {
            Sender::Http1(sender, _) => Either::Left(sender.try_send_request(request)),
            Sender::Http2(sender) => Either::Right(sender.try_send_request(request)),
        }
    }

    /// What it means that hyper failed before the response head.
    pub(crate) fn failure(&self, error: hyper::Error) -> Error {
        self.testimony.get().cloned().unwrap_or_else(|| Error::before_head(error))
    }
}
