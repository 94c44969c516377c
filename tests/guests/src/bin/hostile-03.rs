//! What a function should not do, on `wasi:http` 0.3. The path says what, as in `hostile-02`; arguments that may be any
//! bytes are hexadecimal.

use futures_util::future::join_all;
use rimward_test_guests::{forked, recurse, scan, text, unhex};
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::Poll;
use wasip3::clocks::monotonic_clock::{now, wait_for};
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, RequestOptions, Response, Scheme, Trailers};
use wasip3::wit_bindgen::{StreamWriter, spawn_local, yield_async};
use wasip3::{wit_future, wit_stream};

wasip3::http::service::export!(Component);

struct Component;

type Answer = Result<Response, ErrorCode>;

static COUNT: AtomicU32 = AtomicU32::new(0);

const HOUR: u64 = 3_600_000_000_000;

impl wasip3::exports::http::handler::Guest for Component {
    async fn handle(request: Request) -> Answer {
        let path = request.get_path_with_query().unwrap_or_default();
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let arg = |n: usize| parts.get(n + 1).copied().unwrap_or_default();
        let number = |n: usize| arg(n).parse::<usize>().unwrap_or_default();
        match parts[0] {
            "trap" => std::process::abort(),
            "no-response" => std::process::exit(0),
            "spin" => spin(),
            "yield" => loop {
                yield_async().await;
            },
            "wait-zero" => loop {
                wait_for(0).await;
            },
            "wait-least" => loop {
                wait_for(1).await;
            },
            "fill" => fill(number(0)),
            "recurse" => say(format!(
                "{}",
                recurse(0, &mut || {
                    black_box(now());
                })
            )),
            "never" => {
                wait_for(24 * HOUR).await;
                say("slept")
            }
            "trap-midway" => begin(Fields::new(), |mut body| async move {
                body.write_all(b"the beginning".to_vec()).await;
                wait_for(20_000_000).await;
                std::process::abort();
            }),
            "spin-midway" => begin(Fields::new(), |mut body| async move {
                body.write_all(b"the beginning".to_vec()).await;
                wait_for(20_000_000).await;
                spin();
            }),
            "stalls" => begin(Fields::new(), |mut body| async move {
                body.write_all(b"the beginning".to_vec()).await;
                wait_for(24 * HOUR).await;
                drop(body);
            }),
            "drips" => begin(Fields::new(), |mut body| async move {
                while body.write_all(b".".to_vec()).await.is_empty() {
                    wait_for(5_000_000).await;
                }
            }),
            "lingers" => {
                spawn_local(async {
                    wait_for(24 * HOUR).await;
                });
                say("done")
            }
            "spins-on" => {
                spawn_local(async {
                    wait_for(1_000_000).await;
                    spin();
                });
                say("done")
            }
            "takes-nothing" => {
                drop(request);
                say("answered")
            }
            "takes-a-byte" => {
                let (_done, result) = wit_future::new(|| Ok(()));
                let (mut body, _trailers) = Request::consume_body(request, result);
                body.read(Vec::with_capacity(1)).await;
                say("answered")
            }
            "fields" => held((0..number(0)).map(|_| Fields::new())),
            "streams" => held((0..number(0)).map(|_| wit_stream::new::<u8>())),
            "futures" => held((0..number(0)).map(|_| wit_future::new::<Result<(), ErrorCode>>(|| Ok(())))),
            "waits" => {
                let mut waits: Vec<_> = (0..number(0)).map(|_| Box::pin(wait_for(24 * HOUR))).collect();
                for wait in &mut waits {
                    std::future::poll_fn(|cx| {
                        let _pending = wait.as_mut().poll(cx);
                        Poll::Ready(())
                    })
                    .await;
                }
                let answer = say(format!("{} held", waits.len()));
                std::mem::forget(waits);
                answer
            }
            "header" => header(&unhex(arg(0)), &unhex(arg(1))),
            "trailer" => trailer(&unhex(arg(0)), &unhex(arg(1))),
            "lengths" => lengths(arg(0), arg(1), number(2)),
            "status" => status(number(0)),
            "hands" => say(hand_over(arg(0), number(1))),
            "stdout" => stdout(number(0)).await,
            "forbidden" => {
                let fields = Fields::new();
                for _ in 0..3 {
                    fields.append("connection", b"close").expect_err("it is forbidden");
                }
                say("coped")
            }
            "send" => {
                let text = |n| text(arg(n));
                say(send(&text(0), &text(1), &text(2), &text(3), None).await)
            }
            "waits-for" => {
                let ns = arg(0).parse().expect("it is a time");
                say(send("http", "origin.upstream.internal", "/", "GET", Some(ns)).await)
            }
            "parallel" => {
                let calls =
                    (0..number(0)).map(|_| send("http", "origin.upstream.internal", "/", "GET", None));
                say(forked(&join_all(calls).await))
            }
            "fork" => {
                let calls = (0..2).map(|_| send("http", "hostile.function.internal", "/fork", "GET", None));
                say(forked(&join_all(calls).await))
            }
            "chain" => say(send("http", "hostile.function.internal", "/chain", "GET", None).await),
            "count" => say((COUNT.fetch_add(1, Relaxed) + 1).to_string()),
            "reach" => {
                let folders = wasip3::filesystem::preopens::get_directories().len();
                let family = wasip3::sockets::types::IpAddressFamily::Ipv4;
                let tcp = wasip3::sockets::types::TcpSocket::create(family).is_ok();
                let udp = wasip3::sockets::types::UdpSocket::create(family).is_ok();
                let variables = std::env::vars().count() + std::env::args().count();
                let file = std::fs::read("/etc/hostname").is_ok();
                say(format!("{folders} folders, tcp {tcp}, udp {udp}, {variables} variables, file {file}"))
            }
            "clock" => say(format!("{} {}", now(), wasip3::clocks::system_clock::now().nanoseconds)),
            "scan" => say(scan(arg(0) == "write")),
            _ => say("hello"),
        }
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

fn held<T>(all: impl Iterator<Item = T>) -> Answer {
    let held: Vec<T> = all.collect();
    let answer = say(format!("{} held", held.len()));
    std::mem::forget(held);
    answer
}

fn say(text: impl Into<String>) -> Answer {
    let text = text.into();
    begin(Fields::new(), |mut body| async move {
        body.write_all(text.into_bytes()).await;
    })
}

/// A reply whose body `write` writes; it ends when that does.
fn begin<F: Future<Output = ()> + 'static>(
    headers: Fields,
    write: impl FnOnce(StreamWriter<u8>) -> F,
) -> Answer {
    Ok(begin_with(headers, None, write))
}

fn begin_with<F: Future<Output = ()> + 'static>(
    headers: Fields,
    trailers: Option<Trailers>,
    write: impl FnOnce(StreamWriter<u8>) -> F,
) -> Response {
    let (body, reader) = wit_stream::new();
    let (end, ended) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(headers, Some(reader), ended);
    let writing = write(body);
    spawn_local(async move {
        writing.await;
        let _nobody_reads = end.write(Ok(trailers)).await;
    });
    response
}

/// What came of setting a field.
fn outcome<E: std::fmt::Debug>(set: Result<(), E>) -> String {
    set.map_or_else(|error| format!("{error:?}"), |()| "taken".to_owned())
}

fn header(name: &[u8], value: &[u8]) -> Answer {
    let fields = Fields::new();
    let was = outcome(fields.append(&String::from_utf8_lossy(name), value));
    fields.append("x-was", was.as_bytes()).expect("the header is allowed");
    begin(fields, |_| async {})
}

fn trailer(name: &[u8], value: &[u8]) -> Answer {
    let (headers, trailers) = (Fields::new(), Fields::new());
    let was = outcome(trailers.append(&String::from_utf8_lossy(name), value));
    headers.append("x-was", was.as_bytes()).expect("the header is allowed");
    headers.append("trailer", b"x-end").expect("the header is allowed");
    trailers.append("x-end", b"yes").expect("the trailer is allowed");
    Ok(begin_with(headers, Some(trailers), |mut body| async move {
        body.write_all(b"body".to_vec()).await;
    }))
}

/// Declares lengths, and sends so many bytes.
fn lengths(one: &str, other: &str, bytes: usize) -> Answer {
    let fields = Fields::new();
    let mut was = Vec::new();
    for length in [one, other].into_iter().filter(|length| *length != "-") {
        was.push(outcome(fields.append("content-length", length.as_bytes())));
    }
    fields.append("x-was", was.join(",").as_bytes()).expect("the header is allowed");
    begin(fields, move |mut body| async move {
        body.write_all(vec![b'x'; bytes]).await;
    })
}

fn status(status: usize) -> Answer {
    let response = begin_with(Fields::new(), None, |mut body| async move {
        body.write_all(b"a body".to_vec()).await;
    });
    response.set_status_code(u16::try_from(status).expect("it is a status")).expect("the status is taken");
    Ok(response)
}

/// Hands so many bytes to one import.
fn hand_over(what: &str, bytes: usize) -> String {
    let big = "x".repeat(bytes);
    let (fields, request) = (Fields::new(), || {
        let (_end, ended) = wit_future::new(|| Ok(None));
        Request::new(Fields::new(), None, ended, None).0
    });
    match what {
        "fields-name" => outcome(fields.append(&big, b"")),
        "fields-value" => outcome(fields.append("a", big.as_bytes())),
        "fields-set" => outcome(fields.set("a", &[big.into_bytes()])),
        "fields-delete" => outcome(fields.delete(&big)),
        "fields-get" => format!("{:?}", fields.get(&big)),
        "fields-has" => format!("{:?}", fields.has(&big)),
        "fields-list" => {
            let entries = vec![("a".to_owned(), Vec::new()); bytes / 16];
            outcome(Fields::from_list(&entries).map(drop))
        }
        "path" => outcome(request().set_path_with_query(Some(&big))),
        "authority" => outcome(request().set_authority(Some(&big))),
        "scheme" => outcome(request().set_scheme(Some(&Scheme::Other(big)))),
        "method" => outcome(request().set_method(&Method::Other(big))),
        other => panic!("there is no import `{other}`"),
    }
}

/// Writes so many lines to standard output, each with control characters.
async fn stdout(lines: usize) -> Answer {
    let (mut writer, reader) = wit_stream::new();
    let written = wasip3::cli::stdout::write_via_stream(reader);
    for line in 0..lines {
        writer.write_all(format!("\x1b[31mline {line}\r\0{}\n", "x".repeat(1_000)).into_bytes()).await;
    }
    drop(writer);
    say(format!("{:?}", written.await.is_ok()))
}

/// What came of a request: its status, or its error, or the part of it that was refused.
async fn send(scheme: &str, authority: &str, path: &str, method: &str, timeouts: Option<u64>) -> String {
    let (end, ended) = wit_future::new(|| Ok(None));
    // A request ends with its trailers, also one without any.
    spawn_local(async move {
        let _nobody_reads = end.write(Ok(None)).await;
    });
    let options = timeouts.map(|ns| {
        let options = RequestOptions::new();
        options.set_connect_timeout(Some(ns)).expect("it can be set");
        options.set_first_byte_timeout(Some(ns)).expect("it can be set");
        options.set_between_bytes_timeout(Some(ns)).expect("it can be set");
        options
    });
    let (request, _sent) = Request::new(Fields::new(), None, ended, options);
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let method = match method {
        "GET" => Method::Get,
        other => Method::Other(other.to_owned()),
    };
    if request.set_scheme(Some(&scheme)).is_err() {
        return "bad scheme".to_owned();
    }
    if request.set_authority(Some(authority)).is_err() {
        return "bad authority".to_owned();
    }
    if request.set_path_with_query(Some(path)).is_err() {
        return "bad path".to_owned();
    }
    if request.set_method(&method).is_err() {
        return "bad method".to_owned();
    }
    match client::send(request).await {
        Ok(response) => response.get_status_code().to_string(),
        Err(error) => format!("{error:?}"),
    }
}

fn main() {}
