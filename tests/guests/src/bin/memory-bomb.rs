//! Takes memory until there is no more.

use rimward_test_guests::guest;
use std::hint::black_box;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(_request: IncomingRequest, _out: ResponseOutparam) {
    let mut taken = Vec::new();
    loop {
        taken.push(vec![1_u8; 1 << 20]);
        black_box(&taken);
    }
}

guest!(handle);
