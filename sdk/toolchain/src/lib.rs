//! The guest toolchain: the one place that decides which Rust builds components.
//!
//! `rimward build`, `dev`, `test` and `doctor` and this repository's chores all call [`find()`], and run what it returns.
//! It is the default toolchain where that has the target [`TARGET`], otherwise the rustup toolchain named [`LINKED`],
//! which [`install()`] assembles from Debian's packages on machines that cannot download Rust's own build of the target.
//! `RIMWARD_GUEST_TOOLCHAIN` names another one.
//!
//! The crate prints nothing: [`install()`] tells its caller what it does. It knows no project layout and no manifest.
//! Every command that runs unattended has a time limit ([`limits`]).

mod command;
mod environment;
mod find;
mod guest;
mod install;
pub mod limits;

pub use command::CommandError;
pub use find::{NoToolchain, find};
pub use guest::{BuildError, GuestToolchain};
pub use install::{InstallError, Step, WayError, install};

/// The target that components are built for.
pub const TARGET: &str = "wasm32-wasip2";

/// The rustup toolchain that [`install()`] links.
pub const LINKED: &str = "rimward-wasi";

/// The environment variable that says where [`install()`] takes a missing toolchain from: `debian` leaves rustup out.
pub const SOURCE: &str = "RIMWARD_TOOLCHAIN_FROM";

/// The environment variable that names the rustup toolchain to build guests with.
pub const CHOICE: &str = "RIMWARD_GUEST_TOOLCHAIN";
