//! Calls to fake services on loopback: whole exchanges over real sockets, by topic.
#![allow(clippy::unwrap_used, reason = "tests")]

mod bodies;
mod early;
mod egress;
mod malformed;
mod names;
mod pool;
mod support;
mod timeouts;
mod tls;
