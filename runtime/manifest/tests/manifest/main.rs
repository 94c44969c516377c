//! The two files from the outside: what is read, what is refused and how that looks, routes, schemas.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod app;
mod node;
mod problems;
mod read;
mod routes;
mod schema;
