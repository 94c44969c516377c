//! Models that a function may ask, at `http://NAME.model.internal/v2/...`: the Open Inference Protocol over HTTP, answered by
//! the node itself, so that every client of the protocol works.
//!
//! The function needs no access to the upstream of a model in the cloud.

use super::bodies::Holding;
use super::outgoing::{CallFailure, CallPermit, Context};
use crate::models::{Caller, ModelGrant, Models, frames};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use rimward_inference::oip::InferRequest;
use rimward_inference::{Answer, Error, Kind};
use wasmtime_wasi_http::WasiBody;

impl Context {
    /// Answers a request to a model's host.
    pub(super) async fn ask_model(
        &self,
        request: Request<WasiBody>,
        grant: &ModelGrant,
        permit: CallPermit,
    ) -> Result<Response<WasiBody>, CallFailure> {
        let caller = self.caller();
        let (head, body) = request.into_parts();
        let read = async {
            match self.in_time(grant.memory.whole(body)).await? {
                Ok((body, _)) => Ok(Ok(body)),
                Err(unread) => unread.told().map(Err).map_err(CallFailure::from),
            }
        };
        let response = caller.http(Models::Only(grant), &head, read).await?;
        Ok(response.map(|reply| {
            let body = frames(reply.parts).map_err(|never| match never {});
            Holding::new(body, permit).boxed_unsync()
        }))
    }

    fn caller(&self) -> Caller<'_> {
        Caller {
            client: &self.client,
            traceparent: self.traceparent.as_ref(),
            request_id: &self.request_id,
            deadline: self.wall.calls_deadline().map(Into::into),
        }
    }
}

/// One invocation, for who asks models without HTTP.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a>(pub(super) &'a Context);

impl<'a> Asker<'a> {
    /// A model that the function was granted.
    pub(crate) fn model(self, name: &str) -> Option<&'a ModelGrant> {
        self.0.models().get(name)
    }

    /// Asks one, like a request to its host, and counted like that.
    pub(crate) async fn infer(self, grant: &ModelGrant, request: &InferRequest) -> Result<Answer, Error> {
        let too_many =
            || Error::new(Kind::Unavailable, "as many calls are under way as the function may have");
        let _permit = self.0.permit().ok_or_else(too_many)?;
        self.0.caller().infer(grant, request).await
    }

    /// Bytes of a call, counted like all.
    pub(crate) fn hold(self, bytes: Vec<u8>) -> Result<Bytes, Error> {
        match self.0.models().values().next() {
            Some(grant) => grant.memory.hold(bytes),
            None => Err(Error::new(Kind::NotFound, "the function was granted no model")),
        }
    }
}
