//! The same over gRPC: from a method and its message to the model that is asked, and from its answer to messages.

use super::{VERSION, metadata, server, told};
use crate::limits::CALL_TIME;
use crate::oip::grpc::{self, SERVICE, Target};
use crate::oip::{InferRequest, grpc::Status};
use crate::remote::Server;
use crate::{Answer, Error, Kind, Model};
use bytes::Bytes;
use tokio::time::Instant;

/// A method of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Whether the node is there.
    ServerLive,
    /// Whether it answers.
    ServerReady,
    /// What it is.
    ServerMetadata,
    /// Whether a model answers.
    ModelReady,
    /// What a model takes and gives.
    ModelMetadata,
    /// What a model says.
    ModelInfer,
}

/// What a method and its message ask for.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// The node, not a model: what it answers stands already.
    Node(Vec<Bytes>),
    /// Whether a model answers.
    Ready(Target),
    /// What a model takes and gives.
    Metadata(Target),
    /// What a model says.
    Infer(Target, InferRequest),
}

/// A reply.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The message, if there is one.
    pub parts: Vec<Bytes>,
    /// How the call ended.
    pub status: Status,
    /// Which side answered, and why.
    pub told: Option<String>,
}

impl Method {
    /// The method at `path`.
    #[must_use]
    pub fn find(path: &str) -> Option<Self> {
        Some(match path.strip_prefix(SERVICE)? {
            "ServerLive" => Self::ServerLive,
            "ServerReady" => Self::ServerReady,
            "ServerMetadata" => Self::ServerMetadata,
            "ModelReady" => Self::ModelReady,
            "ModelMetadata" => Self::ModelMetadata,
            "ModelInfer" => Self::ModelInfer,
            _ => return None,
        })
    }

    /// What it asks for with `body`, of a node of that version.
    ///
    /// # Errors
    /// The body is no message of the method.
    pub fn read(self, body: Bytes, version: &str) -> Result<Asked, Error> {
        let message = grpc::message(body)?;
        Ok(match self {
            Self::ServerLive | Self::ServerReady => Asked::Node(grpc::write_flag(true)),
            Self::ServerMetadata => Asked::Node(grpc::write_server(&server(version))),
            Self::ModelReady => Asked::Ready(grpc::read_target(&message)?),
            Self::ModelMetadata => Asked::Metadata(grpc::read_target(&message)?),
            Self::ModelInfer => {
                let (target, request) = grpc::read_request(&message)?;
                Asked::Infer(target, request)
            }
        })
    }
}

impl Asked {
    /// The model that is asked for.
    ///
    /// # Errors
    /// Not in the version that a node has.
    pub fn model(&self) -> Result<Option<&str>, Error> {
        let (Self::Ready(target) | Self::Metadata(target) | Self::Infer(target, _)) = self else {
            return Ok(None);
        };
        match target.version.as_deref() {
            None | Some(VERSION) => Ok(Some(&target.model)),
            Some(_) => Err(Error::new(Kind::NotFound, "the model has the version 1 only")),
        }
    }
}

impl Reply {
    /// A message, and that all is well.
    #[must_use]
    pub fn message(parts: Vec<Bytes>) -> Self {
        Self { parts, ..Self::default() }
    }

    /// A failed call's.
    #[must_use]
    pub fn failed(error: &Error) -> Self {
        Self { status: Status::failed(error), ..Self::default() }
    }
}

/// Asks `model` for what was asked of it.
pub async fn answer(
    asked: &Asked,
    model: &Model,
    server: Option<&dyn Server>,
    deadline: Option<Instant>,
) -> (Reply, Option<Result<Answer, Error>>) {
    let soon = deadline.unwrap_or_else(|| Instant::now() + CALL_TIME);
    match asked {
        Asked::Node(parts) => (Reply::message(parts.clone()), None),
        Asked::Ready(_) => (Reply::message(grpc::write_flag(model.is_ready(server, soon).await)), None),
        Asked::Metadata(_) => match model.signature(server, soon).await {
            Ok(signature) => {
                let written = grpc::write_metadata(&metadata(model, signature));
                (Reply::message(written), None)
            }
            Err(error) => (Reply::failed(&error), None),
        },
        Asked::Infer(_, request) => match model.infer(request, server, deadline).await {
            Ok(answer) => {
                let parts = grpc::write_response(&answer.response);
                (Reply { told: Some(told(&answer)), ..Reply::message(parts) }, Some(Ok(answer)))
            }
            Err(error) => (Reply::failed(&error), Some(Err(error))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_the_service_are_found_and_others_are_not() {
        assert_eq!(Method::find("/inference.GRPCInferenceService/ModelInfer"), Some(Method::ModelInfer));
        assert_eq!(Method::find("/inference.GRPCInferenceService/ModelConfig"), None);
        assert_eq!(Method::find("/inference.Other/ModelInfer"), None);
    }

    #[test]
    fn a_model_has_one_version() {
        let of = |version: Option<&str>| {
            Asked::Ready(Target { model: "m".to_owned(), version: version.map(str::to_owned) })
        };
        assert_eq!(of(None).model().unwrap(), Some("m"));
        assert_eq!(of(Some("1")).model().unwrap(), Some("m"));
        assert_eq!(of(Some("2")).model().unwrap_err().kind(), Kind::NotFound);
        assert_eq!(Asked::Node(Vec::new()).model().unwrap(), None);
    }
}
