//! From the document to an [`App`], with the checks that need more than one place of the file.

use std::num::NonZeroU32;

use toml::de::DeValue;

use super::{App, Build, Durability, Function, HttpTrigger, Reuse, Store, StoreKind};
use crate::document::Table;
use crate::function_limits::Limits;
use crate::limits::{FUNCTIONS_MAX, ROUTES_MAX};
use crate::model::Model;
use crate::scalar::{Scalar, Trouble, choice};
use crate::table::RouteTable;
use crate::upstream::Upstream;

/// What other tables of the file may be referred to.
struct Declared<'t> {
    functions: Vec<&'t str>,
    upstreams: Vec<&'t str>,
    models: Vec<&'t str>,
}

pub(super) fn app(root: &mut Table<'_>) -> Option<App> {
    let declared = Declared {
        functions: root.names_of("function"),
        upstreams: root.names_of("upstream"),
        models: root.names_of("model"),
    };
    let header = root.table("app", |table| Some((table.required("name"), table.optional("version"))));
    if !root.has("app") {
        root.missing::<()>("app", "an app begins with `[app]` and its `name`");
    }
    let functions = root.named("function", |table| function(table, &declared));
    check_functions(root, declared.functions.len(), !declared.models.is_empty());
    let http = root.table("trigger", |table| http(table, &declared)).unwrap_or_default();
    let upstreams = root.named("upstream", |table| Upstream::read(table, &declared.functions));
    let stores = root.named("store", store);
    let models = root.named("model", |table| Model::read(table, &declared.upstreams));
    let (name, version) = header?;
    Some(App { name: name?, version, functions, http, upstreams, stores, models })
}

/// An app of models alone serves them to others, by a node's `[trigger.inference]`.
fn check_functions(root: &Table<'_>, count: usize, has_models: bool) {
    if count == 0 && !has_models {
        let remedy = "declare a function as `[function.NAME]`, or a model as `[model.NAME]`";
        root.problem_at("function", "the app has no function and no model".into(), remedy);
    } else if count > FUNCTIONS_MAX {
        let message = format!("the app has {count} functions, more than {FUNCTIONS_MAX}");
        root.problem_at("function", message, "make two apps of it");
    }
}

fn function(table: &mut Table<'_>, declared: &Declared<'_>) -> Option<Function> {
    table.not_yet(&["publishes"]);
    let component = table.required("component");
    let function = Function {
        build: table.table("build", build),
        limits: table.table("limits", Limits::read).unwrap_or_default(),
        reuse: table.optional("reuse").unwrap_or_default(),
        upstreams: table.references("upstreams", "upstream", &declared.upstreams),
        hosts: table.list("hosts"),
        functions: table.references("functions", "function", &declared.functions),
        models: table.references("models", "model", &declared.models),
        stores: table.list("stores"),
        config: table.map("config"),
        secrets: table.list("secrets"),
        component: component?,
    };
    for secret in function.secrets.iter().filter(|secret| function.config.contains_key(secret.as_str())) {
        let message = format!("`{secret}` is a config key and a secret of the same function");
        table.problem_at(
            "secrets",
            message,
            "a function reads both through `wasi:config`: rename one of them",
        );
    }
    Some(function)
}

fn build(table: &mut Table<'_>) -> Option<Build> {
    let command = table.required("command");
    Some(Build { dir: table.optional("dir"), watch: table.list("watch"), command: command? })
}

fn http(table: &mut Table<'_>, declared: &Declared<'_>) -> Option<Vec<HttpTrigger>> {
    table.not_yet(&["cron", "message"]);
    let mut routes = RouteTable::default();
    let triggers = table.tables("http", |table| http_trigger(table, declared, &mut routes));
    if triggers.len() > ROUTES_MAX {
        let message = format!("the app has {} routes, more than {ROUTES_MAX}", triggers.len());
        table.problem_at("http", message, "let one function answer several of them");
    }
    Some(triggers)
}

fn http_trigger(
    table: &mut Table<'_>,
    declared: &Declared<'_>,
    routes: &mut RouteTable<()>,
) -> Option<HttpTrigger> {
    let function = table.required_reference("function", "function", &declared.functions);
    let host = table.optional("host").unwrap_or_default();
    let route = table.required("route")?;
    if let Err(conflict) = routes.insert(&host, &route, ()) {
        table.problem_at("route", conflict.to_string(), "let them differ in method, host or path");
    }
    Some(HttpTrigger { route, host, function: function? })
}

fn store(table: &mut Table<'_>) -> Option<Store> {
    Some(Store {
        kind: table.optional("kind").unwrap_or_default(),
        durability: table.optional("durability").unwrap_or_default(),
    })
}

impl Scalar for StoreKind {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        choice(value, &[("durable", Self::Durable), ("memory", Self::Memory)])
    }
}

impl Scalar for Durability {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        choice(value, &[("commit", Self::Commit), ("interval", Self::Interval)])
    }
}

impl Scalar for Reuse {
    const HINT: &'static str = "`\"fresh\"`, or the number of invocations that one instance serves";

    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        match value {
            DeValue::Integer(_) => NonZeroU32::scalar(value).map(|times| match times.get() {
                1 => Self::Fresh,
                times => Self::Times(times),
            }),
            other => choice(other, &[("fresh", Self::Fresh)]),
        }
    }
}
