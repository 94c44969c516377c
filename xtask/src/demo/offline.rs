//! `cargo xtask offline`: the example `offline-first` through an hour without a link, with a power cut in the middle.
//!
//! The hour is shortened: its readings are sent as fast as the gateway takes them, and only their time stamps are ten seconds
//! apart. Everything else is real: the node, its outbox on disk, a cloud on loopback that is not there, a node that is
//! killed with SIGKILL while a reading is on its way, and answers that get lost once the cloud is back. It fails where a
//! reading is missing, counted twice, or out of order.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::cloud::{Cloud, Got, Memory, look};
use super::limits::{DELIVERY_MAX, POLL};
use super::node::{self, Site};
use super::{http, step};
use crate::steps::seconds;

/// An hour without a link, shortened to seconds: a sensor gateway goes on collecting and delivers all of it later.
///
/// Runs the example `offline-first` on this machine. Its cloud is away, the node is killed in the middle, and when the
/// cloud is back every reading must arrive, once, those of one sensor in order.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many minutes of readings: one every ten seconds of each of three sensors.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
}

const APP: &str = "examples/offline-first";
const UPSTREAM: &str = "cloud";
const SENSORS: [&str; 3] = ["roof", "cellar", "yard"];
/// Seconds between two readings of a sensor.
const EVERY: u64 = 10;

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
struct Reading {
    sensor: String,
    number: u64,
    at: u64,
    celsius: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cache = Cache::open()?;
    step("the function: guest toolchain, then examples/offline-first", || super::build_functions(APP))?;
    step("the node: `rimward`", node::build)?;
    let far = super::process::free_port()?;
    let site = Site { app: APP, upstream: Some((UPSTREAM, far)), inference: None };
    let folder = node::prepare(&cache, "node", &site)?;
    let (process, port) =
        step("start the node; there is no link to the cloud", || node::start(&cache, &folder))?;
    let each = arguments.minutes * 60 / EVERY;
    let half = each / 2;
    step("the first half of the hour", || collect(port, 0..half))?;
    let (process, port) = step("the power is cut while a reading is on its way, and comes back", || {
        cut_short(port, &reading(SENSORS[0], half))?;
        process.kill()?;
        node::start(&cache, &folder)
    })?;
    // The sensor had no answer to its last reading, and sends it again: numbers go on where they stopped.
    step("the second half of the hour", || collect(port, half..each))?;
    let memory = Memory::default();
    let (got, took) = step("the link is back", || deliver(&folder, far, &memory, each))?;
    drop(process);
    report(&got, each, took)
}

fn reading(sensor: &str, number: u64) -> Reading {
    let celsius = 20.0 + (number % 50) as f64 / 10.0;
    Reading { sensor: sensor.to_owned(), number, at: 1_790_000_000 + EVERY * number, celsius }
}

/// Has every sensor send these readings. Each is on disk when it is answered.
fn collect(port: u16, numbers: std::ops::Range<u64>) -> Result<()> {
    let count = (numbers.end - numbers.start) * SENSORS.len() as u64;
    let started = Instant::now();
    for number in numbers {
        for sensor in SENSORS {
            let reply = http::post(port, "/readings", &serde_json::to_vec(&reading(sensor, number))?)?;
            ensure!(reply.status == 202, "the gateway answered {}: {}", reply.status, reply.body);
        }
    }
    println!("    {count} readings acknowledged, one after the other, in {}", seconds(started.elapsed()));
    Ok(())
}

/// Sends a reading and does not wait for its answer.
fn cut_short(port: u16, reading: &Reading) -> Result<()> {
    let body = serde_json::to_string(reading)?;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("cannot connect")?;
    let head =
        format!("POST /readings HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    Ok(stream.write_all(format!("{head}{body}").as_bytes())?)
}

/// Has the cloud come back, and waits until everything is there or nothing more comes in time.
fn deliver(folder: &Path, far: u16, memory: &Memory, each: u64) -> Result<(Got, Duration)> {
    let cloud = Cloud::start(far, memory)?;
    let started = Instant::now();
    // Or the node finds out by itself, within a minute.
    node::drain(folder, &format!("default/offline-first/{UPSTREAM}"))?;
    let all = usize::try_from(each)? * SENSORS.len();
    while look(memory).bodies.len() < all && started.elapsed() < DELIVERY_MAX {
        thread::sleep(POLL);
    }
    let took = started.elapsed();
    drop(cloud);
    Ok((look(memory), took))
}

/// Says what arrived, and fails where that is not everything, once, in order.
fn report(got: &Got, each: u64, took: Duration) -> Result<()> {
    let readings: Vec<Reading> =
        got.bodies.iter().map(|body| serde_json::from_slice(body)).collect::<Result<_, _>>()?;
    println!();
    println!("{} readings delivered in {}", readings.len(), seconds(took));
    println!(
        "{} requests: {} answers got lost, and each of those was sent again with its key",
        got.requests, got.lost
    );
    for sensor in SENSORS {
        check(&readings, sensor, each)?;
        println!("{sensor:8} {each} readings, all of them, once each, in order");
    }
    Ok(())
}

/// The readings of a sensor are all there, once, in order, as they were sent.
fn check(readings: &[Reading], sensor: &str, each: u64) -> Result<()> {
    let of_it: Vec<&Reading> = readings.iter().filter(|reading| reading.sensor == sensor).collect();
    ensure!(of_it.len() as u64 == each, "{} readings of `{sensor}` arrived, not {each}", of_it.len());
    for (number, got) in (0..each).zip(of_it) {
        ensure!(*got == reading(sensor, number), "in place {number} of `{sensor}` is {got:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour() -> Vec<Reading> {
        (0..3).map(|number| reading("roof", number)).collect()
    }

    #[test]
    fn readings_must_be_whole_once_and_in_order() {
        assert!(check(&hour(), "roof", 3).is_ok());
        let changes: [fn(&mut Vec<Reading>); 4] = [
            |readings| drop(readings.pop()),
            |readings| readings.swap(0, 1),
            |readings| readings.push(reading("roof", 2)),
            |readings| readings[1].celsius = 0.0,
        ];
        for change in changes {
            let mut readings = hour();
            change(&mut readings);
            assert!(check(&readings, "roof", 3).is_err(), "{readings:?}");
        }
    }
}
