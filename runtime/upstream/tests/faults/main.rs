//! The policy stack over real sockets: a server behind a proxy that makes faults, and callers at a steady rate.
//!
//! The normal run takes a sample of a few seconds; the slow tier takes the whole minute.

#![expect(clippy::print_stdout, reason = "the measured figures, for who runs it by hand")]

mod proxy;
mod rate;
