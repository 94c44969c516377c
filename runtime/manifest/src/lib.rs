//! What an app and a node declare: `rimward.toml` becomes an [`App`], `node.toml` a [`NodeFile`].
//!
//! Every other crate that must know what was declared reads these types; the command line prints the
//! [`Problems`] of a file. Pure data: nothing here opens a socket, compiles, or knows whether a named thing
//! exists outside the two files. The only I/O is reading the file itself, bounded by
//! [`limits::FILE_BYTES_MAX`]. A file is taken whole or refused whole, with every problem in it.

mod app;
mod bytes;
mod cores;
mod document;
mod duration;
mod fault;
mod function_limits;
mod header;
mod host;
pub mod limits;
mod model;
mod name;
mod net;
mod node;
mod path;
mod problem;
mod read;
mod route;
mod scalar;
pub mod schema;
mod table;
mod text;
mod upstream;
mod url;

pub use app::{App, Build, Durability, Function, HttpTrigger, JsonError, Reuse, Store, StoreKind};
pub use bytes::{Bytes, BytesError};
pub use cores::{Cores, CoresError};
pub use duration::{Duration, DurationError};
pub use fault::{Fault, FaultError, FaultKind, FaultRule, FaultTarget};
pub use function_limits::{AboveCeiling, FunctionLimits, Limits};
pub use header::{HeaderError, HeaderKey, HeaderKeyError, HeaderTemplate, Part};
pub use host::{HostError, HostName, HostPattern, Scheme};
pub use model::{
    Confidence, ConfidenceRule, LocalModel, Model, ModelMode, ModelPlace, ModelProtocol, RemoteModel,
};
pub use name::{Name, NameError};
pub use net::{AllowNet, AllowNetError, Port};
pub use node::{
    Admin, AppEntry, Bind, Certificate, Compile, Confine, EnvironmentError, InferenceTrigger, Log, LogFormat,
    LogLevel, LogRequests, Models, Node, NodeFile, NodeLimits, Ops, Quota, Secret, Tenant, Tls, Triggers,
    UpstreamBinding,
};
pub use path::{AppPath, AppPathError, FileAt};
pub use problem::{Colour, Place, Problem, Problems};
pub use read::ReadError;
pub use route::{Methods, RouteError, RoutePattern, Segment};
pub use table::{Conflict, Lookup, Params, RouteTable};
pub use upstream::{
    Auth, Aws, Backoff, BackoffError, Balance, Bulkhead, Cache, CircuitBreaker, ClientAuth,
    ClientCertificate, Deferred, Endpoint, Fallback, Health, Hedge, HedgeAfter, OAuth, Outbox, OutboxOrder,
    Percent, PercentError, ReplyStatus, Retry, RetryOn, RetryOnError, Timeouts, Upstream, UpstreamTimeouts,
    WhenDamaged, WhenFull,
};
pub use url::{BaseUrl, BaseUrlError};
