//! How many calls a second an outbox accepts, each on disk before it is acknowledged, beside what the disk and the embedded
//! database under it can do: one appended and synced record at a time, and one commit of one small row at a time.
//!
//! `outbox-rate` measures all of them by turns in a folder of the disk that it is told, and prints the medians.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to people")]

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Parser;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, Full};
use redb::{Database, Durability, TableDefinition};
use rimward_upstream::Random;
use rimward_upstream::outbox::{Draft, Folder, Outbox, Policy};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Measures an outbox beside its disk and its database
#[derive(Parser)]
struct Arguments {
    /// Seconds of each kind in each round
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Rounds, in which the kinds take turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Bytes of the body of a call, and of a row and a record
    #[arg(long, default_value_t = 256)]
    bytes: usize,
    /// Where on disk; a folder in it is made and removed
    #[arg(long, default_value = ".")]
    folder: PathBuf,
}

/// What is done again and again.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A record is appended to a file and synced.
    Append,
    /// A row is inserted and committed.
    Commit,
    /// So many callers at a time defer calls.
    Outbox(usize),
}

const KINDS: [Kind; 6] =
    [Kind::Append, Kind::Commit, Kind::Outbox(1), Kind::Outbox(16), Kind::Outbox(64), Kind::Outbox(256)];
const ROWS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rows");

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir_in(&arguments.folder).context("a folder for it")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let time = Duration::from_secs(arguments.seconds);
    let mut rates = vec![Vec::new(); KINDS.len()];
    for round in 0..arguments.rounds {
        for turn in 0..KINDS.len() {
            let place = (turn + round) % KINDS.len();
            let folder = folder.path().join(format!("{round}-{place}"));
            std::fs::create_dir(&folder)?;
            let rate = match KINDS[place] {
                Kind::Append => appends(&folder, arguments.bytes, time)?,
                Kind::Commit => commits(&folder, arguments.bytes, time)?,
                Kind::Outbox(callers) => runtime.block_on(pushes(&folder, arguments.bytes, callers, time))?,
            };
            rates[place].push(rate);
            std::fs::remove_dir_all(&folder)?;
        }
    }
    let medians: Vec<f64> = rates.into_iter().map(median).collect();
    println!("| {} bytes, on disk before it is acknowledged | per second | to a commit |", arguments.bytes);
    println!("|---|---|---|");
    for (kind, rate) in KINDS.iter().zip(&medians) {
        println!("| {} | {rate:.0} | {:.2} |", kind.text(), rate / medians[1]);
    }
    Ok(())
}

impl Kind {
    fn text(self) -> String {
        match self {
            Self::Append => "a record appended to a file and synced, one at a time".into(),
            Self::Commit => "a row committed by redb, one at a time".into(),
            Self::Outbox(1) => "a call deferred, one at a time".into(),
            Self::Outbox(callers) => format!("calls deferred by {callers} at a time"),
        }
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Does it for that time, and says how often per second.
fn rate(time: Duration, mut once: impl FnMut(u64) -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < time {
        once(count)?;
        count += 1;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

fn appends(folder: &Path, bytes: usize, time: Duration) -> Result<f64> {
    let mut file = OpenOptions::new().append(true).create_new(true).open(folder.join("log"))?;
    let record = vec![b'x'; bytes];
    rate(time, |_| {
        file.write_all(&record)?;
        Ok(file.sync_data()?)
    })
}

fn commits(folder: &Path, bytes: usize, time: Duration) -> Result<f64> {
    let database = Database::create(folder.join("rows.redb"))?;
    let row = vec![b'x'; bytes];
    rate(time, |number| {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.open_table(ROWS)?.insert(number, &*row)?;
        Ok(transaction.commit()?)
    })
}

async fn pushes(folder: &Path, bytes: usize, callers: usize, time: Duration) -> Result<f64> {
    let policy = Policy { bytes_max: 1 << 40, ..Policy::default() };
    let outbox = Outbox::open("bench", Folder::new(folder, "bench", 1), policy, Random::unpredictable())?;
    let body = Bytes::from(vec![b'x'; bytes]);
    let start = Instant::now();
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let (outbox, body) = (outbox.clone(), body.clone());
        tasks.push(tokio::spawn(async move {
            let mut count = 0_u64;
            while start.elapsed() < time {
                let body = Full::new(body.clone()).map_err(|never| match never {}).boxed_unsync();
                outbox.push(draft(caller), body).await?;
                count += 1;
            }
            anyhow::Ok(count)
        }));
    }
    let mut count = 0;
    for task in tasks {
        count += task.await??;
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    outbox.close().await;
    Ok(rate)
}

fn draft(caller: usize) -> Draft {
    Draft {
        method: Method::POST,
        path: "/readings".into(),
        headers: HeaderMap::new(),
        key: None,
        lane: Some(format!("sensor-{caller}")),
        urgency: 3,
    }
}
