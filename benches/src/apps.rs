//! The apps and settings that the node under test is started with, in a temporary folder that goes when it is dropped.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How many invocations an instance serves where it is reused: what `wasmtime serve` takes by default where it reuses.
pub const REUSES: u32 = 128;

/// The name of the section that tells copies of a component apart.
const SECTION: &str = "copy";

/// Everything that servers are started with.
pub struct Apps {
    folder: TempDir,
}

/// The instances of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    /// One for each invocation.
    Fresh,
    /// One for [`REUSES`] invocations.
    Reused,
}

impl Apps {
    /// An empty folder.
    pub fn new() -> Result<Self> {
        Ok(Self { folder: TempDir::with_prefix("rimward-bench-").context("cannot make a temporary folder")? })
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An app with one function at every path.
    pub fn one(&self, name: &str, component: &Path, instances: Instances) -> Result<PathBuf> {
        let folder = self.new_folder(name)?;
        fs::copy(component, folder.join("hello.wasm")).context("cannot copy the component")?;
        let reuse = match instances {
            Instances::Fresh => String::new(),
            Instances::Reused => format!("reuse = {REUSES}\n"),
        };
        let function = format!("[function.hello]\ncomponent = \"hello.wasm\"\n{reuse}");
        let trigger = "[[trigger.http]]\nroute = \"/*rest\"\nfunction = \"hello\"\n";
        self.write_manifest(&folder, &format!("{function}{trigger}"))
    }

    /// An app with `count` functions at `/f0`, `/f1` and so on, each with a component of its own.
    pub fn many(&self, name: &str, component: &Path, count: u32) -> Result<PathBuf> {
        let folder = self.new_folder(name)?;
        let bytes = fs::read(component).context("cannot read the component")?;
        let mut functions = String::new();
        for number in 0..count {
            let copy = copy_of(&bytes, u8::try_from(number).context("too many functions")?);
            fs::write(folder.join(format!("f{number}.wasm")), copy).context("cannot write a component")?;
            functions += &format!("[function.f{number}]\ncomponent = \"f{number}.wasm\"\n");
            functions += &format!("[[trigger.http]]\nroute = \"/f{number}\"\nfunction = \"f{number}\"\n");
        }
        self.write_manifest(&folder, &functions)
    }

    /// The settings of a node without any app.
    pub fn node_without_apps(&self) -> Result<PathBuf> {
        let file = self.path("node.toml");
        let (state, cache) = (self.path("state-none"), self.path("cache-none"));
        let text = format!(
            "[node]\nstate = {state:?}\ncache = {cache:?}\nlisten = [\"127.0.0.1:0\"]\n[ops]\nlisten = \"127.0.0.1:0\"\n"
        );
        fs::write(&file, text).context("cannot write the node's settings")?;
        Ok(file)
    }

    fn new_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.path(name);
        fs::create_dir(&folder).context("cannot make an app's folder")?;
        Ok(folder)
    }

    fn write_manifest(&self, folder: &Path, functions: &str) -> Result<PathBuf> {
        let text = format!("[app]\nname = \"hello\"\nversion = \"1.0.0\"\n{functions}");
        fs::write(folder.join("rimward.toml"), text).context("cannot write an app's manifest")?;
        Ok(folder.to_owned())
    }
}

/// The same component with a custom section of its own, so that it is compiled and loaded as another one.
fn copy_of(component: &[u8], number: u8) -> Vec<u8> {
    const CUSTOM: u8 = 0;
    let content = [&[byte(SECTION.len())], SECTION.as_bytes(), &[number]].concat();
    [component, &[CUSTOM, byte(content.len())], &content].concat()
}

/// A length that takes one byte of LEB128.
fn byte(length: usize) -> u8 {
    u8::try_from(length).ok().filter(|length| *length < 0x80).expect("the section is short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_the_component_and_a_section_at_its_end() {
        assert_eq!(copy_of(b"wasm", 7), b"wasm\0\x06\x04copy\x07");
    }

    #[test]
    fn an_app_with_many_functions_has_a_component_for_each() {
        let apps = Apps::new().unwrap();
        let component = apps.path("component");
        fs::write(&component, "wasm").unwrap();
        let folder = apps.many("many", &component, 2).unwrap();
        let manifest = fs::read_to_string(folder.join("rimward.toml")).unwrap();
        assert!(manifest.contains("route = \"/f1\"\nfunction = \"f1\""), "{manifest}");
        assert_ne!(fs::read(folder.join("f0.wasm")).unwrap(), fs::read(folder.join("f1.wasm")).unwrap());
    }
}
