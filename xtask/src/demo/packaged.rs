//! Files that the demos take from published crates: cargo fetches the crate, which is neither built nor used; the file is
//! checked against a digest and kept in the cache. Cargo is there anyway, and nothing else has to be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::cache::Cache;
use crate::workspace::cargo;

/// A file of a published crate.
pub(super) struct Packaged {
    /// The crate.
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// Its path in the crate.
    pub(super) file: &'static str,
    pub(super) sha256: &'static str,
    /// What to do where it cannot be had.
    pub(super) remedy: &'static str,
}

impl Packaged {
    /// Its bytes, from the cache or from the crate.
    pub(super) fn fetch(&self, cache: &Cache) -> Result<Vec<u8>> {
        let name = Path::new(self.file).file_name().context("a file has a name")?;
        let kept = cache.path(&format!("{}-{}-{}", self.name, self.version, name.display()));
        let bytes = match fs::read(&kept) {
            Ok(bytes) if self.is(&bytes) => bytes,
            _ => {
                let bytes = self.unpack(&cache.path(&format!("crate-{}", self.name)))?;
                fs::write(&kept, &bytes).with_context(|| format!("cannot write `{}`", kept.display()))?;
                bytes
            }
        };
        println!("    `{}` of the crate {} {}: {}", self.file, self.name, self.version, kept.display());
        Ok(bytes)
    }

    fn is(&self, bytes: &[u8]) -> bool {
        format!("{:x}", Sha256::digest(bytes)) == self.sha256
    }

    /// Has cargo fetch the crate, as the dependency of an empty package in `folder`.
    fn unpack(&self, folder: &Path) -> Result<Vec<u8>> {
        println!("    fetching the crate {} {}", self.name, self.version);
        fs::create_dir_all(folder.join("src"))?;
        fs::write(folder.join("src/lib.rs"), "")?;
        let manifest = format!(
            "[package]\nname = \"packaged\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
             {} = {{ version = \"={}\", default-features = false }}\n",
            self.name, self.version
        );
        fs::write(folder.join("Cargo.toml"), manifest)?;
        let file = self.source_folder(folder)?.join(self.file);
        let bytes = fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
        ensure!(
            self.is(&bytes),
            "`{}` is not the file expected: its sha256 is not {}",
            file.display(),
            self.sha256
        );
        Ok(bytes)
    }

    /// Where cargo has unpacked the crate.
    fn source_folder(&self, folder: &Path) -> Result<PathBuf> {
        let mut metadata = cargo(&["metadata", "--format-version", "1"]);
        let output = run(metadata.current_dir(folder))?;
        if !output.status.success() {
            bail!(
                "cargo could not fetch the crate {}; is the crate registry reachable from here? {}\n{}",
                self.name,
                self.remedy,
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        let metadata: Metadata =
            serde_json::from_slice(&output.stdout).context("cargo's metadata cannot be read")?;
        let found = metadata.packages.into_iter().find(|package| package.name == self.name);
        let manifest = found.context("cargo's metadata does not have the crate")?.manifest_path;
        Ok(manifest.parent().context("a manifest is in a folder")?.to_owned())
    }
}

fn run(command: &mut Command) -> Result<std::process::Output> {
    command.output().context("cannot run cargo")
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}
