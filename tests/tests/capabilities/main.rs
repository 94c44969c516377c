//! What a function may import and where it may call, end to end: a whole node, a guest that does what the test asks, and
//! fake upstreams. One module for each capability.

mod cache;
mod calls;
mod config;
mod credentials;
mod endpoints;
mod fallback;
mod functions;
mod inference;
mod keyvalue;
mod link;
mod logs;
mod models;
mod outbox;
mod sdk;
mod support;
mod upstreams;
