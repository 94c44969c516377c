//! `cargo xtask voice-gate`: the example `voice-gate` on a real model and real recordings.
//!
//! A microphone's ten seconds are sent in pieces of one: somebody speaks for a third of them, in an office, and then nobody
//! does. The transcriber only listens; the link to it is away for the first half. It fails where the speech does not arrive
//! whole and in order, or where more than half of the bytes were sent.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::cache::Cache;
use super::cloud::{Cloud, Memory, look};
use super::limits::{DELIVERY_MAX, POLL};
use super::node::{self, Site};
use super::packaged::Packaged;
use super::{build_functions, http, step};
use crate::workspace::root;

/// Ten seconds of a microphone: only speech leaves the edge, and what was said without a link is delivered later.
///
/// Runs the example `voice-gate` on this machine, with a real model and real recordings (from Rust crates).
#[derive(clap::Args)]
pub(crate) struct Arguments {}

const APP: &str = "examples/voice-gate";
const UPSTREAM: &str = "transcriber";

const MODEL: Packaged = Packaged {
    name: "silero-vad-rust",
    version: "6.2.2",
    file: "src/silero_vad/data/silero_vad_16k_op15.onnx",
    sha256: "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
    remedy: "The example needs its model once.",
};

/// Somebody speaks for a little more than three seconds of five, in an office.
const SPEECH: Packaged = Packaged {
    name: "webrtc-vad",
    version: "0.4.0",
    file: "resources/libfvad/tests/data/audio_tiny16.wav",
    sha256: "551d3f0282c5d5e1e32e76da97bd3532c38e6f4bb02a32510caf562d7c06ae9c",
    remedy: "The demo needs it once.",
};

/// Five seconds in which nobody does.
const NOISE: Packaged = Packaged {
    name: "silero-vad-rs",
    version: "0.1.2",
    file: "examples/input.wav",
    sha256: "053b47fd79cc90161b064f64dfc71879ddcf5d13bcaff8dcba61bd1788f8222c",
    remedy: "The demo needs it once.",
};

/// Bytes of a second: 16 kHz, one channel, 16 bits.
const SECOND: usize = 32_000;
/// Bytes of the head of a WAV file of that kind.
const HEAD: usize = 44;
/// Milliseconds of speech that are there, and what the gate may add to them or leave out: a window before and pauses behind.
const SPOKEN_MS: std::ops::RangeInclusive<u64> = 2_900..=4_000;

/// What the function answers: examples/voice-gate/README.md describes it.
#[derive(Debug, Deserialize)]
struct Heard {
    speech: Vec<Speech>,
    bytes_in: usize,
    bytes_forwarded: usize,
}

#[derive(Debug, Deserialize)]
struct Speech {
    from: u64,
    to: u64,
}

pub(crate) fn run(_: &Arguments) -> Result<()> {
    let cache = Cache::open()?;
    let audio = step("the recordings, and the model", || {
        let model = root().join(APP).join("models/silero_vad_16k_op15.onnx");
        fs::write(&model, MODEL.fetch(&cache)?)
            .with_context(|| format!("cannot write `{}`", model.display()))?;
        let samples = |packaged: Packaged| packaged.fetch(&cache).map(|mut file| file.split_off(HEAD));
        Ok([samples(SPEECH)?, samples(NOISE)?].concat())
    })?;
    step("the function: guest toolchain, then examples/voice-gate", || build_functions(APP))?;
    step("the node: `rimward`", node::build)?;
    let far = super::process::free_port()?;
    let site = Site { app: APP, upstream: Some((UPSTREAM, far)), inference: None };
    let folder = node::prepare(&cache, "node", &site)?;
    let (node, port) =
        step("start the node; there is no link to the transcriber", || node::start(&cache, &folder))?;
    let pieces: Vec<&[u8]> = audio.chunks(SECOND).collect();
    let (first, second) = pieces.split_at(pieces.len() / 2);
    let mut heard = step("the first half of the recording", || send(port, first))?;
    let memory = Memory::default();
    let _cloud = Cloud::start(far, &memory)?;
    heard.extend(step("the link is back; the second half", || send(port, second))?);
    step("what waited is delivered", || {
        node::drain(&folder, &format!("default/voice-gate/{UPSTREAM}"))?;
        let all: usize = heard.iter().map(|heard| heard.speech.len()).sum();
        let end = Instant::now() + DELIVERY_MAX;
        while look(&memory).bodies.len() < all && Instant::now() < end {
            thread::sleep(POLL);
        }
        Ok(())
    })?;
    drop(node);
    report(&heard, &look(&memory).bodies, &audio)
}

/// Sends pieces as a microphone does, but as fast as they are taken.
fn send(port: u16, pieces: &[&[u8]]) -> Result<Vec<Heard>> {
    let mut heard = Vec::new();
    let mut slowest = Duration::ZERO;
    for piece in pieces {
        let started = Instant::now();
        let reply = http::post(port, "/audio/mic-1", &wave(piece)).context("the node did not answer")?;
        ensure!(reply.status == 200, "the node answered with status {}: {}", reply.status, reply.body);
        slowest = slowest.max(started.elapsed());
        heard.push(serde_json::from_str(&reply.body).context("the answer is not what it promises")?);
    }
    println!("    {} pieces of a second, heard in at most {} ms each", pieces.len(), slowest.as_millis());
    Ok(heard)
}

/// A WAV file: a head of the fixed form that the recordings have, too.
fn wave(samples: &[u8]) -> Vec<u8> {
    let length = samples.len() as u32;
    let mut file = Vec::with_capacity(HEAD + samples.len());
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(length + 36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    for number in [16_u32, 0x0001_0001, 16_000, SECOND as u32, 0x0010_0002] {
        file.extend_from_slice(&number.to_le_bytes());
    }
    file.extend_from_slice(b"data");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(samples);
    file
}

/// Says what was heard, and fails where the speech did not arrive or too much else did.
fn report(heard: &[Heard], arrived: &[Vec<u8>], audio: &[u8]) -> Result<()> {
    let speech: Vec<&Speech> = heard.iter().flat_map(|heard| &heard.speech).collect();
    println!("\nSpeech was heard");
    speech.iter().for_each(|Speech { from, to }| println!("    {from:>6} ms to {to:>6} ms"));
    let spoken: u64 = speech.iter().map(|speech| speech.to - speech.from).sum();
    let (recorded, forwarded) =
        heard.iter().fold((0, 0), |(all, sent), heard| (all + heard.bytes_in, sent + heard.bytes_forwarded));
    println!("\n    recorded at the edge     {recorded:>9} bytes");
    println!("    sent to the transcriber  {forwarded:>9} bytes");
    println!("    saved                    {:>9} %", (recorded - forwarded) * 100 / recorded.max(1));
    ensure!(SPOKEN_MS.contains(&spoken), "{spoken} ms of speech were heard, not {SPOKEN_MS:?}");
    ensure!(forwarded * 2 < recorded, "more than half of the recording was sent");
    ensure!(arrived.len() == speech.len(), "{} of {} pieces of speech arrived", arrived.len(), speech.len());
    for (speech, piece) in speech.iter().zip(arrived) {
        let at = |ms: u64| ms as usize * SECOND / 1000;
        let said = audio.get(at(speech.from)..at(speech.to)).context("it ends after the recording")?;
        ensure!(
            piece.get(HEAD..) == Some(said),
            "the speech from {} ms did not arrive as it was",
            speech.from
        );
    }
    println!("\nEach piece of speech arrived as it was recorded, in order.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(from: u64, to: u64) -> Heard {
        let bytes_forwarded = (to - from) as usize * SECOND / 1000 + HEAD;
        Heard { speech: vec![Speech { from, to }], bytes_in: 10 * SECOND, bytes_forwarded }
    }

    #[test]
    fn speech_that_did_not_arrive_as_it_was_is_told() {
        let audio: Vec<u8> = (0..10 * SECOND).map(|at| (at % 251) as u8).collect();
        let said = wave(&audio[SECOND..4 * SECOND]);
        let verdict = |heard: Heard, arrived: &[Vec<u8>]| report(&[heard], arrived, &audio);
        verdict(heard(1000, 4000), std::slice::from_ref(&said)).unwrap();
        assert!(verdict(heard(1000, 4000), &[]).unwrap_err().to_string().contains("0 of 1"));
        let other = wave(&audio[..3 * SECOND]);
        assert!(verdict(heard(1000, 4000), &[other]).unwrap_err().to_string().contains("as it was"));
        assert!(verdict(heard(1000, 1500), &[said]).unwrap_err().to_string().contains("500 ms"));
    }
}
