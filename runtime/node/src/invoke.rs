//! The port through which a function calls another one of its app: in process, on the caller's core, through the same
//! admission and limits as a request from outside.

use crate::answer::{self, Seen};
use crate::arrival::Arrival;
use crate::core::Core;
use crate::failure::Failure;
use crate::revision::Deployed;
use crate::{node::Shared, reply};
use http_body_util::BodyExt;
use rimward_capability::{ClientScheme, HttpError, Invoke, InvokeError, ReplyError};
use rimward_manifest::Name;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use wasmtime_wasi_http::WasiBody;

/// The functions of one revision, for each other.
pub(crate) struct Siblings {
    node: Weak<Shared>,
    /// Set once the revision is complete. Weak: the functions hold this.
    functions: OnceLock<BTreeMap<Name, Weak<Deployed>>>,
}

impl Siblings {
    pub(crate) fn new(node: Weak<Shared>) -> Self {
        Self { node, functions: OnceLock::new() }
    }

    pub(crate) fn complete(&self, functions: &BTreeMap<Name, Arc<Deployed>>) {
        let functions =
            functions.iter().map(|(name, function)| (name.clone(), Arc::downgrade(function))).collect();
        self.functions.set(functions).expect("a revision is completed once");
    }

    fn find(&self, name: &str) -> Option<(Arc<Shared>, Arc<Deployed>)> {
        let function = self.functions.get()?.get(name)?.upgrade()?;
        Some((self.node.upgrade()?, function))
    }
}

impl Invoke for Siblings {
    fn invoke(
        &self,
        function: &str,
        request: http::Request<WasiBody>,
        depth: u8,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<WasiBody>, InvokeError>> + Send>> {
        let found = self.find(function);
        Box::pin(async move {
            let (node, function) = found.ok_or(InvokeError::NotFound)?;
            let core = node.core_of_this_thread();
            Ok(call(&core, &function, request, depth).await)
        })
    }
}

async fn call(
    core: &Arc<Core>,
    function: &Arc<Deployed>,
    request: http::Request<WasiBody>,
    depth: u8,
) -> http::Response<WasiBody> {
    let arrival = Arrival::of(&request);
    let seen = Seen::of(&request);
    let refused = |failure: &Failure| seen.refused(&core.node, failure, Some(function), &arrival);
    let reply = match may_call(&request, function, depth) {
        Err(failure) => {
            refused(&failure);
            reply::problem(&failure, &arrival)
        }
        Ok(()) => {
            let called = answer::call(core, function, request, &arrival, ClientScheme::Http, depth).await;
            called.unwrap_or_else(|failure| {
                if !failure.of_a_called_function() {
                    refused(&failure);
                }
                reply::problem(&failure, &arrival)
            })
        }
    };
    reply.map(|body| body.map_err(cut_short).boxed_unsync())
}

/// What is known before the function is called: how deep it is, and how long the body says it is.
fn may_call<B>(request: &http::Request<B>, function: &Deployed, depth: u8) -> Result<(), Failure> {
    const MAX: u8 = rimward_capability::limits::CALL_DEPTH;
    if depth > MAX {
        return Err(Failure::Depth { max: MAX });
    }
    answer::check_length(request, function)
}

/// The caller's view of a reply that was cut short.
fn cut_short(_: ReplyError) -> HttpError {
    HttpError::HttpResponseIncomplete
}
