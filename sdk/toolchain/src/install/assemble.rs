//! The second way: a rustup toolchain put together from Debian's compiler and rustup's linker.
//!
//! Debian has a Rust with the source of its standard library, and a C library for WASI; the default rustup toolchain
//! has the linker that makes components. The standard library is built once for the target, and everything is laid
//! out as a sysroot whose `rustc` is Debian's. It is made beside its place, tested, then moved there and linked: a run
//! that is cut off leaves nothing that could be taken for a toolchain.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::debian::{self, Parts};
use super::{Doing, Progress, WayError, at, missing, rustup, verify};
use crate::command::run;
use crate::environment::clean;
use crate::guest::has_target;
use crate::limits::{BUILD_STD, QUERY};
use crate::{LINKED, TARGET};

/// Counts changes of what this file lays out, so that an older layout is made again.
const LAYOUT: u32 = 1;

/// How the folders that toolchains are made in begin.
const WORK: &str = "guest-toolchain-work.";

/// What the toolchain was made of; in its folder.
const STAMP: &str = "made-of";

/// Whether the assembled toolchain is made of what is installed now.
pub(super) fn is_current(cache: &Path) -> bool {
    let expected = debian::installed().ok().flatten().zip(Rustup::find().ok());
    let Some((parts, rustup)) = expected else { return false };
    let place = place(cache);
    fs::read_to_string(place.join(STAMP)).is_ok_and(|made_of| made_of == stamp(&parts, &rustup))
        && has_target(&place)
}

/// Makes the toolchain and links it.
pub(super) fn assemble(cache: &Path, progress: &mut Progress<'_>) -> Result<(), WayError> {
    let rustup = Rustup::find()?;
    let parts = debian::provide(progress)?;
    let place = place(cache);
    if !is_current(cache) {
        sweep(cache);
        let work = TempDir::with_prefix_in(WORK, cache).map_err(at("make a folder in", cache))?;
        let new = make(work.path(), &parts, &rustup, progress)?;
        replace(&place, &new, work.path())?;
    }
    progress.step(&format!("rustup toolchain link {LINKED}"), || rustup::link(LINKED, &place))
}

/// Removes what runs that were cut off have left. What cannot be removed is not in the way.
fn sweep(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(WORK) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn place(cache: &Path) -> PathBuf {
    cache.join("guest-toolchain")
}

fn stamp(parts: &Parts, rustup: &Rustup) -> String {
    let Parts { versions, ar, .. } = parts;
    format!("layout {LAYOUT}\n{versions}ar {}\nlinker {}\n", ar.display(), rustup.linker.display())
}

/// Moves `new` to `place`; what was there goes away with `work`.
fn replace(place: &Path, new: &Path, work: &Path) -> Result<(), WayError> {
    if place.exists() {
        fs::rename(place, work.join("replaced")).map_err(at("move the old toolchain away", place))?;
    }
    fs::rename(new, place).map_err(at("move the new toolchain to its place", place))
}

/// What the default rustup toolchain contributes.
struct Rustup {
    cargo: PathBuf,
    /// The folder with `wasm-component-ld` and `rust-lld`.
    linker: PathBuf,
    host: String,
}

impl Rustup {
    fn find() -> Result<Rustup, WayError> {
        let ask = |arguments: &[&str]| {
            run(clean(&mut Command::new("rustc")).args(arguments), QUERY).doing("ask the default toolchain")
        };
        let sysroot = PathBuf::from(ask(&["--print", "sysroot"])?.trim_end());
        let host = ask(&["--print", "host-tuple"])?.trim_end().to_owned();
        let linker = sysroot.join("lib/rustlib").join(&host).join("bin");
        if !linker.join("wasm-component-ld").exists() {
            let sysroot = sysroot.display();
            return Err(WayError::Lacks(format!(
                "the Rust in `{sysroot}` has no linker for components (`wasm-component-ld`): install Rust with rustup"
            )));
        }
        Ok(Rustup { cargo: sysroot.join("bin/cargo"), linker, host })
    }
}

/// Makes a tested toolchain in a folder of `work`, and returns the folder.
fn make(
    work: &Path,
    parts: &Parts,
    rustup: &Rustup,
    progress: &mut Progress<'_>,
) -> Result<PathBuf, WayError> {
    let new = work.join("toolchain");
    let lib = new.join("lib/rustlib").join(TARGET).join("lib");
    fs::create_dir_all(lib.join("self-contained")).map_err(at("make the folder", &lib))?;
    lay_out_host(&new, parts, rustup)?;
    progress.step(&format!("build the standard library for {TARGET} (some minutes)"), || {
        build_std(work, &lib, parts, rustup)
    })?;
    progress.step("complete the C library", || complete_libc(work, &new, &lib, parts))?;
    progress.step("build a component to try it", || verify::verify(work, &new))?;
    let stamp_file = new.join(STAMP);
    fs::write(&stamp_file, stamp(parts, rustup)).map_err(at("write", &stamp_file))?;
    Ok(new)
}

/// The programs, and the host's libraries for build scripts and macros.
fn lay_out_host(new: &Path, parts: &Parts, rustup: &Rustup) -> Result<(), WayError> {
    let bin = new.join("bin");
    let host = new.join("lib/rustlib").join(&rustup.host);
    for folder in [&bin, &host] {
        fs::create_dir_all(folder).map_err(at("make the folder", folder))?;
    }
    wrap(&parts.rustc, &bin.join("rustc"))?;
    wrap(&parts.rustdoc, &bin.join("rustdoc"))?;
    link(&rustup.cargo, &bin.join("cargo"))?;
    // A link, not a copy: the linker finds LLVM's library relative to where it is.
    link(&rustup.linker, &host.join("bin"))?;
    link(&debian_sysroot(parts)?.join("lib/rustlib").join(&rustup.host).join("lib"), &host.join("lib"))
}

fn debian_sysroot(parts: &Parts) -> Result<PathBuf, WayError> {
    let said =
        run(Command::new(&parts.rustc).args(["--print", "sysroot"]), QUERY).doing("ask Debian's compiler")?;
    Ok(PathBuf::from(said.trim_end()))
}

/// A script that runs `program` with the sysroot that the script is in.
fn wrap(program: &Path, script: &Path) -> Result<(), WayError> {
    let text = format!("#!/bin/sh\nexec {} --sysroot \"${{0%/*}}/..\" \"$@\"\n", program.display());
    fs::write(script, text)
        .and_then(|()| fs::set_permissions(script, fs::Permissions::from_mode(0o755)))
        .map_err(at("write", script))
}

fn link(original: &Path, link: &Path) -> Result<(), WayError> {
    symlink(original, link).map_err(at("link", link))
}

/// Builds the standard library as a dependency of an empty crate, with bitcode so that guests may use LTO.
fn build_std(work: &Path, lib: &Path, parts: &Parts, rustup: &Rustup) -> Result<(), WayError> {
    debian::check_source(&debian_sysroot(parts)?)?;
    let empty = work.join("empty");
    write_crate(&empty, "[package]\nname = \"empty\"\nedition = \"2024\"\n", &[("src/lib.rs", "")])?;
    let mut cargo = Command::new(&rustup.cargo);
    clean(&mut cargo).current_dir(&empty).args(["build", "--release", "--target", TARGET]);
    // The features of an unreleased cargo, in the released one: this is how a distribution builds its own.
    cargo.arg("-Zbuild-std=std,panic_abort,test,proc_macro").env("RUSTC_BOOTSTRAP", "1");
    cargo.env("RUSTC", &parts.rustc).env("CARGO_TARGET_DIR", work.join("build"));
    cargo.env("RUSTFLAGS", format!("-Cembed-bitcode=yes -Lnative={}", parts.libc.display()));
    run(&mut cargo, BUILD_STD).doing("build the standard library")?;
    let made = work.join("build").join(TARGET).join("release/deps");
    copy(&made, lib, |name| name.ends_with(".rlib") && !name.starts_with("libempty-"))
}

/// Copies the C library, and adds what the standard library needs and it lacks.
fn complete_libc(work: &Path, new: &Path, lib: &Path, parts: &Parts) -> Result<(), WayError> {
    let own = lib.join("self-contained");
    copy(&parts.libc, &own, |name| name.ends_with(".a") || name.ends_with(".o"))?;
    let libc = own.join("libc.a");
    let symbols =
        run(Command::new(&parts.nm).arg("--defined-only").arg(&libc), QUERY).doing("read the C library")?;
    let defined: HashSet<&str> = symbols.lines().filter_map(|line| line.split_whitespace().last()).collect();
    let Some(source) = missing::source(|name| defined.contains(name)) else { return Ok(()) };

    let (file, object) = (work.join("missing.rs"), work.join("missing.o"));
    fs::write(&file, source).map_err(at("write", &file))?;
    let mut rustc = Command::new(new.join("bin/rustc"));
    rustc.args(["--edition", "2024", "--crate-type", "lib", "--target", TARGET, "--emit", "obj"]);
    rustc.args(["-Cpanic=abort", "-Copt-level=s", "-Ccodegen-units=1", "-Cembed-bitcode=no"]);
    run(clean(&mut rustc).arg("-o").args([&object, &file]), QUERY).doing("compile the missing functions")?;
    run(Command::new(&parts.ar).arg("rcs").args([&libc, &object]), QUERY)
        .map(drop)
        .doing("add the missing functions")
}

/// Copies the files of folder `from` whose name is `wanted`.
fn copy(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), WayError> {
    for file in fs::read_dir(from).map_err(at("read", from))? {
        let file = file.map_err(at("read", from))?;
        let name = file.file_name();
        if wanted(&name.to_string_lossy()) {
            fs::copy(file.path(), to.join(&name)).map_err(at("copy", &file.path()))?;
        }
    }
    Ok(())
}

/// Writes a crate with `manifest` and `files` to the folder `at_path`.
pub(super) fn write_crate(folder: &Path, manifest: &str, files: &[(&str, &str)]) -> Result<(), WayError> {
    fs::create_dir_all(folder.join("src")).map_err(at("make the folder", folder))?;
    for (name, text) in files.iter().chain([&("Cargo.toml", manifest)]) {
        fs::write(folder.join(name), text).map_err(at("write", &folder.join(name)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_toolchain_takes_the_place_of_the_old_one_and_leftovers_go() {
        let cache = tempfile::tempdir().unwrap();
        let place = place(cache.path());
        for made in ["first", "second"] {
            fs::create_dir(cache.path().join(format!("{WORK}cut-off"))).unwrap();
            sweep(cache.path());
            let work = TempDir::with_prefix_in(WORK, cache.path()).unwrap();
            let new = work.path().join("toolchain");
            fs::create_dir(&new).unwrap();
            fs::write(new.join(STAMP), made).unwrap();
            replace(&place, &new, work.path()).unwrap();
            assert_eq!(fs::read_to_string(place.join(STAMP)).unwrap(), made);
        }
        let left: Vec<_> = cache.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [place]);
    }

    #[test]
    fn a_wrapper_passes_the_sysroot_it_is_in_wherever_that_is_moved() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("old/bin")).unwrap();
        wrap(Path::new("echo"), &folder.path().join("old/bin/rustc")).unwrap();
        fs::rename(folder.path().join("old"), folder.path().join("new")).unwrap();
        let script = folder.path().join("new/bin/rustc");
        let said = run(Command::new(&script).arg("a b"), QUERY).unwrap();
        assert_eq!(said, format!("--sysroot {}/new/bin/.. a b\n", folder.path().display()));
    }
}
