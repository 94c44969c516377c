//! The photo that the demo sends: the cover of a book on a table, which the crate `ocrs` ships as an example. Cargo
//! fetches the crate, which is neither built nor used; the photo is checked against a digest and kept in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::cache::Cache;
use crate::workspace::cargo;

const CRATE: &str = "ocrs";
const VERSION: &str = "0.13.1";
const FILE: &str = "examples/rust-book.jpg";
const SHA256: &str = "c75afa17582e982a65fb0d00fa0793f74207f1c70dc2e7edf0ba7b8443f2bb33";

/// What is printed on the cover, from top to bottom.
pub(super) const TRUTH: [&str; 10] = [
    "THE RUST",
    "PROGRAMMING",
    "LANGUAGE",
    "STEVE KLABNIK and CAROL NICHOLS,",
    "with CONTRIBUTIONS from THE RUST COMMUNITY",
    "COVERS",
    "RUST",
    "2018",
    "no starch",
    "press",
];

/// The photo's bytes, from the cache or from the crate.
pub(super) fn fetch(cache: &Cache) -> Result<Vec<u8>> {
    let kept = cache.path("rust-book.jpg");
    let photo = match fs::read(&kept) {
        Ok(photo) if is_the_photo(&photo) => photo,
        _ => {
            let photo = from_crate(&cache.path("photo-crate"))?;
            fs::write(&kept, &photo).with_context(|| format!("cannot write `{}`", kept.display()))?;
            photo
        }
    };
    println!("    a book's cover, `{FILE}` of the crate {CRATE} {VERSION}: {}", kept.display());
    Ok(photo)
}

fn is_the_photo(file: &[u8]) -> bool {
    format!("{:x}", Sha256::digest(file)) == SHA256
}

/// Has cargo fetch the crate, as the dependency of an empty package in `folder`.
fn from_crate(folder: &Path) -> Result<Vec<u8>> {
    println!("    fetching the crate {CRATE} {VERSION}");
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    let manifest = format!(
        "[package]\nname = \"photo\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         {CRATE} = {{ version = \"={VERSION}\", default-features = false }}\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    let file = source_folder(folder)?.join(FILE);
    let photo = fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
    ensure!(
        is_the_photo(&photo),
        "`{}` is not the photo expected: its sha256 is not {SHA256}",
        file.display()
    );
    Ok(photo)
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

/// Where cargo has unpacked the crate.
fn source_folder(folder: &Path) -> Result<PathBuf> {
    let output =
        in_folder(folder, &["metadata", "--format-version", "1"]).output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!(
            "cargo could not fetch the crate {CRATE}; is the crate registry reachable from here? \
             To use a photo of your own: `cargo xtask demo --photo FILE`.\n{}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cargo's metadata cannot be read")?;
    let found = metadata.packages.into_iter().find(|package| package.name == CRATE);
    let manifest = found.context("cargo's metadata does not have the crate")?.manifest_path;
    Ok(manifest.parent().context("a manifest is in a folder")?.to_owned())
}

fn in_folder(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = cargo(arguments);
    command.current_dir(folder);
    command
}
