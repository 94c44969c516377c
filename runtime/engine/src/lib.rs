//! WebAssembly and nothing else: how components are compiled, cached and loaded, and how a guest is limited, metered and
//! kept from stalling its neighbours.
//!
//! The engine knows no manifest, no route, no tenant and no HTTP. Whoever embeds it brings the state of an instance (any
//! type that is [`Metered`]) and the linker.
//!
//! The life of a guest here: [`Engine::load`] turns bytes into [`Code`]; [`Engine::store`] makes a limited store for one
//! instance; the embedder's future that instantiates and calls is given to [`Engine::run`], which charges its CPU time,
//! interrupts it when its budget is spent, and moves it off the caller's thread when it does not yield in time.

mod cache;
mod code;
#[cfg(feature = "compile")]
mod compile;
mod config;
mod engine;
mod features;
mod hogs;
#[cfg(feature = "compile")]
mod inspect;
pub mod limits;
mod meter;
mod parts;
mod pool;
mod room;
mod run;
mod share;
mod ticker;

#[doc(hidden)]
pub use cache::is_authentic;
pub use cache::{Cache, CacheError};
pub use code::{Code, Generation, LoadError, Origin, Source};
#[cfg(feature = "compile")]
pub use compile::{ChildLimits, CompileError, Compiler, compile_stdio};
/// How components are compiled: a build without the feature `compile` has no way.
#[cfg(not(feature = "compile"))]
#[derive(Debug)]
pub enum Compiler {}

pub use config::{Settings, StackZeroing, precompiled_key};
pub use engine::{Engine, EngineError};
pub use hogs::Hogs;
#[cfg(feature = "compile")]
pub use inspect::inspect;
pub use meter::{GuestLimits, Meter, Metered, Stop, Usage};
pub use pool::{Machine, PoolSize, Pooling};
pub use room::{Needs, NoRoom, Room};
pub use run::{Lost, Run, Yielding};
pub use share::{Budget, Share, Starved};
