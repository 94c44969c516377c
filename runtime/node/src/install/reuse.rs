//! Whether the instances of a function can be used again, tried before anybody depends on it.

use crate::answer;
use crate::arrival::Arrival;
use crate::connection::AbortOnDrop;
use crate::limits::{DRAIN_POLL, REUSE_CHECK_TIME};
use crate::node::Shared;
use crate::revision::Deployed;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use rimward_capability::ClientScheme;
use std::sync::Arc;

/// Sends two requests to one instance of a function that asks for reuse. Some guests answer only once.
pub(super) async fn check(node: &Arc<Shared>, function: &Arc<Deployed>) -> Result<(), String> {
    if !function.warm.is_wanted() {
        return Ok(());
    }
    let core = node.core_of_this_thread();
    let runtime = core.runtime.clone();
    let (core, function) = (core.clone(), function.clone());
    let mut checking = AbortOnDrop(runtime.spawn(async move {
        for (uses, attempt) in [(1, "first"), (2, "second")] {
            let request = http::Request::builder()
                .uri("/")
                .header(http::header::HOST, "reuse-check.invalid")
                .body(Full::new(Bytes::new()))
                .expect("the request is a constant");
            let arrival = Arrival::of(&request);
            let called = answer::call(&core, &function, request, &arrival, ClientScheme::Http, 0).await;
            let reply =
                called.map_err(|failure| format!("the {attempt} request: {}", answer::chain(&failure)))?;
            reply.into_body().collect().await.map_err(|error| answer::chain(&error))?;
            // The next request is for the same instance. It comes back when its guest has ended, after the reply.
            while !function.warm.is_back(core.index, uses) {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        }
        // Callers begin with an instance that nobody has used.
        drop(function.warm.take(core.index));
        Ok(())
    }));
    match tokio::time::timeout(REUSE_CHECK_TIME, &mut checking.0).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err("the node stopped".to_owned()),
        Err(_) => Err("it took too long".to_owned()),
    }
}
