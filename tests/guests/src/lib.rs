//! What several guests do: answer piece by piece, on plain `wasi:http` 0.2.

use std::time::Duration;
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::OutputStream;

pub use wasip2;

/// Makes `handle(request, out)` the guest's handler.
#[macro_export]
macro_rules! guest {
    ($handle:path) => {
        struct TheGuest;

        impl $crate::wasip2::exports::http::incoming_handler::Guest for TheGuest {
            fn handle(
                request: $crate::wasip2::http::types::IncomingRequest,
                out: $crate::wasip2::http::types::ResponseOutparam,
            ) {
                $handle(request, out);
            }
        }

        $crate::wasip2::http::proxy::export!(TheGuest with_types_in $crate::wasip2);

        fn main() {
            unreachable!("a node calls `handle`");
        }
    };
}

/// A reply that has begun.
pub struct Reply {
    body: OutgoingBody,
    stream: OutputStream,
}

impl Reply {
    /// Sends the head.
    pub fn begin(out: ResponseOutparam, status: u16, headers: &[(&str, &str)]) -> Self {
        let fields = Fields::new();
        for (name, value) in headers {
            fields.append(name, value.as_bytes()).expect("the header is allowed");
        }
        let response = OutgoingResponse::new(fields);
        response.set_status_code(status).expect("the status is valid");
        let body = response.body().expect("it was not taken yet");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("it was not taken yet");
        Self { body, stream }
    }

    /// Sends some of the body, and waits until the host has taken it.
    pub fn write(&self, bytes: &[u8]) {
        // The largest piece that this call takes.
        for piece in bytes.chunks(4096) {
            self.stream.blocking_write_and_flush(piece).expect("somebody reads");
        }
    }

    /// Ends it.
    pub fn end(self) {
        self.end_with(None).expect("the body is complete");
    }

    /// Ends it with trailers.
    pub fn end_with(self, trailers: Option<Fields>) -> Result<(), wasip2::http::types::ErrorCode> {
        drop(self.stream);
        OutgoingBody::finish(self.body, trailers)
    }
}

/// A complete reply of 200 with this text.
pub fn say(out: ResponseOutparam, text: &str) {
    let reply = Reply::begin(out, 200, &[]);
    reply.write(text.as_bytes());
    reply.end();
}

/// What follows the first slash of the path.
pub fn path(request: &IncomingRequest) -> String {
    let path = request.path_with_query().unwrap_or_default();
    path.trim_start_matches('/').to_owned()
}

/// The number that the path is, if it is one.
pub fn number(request: &IncomingRequest) -> Option<u64> {
    path(request).parse().ok()
}

/// Waits.
pub fn pause(time: Duration) {
    subscribe_duration(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).block();
}

/// Waits for ever.
pub fn pause_for_ever() -> ! {
    loop {
        pause(Duration::from_secs(3600));
    }
}

/// Bytes that are written in hexadecimal.
pub fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("digits are ASCII");
            u8::from_str_radix(pair, 16).expect("these are digits")
        })
        .collect()
}

/// Calls itself, and `host` at every step, until the stack is used up.
#[expect(unconditional_recursion, reason = "that is the point")]
pub fn recurse(depth: u64, host: &mut dyn FnMut()) -> u64 {
    host();
    std::hint::black_box(depth) + recurse(depth + 1, host)
}

/// How often there was each outcome.
pub fn forked(outcomes: &[String]) -> String {
    let mut counted = std::collections::BTreeMap::<&str, usize>::new();
    for outcome in outcomes {
        *counted.entry(outcome).or_default() += 1;
    }
    counted.iter().map(|(outcome, times)| format!("{times} x {outcome}")).collect::<Vec<_>>().join(", ")
}

/// Takes 4 MiB of new memory, and fills it with a pattern or looks for what somebody left there.
pub fn scan(write: bool) -> String {
    const PAGES: usize = 64;
    const PAGE_BYTES: usize = 1 << 16;
    let first = std::arch::wasm32::memory_grow::<0>(PAGES);
    assert_ne!(first, usize::MAX, "there is room");
    // SAFETY: these pages were just added, and nobody else knows of them.
    let pages =
        unsafe { std::slice::from_raw_parts_mut((first * PAGE_BYTES) as *mut u8, PAGES * PAGE_BYTES) };
    if write {
        pages.fill(0xa5);
        return "written".to_owned();
    }
    match pages.iter().position(|byte| *byte != 0) {
        None => "clean".to_owned(),
        Some(at) => format!("there is {:#x} at {at}", pages[at]),
    }
}

/// A text that is written in hexadecimal. `~N` stands for a slash and so many letters, and what follows the number.
pub fn text(hexadecimal: &str) -> String {
    let text = String::from_utf8(unhex(hexadecimal)).expect("it is text");
    let Some(long) = text.strip_prefix('~') else { return text };
    let rest = long.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = long.strip_suffix(rest).expect("it ends with it");
    format!("/{}{rest}", "a".repeat(number.parse().expect("it is a number")))
}
