//! The demos: what Rimward is for, end to end, on this machine and on real input.
//!
//! `cargo xtask demo` is [`camera`]: a node at the edge with a small model, a cloud with a large one, and a link between them
//! that gets slow and is cut. [`read_text`] has photos read by a model server that is not ours, [`voice_gate`] lets speech pass
//! and nothing else, [`offline`] goes through an hour without a link. What they fetch is kept in the cache folder; bounds are in [`limits`].

mod cache;
pub(crate) mod camera;
mod cloud;
mod http;
mod limits;
mod model_server;
mod node;
pub(crate) mod offline;
mod packaged;
pub(crate) mod process;
pub(crate) mod read_text;
pub(crate) mod voice_gate;

use std::time::Instant;

use anyhow::{Context, Result};
use rimward_toolchain::Step;

use crate::steps::seconds;
use crate::workspace::root;

fn build_functions(app: &str) -> Result<()> {
    let toolchain = rimward_toolchain::install(&mut |step| match step {
        Step::Started(what) => println!("    {what} ..."),
        Step::Done(what, took) => println!("    {what}: done in {}", seconds(took)),
        Step::Failed(what, took) => println!("    {what}: failed after {}", seconds(took)),
    })?;
    println!("    {}", toolchain.describe());
    Ok(toolchain.build(&root().join(app), [""; 0])?)
}

/// Says what is done, does it, and says how long it took. An error names the step.
fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("\n==> {name}");
    let started = Instant::now();
    let done = work().with_context(|| format!("the demo stopped at \"{name}\""))?;
    println!("    {}", seconds(started.elapsed()));
    Ok(done)
}
