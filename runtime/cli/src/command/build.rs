//! `rimward build`: makes the app's components by its build commands, and with `--precompile` the machine code that a
//! node without a compiler loads.

use super::Verdict;
use crate::print::{BOLD, Format, GREEN, Report, bytes, duration, note, report};
use crate::{app, compiler, shell};
use anyhow::{Context, Result};
use rimward_bundle::{Bundle, Component, precompiled_path};
use rimward_engine::{Cache, Engine, PoolSize, Settings, precompiled_key};
use rimward_manifest::{App, Name};
use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Build the components of the app in this folder
///
/// Runs the `build.command` of each function in rimward.toml, with the Rust toolchain that has the target
/// wasm32-wasip2: the default one, else the one that `rimward doctor --fix` sets up; RIMWARD_GUEST_TOOLCHAIN names
/// another. Where a package depends on `rimward-sdk` from the registry, the SDK that comes with this command is put in
/// its place by `.cargo/config.toml`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The app's folder, or one below it
    #[arg(long, short = 'C', value_name = "FOLDER", default_value = ".")]
    dir: PathBuf,
    /// Also compile to machine code, into `precompiled/`, for nodes without a compiler
    ///
    /// The code is for this processor and this version of rimward. A node elsewhere ignores it, and compiles if it can.
    #[arg(long)]
    precompile: bool,
}

const EXAMPLES: &str = "\
Examples:
  rimward build                   run the build commands
  rimward build --precompile      and make machine code, for nodes built without a compiler
  rimward build -C shop --json    from elsewhere, for a program";

#[derive(Serialize)]
struct Built {
    app: Name,
    revision: String,
    functions: Vec<BuiltFunction>,
}

#[derive(Serialize)]
struct BuiltFunction {
    name: Name,
    component: PathBuf,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    precompiled: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, format: Format) -> Result<Verdict> {
    let folder = app::folder(&arguments.dir)?;
    let app = App::read(&folder.join("rimward.toml"))?;
    build(&folder, &app)?;
    let bundle = Bundle::from_directory(&folder)?;
    let precompiled = if arguments.precompile { precompile(&folder, &bundle)? } else { Vec::new() };
    report(&built(&folder, &bundle, precompiled), format)?;
    Ok(Verdict::Good)
}

fn build(folder: &Path, app: &App) -> Result<()> {
    for step in shell::steps(folder, app) {
        note!("{BOLD}{}{BOLD:#} in {}", step.command, shell::shown(&step.dir));
        step.run()?;
    }
    Ok(())
}

fn built(folder: &Path, bundle: &Bundle, precompiled: Vec<(Name, PathBuf)>) -> Built {
    let function = |(name, component): (&Name, &Component)| BuiltFunction {
        name: name.clone(),
        component: folder.join(&bundle.app.functions[name].component),
        bytes: component.bytes.len() as u64,
        precompiled: precompiled.iter().find(|(of, _)| of == name).map(|(_, path)| path.clone()),
    };
    Built {
        app: bundle.app.name.clone(),
        revision: bundle.revision.to_string(),
        functions: bundle.components.iter().map(function).collect(),
    }
}

/// Writes the machine code of every component beside it.
fn precompile(folder: &Path, bundle: &Bundle) -> Result<Vec<(Name, PathBuf)>> {
    let settings = Settings { pool: PoolSize::None, ..Settings::default() };
    let engine = Engine::new(
        &settings,
        Cache::none(),
        compiler::child(&rimward_manifest::Compile::default(), rimward_manifest::Confine::Auto),
    )?;
    let one = |(name, component): (&Name, &Component)| {
        Ok((name.clone(), precompile_one(&engine, folder, name, component)?))
    };
    bundle.components.iter().map(one).collect()
}

fn precompile_one(
    engine: &Arc<Engine>,
    folder: &Path,
    name: &Name,
    component: &Component,
) -> Result<PathBuf> {
    let started = Instant::now();
    let compiled = engine.precompile(&component.bytes);
    let (generation, code) = compiled.with_context(|| format!("function `{name}` cannot be compiled"))?;
    let path = precompiled_path(folder, &component.digest, &precompiled_key(generation));
    write_whole(&path, &code).with_context(|| format!("cannot write `{}`", path.display()))?;
    note!("compiled {name} in {}", duration(started.elapsed()));
    Ok(path)
}

/// Writes beside and renames: a node that starts meanwhile never loads half of it.
fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().expect("a file is in a folder");
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}

impl Report for Built {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for function in &self.functions {
            let shown = shell::shown(&function.component);
            writeln!(out, "{GREEN}built{GREEN:#} {} ({}): {shown}", function.name, bytes(function.bytes))?;
            if let Some(path) = &function.precompiled {
                writeln!(out, "      precompiled: {}", shell::shown(path))?;
            }
        }
        Ok(())
    }
}
