//! Embeds what `rimward new` hands out: the templates, and the SDK's sources, as lists of (path, content).
//!
//! The lists name files by paths of this checkout; only the contents and the relative paths end up in the binary.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What a build without the SDK's repository needs of it. `sdk/wit` is for the node; the bindings made from it are in
/// `rust`.
const SDK: &[&str] = &["rust/Cargo.toml", "rust/README.md", "rust/src", "macros/Cargo.toml", "macros/src"];

fn main() -> io::Result<()> {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let (templates, sdk) = (here.join("templates"), here.join("../../sdk"));
    let lists = [
        list("TEMPLATES", &templates, &files(&templates)?),
        list(
            "SDK",
            &sdk,
            &SDK.iter().map(|part| files(&sdk.join(part))).collect::<io::Result<Vec<_>>>()?.concat(),
        ),
    ];
    fs::write(Path::new(&variable("OUT_DIR")).join("embedded.rs"), lists.concat())
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

/// Every file under `path`, or the file `path` itself, sorted.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    println!("cargo::rerun-if-changed={}", path.display());
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let mut found = entries.iter().map(|entry| files(entry)).collect::<io::Result<Vec<_>>>()?.concat();
    found.sort();
    Ok(found)
}

fn list(name: &str, root: &Path, files: &[PathBuf]) -> String {
    let entry = |file: &PathBuf| {
        let relative = file.strip_prefix(root).expect("the file was found under the root");
        format!("    ({:?}, include_bytes!({file:?})),\n", relative.display().to_string())
    };
    let entries: String = files.iter().map(entry).collect();
    format!("pub(crate) const {name}: &[(&str, &[u8])] = &[\n{entries}];\n")
}
