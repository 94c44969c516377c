//! Operations on outboxes and the calls in them.

use super::Refusal;
use crate::identity::Identity;
use crate::limits::PAGE_DEFAULT;
use crate::resource::{DeferredCall, DeferredCalls, Done, Outbox, Outboxes, Problem};
use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use rimward_node::{Node, OpenOutbox, outbox::Id, outbox::Trouble};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

type BoxId = (String, String, String);
type CallId = (String, String, String, String);

/// The outboxes of the node.
#[utoipa::path(get, path = "/v1/outboxes", tag = "outboxes", responses(
    (status = 200, description = "The outboxes, by full name", body = Outboxes),
))]
pub(super) async fn outboxes(
    State(node): State<Arc<Node>>,
    Extension(_who): Extension<Identity>,
) -> Json<Outboxes> {
    let mut outboxes = Vec::new();
    for open in node.outboxes() {
        outboxes.push(Outbox::of(&open).await);
    }
    Json(Outboxes { outboxes })
}

/// Which calls.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct CallsQuery {
    /// Dead calls instead of waiting ones.
    #[serde(default)]
    dead: bool,
    /// Calls that were accepted after this one.
    after: Option<String>,
    /// At most so many; 100 where nothing is said, at most 1000.
    most: Option<usize>,
}

/// The calls that wait in an outbox, or the dead ones.
#[utoipa::path(get, path = "/v1/outboxes/{tenant}/{app}/{upstream}/calls", tag = "outboxes",
    params(CallsQuery, ("tenant" = String, Path), ("app" = String, Path), ("upstream" = String, Path)),
    responses(
        (status = 200, description = "A page of calls", body = DeferredCalls),
        (status = 400, description = "The query is not understood", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such outbox", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Its file cannot be read", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn calls(
    State(node): State<Arc<Node>>,
    Extension(_who): Extension<Identity>,
    Path(id): Path<BoxId>,
    query: Result<Query<CallsQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<DeferredCalls>, Refusal> {
    let open = find(&node, &id)?;
    let Ok(Query(CallsQuery { dead, after, most })) = query else { return Err(bad_query()) };
    let after = after.map(|after| after.parse::<Id>().map_err(|_| bad_query())).transpose()?;
    let most = most.unwrap_or(PAGE_DEFAULT).clamp(1, rimward_node::upstream::limits::outbox::PAGE_MAX);
    let found = open.outbox.list(dead, after, most).await.map_err(unreadable)?;
    let next = found.last().filter(|_| found.len() == most).map(|last| last.id.clone());
    Ok(Json(DeferredCalls { calls: found.into_iter().map(DeferredCall::from).collect(), next }))
}

/// One call.
#[utoipa::path(get, path = "/v1/outboxes/{tenant}/{app}/{upstream}/calls/{call}", tag = "outboxes",
    params(("tenant" = String, Path), ("app" = String, Path), ("upstream" = String, Path), ("call" = String, Path)),
    responses(
        (status = 200, description = "The call", body = DeferredCall),
        (status = 404, description = "There is no such outbox or call", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Its file cannot be read", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn call(
    State(node): State<Arc<Node>>,
    Extension(_who): Extension<Identity>,
    Path(id): Path<CallId>,
) -> Result<Json<DeferredCall>, Refusal> {
    let (open, call) = find_call(&node, id)?;
    let status = open.outbox.status(call).await.map_err(unreadable)?;
    Ok(Json(status.ok_or_else(no_call)?.into()))
}

/// Has a dead call delivered once more, or a waiting one now.
#[utoipa::path(post, path = "/v1/outboxes/{tenant}/{app}/{upstream}/calls/{call}/retry", tag = "outboxes",
    params(("tenant" = String, Path), ("app" = String, Path), ("upstream" = String, Path), ("call" = String, Path)),
    responses(
        (status = 200, description = "It is due", body = Done),
        (status = 404, description = "There is no such outbox or call", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Its file cannot be written", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn retry(
    State(node): State<Arc<Node>>,
    Extension(who): Extension<Identity>,
    Path(id): Path<CallId>,
) -> Result<Json<Done>, Refusal> {
    let (open, call) = find_call(&node, id)?;
    let done = open.outbox.retry(call).await.map_err(unreadable)?;
    tracing::info!(?who, %call, done, "a deferred call was to be tried again");
    if done { Ok(Json(Done { done })) } else { Err(no_call()) }
}

/// Forgets a waiting or dead call.
#[utoipa::path(delete, path = "/v1/outboxes/{tenant}/{app}/{upstream}/calls/{call}", tag = "outboxes",
    params(("tenant" = String, Path), ("app" = String, Path), ("upstream" = String, Path), ("call" = String, Path)),
    responses(
        (status = 200, description = "It is gone", body = Done),
        (status = 404, description = "There is no such outbox or call", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Its file cannot be written", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn discard(
    State(node): State<Arc<Node>>,
    Extension(who): Extension<Identity>,
    Path(id): Path<CallId>,
) -> Result<Json<Done>, Refusal> {
    let (open, call) = find_call(&node, id)?;
    let done = open.outbox.discard(call).await.map_err(unreadable)?;
    tracing::info!(?who, %call, done, "a deferred call was to be dropped");
    if done { Ok(Json(Done { done })) } else { Err(no_call()) }
}

/// Looks for the upstream at once, whatever was found out about the link.
#[utoipa::path(post, path = "/v1/outboxes/{tenant}/{app}/{upstream}/drain", tag = "outboxes",
    params(("tenant" = String, Path), ("app" = String, Path), ("upstream" = String, Path)),
    responses(
        (status = 200, description = "Deliveries begin", body = Done),
        (status = 404, description = "There is no such outbox", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn drain(
    State(node): State<Arc<Node>>,
    Extension(who): Extension<Identity>,
    Path(id): Path<BoxId>,
) -> Result<Json<Done>, Refusal> {
    let open = find(&node, &id)?;
    tracing::info!(?who, outbox = format!("{}/{}/{}", id.0, id.1, id.2), "an outbox was to be drained");
    open.outbox.drain();
    Ok(Json(Done { done: true }))
}

fn find(node: &Node, (tenant, app, upstream): &BoxId) -> Result<OpenOutbox, Refusal> {
    let is_it = |open: &OpenOutbox| {
        open.tenant.as_str() == tenant && open.app.as_str() == app && open.upstream.as_str() == upstream
    };
    node.outboxes().into_iter().find(is_it).ok_or(Refusal(
        StatusCode::NOT_FOUND,
        "rimward.admin.no-such-outbox",
        "there is no such outbox",
        None,
    ))
}

fn find_call(node: &Node, (tenant, app, upstream, call): CallId) -> Result<(OpenOutbox, Id), Refusal> {
    let open = find(node, &(tenant, app, upstream))?;
    Ok((open, call.parse().map_err(|_| no_call())?))
}

fn no_call() -> Refusal {
    let title = "the outbox has no such call, or has it no more";
    Refusal(StatusCode::NOT_FOUND, "rimward.admin.no-such-call", title, None)
}

fn bad_query() -> Refusal {
    let title = "the query is `dead`, `after` (the id of a call) and `most`";
    Refusal(StatusCode::BAD_REQUEST, "rimward.admin.bad-query", title, None)
}

fn unreadable(trouble: Trouble) -> Refusal {
    let title = "the outbox's file cannot be used";
    Refusal(StatusCode::SERVICE_UNAVAILABLE, "rimward.admin.outbox-failed", title, None)
        .because(trouble.to_string())
}
