//! What an app declares in `rimward.toml`: its functions, what invokes them, and what they may use.
//!
//! Read by the command line and when a bundle is made; the node only sees the result. Problems inside the file are
//! all found here; whether the node has or allows what is named is the node's question.

mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::document;
use crate::function_limits::Limits;
use crate::host::{HostName, HostPattern};
use crate::model::Model;
use crate::name::Name;
use crate::path::AppPath;
use crate::problem::Problems;
use crate::read::{ReadError, read};
use crate::route::RoutePattern;
use crate::upstream::Upstream;

/// What one `rimward.toml` declares and what is deployed as a whole. Its JSON form has the file's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The app's name within its tenant.
    pub name: Name,
    /// A label for people; a deployment is named by its digest.
    pub version: Option<String>,
    /// At least one function.
    pub functions: BTreeMap<Name, Function>,
    /// What answers HTTP requests, in the order of the file. No two answer the same requests.
    pub http: Vec<HttpTrigger>,
    /// The named services outside the node.
    pub upstreams: BTreeMap<Name, Upstream>,
    /// The stores that say more than their name.
    pub stores: BTreeMap<Name, Store>,
    /// The models.
    pub models: BTreeMap<Name, Model>,
}

/// One component of an app, with its limits and grants. What is not granted is denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Function {
    /// The component's file, relative to the app's folder.
    pub component: PathBuf,
    /// How the component is made; only the author's tools look at it.
    pub build: Option<Build>,
    /// What an invocation may use; defaults hold for what is not named.
    #[serde(default)]
    pub limits: Limits,
    /// How many invocations one instance serves: `"fresh"`, or a number.
    #[serde(default, skip_serializing_if = "Reuse::is_fresh")]
    pub reuse: Reuse,
    /// Upstreams that it may call.
    #[serde(default)]
    pub upstreams: BTreeSet<Name>,
    /// Other hosts that it may call.
    #[serde(default)]
    pub hosts: BTreeSet<HostPattern>,
    /// Functions of the same app that it may call.
    #[serde(default)]
    pub functions: BTreeSet<Name>,
    /// Models that it may ask.
    #[serde(default)]
    pub models: BTreeSet<Name>,
    /// Key-value stores that it may open.
    #[serde(default)]
    pub stores: BTreeSet<Name>,
    /// Values that it reads through `wasi:config`; the node may replace them.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Secrets that it reads through `wasi:config`, by name.
    #[serde(default)]
    pub secrets: BTreeSet<Name>,
}

/// How a component is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Build {
    /// A command line for the shell.
    pub command: String,
    /// Where it runs, relative to the app's folder; the folder itself by default.
    pub dir: Option<PathBuf>,
    /// Glob patterns of the files that it is made from, relative to where it runs; a change of one builds again.
    #[serde(default)]
    pub watch: Vec<String>,
}

/// How many invocations one instance serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reuse {
    /// One: every invocation has an instance of its own.
    #[default]
    Fresh,
    /// So many, one after the other; at least 2.
    Times(u32),
}

/// HTTP requests that a function answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpTrigger {
    /// `METHOD[,METHOD] /path/:name/*rest`; every method where none is named.
    pub route: RoutePattern,
    /// The host, `*.` and a host, or `*`, within the tenant's hosts.
    #[serde(default)]
    pub host: HostName,
    /// The function.
    pub function: Name,
}

/// A named key-value store. One that a function is granted needs no declaration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Store {
    /// Where its entries live.
    pub kind: StoreKind,
    /// When a write returns.
    pub durability: Durability,
}

/// Where a store's entries live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// On disk, through restarts and revisions.
    #[default]
    Durable,
    /// In memory, until the node ends.
    Memory,
}

/// When a write to a durable store returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// After the commit that contains it: a power cut loses nothing.
    #[default]
    Commit,
    /// At once; a commit follows within the store's interval, and a power cut loses what came since the last.
    Interval,
}

/// Why bytes are not the JSON form of an app.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// No JSON, or a value that a declaration cannot have.
    #[error("the declaration is not readable")]
    Json(#[from] serde_json::Error),
    /// A value that TOML cannot say.
    #[error("the declaration has another shape")]
    Shape(#[from] toml::ser::Error),
    /// It can be read, and something in it is wrong.
    #[error(transparent)]
    Invalid(Problems),
}

impl App {
    /// The app that `text` declares, or every problem in it.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        document::parse("rimward.toml", text, walk::app)
    }

    /// The app that `json` declares: its JSON form, which has the file's shape. Problems name the lines of that file,
    /// as this app would write it.
    pub fn parse_json(json: &[u8]) -> Result<Self, JsonError> {
        let table: toml::Table = serde_json::from_slice(json)?;
        let text = toml::to_string(&table)?;
        document::parse("the app's declaration", &text, walk::app).map_err(JsonError::Invalid)
    }

    /// The app that the file at `path` declares.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        read(
            path,
            "`rimward new NAME` makes a new app; in an existing one, run this in its folder",
            Self::parse,
        )
    }

    /// An app of one function without any grant, which answers every request.
    pub fn of_component(name: Name, component: PathBuf) -> Self {
        let function = Function::of_component(component);
        let everything =
            HttpTrigger { route: RoutePattern::everything(), host: HostName::Any, function: name.clone() };
        Self {
            name: name.clone(),
            version: None,
            functions: BTreeMap::from([(name, function)]),
            http: vec![everything],
            upstreams: BTreeMap::new(),
            stores: BTreeMap::new(),
            models: BTreeMap::new(),
        }
    }

    /// The store `name`: as declared, or with every default.
    pub fn store(&self, name: &str) -> Store {
        self.stores.get(name).cloned().unwrap_or_default()
    }

    /// Every secret that the app needs: those that functions read and those that upstream calls carry.
    pub fn secrets(&self) -> BTreeSet<&Name> {
        let read = self.functions.values().flat_map(|function| &function.secrets);
        let carried = self.upstreams.values().flat_map(Upstream::secrets);
        read.chain(carried).collect()
    }

    /// Every file besides the components that belongs to the app.
    pub fn files(&self) -> BTreeSet<&AppPath> {
        let models = self.models.values().filter_map(|model| Some(&model.local.as_ref()?.file));
        self.upstreams.values().flat_map(Upstream::app_files).chain(models).collect()
    }

    /// Whether a file that belongs to the app is a model, which is larger than other files.
    pub fn is_model(&self, path: &AppPath) -> bool {
        self.models.values().any(|model| model.local.as_ref().is_some_and(|local| local.file == *path))
    }
}

impl Function {
    /// A function with the default limits and no grant.
    pub fn of_component(component: PathBuf) -> Self {
        Self {
            component,
            build: None,
            limits: Limits::default(),
            reuse: Reuse::Fresh,
            upstreams: BTreeSet::new(),
            hosts: BTreeSet::new(),
            functions: BTreeSet::new(),
            models: BTreeSet::new(),
            stores: BTreeSet::new(),
            config: BTreeMap::new(),
            secrets: BTreeSet::new(),
        }
    }
}

impl Reuse {
    fn is_fresh(&self) -> bool {
        *self == Self::Fresh
    }
}

impl Serialize for Reuse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fresh => serializer.serialize_str("fresh"),
            Self::Times(times) => serializer.serialize_u32(*times),
        }
    }
}

impl JsonSchema for Reuse {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Reuse".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "oneOf": [{ "const": "fresh" }, { "type": "integer", "minimum": 1 }] })
    }
}

/// The shape of `rimward.toml`, for its JSON form and its schema.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Shape<'a> {
    app: Header<'a>,
    /// The functions by name.
    function: &'a BTreeMap<Name, Function>,
    /// What invokes the functions.
    trigger: Option<Triggers<'a>>,
    /// The named services outside the node, by name.
    upstream: Option<&'a BTreeMap<Name, Upstream>>,
    /// The stores that say more than their name, by name.
    store: Option<&'a BTreeMap<Name, Store>>,
    /// The models, by name.
    model: Option<&'a BTreeMap<Name, Model>>,
}

/// The app as a whole.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    /// The app's name within its tenant.
    name: &'a Name,
    /// A label for people; a deployment is named by its digest.
    version: Option<&'a str>,
}

/// What invokes the functions.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Triggers<'a> {
    /// HTTP requests.
    http: Option<&'a [HttpTrigger]>,
}

impl Serialize for App {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shape = Shape {
            app: Header { name: &self.name, version: self.version.as_deref() },
            function: &self.functions,
            trigger: Some(Triggers { http: Some(&self.http) }),
            upstream: Some(&self.upstreams),
            store: Some(&self.stores),
            model: Some(&self.models),
        };
        shape.serialize(serializer)
    }
}

impl JsonSchema for App {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "App".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Shape::json_schema(generator)
    }
}
