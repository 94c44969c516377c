//! Components made by other people's tools, for the tests of compatibility: none of them knows Rimward.
//!
//! Their sources are in `tests/foreign`, one folder for each language; the tools are installed into the user's cache, by
//! npm and pip, and what they make is kept there under a digest of its recipe, so that a second run only copies it to
//! `tests/foreign/target`, where tests look. A tool that cannot be had is no failure: `NAME.missing` says why, and the
//! tests that need the component report themselves as not run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::steps::Steps;
use crate::workspace::{cargo_in, root};

/// A language with a tool that makes components.
struct Language {
    /// The folder of its sources.
    name: &'static str,
    /// The program that runs the tool.
    program: &'static str,
    /// Installs the tool into a folder that has the sources.
    install: fn(&Path) -> Result<()>,
    /// Makes `new.wasm` in that folder, from the sources and `wit`.
    build: fn(&Path) -> Result<()>,
    /// The version of WASI that the tool is made for.
    wasi: &'static str,
}

const LANGUAGES: [Language; 2] = [
    Language { name: "js", program: "node", install: install_js, build: build_js, wasi: "0.2.10" },
    Language { name: "py", program: "python3", install: install_py, build: build_py, wasi: WIT_VERSION },
];

/// The crate of the test guests whose sources include the WIT of WASI 0.2.
const WIT_CRATE: &str = "wasip2";
/// The version of that WIT. Patch versions of WASI differ in their number only, as far as components use them.
const WIT_VERSION: &str = "0.2.12";

/// Makes what is missing, as steps of a chore. Returns whether all went well; what cannot be had here is well.
pub(crate) fn set_up(steps: &mut Steps) -> bool {
    LANGUAGES.iter().fold(true, |all, language| all & language.set_up(steps))
}

/// Whether every component is there or known to be missing.
pub(crate) fn is_ready() -> bool {
    LANGUAGES.iter().all(|language| language.component().exists() || language.missing().exists())
}

impl Language {
    fn set_up(&self, steps: &mut Steps) -> bool {
        let name = format!("component made with {}", self.name);
        let mut why = None;
        let done = steps.work(&name, || {
            why = self.provide()?;
            Ok(())
        });
        if let Some(why) = why {
            steps.not_run(&format!("tests of the {}", name), &why);
        }
        done
    }

    /// Puts the component where tests look, or the reason why it cannot be had here, which is returned.
    fn provide(&self) -> Result<Option<String>> {
        let cached = cache()?.join(format!("{}-{}", self.name, self.digest()?));
        fs::create_dir_all(target()).context("cannot make the folder of foreign components")?;
        let component = cached.join("app.wasm");
        if !component.exists()
            && let Err(error) = self.install_in(&cached)
        {
            let why = format!("{error:#}");
            fs::write(self.missing(), &why)?;
            return Ok(Some(why));
        }
        if !component.exists() {
            println!("    making the component ...");
            (self.build)(&cached)?;
            fs::rename(cached.join("new.wasm"), &component)?;
        }
        fs::copy(&component, self.component()).context("cannot copy the component")?;
        let _ = fs::remove_file(self.missing());
        Ok(None)
    }

    fn install_in(&self, folder: &Path) -> Result<()> {
        if !Command::new(self.program).arg("--version").output().is_ok_and(|output| output.status.success()) {
            bail!("`{}` is not installed", self.program);
        }
        println!("    installing its tool in {} ...", folder.display());
        fs::create_dir_all(folder)?;
        for source in self.sources()? {
            fs::copy(&source, folder.join(source.file_name().expect("a file has a name")))?;
        }
        self.write_wit(&folder.join("wit"))?;
        (self.install)(folder)
    }

    /// The world of the component and the WIT of WASI that it includes, in the version that the tool is made for.
    fn write_wit(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder.join("deps"))?;
        fs::copy(self.folder().join("world.wit"), folder.join("world.wit"))?;
        for file in files(&wasi_wit()?)? {
            let text = fs::read_to_string(&file)?.replace(WIT_VERSION, self.wasi);
            fs::write(folder.join("deps").join(file.file_name().expect("a file has a name")), text)?;
        }
        Ok(())
    }

    /// Of everything that the component is made from; the versions of the tools are in the sources.
    fn digest(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for source in self.sources()? {
            hash.update(fs::read(&source)?);
        }
        Ok(hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn sources(&self) -> Result<Vec<PathBuf>> {
        files(&self.folder())
    }

    fn folder(&self) -> PathBuf {
        root().join("tests/foreign").join(self.name)
    }

    fn component(&self) -> PathBuf {
        target().join(self.name).with_extension("wasm")
    }

    fn missing(&self) -> PathBuf {
        target().join(self.name).with_extension("missing")
    }
}

fn install_js(folder: &Path) -> Result<()> {
    run(Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--fetch-retries=1"])
        .current_dir(folder))
}

fn build_js(folder: &Path) -> Result<()> {
    run(Command::new("node").args(["build.mjs", "app.js", "wit", "new.wasm"]).current_dir(folder))
}

fn install_py(folder: &Path) -> Result<()> {
    run(Command::new("python3").args(["-m", "venv", "venv"]).current_dir(folder))?;
    let pip = ["install", "--quiet", "--retries=1", "--requirement=requirements.txt"];
    run(Command::new(folder.join("venv/bin/pip")).args(pip).current_dir(folder))
}

fn build_py(folder: &Path) -> Result<()> {
    let arguments = ["--wit-path=wit", "--world=app", "componentize", "app", "--output=new.wasm"];
    run(Command::new(folder.join("venv/bin/componentize-py")).args(arguments).current_dir(folder))
}

/// Runs a command; its failure says the last line that it printed.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run `{program}`"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!(
        "`{program}` failed: {}",
        said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing")
    )
}

/// Where the WIT of WASI is: it comes with a crate that the test guests are built with.
fn wasi_wit() -> Result<PathBuf> {
    let mut metadata = cargo_in("tests/guests", &["metadata", "--format-version=1", "--locked"]);
    let output = metadata.output().context("cannot run `cargo metadata`")?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("`cargo metadata` failed")?;
    let packages = metadata["packages"].as_array().context("`cargo metadata` names no packages")?;
    let manifest = packages
        .iter()
        .find(|package| package["name"] == WIT_CRATE)
        .and_then(|it| it["manifest_path"].as_str());
    let manifest = manifest.with_context(|| format!("the test guests do not use `{WIT_CRATE}`"))?;
    Ok(Path::new(manifest).with_file_name("wit/deps"))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    let mut files: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort_unstable();
    Ok(files)
}

fn target() -> PathBuf {
    root().join("tests/foreign/target")
}

fn cache() -> Result<PathBuf> {
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache =
        env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from).or_else(home);
    Ok(cache.context("there is no cache folder: set `HOME` or `XDG_CACHE_HOME`")?.join("rimward/foreign"))
}
