//! What a node takes by itself, what each loaded function adds, and how long a function's first request takes when its code
//! comes from the compile cache. Only the node is looked at: the servers it is compared with serve one component each.

use crate::apps::{Apps, Instances};
use crate::contestants::{Programs, serve};
use crate::histogram::Histogram;
use crate::process;
use crate::rounds::{Plan, median, mib, microseconds};
use crate::server::{OneByOne, Server};
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// What a node takes.
#[derive(Debug, Clone, Serialize)]
pub struct Footprint {
    /// In RAM, without any function, after it settled, MiB.
    pub idle_resident_mib: f64,
    /// Of that, what no file backs, MiB.
    pub idle_anonymous_mib: f64,
    /// What no file backs for each further function that was loaded and called once, KiB.
    pub function_anonymous_kib: f64,
    /// The first request of a function that was loaded from the compile cache, microseconds: the median.
    pub first_request_p50: f64,
    /// And what one in a hundred exceeded.
    pub first_request_p99: f64,
    /// From the start of the process to the first reply, with all the functions, milliseconds.
    pub start_with_functions_ms: f64,
    /// How many functions these were.
    pub functions: u32,
    /// The size of the program, MiB.
    pub binary_mib: f64,
}

/// Measures a node.
pub fn measure(programs: &Programs, apps: &Apps, plan: &Plan) -> Result<Footprint> {
    let idle = idle(&programs.rimward, apps, plan)?;
    let one = apps.one("footprint-one", &programs.component, Instances::Fresh)?;
    let many = apps.many("footprint-many", &programs.component, plan.functions)?;
    let (one_state, many_state) = (apps.path("state-one"), apps.path("state-many"));
    let mut first_requests = Histogram::default();
    let (mut starts, mut per_function) = (Vec::new(), Vec::new());
    for round in 0..=plan.rounds {
        let alone = Loaded::start(&programs.rimward, &one, &one_state, &["/f0"])?;
        let paths: Vec<_> = (0..plan.functions).map(|number| format!("/f{number}")).collect();
        let together = Loaded::start(&programs.rimward, &many, &many_state, &paths)?;
        // The first time everything is compiled.
        if round > 0 {
            starts.push(together.start_ms);
            per_function.push((together.anonymous_kib - alone.anonymous_kib) / f64::from(plan.functions - 1));
            together.first_requests.iter().for_each(|time| first_requests.record(*time));
        }
    }
    Ok(Footprint {
        idle_resident_mib: mib(idle.resident),
        idle_anonymous_mib: mib(idle.anonymous),
        function_anonymous_kib: median(&mut per_function),
        first_request_p50: microseconds(first_requests.quantile(0.5)),
        first_request_p99: microseconds(first_requests.quantile(0.99)),
        start_with_functions_ms: median(&mut starts),
        functions: plan.functions,
        binary_mib: mib(programs.rimward.metadata().context("cannot read the size of the program")?.len()),
    })
}

fn idle(rimward: &Path, apps: &Apps, plan: &Plan) -> Result<process::Memory> {
    let server =
        Server::start(Command::new(rimward).arg("serve").arg("--config").arg(apps.node_without_apps()?))?;
    std::thread::sleep(plan.settle);
    Ok(process::memory(server.pid())?)
}

/// A node after each of its functions was called once.
struct Loaded {
    start_ms: f64,
    /// Of all functions but the first, which opened the connection.
    first_requests: Vec<std::time::Duration>,
    anonymous_kib: f64,
}

impl Loaded {
    fn start(rimward: &Path, app: &Path, state: &Path, paths: &[impl AsRef<str>]) -> Result<Self> {
        let server = Server::start(Command::new(rimward).args(serve(app, state)))?;
        let start_ms = microseconds(server.first_reply(paths[0].as_ref())?) / 1e3;
        let mut connection = OneByOne::connect(server.address())?;
        connection.get(paths[0].as_ref())?;
        let mut first_requests = Vec::new();
        for path in &paths[1..] {
            let started = Instant::now();
            connection.get(path.as_ref())?;
            first_requests.push(started.elapsed());
        }
        let anonymous_kib = mib(process::memory(server.pid())?.anonymous) * 1024.0;
        Ok(Self { start_ms, first_requests, anonymous_kib })
    }
}
