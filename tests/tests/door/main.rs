//! The front door: clients that break their protocol, or keep it only to make work.

#![allow(clippy::unwrap_used, reason = "what a test makes itself is right, or the test fails")]

mod caps;
mod clients;
mod floods;
mod http2;
mod mutations;
mod smuggling;
