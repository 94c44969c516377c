//! `rimward new NAME`: makes a project from a template. It builds and passes its own test on a machine that has never
//! seen this repository, because the SDK comes with the binary ([`sdk`]). Changes nothing that is already there.

use super::Verdict;
use crate::embedded::TEMPLATES;
use crate::print::{BOLD, DIM, Format, Report, report};
use crate::{app, sdk};
use anyhow::Result;
use rimward_manifest::{Name, NameError};
use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Make a new project in a folder of its own
///
/// The project is a Rust crate and a `rimward.toml`. It depends on the crate `rimward-sdk`, whose sources come with this
/// command: they are unpacked into ~/.cache/rimward/sdk, and the project's `.cargo/config.toml` (kept out of version
/// control) names that folder, so that plain `cargo test` and editors find them too.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The project's folder; its last part is the name of the app and of its function
    #[arg(value_name = "NAME")]
    path: PathBuf,
    /// What to begin with
    #[arg(long, short, value_enum, default_value_t = Template::Http)]
    template: Template,
}

const EXAMPLES: &str = "\
Examples:
  rimward new hello                         a function that answers GET / with JSON
  rimward new --template offload camera     prepares photos here, a model server elsewhere classifies them";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Template {
    /// A function that answers HTTP requests with JSON
    Http,
    /// A function that prepares photos and has a model server classify them
    Offload,
}

impl Template {
    fn folder(self) -> &'static str {
        match self {
            Self::Http => "http/",
            Self::Offload => "offload/",
        }
    }
}

/// Why there is no new project.
#[derive(Debug, thiserror::Error)]
enum NewError {
    #[error("`{0}` has no last part that could be a name: `rimward new hello`")]
    NoName(PathBuf),
    #[error("`{name}` cannot be the name of an app{}", try_name(suggestion))]
    BadName { name: String, suggestion: Option<Name>, source: NameError },
    #[error("`{0}` cannot be the name of a Rust crate, which begins with a letter: choose another name")]
    Digit(Name),
    #[error("`{}` is there and is not empty: choose another name, or remove it", .0.display())]
    NotEmpty(PathBuf),
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
}

fn try_name(name: &Option<Name>) -> String {
    name.as_ref().map(|name| format!(": try `{name}`")).unwrap_or_default()
}

#[derive(Serialize)]
struct Made {
    name: Name,
    folder: PathBuf,
    template: Template,
    files: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, format: Format) -> Result<Verdict> {
    let name = name(&arguments.path)?;
    let folder = arguments.path.clone();
    check_empty(&folder)?;
    let files = write(&folder, &name, arguments.template)?;
    sdk::provide_new(&folder)?;
    report(&Made { name, folder, template: arguments.template, files }, format)?;
    Ok(Verdict::Good)
}

fn name(path: &Path) -> Result<Name, NewError> {
    let text = path.file_name().ok_or_else(|| NewError::NoName(path.to_owned()))?.to_string_lossy();
    let name: Name = text.parse().map_err(|source| NewError::BadName {
        name: text.to_string(),
        suggestion: app::label(&text).filter(begins_with_letter),
        source,
    })?;
    if begins_with_letter(&name) { Ok(name) } else { Err(NewError::Digit(name)) }
}

fn begins_with_letter(name: &Name) -> bool {
    name.as_str().starts_with(|first: char| first.is_ascii_alphabetic())
}

fn check_empty(folder: &Path) -> Result<(), NewError> {
    let is_free = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if is_free { Ok(()) } else { Err(NewError::NotEmpty(folder.to_owned())) }
}

/// Writes the template's files, with the name put in.
fn write(folder: &Path, name: &Name, template: Template) -> Result<Vec<String>, NewError> {
    let of_template = |(path, content): &(&'static str, &'static [u8])| {
        Some((path.strip_prefix(template.folder())?.trim_end_matches(".tmpl"), *content))
    };
    let mut files = Vec::new();
    for (path, content) in TEMPLATES.iter().filter_map(of_template) {
        let text = String::from_utf8_lossy(content).replace("{{name}}", name.as_str());
        let file = folder.join(path);
        let failed = |source| NewError::Write { path: file.clone(), source };
        fs::create_dir_all(file.parent().expect("a file is in a folder")).map_err(failed)?;
        fs::write(&file, text).map_err(failed)?;
        files.push(path.to_owned());
    }
    Ok(files)
}

impl Report for Made {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "Made {BOLD}{}{BOLD:#}: {}.", self.folder.display(), self.files.join(", "))?;
        writeln!(out)?;
        writeln!(out, "  cd {}", self.folder.display())?;
        let mut step = |command, why| writeln!(out, "  {command:<16}{DIM}{why}{DIM:#}");
        step("rimward dev", "build it, serve it on http://127.0.0.1:3000, rebuild on every change")?;
        step("rimward test", "run its own tests; plain `cargo test` does too")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_last_part_of_the_path() {
        let check = |path: &str, expected: Result<&str, &str>| {
            let found = name(Path::new(path)).map_err(|error| error.to_string());
            assert_eq!(found.as_ref().map(Name::as_str).map_err(String::as_str), expected);
        };
        check("shop/camera-2", Ok("camera-2"));
        check("My_App", Err("`My_App` cannot be the name of an app: try `my-app`"));
        check(
            "2nd",
            Err("`2nd` cannot be the name of a Rust crate, which begins with a letter: choose another name"),
        );
        check("..", Err("`..` has no last part that could be a name: `rimward new hello`"));
    }

    #[test]
    fn every_template_declares_an_app_of_that_name() {
        for template in [Template::Http, Template::Offload] {
            let folder = tempfile::tempdir().unwrap();
            let files = write(folder.path(), &"camera".parse().unwrap(), template).unwrap();
            assert!(files.contains(&"README.md".to_owned()));
            let app = rimward_manifest::App::read(&folder.path().join("rimward.toml")).unwrap();
            assert_eq!(app.name.as_str(), "camera");
            for file in files {
                let text = fs::read_to_string(folder.path().join(&file)).unwrap();
                assert!(!text.contains("{{"), "{file}");
            }
        }
    }
}
