//! What only shows under load: a proxy that must not lose a request, and neighbours of a function that misbehaves. The
//! usual run takes a sample; the module `slow` of each takes the whole.

#![expect(clippy::print_stderr, reason = "the figures are what it is run for")]

mod clients;
mod memory;
mod neighbours;
mod origin;
mod overload;
mod proxy;
