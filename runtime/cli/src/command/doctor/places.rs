//! Whether the addresses that a node listens on are free, and the folders that it writes to are writable.

use super::Finding;
use crate::app;
use rimward_manifest::NodeFile;
use rustix::fs::{Access, access};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

pub(super) fn look(file: &NodeFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    #[cfg(feature = "compile")]
    findings.push(port("port of dev", super::super::dev::LISTEN));
    let served = file.node.listen.iter().chain(file.tls.iter().flat_map(|tls| &tls.listen));
    findings.extend(served.map(|address| port("port of serve", *address)));
    let models = file.trigger.inference.iter().flat_map(|it| it.listen.iter().chain(&it.tls_listen));
    findings.extend(models.map(|address| port("port of models", *address)));
    findings.extend(file.ops.listen.map(|address| port("port of metrics", address)));
    findings.push(folder("state of serve", &file.node.state, "--state or RIMWARD_STATE"));
    findings.push(folder("cache of serve", &file.node.cache, "RIMWARD_CACHE"));
    findings.push(match app::cache() {
        Ok(path) => folder("your cache", &path, "XDG_CACHE_HOME"),
        Err(error) => Finding::wrong("your cache", error.to_string(), "set HOME"),
    });
    findings
}

fn port(name: &'static str, address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::fine(name, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Finding::limited(
            name,
            format!("{address} is taken"),
            "a node may be running already (`rimward status`); if not, choose another with `--listen`",
        ),
        Err(error) => Finding::wrong(name, format!("{address}: {error}"), "choose another with `--listen`"),
    }
}

/// A folder that is not there yet is judged by the nearest one above it.
fn folder(name: &'static str, path: &Path, setting: &str) -> Finding {
    let shown = path.display();
    let exists = path.ancestors().find(|ancestor| ancestor.exists());
    let writable = exists.is_some_and(|folder| access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok());
    match (writable, path.exists()) {
        (true, true) => Finding::fine(name, format!("{shown} is writable")),
        (true, false) => Finding::fine(name, format!("{shown} is made when it is needed")),
        (false, _) => Finding::limited(
            name,
            format!("{shown} is not writable by this user"),
            format!("run as the user that owns it, or name another folder with {setting}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_taken_port_is_told() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(port("x", address).state, State::Limited);
    }

    #[test]
    fn a_folder_that_is_not_there_is_judged_by_the_one_above() {
        let top = tempfile::tempdir().unwrap();
        let found = folder("x", &top.path().join("a/b"), "X").found;
        assert!(found.ends_with("is made when it is needed"), "{found}");
    }
}
