//! Operations on models.

use super::Refusal;
use crate::identity::Identity;
use crate::limits::COMPARED_CALLS_MAX;
use crate::resource::{Comparison, Model, Models, Problem};
use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use rimward_node::{KnownModel, Node};
use serde::Deserialize;
use std::sync::Arc;

/// The models of the apps that serve, and how their calls go.
#[utoipa::path(get, path = "/v1/models", tag = "models", responses(
    (status = 200, description = "The models, by full name", body = Models),
))]
pub(super) async fn models(
    State(node): State<Arc<Node>>,
    Extension(_who): Extension<Identity>,
) -> Json<Models> {
    Json(Models { models: node.models().into_iter().map(Model::from).collect() })
}

/// One model.
#[utoipa::path(get, path = "/v1/models/{tenant}/{app}/{model}", tag = "models",
    params(("tenant" = String, Path), ("app" = String, Path), ("model" = String, Path)),
    responses(
        (status = 200, description = "The model", body = Model),
        (status = 404, description = "There is no such model", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn model(
    State(node): State<Arc<Node>>,
    Extension(_who): Extension<Identity>,
    Path(id): Path<(String, String, String)>,
) -> Result<Json<Model>, Refusal> {
    Ok(Json(find(&node, &id)?.into()))
}

/// What to measure.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CompareQuery {
    #[serde(default = "calls")]
    calls: u32,
}

fn calls() -> u32 {
    20
}

/// Has each side of a model answer calls of zeros, one after the other, and says how long they took.
#[utoipa::path(post, path = "/v1/models/{tenant}/{app}/{model}/compare", tag = "models",
    params(
        ("tenant" = String, Path), ("app" = String, Path), ("model" = String, Path),
        ("calls" = Option<u32>, Query, description = "Calls of each side, 1 to 1000; 20 by default"),
    ),
    responses(
        (status = 200, description = "What was measured", body = Comparison),
        (status = 400, description = "The number is none", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such model", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "What the model takes is not known", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn compare(
    State(node): State<Arc<Node>>,
    Extension(who): Extension<Identity>,
    Path(id): Path<(String, String, String)>,
    query: Result<Query<CompareQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Comparison>, Refusal> {
    let calls = match query {
        Ok(Query(CompareQuery { calls })) if (1..=COMPARED_CALLS_MAX).contains(&calls) => calls,
        _ => {
            let title = "`calls` is a number, 1 to 1000";
            return Err(Refusal(StatusCode::BAD_REQUEST, "rimward.admin.bad-query", title, None));
        }
    };
    let known = find(&node, &id)?;
    let id = format!("{}/{}/{}", id.0, id.1, id.2);
    tracing::info!(?who, model = id, calls, "the sides of a model are compared");
    let compared = node.compare_model(&known, calls).await.map_err(|error| {
        let title = "the model cannot be measured";
        Refusal(StatusCode::BAD_GATEWAY, "rimward.admin.model", title, None).because(error.to_string())
    })?;
    Ok(Json(Comparison::of(&known, compared)))
}

fn find(node: &Node, (tenant, app, name): &(String, String, String)) -> Result<KnownModel, Refusal> {
    let is_it = |known: &KnownModel| {
        known.tenant.as_str() == tenant && known.app.as_str() == app && known.name.as_str() == name
    };
    node.models().into_iter().find(is_it).ok_or(Refusal(
        StatusCode::NOT_FOUND,
        "rimward.admin.no-such-model",
        "no app that serves has such a model",
        None,
    ))
}
