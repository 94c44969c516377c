//! `rimward invoke`: calls one function once, in this process, without a server, and prints the reply: its body to
//! standard output, everything else to standard error. Stores are in memory unless `--state` names a folder.

use super::Verdict;
use crate::limits::DATA_BYTES_MAX;
use crate::print::{DIM, Format, duration, json_line, note};
use crate::{app, local, runtime};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::header::{HOST, HeaderName};
use http::{HeaderValue, Method, Request, Response};
use rimward_bundle::Bundle;
use rimward_manifest::Name;
use rimward_node::{FunctionId, LogLine, Observer, Profile, RequestLine, StateChoice};
use serde::Serialize;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Call one function once, without a server
///
/// The function runs with its limits and grants as in `rimward dev`: secrets come from .rimward/secrets/NAME or the
/// environment, upstreams may be at the private addresses that rimward.toml names. Stores are in memory, and empty,
/// unless --state is given. Build first.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The function; needed where the app has several
    function: Option<Name>,
    /// The app's folder, or one below it, or a component
    #[arg(long, short, value_name = "APP", default_value = ".")]
    app: PathBuf,
    /// The request's method [default: GET, or POST with --data]
    #[arg(long, short = 'X')]
    method: Option<Method>,
    /// The request's path and query
    #[arg(long, short, default_value = "/")]
    path: String,
    /// A header of the request; may be repeated
    #[arg(long, short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// The request's body: text, @FILE, or - for standard input
    #[arg(long, short, value_name = "DATA", allow_hyphen_values = true)]
    data: Option<String>,
    /// Print the reply's status and headers too, before the body
    #[arg(long, short)]
    include: bool,
    /// Say how long each step took
    #[arg(long, short)]
    verbose: bool,
    /// Exit with 1 if the reply's status is 400 or more
    #[arg(long, short)]
    fail: bool,
    /// Keep stores in this folder
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  rimward invoke                                         GET / of the app's only function
  rimward invoke classify -d @photo.jpg -p /classify     a file as the body
  echo '{}' | rimward invoke -d - -H 'content-type: application/json' -i
  rimward invoke --app app.wasm -v                       a component, with timings";

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write `name: value`")?;
    let name = name.trim().parse::<HeaderName>().map_err(|error| error.to_string())?;
    Ok((name, value.trim().parse::<HeaderValue>().map_err(|error| error.to_string())?))
}

/// How long each step took.
#[derive(Serialize)]
struct Timings {
    #[serde(rename = "start_ms", serialize_with = "milliseconds")]
    start: Duration,
    #[serde(rename = "load_ms", serialize_with = "milliseconds")]
    load: Duration,
    #[serde(rename = "call_ms", serialize_with = "milliseconds")]
    call: Duration,
}

fn milliseconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64() * 1e3)
}

/// The reply for programs.
#[derive(Serialize)]
struct JsonReply<'a> {
    status: u16,
    headers: Vec<(&'a str, String)>,
    /// As text; bytes that are none are replaced.
    body: String,
    timings: Timings,
}

pub(crate) fn run(arguments: &Arguments, format: Format) -> Result<Verdict> {
    let folder = if arguments.app.is_dir() { app::folder(&arguments.app)? } else { arguments.app.clone() };
    let bundle = app::bundle(&folder)?;
    let function = function(&bundle, arguments.function.as_ref())?;
    let (reply, timings) = call(arguments, &folder, bundle, &function)?;
    match format {
        Format::Text => print(arguments, &reply, &timings)?,
        Format::Json => json_line(&mut io::stdout(), &json(&reply, timings))?,
    }
    let failed = reply.status().is_client_error() || reply.status().is_server_error();
    Ok(if arguments.fail && failed { Verdict::Bad } else { Verdict::Good })
}

fn function(bundle: &Bundle, named: Option<&Name>) -> Result<FunctionId> {
    let functions = &bundle.app.functions;
    let names = || functions.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let name = match named {
        Some(name) => name,
        None => {
            ensure!(functions.len() == 1, "the app has several functions, say which: {}", names());
            functions.keys().next().expect("there is one")
        }
    };
    ensure!(functions.contains_key(name), "the app has no function `{name}`; it has {}", names());
    Ok(FunctionId { tenant: local::tenant(), app: bundle.app.name.clone(), function: name.clone() })
}

fn request(arguments: &Arguments) -> Result<Request<Bytes>> {
    let body = arguments.data.as_deref().map(body).transpose()?;
    let method = arguments.method.clone().unwrap_or(if body.is_some() { Method::POST } else { Method::GET });
    let request = Request::builder().method(method).uri(&arguments.path).header(HOST, "localhost");
    let mut request =
        request.body(body.unwrap_or_default()).with_context(|| format!("`{}` is no path", arguments.path))?;
    ensure!(arguments.path.starts_with('/'), "`{}` is no path: it begins with `/`", arguments.path);
    for (name, value) in &arguments.header {
        match *name {
            HOST => request.headers_mut().insert(name, value.clone()).is_some(),
            _ => request.headers_mut().append(name, value.clone()),
        };
    }
    Ok(request)
}

fn body(data: &str) -> Result<Bytes> {
    match (data, data.strip_prefix('@')) {
        ("-", _) => bounded(io::stdin().lock(), DATA_BYTES_MAX).context("cannot read standard input"),
        (_, Some(path)) => {
            let read = File::open(path).map_err(Into::into).and_then(|file| bounded(file, DATA_BYTES_MAX));
            read.with_context(|| format!("cannot read `{path}`"))
        }
        (text, None) => Ok(Bytes::copy_from_slice(text.as_bytes())),
    }
}

fn bounded(from: impl Read, bytes_max: u64) -> Result<Bytes> {
    let mut bytes = Vec::new();
    from.take(bytes_max + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= bytes_max, "it has more than {bytes_max} bytes");
    Ok(bytes.into())
}

/// Starts a node, loads the app, calls the function.
fn call(
    arguments: &Arguments,
    folder: &Path,
    bundle: Bundle,
    function: &FunctionId,
) -> Result<(Response<Bytes>, Timings)> {
    let request = request(arguments)?;
    let begun = Instant::now();
    let mut file = local::one_shot_file(arguments.state.as_deref());
    local::bind_secrets(&mut file, &bundle.app, folder);
    let state = if arguments.state.is_some() { StateChoice::Durable } else { StateChoice::Memory };
    let node = local::start(file, Profile::Dev, state, Arc::new(ToStderr), Vec::new())?;
    let start = begun.elapsed();
    runtime::block_on(async {
        node.install(bundle, local::as_declared()).await.map_err(local::to_author)?;
        let load = begun.elapsed() - start;
        let reply = node.invoke(function, request).await?;
        let call = begun.elapsed() - start - load;
        Ok((reply, Timings { start, load, call }))
    })
}

/// Shows what the function logs.
struct ToStderr;

impl Observer for ToStderr {
    fn request(&self, _: &RequestLine<'_>) {}

    fn log(&self, line: &LogLine<'_>) {
        local::note_log(line);
    }
}

fn print(arguments: &Arguments, reply: &Response<Bytes>, timings: &Timings) -> Result<()> {
    if arguments.verbose {
        let Timings { start, load, call } = timings;
        let (start, load, call) = (duration(*start), duration(*load), duration(*call));
        note!("{DIM}node started in {start}, function loaded in {load}, called in {call}{DIM:#}");
    }
    let mut out = io::stdout().lock();
    if arguments.include {
        writeln!(out, "{}", reply.status())?;
        for (name, value) in reply.headers() {
            writeln!(out, "{name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        writeln!(out)?;
    }
    out.write_all(reply.body())?;
    Ok(out.flush()?)
}

fn json(reply: &Response<Bytes>, timings: Timings) -> JsonReply<'_> {
    let headers = reply.headers().iter();
    JsonReply {
        status: reply.status().as_u16(),
        headers: headers
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: String::from_utf8_lossy(reply.body()).into_owned(),
        timings,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_written_as_in_http() {
        let (name, value) = header("Content-Type:  text/plain ").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("content-type", "text/plain"));
        assert!(header("no colon").is_err());
        assert!(header("bad name: x").is_err());
    }

    #[test]
    fn a_body_is_text_or_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from a file").unwrap();
        assert_eq!(body("text").unwrap(), "text");
        assert_eq!(body(&format!("@{}", file.path().display())).unwrap(), "from a file");
        assert!(body("@/no/such/file").is_err());
    }

    #[test]
    fn a_body_is_bounded() {
        let check = |bytes, fits| assert_eq!(bounded(io::repeat(0).take(bytes), 100).is_ok(), fits);
        check(100, true);
        check(101, false);
    }
}
