//! `/write` takes 4 MiB of memory and fills it with a pattern; any other path takes as much and looks for what somebody
//! left there.

use rimward_test_guests::{guest, path, say};
use std::arch::wasm32::memory_grow;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

const PAGES: usize = 64;
const PAGE_BYTES: usize = 1 << 16;

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    // Read before: reading takes memory too.
    let path = path(&request);
    let first = memory_grow::<0>(PAGES);
    assert_ne!(first, usize::MAX, "there is room");
    // SAFETY: these pages were just added, and nobody else knows of them.
    let pages =
        unsafe { std::slice::from_raw_parts_mut((first * PAGE_BYTES) as *mut u8, PAGES * PAGE_BYTES) };
    if path == "write" {
        pages.fill(0xa5);
        return say(out, "written\n");
    }
    match pages.iter().position(|byte| *byte != 0) {
        None => say(out, "clean\n"),
        Some(at) => say(out, &format!("there is {:#x} at {at}\n", pages[at])),
    }
}

guest!(handle);
