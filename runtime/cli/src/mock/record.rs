//! A stand-in that asks the real upstream and writes down its replies, in the form that [`fixtures`](super::fixtures) gives
//! again. Requests are not written, so nothing that proves who calls is; of a reply's headers those that may hold a
//! session are left out.

use super::Tell;
use super::fixtures::{File, Reply};
use super::server::{self, Answers, plain};
use crate::limits::{MOCK_BODY_BYTES_MAX, RECORDED_INLINE_BYTES};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use rimward_manifest::Name;
use rimward_node::upstream::{Allowed, Client, ClientConfig, Roots, Target, Upstream, UpstreamConfig};
use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Not written: about the connection or the moment, or a session.
const LEFT_OUT: [HeaderName; 7] = [
    http::header::CONTENT_LENGTH,
    http::header::TRANSFER_ENCODING,
    http::header::CONNECTION,
    http::header::DATE,
    http::header::SET_COOKIE,
    http::header::WWW_AUTHENTICATE,
    HeaderName::from_static("keep-alive"),
];

/// Starts a stand-in that asks `upstream` and adds its replies to `file`.
pub(super) async fn start(
    name: &Name,
    upstream: &rimward_manifest::Upstream,
    file: PathBuf,
    tell: Tell,
) -> Result<SocketAddr> {
    let signs = upstream.auth.as_ref().is_some_and(|auth| auth.aws.is_some());
    if signs || upstream.client_certificate.is_some() || upstream.ca.is_some() {
        bail!(
            "`{name}` cannot be recorded: AWS signatures, client certificates and authorities of its own hold for its own address only"
        );
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .with_context(|| format!("cannot write {}", file.display()))?;
    let roots = Roots::system();
    let mut config = UpstreamConfig::new(upstream.url.get().as_str());
    // It is the author's own machine and network.
    config.allowed =
        ["0.0.0.0/0", "::/0"].map(|all| all.parse::<Allowed>()).into_iter().collect::<Result<_, _>>()?;
    let upstream = Upstream::new(config, &roots)?;
    let client = Client::new(ClientConfig::new(roots))?;
    server::start(Recorder { client, upstream, file: Mutex::new(file), tell }).await
}

struct Recorder {
    client: Client,
    upstream: Upstream,
    file: Mutex<PathBuf>,
    tell: Tell,
}

impl Answers for Recorder {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (method, target) = (request.method().to_string(), request.uri().clone());
        let asked = self.ask(request).await;
        let written = asked.and_then(|response| {
            let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            let path = target.path_and_query().map_or("/", |target| target.as_str());
            write(&file, &method, path, &response)?;
            Ok(response)
        });
        written.unwrap_or_else(|error| {
            (self.tell)(error.as_ref());
            plain(StatusCode::BAD_GATEWAY, format!("{error:#}\n"))
        })
    }
}

impl Recorder {
    async fn ask(&self, request: Request<Bytes>) -> Result<Response<Bytes>> {
        let request = request.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync());
        let timeouts = self.upstream.timeouts();
        let response = self.client.send(request, Target::Upstream(&self.upstream), timeouts, None).await;
        let (head, body) = response.context("the upstream that is recorded did not answer")?.into_parts();
        let body = Limited::new(body, MOCK_BODY_BYTES_MAX).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed).context("its reply could not be read")?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

/// Adds a reply to the file; a body that is long or no text gets a file of its own beside it.
fn write(file: &Path, method: &str, path: &str, response: &Response<Bytes>) -> Result<()> {
    let mut reply = Reply {
        method: Some(method.to_owned()),
        path: path.to_owned(),
        status: Some(response.status().as_u16()),
        headers: headers(response.headers()),
        ..Reply::default()
    };
    match std::str::from_utf8(response.body()) {
        Ok(text) if text.len() <= RECORDED_INLINE_BYTES => {
            reply.body = (!text.is_empty()).then(|| text.to_owned())
        }
        _ => reply.file = Some(write_body(file, response.body())?),
    }
    let text = toml_edit::ser::to_string_pretty(&File { reply: vec![reply] })?;
    let mut out = OpenOptions::new().append(true).create(true).open(file)?;
    out.write_all(format!("{text}\n").as_bytes()).with_context(|| format!("cannot write {}", file.display()))
}

/// The name of a new file with this body, beside `file`.
fn write_body(file: &Path, body: &[u8]) -> Result<PathBuf> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("reply");
    for number in 1_u32.. {
        let name = PathBuf::from(format!("{stem}-{number}.body"));
        match OpenOptions::new().write(true).create_new(true).open(file.with_file_name(&name)) {
            Ok(mut out) => {
                out.write_all(body)?;
                return Ok(name);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot write {}", name.display())),
        }
    }
    bail!("there is no free name for a body beside {}", file.display())
}

fn headers(headers: &HeaderMap) -> std::collections::BTreeMap<String, String> {
    let kept = headers.iter().filter(|(name, _)| !LEFT_OUT.contains(name));
    kept.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::fixtures::read;

    #[test]
    fn what_is_written_is_read_again_whatever_the_body_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vision.toml");
        let bodies = ["", "plain", "[headers]\n[[reply]]\n'\"\"\"\\ \r\n\u{1}", "\n\nlines\n"];
        let large = "x".repeat(RECORDED_INLINE_BYTES + 1);
        let of_text = bodies.into_iter().chain([&*large]).map(|body| Bytes::from(body.to_owned()));
        let all: Vec<Bytes> = of_text.chain([Bytes::from_static(b"\xff\x00")]).collect();
        for body in &all {
            let response = Response::builder().status(201).header("x-a", "1").header("set-cookie", "s=1");
            write(&file, "GET", "/a?x=[1]", &response.body(body.clone()).unwrap()).unwrap();
        }
        let replies = read(&file).unwrap().1;
        assert_eq!(replies.len(), all.len());
        for (reply, body) in replies.iter().zip(&all) {
            let response = reply.response(folder.path()).unwrap();
            assert_eq!(response.body(), body);
            assert_eq!((response.status().as_u16(), response.headers().len()), (201, 1));
        }
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 3, "the large one and the one that is no text have files of their own");
    }
}
