//! Fake services, fake names and a client for the tests of this folder.

pub(crate) mod certificates;
pub(crate) mod dns;
pub(crate) mod servers;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use rimward_upstream::{
    Allowed, Body, Client, ClientConfig, Egress, Error, LookupError, Resolve, Resolving, Roots, Target,
    Timeouts, Upstream, UpstreamConfig,
};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// A client with the default bounds that trusts nobody.
pub(crate) fn client() -> Client {
    client_with(|_| {})
}

pub(crate) fn client_with(change: impl FnOnce(&mut ClientConfig)) -> Client {
    let mut config = ClientConfig::new(Roots::none());
    change(&mut config);
    Client::new(config).unwrap()
}

/// The plain service at a loopback address.
pub(crate) fn upstream(address: SocketAddr) -> Upstream {
    let config =
        UpstreamConfig { allowed: vec![address.into()], ..UpstreamConfig::new(format!("http://{address}")) };
    Upstream::new(config, &Roots::none()).unwrap()
}

/// A function that may reach `hosts` and the special addresses `allowed`.
pub(crate) fn egress(hosts: &[&str], allowed: &[&str]) -> Egress {
    let allowed = allowed.iter().map(|text| text.parse::<Allowed>().unwrap()).collect();
    Egress::new(hosts.iter().map(|text| text.parse().unwrap()).collect(), allowed)
}

pub(crate) fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(empty()).unwrap()
}

pub(crate) fn post(uri: &str, body: Body) -> Request<Body> {
    Request::post(uri).body(body).unwrap()
}

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body whose frames a test sends one by one; it ends when the sender is dropped.
pub(crate) fn channel() -> (mpsc::Sender<Result<Frame<Bytes>, Error>>, Body) {
    let (sender, mut receiver) = mpsc::channel(1);
    let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sender, StreamBody::new(frames).boxed_unsync())
}

pub(crate) fn data(text: &'static str) -> Result<Frame<Bytes>, Error> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// What most tests do: send to an upstream, with default timeouts.
pub(crate) async fn call(
    client: &Client,
    upstream: &Upstream,
    request: Request<Body>,
) -> Result<Response<Body>, Error> {
    client.send(request, Target::Upstream(upstream), Timeouts::default(), None).await
}

/// A GET to an upstream, its answer read whole.
pub(crate) async fn get_text(client: &Client, upstream: &Upstream) -> Result<String, Error> {
    text(call(client, upstream, get("http://it.upstream.internal/")).await?).await
}

pub(crate) async fn text(response: Response<Body>) -> Result<String, Error> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// Names and their answers: each lookup takes the next answer, the last one stays. Unknown names do not exist.
#[derive(Default)]
pub(crate) struct Names(Mutex<HashMap<&'static str, Vec<Vec<IpAddr>>>>);

impl Names {
    pub(crate) fn new(names: &[(&'static str, &[&[&str]])]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        let table = names.iter().map(|(name, answers)| (*name, answers.iter().map(parse).collect()));
        Arc::new(Self(Mutex::new(table.collect())))
    }
}

impl Resolve for Names {
    fn resolve(&self, name: &str) -> Resolving {
        let mut names = self.0.lock().unwrap();
        let answer = names.get_mut(name).map(|answers| match answers.len() {
            1 => answers[0].clone(),
            _ => answers.remove(0),
        });
        Box::pin(async move { answer.ok_or(LookupError::NoSuchName) })
    }
}
