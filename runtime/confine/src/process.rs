//! What a process as a whole gives up.

use crate::limits::COMPILER_DESCRIPTORS;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Programs that it executes get no more rights than it has, whatever their file says (setuid).
pub(crate) fn no_new_privileges() -> Result<(), String> {
    rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string())
}

/// Its memory, with the secrets in it, is never written to a file.
pub(crate) fn no_core_dump() -> Result<(), String> {
    at_most(Resource::Core, 0)
}

pub(crate) fn few_descriptors() -> Result<(), String> {
    at_most(Resource::Nofile, COMPILER_DESCRIPTORS)
}

fn at_most(resource: Resource, value: u64) -> Result<(), String> {
    let limit = Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(resource, limit).map_err(|error| error.to_string())
}
