//! The environment of a guest build: what was meant for it, and nothing that leaked in.
//!
//! We are often run by cargo ourselves (`cargo xtask`, a build script, a test), which passes on variables about *its*
//! build: flags, the target folder, the toolchain. A guest build must not see them, or it would build something else
//! or rebuild everything at each change of caller.

use std::env;
use std::process::Command;

/// Variables with these beginnings are the user's settings for any cargo.
const KEPT: &[&str] = &[
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
];

/// Variables beside `CARGO*` that change what a build makes.
const DROPPED: &[&str] = &[
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOC",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
    "RUST_RECURSION_COUNT",
];

/// Takes out of `command`'s environment what an outer cargo or rustup put into ours.
pub(crate) fn clean(command: &mut Command) -> &mut Command {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| leaks(name)) {
        command.env_remove(name);
    }
    // An outer cargo points it at its own compiler's libraries, where another compiler finds the wrong ones.
    if env::var_os("CARGO").is_some() {
        command.env_remove("LD_LIBRARY_PATH");
    }
    command
}

fn leaks(name: &str) -> bool {
    let kept = KEPT.iter().any(|kept| name.starts_with(kept));
    DROPPED.contains(&name) || (name.starts_with("CARGO") && !kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_outer_cargo_sets_is_dropped_and_what_the_user_sets_is_kept() {
        let dropped = [
            "CARGO",
            "CARGO_BUILD_TARGET",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_MANIFEST_DIR",
            "CARGO_PKG_NAME",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_TARGET_DIR",
            "RUSTFLAGS",
            "RUSTUP_TOOLCHAIN",
        ];
        let kept = [
            "CARGO_HOME",
            "CARGO_HTTP_PROXY",
            "CARGO_NET_OFFLINE",
            "CARGO_TERM_COLOR",
            "RUSTUP_HOME",
            "PATH",
        ];
        assert_eq!(dropped.iter().find(|name| !leaks(name)), None);
        assert_eq!(kept.iter().find(|name| leaks(name)), None);
    }
}
