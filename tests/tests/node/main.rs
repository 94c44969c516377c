//! A whole node from the outside: what it does with requests, with guests that misbehave, and with apps that come and go.

#![allow(clippy::unwrap_used, reason = "what a test makes itself is right, or the test fails")]

mod admission;
mod bodies;
mod connections;
mod failures;
mod limits;
mod ops;
mod panics;
mod requests;
mod reuse;
mod revisions;
mod routes;
mod tenants;
mod tls;
