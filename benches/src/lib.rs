//! Measuring programs: each prints a table of ratios to something that was run beside it.
//!
//! `rimward-bench compare` measures a node against a server without functions and against `wasmtime serve`; `rimward-bench
//! load` is its load generator alone. `cargo xtask bench` builds what they need and runs them. Absolute figures depend on
//! the machine and on what else it does; the ratios within a round are what to look at.

pub mod apps;
pub mod bare_hyper;
pub mod contestants;
pub mod footprint;
pub mod histogram;
pub mod limits;
pub mod load;
pub mod machine;
pub mod process;
pub mod reply;
pub mod report;
pub mod rounds;
pub mod server;
