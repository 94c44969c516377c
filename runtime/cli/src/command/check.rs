//! `rimward check`: everything that can be wrong with an app before it runs. The manifest is read, and each component
//! is compiled and linked with exactly what it was granted, by a node that listens nowhere; no code of it runs.

use super::Verdict;
use crate::print::{BOLD, ErrorReport, Format, GREEN, Report, bytes, count, error_text, report};
use crate::{app, local, runtime};
use anyhow::{Context, Result};
use rimward_bundle::Bundle;
use rimward_manifest::{App, Name, NodeFile, Reuse, Secret};
use rimward_node::{InstallError, Node, Profile, Silent, StateChoice};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Check the app in this folder without running it
///
/// Reads rimward.toml, and compiles and links each component with what it was granted: what it is, what it imports, and
/// whether it may. Build first. Secrets are not needed. Exits with 1 if anything is wrong.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// An app's folder, or one below it, or a component
    #[arg(value_name = "APP", default_value = ".")]
    app: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  rimward check                 the app in this folder
  rimward check app.wasm        a component: what it is, and what it would need
  rimward check --json          for a program";

#[derive(Serialize)]
struct Checked {
    app: Name,
    revision: String,
    routes: Vec<String>,
    functions: Vec<CheckedFunction>,
}

#[derive(Serialize)]
struct CheckedFunction {
    name: Name,
    bytes: usize,
    /// Which `wasi:http` it speaks, where it can be a function at all.
    abi: Option<&'static str>,
    #[serde(serialize_with = "as_report", skip_serializing_if = "Option::is_none")]
    error: Option<InstallError>,
}

fn as_report<S: Serializer>(error: &Option<InstallError>, serializer: S) -> Result<S::Ok, S::Error> {
    error.as_ref().map(|error| ErrorReport::new(error)).serialize(serializer)
}

pub(crate) fn run(arguments: &Arguments, format: Format) -> Result<Verdict> {
    let bundle = bundle(&arguments.app)?;
    let placeholder = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    let file = file(&bundle.app, placeholder.path());
    let node = local::start(file, Profile::Dev, StateChoice::Memory, Arc::new(Silent), Vec::new())?;
    let checked = runtime::block_on(async { Ok(check(&node, &bundle).await) })?;
    report(&checked, format)?;
    let bad = checked.functions.iter().any(|function| function.error.is_some());
    Ok(if bad { Verdict::Bad } else { Verdict::Good })
}

fn bundle(path: &Path) -> Result<Bundle> {
    match path.is_dir() {
        true => Ok(Bundle::from_directory(&app::folder(path)?)?),
        false => app::bundle(path),
    }
}

async fn check(node: &Node, bundle: &Bundle) -> Checked {
    let mut functions = Vec::new();
    // One by one, so that what is wrong with one does not hide what is wrong with the next.
    for (name, component) in &bundle.components {
        let installed = node.install(alone(bundle, name), local::as_declared()).await;
        functions.push(CheckedFunction {
            name: name.clone(),
            bytes: component.bytes.len(),
            abi: abi(node, name),
            error: installed.err(),
        });
    }
    Checked {
        app: bundle.app.name.clone(),
        revision: bundle.revision.to_string(),
        routes: bundle.app.http.iter().map(|trigger| trigger.route.to_string()).collect(),
        functions,
    }
}

/// Every secret is there, and nobody will read it.
fn file(app: &App, placeholder: &Path) -> NodeFile {
    let mut file = local::one_shot_file(None);
    let bind = |name: &Name| (name.clone(), Secret::File(placeholder.to_owned()));
    file.secrets = app.secrets().into_iter().map(bind).collect();
    file
}

/// An app of that function only, which is not called even to see whether it can be reused.
fn alone(bundle: &Bundle, name: &Name) -> Bundle {
    let mut app = bundle.app.clone();
    app.name = name.clone();
    app.functions.retain(|other, _| other == name);
    app.functions.values_mut().for_each(|function| function.reuse = Reuse::Fresh);
    // The manifest's routes do not conflict with each other: they were read.
    app.http.clear();
    let components = BTreeMap::from([(name.clone(), bundle.components[name].clone())]);
    Bundle::new(app, components, bundle.files.clone())
}

fn abi(node: &Node, function: &Name) -> Option<&'static str> {
    let status = node.status();
    let functions = status.apps.into_iter().flat_map(|app| app.functions);
    functions.into_iter().find(|status| status.id.function == *function).map(|status| status.abi)
}

impl Report for Checked {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let routes = count(self.routes.len(), "route");
        writeln!(
            out,
            "app {BOLD}{}{BOLD:#}: {}, {routes}",
            self.app,
            count(self.functions.len(), "function")
        )?;
        for function in &self.functions {
            let size = bytes(function.bytes as u64);
            match (&function.error, function.abi) {
                (Some(error), _) => write!(out, "{}", error_text(error))?,
                (None, abi) => writeln!(
                    out,
                    "{GREEN}ok{GREEN:#}  function {}: {}, {size}, has what it imports",
                    function.name,
                    abi.unwrap_or("no wasi:http")
                )?,
            }
        }
        Ok(())
    }
}
