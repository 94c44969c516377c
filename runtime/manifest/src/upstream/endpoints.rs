//! The places of an upstream that has several, as declared: where they are, how calls are spread over them, and how they
//! are asked whether they are well.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;

use crate::document::Table;
use crate::duration::Duration;
use crate::limits::ENDPOINTS_MAX;
use crate::name::Name;
use crate::url::BaseUrl;

/// One place of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Endpoint {
    /// Where it is. The path is put before a call's path.
    pub url: BaseUrl,
    /// Its zone: places in the node's own are preferred.
    pub zone: Option<Name>,
    /// Its share of the calls, relative to the others' [default: 1].
    pub weight: Option<NonZeroU32>,
}

/// How calls are spread over the places.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Balance {
    /// Failures in a row that take a place out [default: 5].
    pub consecutive: Option<NonZeroU32>,
    /// For how long, the first time; as much longer each further time [default: 5s].
    pub ejected: Option<Duration>,
    /// The longest that a place is out [default: 60s].
    pub ejected_max: Option<Duration>,
    /// How long a place that is back takes to get its whole share [default: 10s].
    pub slow_start: Option<Duration>,
}

/// How places are asked whether they are well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Health {
    /// Path, and perhaps a query, below the place's own.
    pub path: String,
    /// The time from one check to the next [default: 5s].
    pub every: Option<Duration>,
    /// How long an answer may take [default: 1s].
    pub timeout: Option<Duration>,
    /// Checks in a row that fail before a place is not used [default: 3].
    pub unhealthy: Option<NonZeroU32>,
    /// Checks in a row that succeed before it is used again [default: 2].
    pub healthy: Option<NonZeroU32>,
}

impl Endpoint {
    /// The places at `endpoints`; one of them would be the upstream's own URL.
    pub(crate) fn read_all(table: &mut Table<'_>) -> Vec<Self> {
        let places: Vec<Self> = table.tables("endpoints", Self::read);
        if places.len() > ENDPOINTS_MAX {
            let message = format!("the upstream has {} endpoints, more than {ENDPOINTS_MAX}", places.len());
            table.problem_at("endpoints", message, "put a load balancer in front of so many");
        } else if table.has("endpoints") && places.len() < 2 {
            let hint = "name two or more, or leave it out: calls go to `url` then";
            table.problem_at("endpoints", "there is nothing to choose from".into(), hint);
        }
        places
    }

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let (zone, weight) = (table.optional("zone"), table.optional("weight"));
        Some(Self { url: table.required("url")?, zone, weight })
    }
}

impl Balance {
    pub(crate) fn read(table: &mut Table<'_>) -> Option<Self> {
        Some(Self {
            consecutive: table.optional("consecutive"),
            ejected: table.optional("ejected"),
            ejected_max: table.optional("ejected-max"),
            slow_start: table.optional("slow-start"),
        })
    }
}

impl Health {
    pub(crate) fn read(table: &mut Table<'_>) -> Option<Self> {
        let path: Option<String> = table.required("path");
        if path
            .as_ref()
            .is_some_and(|path| !path.starts_with('/') || path.parse::<http::uri::PathAndQuery>().is_err())
        {
            table.problem_at("path", "it is not a path".into(), "a path begins with `/`, as in `/healthz`");
        }
        let health = Self {
            every: table.optional("every"),
            timeout: table.optional("timeout"),
            unhealthy: table.optional("unhealthy"),
            healthy: table.optional("healthy"),
            path: path?,
        };
        Some(health)
    }
}
