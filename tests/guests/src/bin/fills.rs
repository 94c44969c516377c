//! Fills 32 MiB of memory again and again: single instructions that take long.

use rimward_test_guests::guest;
use std::hint::black_box;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(_request: IncomingRequest, _out: ResponseOutparam) {
    let mut memory = vec![0_u8; 32 << 20];
    loop {
        for byte in 0..=u8::MAX {
            black_box(&mut memory).fill(byte);
        }
    }
}

guest!(handle);
