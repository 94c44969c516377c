//! What a function may import, and the state of one instance.
//!
//! Every capability is one module with the same four plain functions, called in this order:
//! - `link`, once per process: adds its interfaces, in every version that guests in the wild import, to the linker;
//! - `grant`, once per revision: checks what the app asks for, and may refuse ([`Refused`]);
//! - `open`, once per instance: the state that an instance gets;
//! - `close`, when the invocation ends: what it releases and counts.
//!
//! A capability is one folder, one field in [`State`] and one line in [`imports`]. It sees no trigger and no route: who
//! calls a function hands over a plain HTTP request ([`Function::call`]) and the [`Invocation`] it belongs to.

mod clocks;
pub mod config;
mod function;
pub mod http;
mod imports;
pub mod keyvalue;
pub mod limits;
mod linkers;
pub mod logging;
pub mod models;
pub mod nn;
mod offences;
mod state;
mod traced;

pub use clocks::Clocks;
pub use function::{Abi, Function, Grants, Instance, Refused};
pub use http::{
    AnswerBlame, BodyFault, BodyLimits, Call, ClientScheme, Closing, GuestFailure, InstanceUse, Invocation,
    Invoke, InvokeError, Reply, ReplyBody, ReplyError, RequestBody, StreamLimits, Wall, answer_blame,
    answer_text,
};
pub use linkers::Linkers;
pub use logging::{Level, Line, Logs};
pub use models::ModelGrant;
pub use offences::{Offence, Offences};
pub use state::State;
pub use wasmtime_wasi_http::Error as HttpError;
