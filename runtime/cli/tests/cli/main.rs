//! The real binary: what it prints, how it exits, and that its servers serve. What a part decides is tested beside it;
//! these tests see the command as its users do.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

mod commands;
mod compare;
mod confine;
mod dev;
mod errors;
mod fault;
mod harness;
mod help;
mod mock;
mod models;
mod outbox;
mod reload;
mod restart;
mod serve;
mod signals;
mod slow;
mod throttled;
