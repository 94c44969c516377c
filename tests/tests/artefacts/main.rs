//! What a node is given to run, and what it keeps of it: components that are damaged, wrong or made to exhaust the
//! compiler, names that lead elsewhere, and a compile cache that somebody tampers with or that has no room.

#![allow(clippy::unwrap_used, reason = "what a test makes itself is right, or the test fails")]
#![expect(clippy::print_stderr, reason = "the figures say how close to a bound it came")]

mod bombs;
mod cache;
mod code;
mod damage;
mod disk;
mod names;
