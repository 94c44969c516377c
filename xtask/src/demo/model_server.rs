//! The model server of a demo: KServe with onnxruntime, in a virtual environment in the cache, running the example's
//! `cloud/server.py`. Installed once for all of them; what cannot be had is said with the remedy.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::cache::Cache;
use super::http;
use super::limits::MODEL_SERVER_START_MAX;
use super::process::{Process, end_of, free_port};
use crate::workspace::root;

/// What a model server runs.
pub(super) struct ModelServer {
    /// Its script, below the root.
    pub(super) script: &'static str,
    /// The model that it serves.
    pub(super) model: &'static str,
}

/// What every model server needs, below the root.
const REQUIREMENTS: &str = "examples/read-text/cloud/requirements.txt";

/// The minor versions of Python 3 for which every requirement has a built package.
const PYTHONS: std::ops::RangeInclusive<u32> = 11..=13;

/// The Python that has all the requirements.
pub(super) fn install(cache: &Cache) -> Result<PathBuf> {
    let requirements = root().join(REQUIREMENTS);
    let wanted = fs::read_to_string(&requirements).context("cannot read the list of requirements")?;
    let folder = cache.path("model-server");
    let python = folder.join("bin/python");
    let stamp = folder.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && works(&python) {
        println!("    already installed: {}", folder.display());
        return Ok(python);
    }
    make_environment(&folder)?;
    fetch(&python, &requirements, wanted.lines().filter(|line| line.contains("==")).count(), cache)?;
    fs::write(&stamp, &wanted).context("cannot note that the requirements are installed")?;
    Ok(python)
}

fn works(python: &Path) -> bool {
    Command::new(python).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn make_environment(folder: &Path) -> Result<()> {
    let base = find_python()?;
    println!("    virtual environment of {base} in {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
    }
    let made = Command::new(&base).args(["-m", "venv"]).arg(folder).output();
    let made = made.with_context(|| format!("cannot run `{base}`"))?;
    if !made.status.success() {
        bail!(
            "{base} cannot make a virtual environment. On Debian and Ubuntu: `apt-get install python3-venv`.\n{}{}",
            String::from_utf8_lossy(&made.stdout),
            String::from_utf8_lossy(&made.stderr)
        );
    }
    Ok(())
}

fn find_python() -> Result<String> {
    let newest_first = PYTHONS.rev().map(|minor| format!("python3.{minor}"));
    let mut names = std::iter::once("python3".to_owned()).chain(newest_first);
    names.find(|name| minor_version(name).is_some_and(|minor| PYTHONS.contains(&minor))).with_context(|| {
        format!(
            "the model server needs Python 3.{} to 3.{}, and none was found ({}). \
             On Debian and Ubuntu: `apt-get install python3 python3-venv`",
            PYTHONS.start(),
            PYTHONS.end(),
            minor_version("python3")
                .map_or("no `python3`".to_owned(), |minor| format!("`python3` is 3.{minor}")),
        )
    })
}

fn minor_version(python: &str) -> Option<u32> {
    let output = Command::new(python).arg("--version").output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().strip_prefix("Python 3.")?.split('.').next()?.parse().ok()
}

/// Runs pip, and says every ten packages how far it is.
fn fetch(python: &Path, requirements: &Path, packages: usize, cache: &Cache) -> Result<()> {
    println!("    installing {packages} packages with pip, some 550 MB on disk");
    let log = cache.path("pip.log");
    let mut kept = File::create(&log).with_context(|| format!("cannot write `{}`", log.display()))?;
    let mut pip = Command::new(python)
        .args(["-m", "pip", "install", "--no-deps", "--no-input", "--disable-pip-version-check"])
        .args(["--progress-bar", "off", "--requirement"])
        .arg(requirements)
        .stdout(Stdio::piped())
        .stderr(kept.try_clone()?)
        .spawn()
        .context("cannot run pip")?;
    let mut seen = 0;
    for line in BufReader::new(pip.stdout.take().context("pip has no output")?).lines().map_while(Result::ok)
    {
        writeln!(kept, "{line}")?;
        if line.starts_with("Collecting ") {
            seen += 1;
            if seen % 10 == 0 {
                println!("    {seen} of {packages}");
            }
        } else if line.starts_with("Installing ") {
            println!("    all fetched, unpacking");
        }
    }
    if !pip.wait()?.success() {
        bail!(
            "pip could not install the model server. It is KServe from PyPI, the Python package index: check that pip \
             can reach an index from here (`pip config list` shows which), then run the demo again{}",
            end_of(&log)
        );
    }
    Ok(())
}

impl ModelServer {
    /// Starts the server, and waits until its model is ready. Returns its port too.
    pub(super) fn start(&self, python: &Path, cache: &Cache) -> Result<(Process, u16)> {
        let port = free_port()?;
        let mut command = Command::new(python);
        command.arg(root().join(self.script)).arg("--port").arg(port.to_string());
        // Nothing is to be written beside the source.
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
        let mut process = Process::start("the model server", &mut command, cache.path("model-server.log"))?;
        let model = format!("/v2/models/{}", self.model);
        let ready = || http::get(port, &format!("{model}/ready")).is_ok_and(|reply| reply.status == 200);
        process.wait(MODEL_SERVER_START_MAX, |_| ready().then_some(()))?;
        println!("    http://127.0.0.1:{port}{model}, the Open Inference Protocol v2");
        Ok((process, port))
    }
}
