//! `wasi:http`, 0.2 and 0.3: how a request enters a guest ([`Call`]), how its reply leaves ([`Reply`]), and where its own
//! outgoing requests may go ([`Grant`]).

mod bodies;
mod body_errors;
mod call;
mod deferred;
mod errors;
mod idle;
mod models;
mod outgoing;
mod reply;
mod wall;

pub use bodies::{BodyFault, BodyLimits, RequestBody};
pub use call::{Call, ClientScheme, Closing, GuestFailure, InstanceUse, Invocation, StreamLimits};
pub use deferred::Deferral;
pub use errors::{AnswerBlame, answer_blame, answer_text, from_upstream, to_upstream};
pub(crate) use models::Asker;
pub(crate) use outgoing::Outgoing;
pub use outgoing::{Grant, Invoke, InvokeError};
pub use reply::{Reply, ReplyBody, ReplyError};
pub use wall::Wall;

use crate::State;
use rimward_engine::Generation;
use wasmtime::component::Linker;

pub(crate) fn link(linker: &mut Linker<State>, generation: Generation) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    body_errors::link(linker)?;
    match generation {
        Generation::Plain => Ok(()),
        Generation::Concurrent => wasmtime_wasi_http::p3::add_to_linker(linker),
    }
}
