//! The JSON schemas: pinned, and in step with the parser.

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

use rimward_manifest::{App, NodeFile, Problems, schema};
use serde_json::Value;

/// Set, it writes the golden files anew.
const BLESS: &str = "RIMWARD_BLESS";

fn check_golden(file: &str, schema: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema").join(file);
    let text = format!("{schema:#}\n");
    if env::var_os(BLESS).is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "`{file}` has changed: if that is meant, run the test with {BLESS}=1");
}

#[test]
fn the_schemas_are_pinned() {
    check_golden("rimward.schema.json", &schema::rimward_toml());
    check_golden("node.schema.json", &schema::node_toml());
}

/// The keys that the schema allows in the table at `path`; `*` goes into any name of a table, `0` into a list.
fn keys_in_schema(schema: &Value, path: &[&str]) -> BTreeSet<String> {
    let at = path.iter().fold(resolved(schema, schema), |at, step| {
        let next = match *step {
            "*" => at["patternProperties"].as_object().and_then(|patterns| patterns.values().next()),
            "0" => Some(&at["items"]),
            key => Some(&at["properties"][key]),
        };
        resolved(schema, next.unwrap_or_else(|| panic!("no `{step}` in {at:#}")))
    });
    at["properties"]
        .as_object()
        .unwrap_or_else(|| panic!("no keys at {path:?} in {at:#}"))
        .keys()
        .cloned()
        .collect()
}

fn resolved<'s>(schema: &'s Value, at: &'s Value) -> &'s Value {
    match at["$ref"].as_str() {
        Some(reference) => schema.pointer(&reference[1..]).unwrap(),
        None => at,
    }
}

/// The keys that the parser names when it meets one that it does not know.
fn keys_in_parser(problems: &Problems) -> BTreeSet<String> {
    let unknown =
        problems.problems.iter().find(|problem| problem.message.starts_with("unknown key `zzz`")).unwrap();
    let hint = unknown.hint.as_deref().unwrap();
    hint.split('`').skip(1).step_by(2).map(String::from).collect()
}

fn check_app(toml: &str, path: &[&str]) {
    let problems = App::parse(toml).unwrap_err();
    assert_eq!(keys_in_parser(&problems), keys_in_schema(&schema::rimward_toml(), path), "{path:?}");
}

fn check_node(toml: &str, path: &[&str]) {
    let problems = NodeFile::parse(toml).unwrap_err();
    assert_eq!(keys_in_parser(&problems), keys_in_schema(&schema::node_toml(), path), "{path:?}");
}

#[test]
fn the_schema_of_an_app_has_the_keys_that_the_parser_knows() {
    check_app("zzz = 1", &[]);
    check_app("app.zzz = 1", &["app"]);
    check_app("function.f.zzz = 1", &["function", "*"]);
    check_app("function.f.build.zzz = 1", &["function", "*", "build"]);
    check_app("function.f.limits.zzz = 1", &["function", "*", "limits"]);
    check_app("trigger.zzz = 1", &["trigger"]);
    check_app("trigger.http = [{ zzz = 1 }]", &["trigger", "http", "0"]);
    check_app("upstream.u.zzz = 1", &["upstream", "*"]);
    check_app("upstream.u.timeout.zzz = 1", &["upstream", "*", "timeout"]);
    check_app("upstream.u.client-certificate.zzz = 1", &["upstream", "*", "client-certificate"]);
    check_app("store.s.zzz = 1", &["store", "*"]);
}

#[test]
fn the_schema_of_a_node_has_the_keys_that_the_parser_knows() {
    check_node("zzz = 1", &[]);
    check_node("node.zzz = 1", &["node"]);
    check_node("tls.zzz = 1", &["tls"]);
    check_node("tls.certificate = [{ zzz = 1 }]", &["tls", "certificate", "0"]);
    check_node("ops.zzz = 1", &["ops"]);
    check_node("admin.zzz = 1", &["admin"]);
    check_node("tenant.t.zzz = 1", &["tenant", "*"]);
    check_node("tenant.t.limits.zzz = 1", &["tenant", "*", "limits"]);
    check_node("tenant.t.ceiling.zzz = 1", &["tenant", "*", "ceiling"]);
    check_node("app = [{ zzz = 1 }]", &["app", "0"]);
    check_node("app = [{ bind.zzz = 1 }]", &["app", "0", "bind"]);
    check_node("app = [{ bind.upstream.u.zzz = 1 }]", &["app", "0", "bind", "upstream", "*"]);
    check_node("log.zzz = 1", &["log"]);
    check_node("limits.zzz = 1", &["limits"]);
}

#[test]
fn the_whole_files_are_in_the_shape_of_their_schemas() {
    let app = serde_json::to_value(App::parse(crate::app::WHOLE).unwrap()).unwrap();
    check_shape(&schema::rimward_toml(), &app);
    let node = serde_json::to_value(NodeFile::parse(crate::node::WHOLE).unwrap()).unwrap();
    check_shape(&schema::node_toml(), &node);
}

/// Every key of `value` is one that the schema names, and every key that it requires is there.
fn check_shape(root: &Value, value: &Value) {
    check_shape_at(root, resolved(root, root), value);
}

fn check_shape_at(root: &Value, schema: &Value, value: &Value) {
    let schema = resolved(root, schema);
    for (key, value) in value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        let property = &schema["properties"][key];
        let pattern = schema["patternProperties"].as_object().and_then(|patterns| patterns.values().next());
        let additional = Some(&schema["additionalProperties"]).filter(|schema| schema.is_object());
        let one_of =
            schema["oneOf"].as_array().into_iter().flatten().find_map(|one| one["properties"].get(key));
        let found = Some(property).filter(|schema| !schema.is_null()).or(one_of).or(pattern).or(additional);
        check_shape_at(root, found.unwrap_or_else(|| panic!("no `{key}` in {schema:#}")), value);
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(required.as_str().unwrap()).is_some(), "{required} in {value}");
    }
    for element in value.as_array().into_iter().flatten() {
        check_shape_at(root, &schema["items"], element);
    }
}
