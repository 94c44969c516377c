//! What of a node's settings a running node cannot take over.

use super::NodeFile;
use serde_json::{Map, Value};

/// Tables that are taken over whole while a node runs. Whatever is not named needs a restart, new keys too.
const LIVE: [&str; 3] = ["tenant", "secret", "app"];

/// What is taken over of `[tls]`.
const LIVE_TLS: &str = "certificate";

pub(super) fn needs_restart(before: &NodeFile, after: &NodeFile) -> Vec<String> {
    let (before, after) = (tables(before), tables(after));
    let mut keys = Vec::new();
    for (name, old) in before.iter().filter(|(name, _)| !LIVE.contains(&name.as_str())) {
        match (old, &after[name]) {
            (old, new) if old == new => {}
            (Value::Object(old), Value::Object(new)) => {
                let changed = old.keys().chain(new.keys()).filter(|key| old.get(*key) != new.get(*key));
                let changed = changed.filter(|key| !(name == "tls" && *key == LIVE_TLS));
                keys.extend(changed.map(|key| format!("{name}.{key}")));
            }
            _ => keys.push(name.clone()),
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

fn tables(file: &NodeFile) -> Map<String, Value> {
    match serde_json::to_value(file) {
        Ok(Value::Object(tables)) => tables,
        _ => unreachable!("a node's file is an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str, keys: &[&str]) {
        let file = |text| NodeFile::parse(text).unwrap();
        assert_eq!(needs_restart(&file(before), &file(after)), keys, "{before} -> {after}");
    }

    #[test]
    fn apps_tenants_secrets_and_certificates_change_while_a_node_runs_and_the_rest_does_not() {
        let tls = |cert: &str| {
            format!("[tls]\nlisten = [\"127.0.0.1:1\"]\n[[tls.certificate]]\ncert = \"{cert}\"\nkey = \"k\"")
        };
        check("", "[[app]]\npath = \"a\"\n[secret.s]\nfile = \"s\"", &[]);
        check("", "[tenant.default]\nhosts = [\"a.example\"]\nlimits = { concurrency = 3 }", &[]);
        check(&tls("a"), &tls("b"), &[]);
        check("", &tls("a"), &["tls"]);
        check(&tls("a"), &tls("a").replace(":1", ":2"), &["tls.listen"]);
        check("", "[node]\nlisten = [\"127.0.0.1:1\"]\ncores = 3", &["node.cores", "node.listen"]);
        check(
            "",
            "[limits]\nconcurrency = 3\n[ops]\nlisten = \"off\"",
            &["limits.concurrency", "ops.listen"],
        );
        check("", "[log]\nformat = \"json\"\n[compile]\ncpu = \"1s\"", &["compile.cpu", "log.format"]);
    }
}
