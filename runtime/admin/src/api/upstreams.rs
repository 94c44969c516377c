//! Operations on upstreams.

use super::Refusal;
use crate::identity::Identity;
use crate::resource::{ForcedBreaker, Problem, Upstream, Upstreams};
use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use rimward_node::{KnownUpstream, Node, upstream::breaker::Forced};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::time::Instant;
use utoipa::ToSchema;

/// The upstreams of the apps that serve, and how their calls go.
#[utoipa::path(get, path = "/v1/upstreams", tag = "upstreams", responses(
    (status = 200, description = "The upstreams, by full name", body = Upstreams),
))]
pub(super) async fn upstreams(
    State(node): State<Arc<Node>>,
    Extension(_who): Extension<Identity>,
) -> Json<Upstreams> {
    Json(Upstreams { upstreams: node.upstreams().into_iter().map(Upstream::from).collect() })
}

/// One upstream.
#[utoipa::path(get, path = "/v1/upstreams/{tenant}/{app}/{upstream}", tag = "upstreams",
    params(("tenant" = String, Path), ("app" = String, Path), ("upstream" = String, Path)),
    responses(
        (status = 200, description = "The upstream", body = Upstream),
        (status = 404, description = "There is no such upstream", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn upstream(
    State(node): State<Arc<Node>>,
    Extension(_who): Extension<Identity>,
    Path(id): Path<(String, String, String)>,
) -> Result<Json<Upstream>, Refusal> {
    Ok(Json(find(&node, &id)?.into()))
}

/// What the breaker is to be.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Force {
    /// `null`: it decides for itself again.
    forced: Option<ForcedBreaker>,
}

/// Forces a circuit breaker open or closed, until it is told otherwise or the node ends.
#[utoipa::path(put, path = "/v1/upstreams/{tenant}/{app}/{upstream}/breaker", tag = "upstreams", request_body = Force,
    params(("tenant" = String, Path), ("app" = String, Path), ("upstream" = String, Path)),
    responses(
        (status = 200, description = "The upstream, from now on", body = Upstream),
        (status = 404, description = "There is no such upstream", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body says something else", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn force(
    State(node): State<Arc<Node>>,
    Extension(who): Extension<Identity>,
    Path(id): Path<(String, String, String)>,
    body: Result<Json<Force>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<Upstream>, Refusal> {
    let Json(Force { forced }) = body.map_err(|rejection| {
        let title = "the body is `{\"forced\": \"open\"}`, `\"closed\"` or `null`";
        Refusal(StatusCode::UNPROCESSABLE_ENTITY, "rimward.admin.bad-body", title, None)
            .because(rejection.body_text())
    })?;
    let known = find(&node, &id)?;
    tracing::info!(?who, upstream = format!("{}/{}/{}", id.0, id.1, id.2), ?forced, "a breaker was forced");
    let forced = match forced {
        None => Forced::No,
        Some(ForcedBreaker::Open) => Forced::Open,
        Some(ForcedBreaker::Closed) => Forced::Closed,
    };
    known.state.breaker().force(forced, Instant::now());
    Ok(Json(known.into()))
}

fn find(node: &Node, (tenant, app, name): &(String, String, String)) -> Result<KnownUpstream, Refusal> {
    let is_it = |known: &KnownUpstream| {
        known.tenant.as_str() == tenant && known.app.as_str() == app && known.name.as_str() == name
    };
    node.upstreams().into_iter().find(is_it).ok_or(Refusal(
        StatusCode::NOT_FOUND,
        "rimward.admin.no-such-upstream",
        "no app that serves has such an upstream",
        None,
    ))
}
