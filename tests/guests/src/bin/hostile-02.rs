//! What a function should not do, on plain `wasi:http` 0.2. The path says what, as in `hostile-03`; arguments that may be
//! any bytes are hexadecimal.

use rimward_test_guests::{
    Reply, forked, guest, path, pause, pause_for_ever, recurse, say, scan, text, unhex,
};
use std::hint::black_box;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use wasip2::clocks::monotonic_clock::{now, subscribe_duration};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, Method, OutgoingBody, OutgoingRequest, OutgoingResponse,
    RequestOptions, ResponseOutparam, Scheme,
};

static COUNT: AtomicU32 = AtomicU32::new(0);

const HOUR: u64 = 3_600_000_000_000;

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let path = path(&request);
    let parts: Vec<_> = path.split('/').collect();
    let arg = |n: usize| parts.get(n + 1).copied().unwrap_or_default();
    let number = |n: usize| arg(n).parse::<usize>().unwrap_or_default();
    match parts[0] {
        "trap" => std::process::abort(),
        "no-response" => std::process::exit(0),
        "spin" => spin(),
        "yield" | "wait-zero" => loop {
            pause(Duration::ZERO);
        },
        "wait-least" => loop {
            pause(Duration::from_nanos(1));
        },
        "fill" => fill(number(0)),
        "recurse" => {
            let depth = recurse(0, &mut || {
                black_box(now());
            });
            say(out, &depth.to_string());
        }
        "never" => pause_for_ever(),
        "trap-midway" => {
            let _reply = begin(out);
            std::process::abort();
        }
        "spin-midway" => {
            let _reply = begin(out);
            spin();
        }
        "stalls" => {
            let _reply = begin(out);
            pause_for_ever();
        }
        "drips" => {
            let reply = Reply::begin(out, 200, &[]);
            loop {
                reply.write(b".");
                pause(Duration::from_millis(5));
            }
        }
        "lingers" => {
            say(out, "done");
            pause_for_ever();
        }
        "spins-on" => {
            say(out, "done");
            pause(Duration::from_millis(1));
            spin();
        }
        "takes-nothing" => {
            drop(request);
            say(out, "answered");
        }
        "takes-a-byte" => {
            let body = request.consume().expect("it was not taken yet");
            let stream = body.stream().expect("it was not taken yet");
            stream.blocking_read(1).expect("there is a byte");
            drop(stream);
            drop(body);
            say(out, "answered");
        }
        "fields" => held(out, (0..number(0)).map(|_| Fields::new())),
        "pollables" => held(out, (0..number(0)).map(|_| subscribe_duration(24 * HOUR))),
        "header" => header(out, &unhex(arg(0)), &unhex(arg(1))),
        "trailer" => trailer(out, &unhex(arg(0)), &unhex(arg(1))),
        "lengths" => lengths(out, arg(0), arg(1), number(2)),
        "status" => {
            let reply = Reply::begin(out, u16::try_from(number(0)).expect("it is a status"), &[]);
            reply.write(b"a body");
            reply.end();
        }
        "hands" => {
            if let Some((out, was)) = hand_over(out, arg(0), number(1)) {
                say(out, &was);
            }
        }
        "stdout" => {
            for line in 0..number(0) {
                writeln!(std::io::stdout(), "\x1b[31mline {line}\r\0{}", "x".repeat(1_000))
                    .expect("it is taken");
            }
            say(out, "true");
        }
        "forbidden" => {
            let fields = Fields::new();
            for _ in 0..3 {
                fields.append("connection", b"close").expect_err("it is forbidden");
            }
            say(out, "coped");
        }
        "send" => {
            let text = |n| text(arg(n));
            let sent = start(&text(0), &text(1), &text(2), &text(3), None);
            say(out, &sent.finish());
        }
        "waits-for" => {
            let ns = arg(0).parse().expect("it is a time");
            let sent = start("http", "origin.upstream.internal", "/", "GET", Some(ns));
            say(out, &sent.finish());
        }
        "parallel" => {
            let all: Vec<_> =
                (0..number(0)).map(|_| start("http", "origin.upstream.internal", "/", "GET", None)).collect();
            let outcomes: Vec<_> = all.into_iter().map(Sent::finish).collect();
            say(out, &forked(&outcomes));
        }
        "fork" => {
            let both = [(); 2].map(|()| start("http", "hostile.function.internal", "/fork", "GET", None));
            say(out, &forked(&both.map(Sent::finish)));
        }
        "chain" => {
            let next = start("http", "hostile.function.internal", "/chain", "GET", None);
            say(out, &next.finish());
        }
        "count" => {
            let count = COUNT.fetch_add(1, Relaxed) + 1;
            say(out, &count.to_string());
        }
        "reach" => {
            let folders = wasip2::filesystem::preopens::get_directories().len();
            let network = wasip2::sockets::network::IpAddressFamily::Ipv4;
            let tcp = wasip2::sockets::tcp_create_socket::create_tcp_socket(network).is_ok();
            let udp = wasip2::sockets::udp_create_socket::create_udp_socket(network).is_ok();
            let variables = std::env::vars().count() + std::env::args().count();
            let file = std::fs::read("/etc/hostname").is_ok();
            say(out, &format!("{folders} folders, tcp {tcp}, udp {udp}, {variables} variables, file {file}"));
        }
        "clock" => {
            let wall = wasip2::clocks::wall_clock::now();
            say(out, &format!("{} {}", now(), wall.nanoseconds));
        }
        "scan" => say(out, &scan(arg(0) == "write")),
        _ => say(out, "hello"),
    }
}

fn spin() -> ! {
    loop {
        black_box(());
    }
}

fn fill(bytes: usize) -> ! {
    let mut memory = vec![0_u8; bytes];
    loop {
        black_box(&mut memory).fill(black_box(7));
    }
}

/// A reply that has begun, whose beginning is on its way.
fn begin(out: ResponseOutparam) -> Reply {
    let reply = Reply::begin(out, 200, &[]);
    reply.write(b"the beginning");
    pause(Duration::from_millis(20));
    reply
}

fn held<T>(out: ResponseOutparam, all: impl Iterator<Item = T>) {
    let held: Vec<T> = all.collect();
    say(out, &format!("{} held", held.len()));
    std::mem::forget(held);
}

/// What came of something that may be refused.
fn outcome<T, E: std::fmt::Debug>(set: Result<T, E>) -> String {
    set.map_or_else(|error| format!("{error:?}"), |_| "taken".to_owned())
}

fn header(out: ResponseOutparam, name: &[u8], value: &[u8]) {
    let fields = Fields::new();
    let was = outcome(fields.append(&String::from_utf8_lossy(name), value));
    fields.append("x-was", was.as_bytes()).expect("the header is allowed");
    let response = OutgoingResponse::new(fields);
    let body = response.body().expect("it was not taken yet");
    ResponseOutparam::set(out, Ok(response));
    OutgoingBody::finish(body, None).expect("the body is empty");
}

fn trailer(out: ResponseOutparam, name: &[u8], value: &[u8]) {
    let trailers = Fields::new();
    let was = outcome(trailers.append(&String::from_utf8_lossy(name), value));
    trailers.append("x-end", b"yes").expect("the trailer is allowed");
    let reply = Reply::begin(out, 200, &[("x-was", &was), ("trailer", "x-end")]);
    reply.write(b"body");
    reply.end_with(Some(trailers)).expect("the body is complete");
}

/// Declares lengths, and sends so many bytes.
fn lengths(out: ResponseOutparam, one: &str, other: &str, bytes: usize) {
    let fields = Fields::new();
    let mut was = Vec::new();
    for length in [one, other].into_iter().filter(|length| *length != "-") {
        was.push(outcome(fields.append("content-length", length.as_bytes())));
    }
    fields.append("x-was", was.join(",").as_bytes()).expect("the header is allowed");
    let response = OutgoingResponse::new(fields);
    let body = response.body().expect("it was not taken yet");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("it was not taken yet");
    let _refused = stream.blocking_write_and_flush(&vec![b'x'; bytes]);
    drop(stream);
    let _refused = OutgoingBody::finish(body, None);
}

/// Hands so many bytes to one import, and says what came of it where it can still answer.
fn hand_over(out: ResponseOutparam, what: &str, bytes: usize) -> Option<(ResponseOutparam, String)> {
    let big = "x".repeat(bytes);
    let (fields, request) = (Fields::new(), OutgoingRequest::new(Fields::new()));
    let was = match what {
        "fields-name" => outcome(fields.append(&big, b"")),
        "fields-value" => outcome(fields.append("a", big.as_bytes())),
        "fields-set" => outcome(fields.set("a", &[big.into_bytes()])),
        "fields-delete" => outcome(fields.delete(&big)),
        "fields-get" => format!("{:?}", fields.get(&big)),
        "fields-has" => format!("{:?}", fields.has(&big)),
        "fields-list" => {
            let entries = vec![("a".to_owned(), Vec::new()); bytes / 16];
            outcome(Fields::from_list(&entries))
        }
        "path" => outcome(request.set_path_with_query(Some(&big))),
        "authority" => outcome(request.set_authority(Some(&big))),
        "scheme" => outcome(request.set_scheme(Some(&Scheme::Other(big)))),
        "method" => outcome(request.set_method(&Method::Other(big))),
        "error" => {
            ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some(big))));
            return None;
        }
        "write" => {
            let body = request.body().expect("it was not taken yet");
            let stream = body.write().expect("it was not taken yet");
            let was = outcome(stream.write(big.as_bytes()));
            drop(stream);
            was
        }
        "poll" => {
            let ready = subscribe_duration(0);
            let all = vec![&ready; bytes / 4];
            format!("{} ready", wasip2::io::poll::poll(&all).len())
        }
        other => panic!("there is no import `{other}`"),
    };
    Some((out, was))
}

/// A request that was sent, or what of it was refused.
enum Sent {
    On(wasip2::http::types::FutureIncomingResponse),
    Refused(String),
}

fn start(scheme: &str, authority: &str, path: &str, method: &str, timeouts: Option<u64>) -> Sent {
    let options = timeouts.map(|ns| {
        let options = RequestOptions::new();
        options.set_connect_timeout(Some(ns)).expect("it can be set");
        options.set_first_byte_timeout(Some(ns)).expect("it can be set");
        options.set_between_bytes_timeout(Some(ns)).expect("it can be set");
        options
    });
    let request = OutgoingRequest::new(Fields::new());
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let method = match method {
        "GET" => Method::Get,
        other => Method::Other(other.to_owned()),
    };
    let refused = |what: &str| Sent::Refused(format!("bad {what}"));
    if request.set_scheme(Some(&scheme)).is_err() {
        return refused("scheme");
    }
    if request.set_authority(Some(authority)).is_err() {
        return refused("authority");
    }
    if request.set_path_with_query(Some(path)).is_err() {
        return refused("path");
    }
    if request.set_method(&method).is_err() {
        return refused("method");
    }
    match outgoing_handler::handle(request, options) {
        Ok(sent) => Sent::On(sent),
        Err(error) => Sent::Refused(format!("{error:?}")),
    }
}

impl Sent {
    fn finish(self) -> String {
        let sent = match self {
            Self::On(sent) => sent,
            Self::Refused(why) => return why,
        };
        sent.subscribe().block();
        match sent.get().expect("it is ready").expect("it was not taken yet") {
            Ok(response) => response.status().to_string(),
            Err(error) => format!("{error:?}"),
        }
    }
}

guest!(handle);
