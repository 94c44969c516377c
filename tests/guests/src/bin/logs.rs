//! Writes lines: through `wasi:logging`, and to the standard streams.

use bindings::wasi::logging::logging::{Level, log};
use std::io::Write;
use wstd::http::{Body, Error, Request, Response};

mod bindings {
    wit_bindgen::generate!({ path: "../../sdk/wit/logging-0.1.0-draft", world: "imports", generate_all });
}

const LEVELS: [Level; 6] =
    [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Critical];

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let path: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    match path[..] {
        ["levels"] => LEVELS.iter().for_each(|level| log(*level, "a context", &format!("at {level:?}"))),
        ["streams"] => {
            println!("to stdout");
            eprintln!("to stderr");
            print!("without an end");
            std::io::stdout().flush()?;
        }
        ["long", bytes] => log(Level::Info, "", &"x".repeat(bytes.parse()?)),
        ["flood" | "a" | "b", lines] => {
            (0..lines.parse()?).for_each(|n: u32| log(Level::Info, "", &format!("line {n}")))
        }
        ["forged"] => println!("\x1b[31mred\r level=error"),
        _ => {}
    }
    Ok(Response::new(().into()))
}
