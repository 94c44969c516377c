//! What answers in an upstream's place when it does not, as declared.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use toml::de::DeValue;

use crate::document::Table;
use crate::duration::Duration;
use crate::header::HeaderKey;
use crate::name::Name;
use crate::path::AppPath;
use crate::scalar::{Scalar, Trouble};

/// What answers in the upstream's place: a function, else a fixed reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fallback {
    /// How long past its time a kept answer is given instead, where there is one.
    pub cached: Option<Duration>,
    /// The function of the app that is asked. It gets the call, and `rimward-fallback-reason`.
    pub function: Option<Name>,
    /// The status of the fixed reply.
    #[schemars(range(min = 200, max = 599))]
    pub status: Option<ReplyStatus>,
    /// Its headers.
    #[serde(default)]
    pub headers: BTreeMap<HeaderKey, String>,
    /// Its body.
    pub body: Option<String>,
    /// A file of the app that is its body.
    pub file: Option<AppPath>,
}

/// A status that a reply may end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct ReplyStatus(u16);

impl ReplyStatus {
    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Fallback {
    /// `functions` are those of the app.
    pub(crate) fn read(table: &mut Table<'_>, functions: &[&str]) -> Option<Self> {
        let fallback = Self {
            cached: table.optional("cached"),
            function: table.optional_reference("function", "function", functions),
            status: table.optional("status"),
            headers: table.map("headers"),
            body: table.optional("body"),
            file: table.optional("file"),
        };
        if fallback.status.is_none() {
            let of_reply = [
                ("headers", !fallback.headers.is_empty()),
                ("body", fallback.body.is_some()),
                ("file", fallback.file.is_some()),
            ];
            for (key, _) in of_reply.into_iter().filter(|(_, is_there)| *is_there) {
                let message = format!("`{key}` belongs to a fixed reply, which has no `status`");
                table.problem_at(key, message, "say its `status`, as in `status = 200`");
            }
            if !["cached", "function", "status", "headers", "body", "file"].iter().any(|key| table.has(key)) {
                let hint = "name a `function` of the app, the time for which a `cached` answer is good enough, or the `status` and `body` of a fixed reply";
                table.problem_at("function", "there is nothing to answer with".into(), hint);
            }
        }
        if fallback.body.is_some() && fallback.file.is_some() {
            table.problem_at("file", "the reply has a `body` and a `file`".into(), "leave one of them out");
        }
        for (key, value) in &fallback.headers {
            if http::HeaderValue::from_str(value).is_err() {
                let message = format!("the value of `{key}` cannot stand in a header");
                table.problem_at("headers", message, "a value is one line of visible characters");
            }
        }
        Some(fallback)
    }
}

impl Scalar for ReplyStatus {
    const HINT: &'static str = "a status from 200 to 599";

    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        let status = u32::scalar(value)?;
        match u16::try_from(status).ok().filter(|status| (200..600).contains(status)) {
            Some(status) => Ok(Self(status)),
            None => Err(Trouble::new(format!("{status} is not the status of a reply"))),
        }
    }
}
