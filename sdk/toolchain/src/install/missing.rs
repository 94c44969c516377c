//! Functions that Rust's standard library refers to and an old wasi-libc lacks: threads, sockets, some of the file API.
//!
//! A guest that never uses them links without them. A guest that does gets the error that a platform without the
//! feature would give, which the standard library passes on. They are written in Rust and compiled into the libc of the
//! assembled toolchain, each only if that libc lacks it.

/// What the functions share. The numbers are wasi-libc's: `errno.h` and `netdb.h`.
const PRELUDE: &str = "\
#![no_std]
#![allow(unused)]
use core::ffi::{c_char, c_int};
unsafe extern \"C\" { static mut errno: c_int; }
const EAGAIN: c_int = 6;
const ENOTSUP: c_int = 58;
const EAI_FAIL: c_int = -4;
fn unsupported() -> c_int { unsafe { errno = ENOTSUP }; -1 }
";

const UNSUPPORTED: &str = "-> c_int { unsupported() }";
const ZERO: &str = "-> c_int { 0 }";

/// Name, number of arguments (all are one word; the linker refuses a call with another number), result and body.
const MISSING: &[(&str, usize, &str)] = &[
    ("bind", 3, UNSUPPORTED),
    ("chmod", 2, UNSUPPORTED),
    ("connect", 3, UNSUPPORTED),
    ("fchmod", 2, UNSUPPORTED),
    ("freeaddrinfo", 1, "{}"),
    ("gai_strerror", 1, "-> *const c_char { c\"not supported\".as_ptr() }"),
    ("getaddrinfo", 4, "-> c_int { EAI_FAIL }"),
    ("getpeername", 3, UNSUPPORTED),
    ("getsockname", 3, UNSUPPORTED),
    ("listen", 2, UNSUPPORTED),
    ("pthread_attr_destroy", 1, ZERO),
    ("pthread_attr_init", 1, ZERO),
    ("pthread_attr_setstacksize", 2, ZERO),
    ("pthread_create", 4, "-> c_int { EAGAIN }"),
    ("pthread_detach", 1, ZERO),
    ("pthread_join", 2, ZERO),
    ("realpath", 2, "-> *mut c_char { unsupported(); core::ptr::null_mut() }"),
    ("recvfrom", 6, UNSUPPORTED),
    ("sendto", 6, UNSUPPORTED),
    ("setsockopt", 5, UNSUPPORTED),
    ("socket", 3, UNSUPPORTED),
];

/// The source of a crate with the functions that are not `defined`, or `None` when all are.
pub(super) fn source(defined: impl Fn(&str) -> bool) -> Option<String> {
    let missing = MISSING.iter().filter(|(name, ..)| !defined(name));
    let functions: String = missing.map(|(name, arguments, body)| function(name, *arguments, body)).collect();
    (!functions.is_empty()).then(|| PRELUDE.to_owned() + &functions)
}

fn function(name: &str, arguments: usize, body: &str) -> String {
    let arguments = vec!["_: usize"; arguments].join(", ");
    format!("#[unsafe(no_mangle)] extern \"C\" fn {name}({arguments}) {body}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_libc_lacks_is_added() {
        let source = source(|name| name != "realpath" && name != "chmod").unwrap();
        assert!(source.contains("fn chmod(_: usize, _: usize) -> c_int { unsupported() }"));
        assert!(source.contains("fn realpath("));
        assert!(!source.contains("fn bind("));
    }

    #[test]
    fn nothing_is_added_to_a_complete_libc() {
        assert_eq!(source(|_| true), None);
    }
}
