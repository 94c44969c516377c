//! A model behind a server that speaks the Open Inference Protocol, over HTTP or over gRPC.
//!
//! What is sent goes through a [`Server`], which the caller has: it knows the upstream and its policy.

use crate::oip::grpc::{self, Status, Target};
use crate::oip::http::{self, Encoded};
use crate::oip::{InferRequest, InferResponse, ModelMetadata, ServerMetadata};
use crate::{Error, Kind, Signature};
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use tokio::time::Instant;

/// The id of a call that has none: KServe 0.21 fails over such calls.
const NO_ID: &str = "0";

/// What is sent to a server.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The path, from the upstream's own on.
    pub path: String,
    /// What it is.
    pub content: Content,
}

/// What a request has for a body, and by that what it is.
#[derive(Clone, Debug)]
pub enum Content {
    /// None: it is a `GET`.
    Nothing,
    /// A `POST` over HTTP.
    Http(Encoded),
    /// A message over gRPC, as parts of a body.
    Grpc(Vec<Bytes>),
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The status.
    pub status: u16,
    /// The value of [`HEADER_LENGTH`](http::HEADER_LENGTH).
    pub header_length: Option<String>,
    /// How it ended, over gRPC: as the trailers, or the headers, say.
    pub grpc: Option<Status>,
    /// The body, whole.
    pub body: Bytes,
}

/// What an exchange comes to.
pub type Exchange<'a> = Pin<Box<dyn Future<Output = Result<Received, Error>> + Send + 'a>>;

/// A way to a server. Dropping a future of its gives the call up.
pub trait Server: Sync {
    /// Sends `sent` and waits for the answer, at most until `deadline`.
    fn exchange(&self, sent: Sent, deadline: Instant) -> Exchange<'_>;

    /// The same while calls rest too: somebody else answers where this one does not.
    fn probe(&self, sent: Sent, deadline: Instant) -> Exchange<'_>;

    /// Whether calls are let through.
    fn access(&self) -> Access;
}

/// Whether a server may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It may.
    Free,
    /// It failed too often of late, and is asked to find out whether it still does.
    Resting,
    /// An operator says no.
    Barred,
}

/// A server that is asked although its calls rest.
pub(crate) struct Probed<'a>(pub(crate) &'a dyn Server);

impl Server for Probed<'_> {
    fn exchange(&self, sent: Sent, deadline: Instant) -> Exchange<'_> {
        self.0.probe(sent, deadline)
    }

    fn probe(&self, sent: Sent, deadline: Instant) -> Exchange<'_> {
        self.0.probe(sent, deadline)
    }

    fn access(&self) -> Access {
        self.0.access()
    }
}

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Over HTTP; tensors are sent behind the JSON or in it, and where this is not said the server is asked.
    Http {
        /// Whether they are sent behind it.
        is_binary: Option<bool>,
    },
    /// Over gRPC.
    Grpc,
}

/// A model of a server, and what is known of both.
#[derive(Debug)]
pub struct RemoteModel {
    target: Target,
    speech: Speech,
    signature: OnceLock<Signature>,
}

#[derive(Debug)]
enum Speech {
    Http {
        /// `/v2/models/NAME`, or `/v2/models/NAME/versions/VERSION`.
        path: String,
        is_binary: OnceLock<bool>,
    },
    Grpc,
}

impl RemoteModel {
    /// The model `name` in `version`, or in the one that the server chooses.
    #[must_use]
    pub fn new(name: &str, version: Option<&str>, protocol: Protocol) -> Self {
        let speech = match protocol {
            Protocol::Grpc => Speech::Grpc,
            Protocol::Http { is_binary } => Speech::Http {
                path: match version {
                    Some(version) => format!("/v2/models/{}/versions/{}", escaped(name), escaped(version)),
                    None => format!("/v2/models/{}", escaped(name)),
                },
                is_binary: is_binary.map_or_else(OnceLock::new, OnceLock::from),
            },
        };
        let target = Target { model: name.to_owned(), version: version.map(str::to_owned) };
        Self { target, speech, signature: OnceLock::new() }
    }

    /// What it takes and gives, as the server says.
    ///
    /// # Errors
    /// The server did not say, or not in time.
    pub async fn signature(&self, server: &dyn Server, deadline: Instant) -> Result<Signature, Error> {
        if let Some(signature) = self.signature.get() {
            return Ok(signature.clone());
        }
        let metadata = match &self.speech {
            Speech::Http { path, .. } => {
                ModelMetadata::read(&get(server, path.clone(), deadline).await?.body)?
            }
            Speech::Grpc => {
                let message = self.target_message();
                grpc::read_metadata(&remote_call(server, "ModelMetadata", message, deadline).await?)?
            }
        };
        Ok(self.signature.get_or_init(|| metadata.signature).clone())
    }

    /// Whether the server says that it is ready.
    ///
    /// # Errors
    /// It did not say.
    pub async fn is_ready(&self, server: &dyn Server, deadline: Instant) -> Result<bool, Error> {
        match &self.speech {
            Speech::Http { path, .. } => {
                let sent = Sent { path: format!("{path}/ready"), content: Content::Nothing };
                Ok(server.exchange(sent, deadline).await?.status == 200)
            }
            Speech::Grpc => {
                let message = self.target_message();
                grpc::read_flag(&remote_call(server, "ModelReady", message, deadline).await?)
            }
        }
    }

    fn target_message(&self) -> Vec<Bytes> {
        grpc::write_target(&self.target)
    }

    /// Asks it.
    ///
    /// # Errors
    /// The call is not what the model takes, as far as that is known; the server failed, refused it, did not answer in time,
    /// or answered with something else than it said.
    pub async fn infer(
        &self,
        server: &dyn Server,
        request: &InferRequest,
        deadline: Instant,
    ) -> Result<InferResponse, Error> {
        if let Some(signature) = self.signature.get() {
            signature.check_inputs(&request.inputs)?;
        }
        let id = Some(request.id.as_deref().unwrap_or(NO_ID));
        let response = match &self.speech {
            Speech::Http { path, is_binary } => {
                let is_binary = sends_binary(is_binary, server, deadline).await?;
                let content = Content::Http(http::write_request(request, id, is_binary)?);
                let sent = Sent { path: format!("{path}/infer"), content };
                let received = accepted(server.exchange(sent, deadline).await?)?;
                http::read_response(received.body, received.header_length.as_deref())?
            }
            Speech::Grpc => {
                let message = grpc::write_request(&self.target, request, id);
                grpc::read_response(&remote_call(server, "ModelInfer", message, deadline).await?)?
            }
        };
        let signature = self.signature.get();
        signature.map_or(Ok(()), |signature| signature.check_outputs(&response.outputs))?;
        let missing = request
            .outputs
            .iter()
            .find(|wanted| !response.outputs.iter().any(|output| output.name() == wanted.name));
        match missing {
            Some(wanted) => Err(Error::new(Kind::Protocol, format!("the server left out `{}`", wanted.name))),
            None => Ok(response),
        }
    }
}

async fn sends_binary(known: &OnceLock<bool>, server: &dyn Server, deadline: Instant) -> Result<bool, Error> {
    if let Some(is_binary) = known.get() {
        return Ok(*is_binary);
    }
    let received = get(server, "/v2".to_owned(), deadline).await?;
    let has_binary = ServerMetadata::read(&received.body)?.has_binary();
    Ok(*known.get_or_init(|| has_binary))
}

/// Calls a method, and returns the message that it answers with.
async fn remote_call(
    server: &dyn Server,
    method: &str,
    message: Vec<Bytes>,
    deadline: Instant,
) -> Result<Bytes, Error> {
    let sent = Sent { path: format!("{}{method}", grpc::SERVICE), content: Content::Grpc(message) };
    let received = server.exchange(sent, deadline).await?;
    match received.grpc {
        Some(status) => status.accepted()?,
        // As proxies answer that speak no gRPC, and servers where something else listens.
        None => {
            let status = received.status;
            let error = accepted(received).err();
            let text = format!("the server answered {status} and without a gRPC status");
            return Err(error.unwrap_or_else(|| Error::new(Kind::Protocol, text)));
        }
    }
    grpc::message(received.body).map_err(Error::of_server)
}

async fn get(server: &dyn Server, path: String, deadline: Instant) -> Result<Received, Error> {
    accepted(server.exchange(Sent { path, content: Content::Nothing }, deadline).await?)
}

/// The answer, if it is one.
fn accepted(received: Received) -> Result<Received, Error> {
    let kind = match received.status {
        200..=299 => return Ok(received),
        400 | 415 | 422 => Kind::InvalidArgument,
        404 => Kind::NotFound,
        413 => Kind::TooLarge,
        408 | 504 => Kind::Timeout,
        429 | 502 | 503 => Kind::Unavailable,
        501 => Kind::Unsupported,
        _ => Kind::Failed,
    };
    let said = http::read_error(&received.body).unwrap_or_else(|| "it does not say why".to_owned());
    Err(Error::new(kind, format!("the server answered {}: {said}", received.status)))
}

/// A name as a segment of a path (RFC 3986, section 3.3).
fn escaped(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Datatype, Tensor};
    use std::sync::Mutex;

    /// Answers by path, and remembers what was sent.
    pub(crate) struct Fake {
        pub(crate) answers: Vec<(&'static str, u16, Vec<u8>)>,
        pub(crate) sent: Mutex<Vec<Sent>>,
    }

    impl Server for Fake {
        fn exchange(&self, sent: Sent, _: Instant) -> Exchange<'_> {
            let found = self.answers.iter().find(|(path, ..)| *path == sent.path);
            let (status, body) =
                found.map_or((404, b"{}".to_vec()), |(_, status, body)| (*status, body.clone()));
            self.sent.lock().unwrap().push(sent);
            Box::pin(async move { Ok(Received { status, body: Bytes::from(body), ..Received::default() }) })
        }

        fn probe(&self, sent: Sent, deadline: Instant) -> Exchange<'_> {
            self.exchange(sent, deadline)
        }

        fn access(&self) -> Access {
            Access::Free
        }
    }

    pub(crate) fn fake(answers: Vec<(&'static str, u16, &str)>) -> Fake {
        let answers =
            answers.into_iter().map(|(path, status, body)| (path, status, body.as_bytes().to_vec()));
        Fake { answers: answers.collect(), sent: Mutex::default() }
    }

    fn request() -> InferRequest {
        let x = Tensor::new("x", Datatype::Fp32, vec![1], Bytes::copy_from_slice(&1.0_f32.to_le_bytes()));
        InferRequest { inputs: vec![x.unwrap()], ..InferRequest::default() }
    }

    const METADATA: &str = r#"{"name":"m","platform":"p","inputs":[{"name":"x","datatype":"FP32","shape":[1]}],
        "outputs":[{"name":"y","datatype":"FP32","shape":[-1]}]}"#;
    const ANSWER: &str =
        r#"{"model_name":"m","outputs":[{"name":"y","shape":[1],"datatype":"FP32","data":[2]}]}"#;

    const BINARY: Protocol = Protocol::Http { is_binary: Some(true) };

    fn soon() -> Instant {
        Instant::now() + std::time::Duration::from_secs(5)
    }

    #[tokio::test]
    async fn tensors_go_behind_the_json_where_the_server_reads_them_there() {
        for (extensions, is_binary) in [(r#"["binary_tensor_data"]"#, true), ("[]", false)] {
            let server = format!(r#"{{"name":"s","version":"1","extensions":{extensions}}}"#);
            let fake = fake(vec![("/v2", 200, &server), ("/v2/models/m%20n/versions/2/infer", 200, ANSWER)]);
            let model = RemoteModel::new("m n", Some("2"), Protocol::Http { is_binary: None });
            for _ in 0..2 {
                let response = model.infer(&fake, &request(), soon()).await.unwrap();
                assert_eq!(response.outputs[0].bytes(), &2.0_f32.to_le_bytes()[..]);
            }
            let sent = fake.sent.lock().unwrap();
            assert_eq!(sent.len(), 3, "what the server can is asked once");
            let Content::Http(body) = &sent[2].content else { panic!("{:?}", sent[2]) };
            assert_eq!(body.header_length.is_some(), is_binary);
        }
    }

    /// C19: a server whose answers are not what it says of its model.
    #[tokio::test]
    async fn a_server_that_lies_about_shapes_is_found_out() {
        let lie = r#"{"outputs":[{"name":"y","shape":[1,1],"datatype":"FP32","data":[2]}]}"#;
        let less = r#"{"outputs":[]}"#;
        for (answer, why) in [(lie, "its shape is [any], and this is [1, 1]"), (less, "left out `y`")] {
            let fake = fake(vec![("/v2/models/m", 200, METADATA), ("/v2/models/m/infer", 200, answer)]);
            let model = RemoteModel::new("m", None, Protocol::Http { is_binary: Some(false) });
            model.signature(&fake, soon()).await.unwrap();
            let wanted = crate::oip::Wanted { name: "y".to_owned(), wants_binary: None };
            let error = model
                .infer(&fake, &InferRequest { outputs: vec![wanted], ..request() }, soon())
                .await
                .unwrap_err();
            assert_eq!(error.kind(), Kind::Protocol);
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[tokio::test]
    async fn what_a_server_refuses_is_told_by_kind() {
        for (status, kind) in [
            (400, Kind::InvalidArgument),
            (404, Kind::NotFound),
            (413, Kind::TooLarge),
            (500, Kind::Failed),
            (503, Kind::Unavailable),
            (504, Kind::Timeout),
        ] {
            let fake = fake(vec![("/v2/models/m/infer", status, r#"{"error":"because"}"#)]);
            let error =
                RemoteModel::new("m", None, BINARY).infer(&fake, &request(), soon()).await.unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains("because"), "{error}");
        }
    }
}
