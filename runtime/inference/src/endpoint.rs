//! The Open Inference Protocol over HTTP as a server speaks it: from a request to the model that is asked, and from its answer
//! to a reply. Over gRPC it is in [`grpc`].
//!
//! [`Asked::find`] reads the path; whoever calls it has the models. Paths are those of the protocol's HTTP specification.

pub mod grpc;

use crate::oip::http::{self, Encoded};
use crate::oip::{ModelMetadata, ServerMetadata};
use crate::place::Side;
use crate::remote::Server;
use crate::{Answer, Error, Kind, Model, Signature};
use bytes::Bytes;
use std::fmt::Write as _;
use tokio::time::Instant;

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `GET /v2`: the server's own metadata.
    Server,
    /// `GET /v2/health/live`.
    Live,
    /// `GET /v2/health/ready`.
    Ready,
    /// `GET /v2/models/NAME`.
    Metadata(String),
    /// `GET /v2/models/NAME/ready`.
    ModelReady(String),
    /// `POST /v2/models/NAME/infer`.
    Infer(String),
}

/// The one version that a model of a node has.
pub const VERSION: &str = "1";

/// A reply.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its body, and the value of [`http::HEADER_LENGTH`].
    pub body: Encoded,
    /// Which side answered, and why: the value of the header `rimward-model`.
    pub told: Option<String>,
}

impl Asked {
    /// What `method` and `path` ask for.
    ///
    /// # Errors
    /// There is nothing at that path, or not with that method: the reply that says so.
    pub fn find(method: &str, path: &str) -> Result<Self, Reply> {
        let segments: Vec<_> = path.trim_end_matches('/').split('/').skip(1).collect();
        let (model, rest) = match segments[..] {
            ["v2"] => return only("GET", method, Self::Server),
            ["v2", "health", "live"] => return only("GET", method, Self::Live),
            ["v2", "health", "ready"] => return only("GET", method, Self::Ready),
            ["v2", "models", model, "versions", VERSION, ref rest @ ..] => (model, rest),
            ["v2", "models", _, "versions", ..] => {
                return Err(Reply::problem(404, "the model has the version 1 only"));
            }
            ["v2", "models", model, ref rest @ ..] => (model, rest),
            _ => return Err(Reply::problem(404, "there is nothing here: the protocol begins with /v2")),
        };
        match rest {
            [] => only("GET", method, Self::Metadata(model.to_owned())),
            ["ready"] => only("GET", method, Self::ModelReady(model.to_owned())),
            ["infer"] => only("POST", method, Self::Infer(model.to_owned())),
            _ => Err(Reply::problem(404, "a model has `ready` and `infer`")),
        }
    }

    /// The model that is asked, if it is one.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        match self {
            Self::Server | Self::Live | Self::Ready => None,
            Self::Metadata(model) | Self::ModelReady(model) | Self::Infer(model) => Some(model),
        }
    }
}

/// `GET` counts for `HEAD` too.
fn only(allowed: &str, method: &str, asked: Asked) -> Result<Asked, Reply> {
    match method == allowed || (method == "HEAD" && allowed == "GET") {
        true => Ok(asked),
        false => Err(Reply::problem(405, &format!("{method} is not for this path: {allowed} is"))),
    }
}

impl Reply {
    /// An error's.
    #[must_use]
    pub fn problem(status: u16, message: &str) -> Self {
        Self::json(status, http::write_error(message))
    }

    /// The error of a call.
    #[must_use]
    pub fn failed(error: &Error) -> Self {
        let status = match error.kind() {
            Kind::Unauthenticated => 401,
            Kind::NotFound => 404,
            Kind::InvalidArgument => 400,
            Kind::TooLarge => 413,
            Kind::Timeout => 504,
            Kind::Unavailable => 503,
            Kind::Unsupported => 501,
            Kind::Protocol => 502,
            Kind::Failed => 500,
        };
        Self::problem(status, &error.to_string())
    }

    fn json(status: u16, json: Vec<u8>) -> Self {
        Self { status, body: Encoded { header_length: None, parts: vec![Bytes::from(json)] }, told: None }
    }

    fn empty(is_well: bool) -> Self {
        let body = Encoded { header_length: None, parts: Vec::new() };
        Self { status: if is_well { 200 } else { 503 }, body, told: None }
    }

    /// The node's own metadata.
    #[must_use]
    pub fn server(version: &str) -> Self {
        Self::json(200, serde_json::to_vec(&server(version)).expect("texts can be written"))
    }

    /// Whether the node is there.
    #[must_use]
    pub fn live() -> Self {
        Self::empty(true)
    }
}

/// Asks `model` for what was asked of it.
pub async fn answer(
    asked: &Asked,
    model: &Model,
    server: Option<&dyn Server>,
    header_length: Option<&str>,
    body: Bytes,
    deadline: Option<Instant>,
) -> (Reply, Option<Result<Answer, Error>>) {
    let soon = deadline.unwrap_or_else(|| Instant::now() + crate::limits::CALL_TIME);
    match asked {
        Asked::Server | Asked::Live | Asked::Ready => (Reply::live(), None),
        Asked::ModelReady(_) => (Reply::empty(model.is_ready(server, soon).await), None),
        Asked::Metadata(_) => match model.signature(server, soon).await {
            Err(error) => (Reply::failed(&error), None),
            Ok(signature) => (Reply::json(200, metadata(model, signature).write()), None),
        },
        Asked::Infer(_) => {
            let request = match http::read_request(body, header_length) {
                Ok(request) => request,
                Err(error) => return (Reply::failed(&error), Some(Err(error))),
            };
            let answer = match model.infer(&request, server, deadline).await {
                Ok(answer) => answer,
                Err(error) => return (Reply::failed(&error), Some(Err(error))),
            };
            let reply = match http::write_response(&answer.response, |name| request.wants_binary(name)) {
                Ok(body) => Reply { status: 200, body, told: Some(told(&answer)) },
                Err(error) => Reply::failed(&error),
            };
            (reply, Some(Ok(answer)))
        }
    }
}

fn server(version: &str) -> ServerMetadata {
    ServerMetadata {
        name: "rimward".to_owned(),
        version: version.to_owned(),
        extensions: vec![ServerMetadata::BINARY.to_owned()],
    }
}

fn metadata(model: &Model, signature: Signature) -> ModelMetadata {
    let platform = if model.has_local() { "onnx_rten" } else { "remote" };
    ModelMetadata {
        name: model.name.clone(),
        versions: vec![VERSION.to_owned()],
        platform: platform.to_owned(),
        signature,
    }
}

/// `local; reason=late; confidence=0.93`: a structured item with parameters (RFC 9651).
fn told(answer: &Answer) -> String {
    let mut told = answer.side.to_string();
    // Writing to a string does not fail.
    if let Some(reason) = answer.reason {
        let _ = write!(told, "; reason={reason}");
    }
    if let Some(confidence) = answer.confidence {
        let _ = write!(told, "; confidence={confidence:.3}");
    }
    if answer.instead_of.is_some() {
        let other = if answer.side == Side::Local { Side::Remote } else { Side::Local };
        let _ = write!(told, "; instead-of={other}");
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_protocol_are_found_and_others_are_not() {
        let found = |method: &str, path: &str| Asked::find(method, path).map_err(|reply| reply.status);
        let name = || "m".to_owned();
        for (method, path, wanted) in [
            ("GET", "/v2", Ok(Asked::Server)),
            ("GET", "/v2/", Ok(Asked::Server)),
            ("GET", "/v2/health/live", Ok(Asked::Live)),
            ("HEAD", "/v2/health/ready", Ok(Asked::Ready)),
            ("GET", "/v2/models/m", Ok(Asked::Metadata(name()))),
            ("GET", "/v2/models/m/ready", Ok(Asked::ModelReady(name()))),
            ("POST", "/v2/models/m/infer", Ok(Asked::Infer(name()))),
            ("POST", "/v2/models/m/versions/1/infer", Ok(Asked::Infer(name()))),
            ("POST", "/v2/models/m/versions/2/infer", Err(404)),
            ("GET", "/v2/models/m/infer", Err(405)),
            ("POST", "/v2/models/m", Err(405)),
            ("GET", "/v2/models/m/else", Err(404)),
            ("GET", "/v1/models/m", Err(404)),
            ("GET", "/", Err(404)),
            ("GET", "", Err(404)),
        ] {
            assert_eq!(found(method, path), wanted, "{method} {path}");
        }
    }
}
