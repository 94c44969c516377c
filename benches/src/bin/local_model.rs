//! What a call of a model on the node costs beyond what the engine itself takes: in this process, and in the process for
//! models that a node has, for a small tensor and for one of a photograph's size.

#![allow(clippy::print_stdout, reason = "a command line talks to people")]

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Parser;
use rimward_benches::histogram::Histogram;
use rimward_inference::local::{Engine, Launcher, LocalModel};
use rimward_inference::{Datatype, Tensor};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Measures what a call of a model on the node costs beyond the engine's own time
#[derive(Parser)]
struct Arguments {
    /// The `rimward` command, whose process for models is measured
    #[arg(long, value_name = "FILE")]
    rimward: PathBuf,
    /// A model that takes rows of numbers of any length, `x`
    #[arg(long, value_name = "FILE", default_value = "tests/files/mean.onnx")]
    model: PathBuf,
    /// Calls of each kind in each round
    #[arg(long, default_value_t = 500)]
    calls: u32,
    /// Rounds, in which the kinds take turns
    #[arg(long, default_value_t = 15)]
    rounds: u32,
}

/// Numbers of a tensor: 12 bytes, 4 KB, and 600 KB.
const SIZES: [usize; 3] = [3, 1_000, 150_000];

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let file = std::fs::read(&arguments.model)
        .with_context(|| format!("cannot read {}", arguments.model.display()))?;
    let cores = std::thread::available_parallelism()?.get();
    let launcher = Launcher {
        program: std::path::absolute(&arguments.rimward)?,
        arguments: vec!["run-models".into()],
        memory_bytes: 1 << 30,
        confine: rimward_confine::Mode::Auto,
    };
    let ways = [
        ("in this process", Engine::start(cores)?.load(file.clone()).await?),
        ("in a process for models", Engine::launch(cores, launcher)?.load(file).await?),
    ];
    println!(
        "| a call of a model | tensor | engine p50 | whole p50 | added p50 | added p99 |\n|---|---|---|---|---|---|"
    );
    for size in SIZES {
        let numbers: Vec<u8> = (0..size).flat_map(|index| (index as f32).to_le_bytes()).collect();
        let shape = vec![1, size as u64];
        let x = Tensor::new("x", Datatype::Fp32, shape, Bytes::from(numbers))?;
        let mut times = [Times::default(), Times::default()];
        for _ in 0..arguments.rounds {
            for ((_, model), times) in ways.iter().zip(&mut times) {
                calls(model, &x, arguments.calls, times).await?;
            }
        }
        for ((way, _), times) in ways.iter().zip(&times) {
            let Times { engine, whole, added } = times;
            let us = |times: &Histogram, quantile| times.quantile(quantile).as_secs_f64() * 1e6;
            println!(
                "| {way} | {} B | {:.1} µs | {:.1} µs | {:.1} µs | {:.1} µs |",
                4 * size,
                us(engine, 0.5),
                us(whole, 0.5),
                us(added, 0.5),
                us(added, 0.99),
            );
        }
    }
    Ok(())
}

#[derive(Default)]
struct Times {
    engine: Histogram,
    whole: Histogram,
    added: Histogram,
}

async fn calls(model: &LocalModel, x: &Tensor, calls: u32, times: &mut Times) -> Result<()> {
    for _ in 0..calls {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        let start = Instant::now();
        let answer = model.infer(vec![x.clone()], &[], deadline).await?;
        let whole = start.elapsed();
        ensure!(answer.outputs.len() == 1, "the model has one output");
        times.engine.record(answer.ran);
        times.whole.record(whole);
        times.added.record(whole.saturating_sub(answer.ran));
    }
    Ok(())
}
