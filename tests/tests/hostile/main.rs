//! Functions that mean harm, of `wasi:http` 0.2 and 0.3 alike: what each does, what it comes to, and that nobody else
//! notices. One file for a group of faults; the guests are `hostile-02` and `hostile-03`, which do the same things, and
//! components written by hand where no compiler would make them.

mod advisories;
mod clocks;
mod egress;
mod features;
mod handles;
mod headers;
mod memory;
mod offences;
mod reuse;
mod stack;
mod stops;
mod store;
mod streams;
mod support;
