//! The operations of the admin API. Each handler takes who asks, does one thing, and answers with a resource or a
//! [`Problem`]. The OpenAPI document is made from these very handlers.

mod faults;
mod models;
mod outboxes;
mod upstreams;

use crate::control::{Control, NoAnswer};
use crate::identity::Identity;
use crate::limits::{BODY_BYTES, DRAIN_DEFAULT, DRAIN_MAX};
use crate::resource::{Drain, DrainState, Functions, Problem, Reload, Restart, Status};
use axum::extract::{DefaultBodyLimit, Extension, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use rimward_node::{Drained, Node};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::openapi::OpenApi;
use utoipa::{IntoParams, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "Rimward node",
    description = "The admin API of one node. On a unix socket; only the node's user and root may enter."
))]
struct Document;

/// The API's OpenAPI document.
pub fn openapi() -> OpenApi {
    described().split_for_parts().1
}

pub(crate) fn router(node: Arc<Node>) -> Router {
    let (router, _) = described().split_for_parts();
    router
        .fallback(|| async {
            Refusal(
                StatusCode::NOT_FOUND,
                "rimward.admin.no-such-resource",
                "there is no such resource",
                None,
            )
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(node)
}

fn described() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(status))
        .routes(routes!(functions))
        .routes(routes!(drain))
        .routes(routes!(reload))
        .routes(routes!(restart))
        .routes(routes!(upstreams::upstreams))
        .routes(routes!(upstreams::upstream))
        .routes(routes!(upstreams::force))
        .routes(routes!(models::models))
        .routes(routes!(models::model))
        .routes(routes!(models::compare))
        .routes(routes!(faults::faults, faults::set))
        .routes(routes!(outboxes::outboxes))
        .routes(routes!(outboxes::calls))
        .routes(routes!(outboxes::call, outboxes::discard))
        .routes(routes!(outboxes::retry))
        .routes(routes!(outboxes::drain))
}

/// What the node is doing, and its apps.
#[utoipa::path(get, path = "/v1/status", tag = "node", responses(
    (status = 200, description = "The node, now", body = Status),
))]
async fn status(State(node): State<Arc<Node>>, Extension(_who): Extension<Identity>) -> Json<Status> {
    Json(node.status().into())
}

/// Every function of the node.
#[utoipa::path(get, path = "/v1/functions", tag = "functions", responses(
    (status = 200, description = "The functions, by full name", body = Functions),
))]
async fn functions(State(node): State<Arc<Node>>, Extension(_who): Extension<Identity>) -> Json<Functions> {
    let status = Status::from(node.status());
    Json(Functions { functions: status.apps.into_iter().flat_map(|app| app.functions).collect() })
}

/// How a drain is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "kebab-case")]
struct DrainQuery {
    /// Seconds that open requests have; 30 where nothing is said, at most 300.
    within_s: Option<u64>,
}

/// Takes no new requests and waits for the open ones.
#[utoipa::path(post, path = "/v1/drain", tag = "node", params(DrainQuery), responses(
    (status = 200, description = "The node takes no more requests", body = Drain),
    (status = 400, description = "The time is too long", body = Problem, content_type = "application/problem+json"),
))]
async fn drain(
    State(node): State<Arc<Node>>,
    Extension(who): Extension<Identity>,
    query: Result<Query<DrainQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Drain>, Refusal> {
    let bad = Refusal(
        StatusCode::BAD_REQUEST,
        "rimward.admin.bad-query",
        "`within-s` is a number of seconds, at most 300",
        None,
    );
    let Ok(Query(DrainQuery { within_s })) = query else { return Err(bad) };
    let within = within_s.map_or(DRAIN_DEFAULT, Duration::from_secs);
    if within > DRAIN_MAX {
        return Err(bad);
    }
    tracing::info!(?who, within_s = within.as_secs(), "a drain was asked for");
    Ok(Json(match node.drain(within).await {
        Drained::Finished => Drain { state: DrainState::Finished, connections: 0 },
        Drained::CutOff { connections } => Drain { state: DrainState::CutOff, connections },
    }))
}

/// Reads the node's settings again, as SIGHUP does: all of them are taken over, or none.
#[utoipa::path(post, path = "/v1/reload", tag = "node", responses(
    (status = 200, description = "The settings are in force", body = Reload),
    (status = 422, description = "Nothing was changed", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The node takes no such request now", body = Problem, content_type = "application/problem+json"),
))]
async fn reload(
    Extension(control): Extension<Control>,
    Extension(who): Extension<Identity>,
) -> Result<Json<Reload>, Refusal> {
    tracing::info!(?who, "a reload was asked for");
    control
        .reload()
        .await
        .map(|done| Json(done.into()))
        .map_err(|why| no_answer(why, "rimward.admin.not-reloaded", "nothing was changed"))
}

/// Restarts the node in place, on the program that is now where this one was started from, as SIGUSR2 does. No connection
/// is refused meanwhile.
#[utoipa::path(post, path = "/v1/restart", tag = "node", responses(
    (status = 200, description = "The node restarts", body = Restart),
    (status = 422, description = "The new program or the settings cannot be used; the node goes on", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The node takes no such request now", body = Problem, content_type = "application/problem+json"),
))]
async fn restart(
    Extension(control): Extension<Control>,
    Extension(who): Extension<Identity>,
) -> Result<Json<Restart>, Refusal> {
    tracing::info!(?who, "a restart was asked for");
    control
        .restart()
        .await
        .map(|()| Json(Restart { restarts: true }))
        .map_err(|why| no_answer(why, "rimward.admin.not-restarted", "the node goes on as it was"))
}

fn no_answer(why: NoAnswer, code: &'static str, title: &'static str) -> Refusal {
    match why {
        NoAnswer::Failed(detail) => {
            Refusal(StatusCode::UNPROCESSABLE_ENTITY, code, title, None).because(detail)
        }
        NoAnswer::NotTaken => Refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "rimward.admin.not-now",
            "the node takes no such request now: it starts, stops, or is not `rimward serve`",
            None,
        ),
    }
}

/// A request that was not carried out.
struct Refusal(StatusCode, &'static str, &'static str, Option<String>);

impl Refusal {
    fn because(self, detail: String) -> Self {
        Self(self.0, self.1, self.2, Some(detail))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, code, title, detail) = self;
        let problem =
            Problem { title: title.to_owned(), status: status.as_u16(), code: code.to_owned(), detail };
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, Json(problem)).into_response()
    }
}
