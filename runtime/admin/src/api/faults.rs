//! Operations on faults that are put into calls to upstreams.

use super::Refusal;
use crate::identity::Identity;
use crate::resource::{Faults, NewFaults, Problem};
use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use rimward_node::{Faults as NodeFaults, FaultsError, Node};
use std::sync::Arc;

/// The faults that calls to upstreams meet.
#[utoipa::path(get, path = "/v1/faults", tag = "upstreams", responses(
    (status = 200, description = "The faults", body = Faults),
))]
pub(super) async fn faults(
    State(node): State<Arc<Node>>,
    Extension(_who): Extension<Identity>,
) -> Json<Faults> {
    Json(Faults::of(node.faults(), &node.upstreams()))
}

/// Has calls to upstreams meet these faults and no others, until it is told otherwise or the node ends.
#[utoipa::path(put, path = "/v1/faults", tag = "upstreams", request_body = NewFaults, responses(
    (status = 200, description = "The faults, from now on", body = Faults),
    (status = 403, description = "The node takes no faults", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body says something else", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn set(
    State(node): State<Arc<Node>>,
    Extension(who): Extension<Identity>,
    body: Result<Json<NewFaults>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<Faults>, Refusal> {
    let bad = |detail: String| {
        let title = "the body is not `{\"offline\": false, \"rules\": [\"vision=reset@5%\"]}`";
        Refusal(StatusCode::UNPROCESSABLE_ENTITY, "rimward.admin.bad-body", title, None).because(detail)
    };
    let Json(NewFaults { offline, rules, seed }) = body.map_err(|rejection| bad(rejection.body_text()))?;
    let rules: Result<Vec<_>, rimward_node::FaultError> = rules.iter().map(|rule| rule.parse()).collect();
    let rules = rules.map_err(|error| bad(error.to_string()))?;
    tracing::info!(?who, "faults were set");
    node.set_faults(NodeFaults { offline, rules, seed }).map_err(|error| match error {
        FaultsError::NotAllowed => {
            let title = "this node takes no faults";
            Refusal(StatusCode::FORBIDDEN, "rimward.admin.no-faults", title, None)
                .because("`node.fault-injection = true` in node.toml allows them".into())
        }
        FaultsError::TooMany(_) => bad(error.to_string()),
    })?;
    Ok(Json(Faults::of(node.faults(), &node.upstreams())))
}
