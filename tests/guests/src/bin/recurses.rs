//! Calls itself without end.

use rimward_test_guests::guest;
use std::hint::black_box;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(_request: IncomingRequest, _out: ResponseOutparam) {
    black_box(deeper(0));
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn deeper(depth: u64) -> u64 {
    let here = black_box([depth; 16]);
    deeper(depth + 1).wrapping_add(here[7])
}

guest!(handle);
