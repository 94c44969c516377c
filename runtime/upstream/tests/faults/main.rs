//! The policy stack over real sockets: a server behind a proxy that makes faults, and callers at a steady rate.
//!
//! The normal run takes a sample of a few seconds; the slow tier takes the whole minute.

mod proxy;
mod rate;
