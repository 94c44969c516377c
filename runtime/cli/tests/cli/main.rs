//! The real binary: what it prints, how it exits, and that its servers serve. What a part decides is tested beside it;
//! these tests see the command as its users do.

mod commands;
mod dev;
mod errors;
mod harness;
mod help;
mod serve;
mod slow;
