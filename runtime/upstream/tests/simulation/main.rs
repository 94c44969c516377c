//! The whole policy stack against simulated upstreams, under a paused clock.
//!
//! Each seed is a schedule: calls that arrive, and an upstream that errs, hangs, slows down, restarts and is cut off. What
//! must hold for every schedule is checked for each call and at the end. A seed that breaks it prints the line that
//! runs it again.

mod fleet;
mod invariants;
mod schedule;
mod world;
