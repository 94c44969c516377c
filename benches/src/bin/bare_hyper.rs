//! The server that functions are measured against: hyper alone. Says where it listens, and serves until it is killed.

#![allow(clippy::print_stdout, reason = "it tells who started it where it listens")]

use rimward_benches::bare_hyper::Bare;

fn main() -> std::io::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    let server = Bare::start(cores)?;
    println!("http://{}", server.address());
    server.wait();
    Ok(())
}
