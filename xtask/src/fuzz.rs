//! `cargo xtask fuzz`: runs one fuzz target for a while. Needs nightly and cargo-fuzz; everything else replays the corpora
//! (`tests/fuzz-targets`). Without a sanitizer: what is fuzzed is safe code, and finds twice as much in the same time.

use anyhow::{Context, Result, bail, ensure};
use std::process::Command;

use crate::workspace::{has, root};

/// Seconds that one input may take before it counts as found.
const ONE_INPUT_S: u32 = 10;
/// Memory that the target may use before that counts as found, MiB.
const MEMORY_MIB: u32 = 2048;
/// The largest input, bytes: what a reader does with more of the same is not new.
const INPUT_BYTES: u32 = 16 << 10;

/// Looks for bytes that break a reader.
///
/// Starts from `fuzz/corpus/TARGET`. What it finds lies in `fuzz/artifacts/TARGET`: mend the reader, and add the input to
/// the corpus under a name that says what it is.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The reader; without one, they are listed.
    target: Option<String>,

    /// For how long.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let targets = targets()?;
    let Some(target) = &arguments.target else {
        targets.iter().for_each(|target| println!("{target}"));
        return Ok(());
    };
    ensure!(targets.contains(target), "there is no target `{target}`: there are {}", targets.join(", "));
    if !has("fuzz") {
        bail!(
            "cargo-fuzz is not installed: `cargo install cargo-fuzz`, and `rustup toolchain install nightly`"
        );
    }
    // The cargo that runs us is stable, and tells its children so.
    let mut fuzz = Command::new("cargo");
    fuzz.current_dir(root()).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    fuzz.args(["+nightly", "fuzz", "run", "--sanitizer", "none", target, "--"]);
    fuzz.arg(format!("-max_total_time={}", arguments.seconds));
    fuzz.arg(format!("-timeout={ONE_INPUT_S}")).arg(format!("-rss_limit_mb={MEMORY_MIB}"));
    fuzz.arg(format!("-max_len={INPUT_BYTES}"));
    let status = fuzz.status().context("cannot run `cargo +nightly fuzz`")?;
    ensure!(status.success(), "`{target}` was broken, or could not be built: see above");
    Ok(())
}

/// By the folders of their corpora.
fn targets() -> Result<Vec<String>> {
    let entries = std::fs::read_dir(root().join("fuzz/corpus")).context("cannot read `fuzz/corpus`")?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}
