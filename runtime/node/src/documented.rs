//! Keeps the book in step with the node: the tables of codes and of metrics in `docs/` are written from here, every key of
//! the two files is named there, and the examples of them are valid. `RIMWARD_BLESS=1` writes the tables anew.

use crate::FunctionId;
use crate::admission::{Admission, Room};
use crate::failure::CODES;
use crate::metrics::{Metrics, RefusedFor};
use crate::tenants::TenantShare;
use crate::upstreams::{KnownUpstream, UpstreamId};
use futures_util::FutureExt;
use rimward_capability::models::CallMemory;
use rimward_engine::Budget;
use rimward_inference::oip::{InferRequest, InferResponse};
use rimward_inference::place::Side;
use rimward_inference::{Answer, Mode, Model};
use rimward_manifest::Quota;
use rimward_upstream::{Policy, State};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, fs};

/// Set, it writes the tables.
const BLESS: &str = "RIMWARD_BLESS";

/// What follows a table.
const END: &str = "<!-- end -->";

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// Compares the table between the marker of `what` and [`END`] with `table`, or writes it there.
fn check_table(name: &str, what: &str, table: &str) {
    let text = fs::read_to_string(page(name)).unwrap();
    let marker = format!("<!-- {what}: written by a test of runtime/node -->\n");
    let (before, rest) = text.split_once(&marker).unwrap_or_else(|| panic!("`{name}` has no `{marker}`"));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("`{name}` has no `{END}`"));
    let wanted = format!("{before}{marker}\n{table}\n{END}{after}");
    if env::var_os(BLESS).is_some() {
        fs::write(page(name), &wanted).unwrap();
        return;
    }
    assert!(
        text == wanted,
        "the table in `{name}` is old: if the change is meant, run the test with {BLESS}=1"
    );
}

#[test]
fn the_book_lists_every_code() {
    let mut table = "| code | status | `proxy-status` error | title |\n|---|---|---|---|\n".to_owned();
    for row in CODES {
        writeln!(table, "| `{}` | {} | `{}` | {} |", row.code, row.status, row.proxy_error, row.title)
            .unwrap();
    }
    check_table("errors.md", "codes", &table);
}

#[test]
fn the_book_lists_every_metric() {
    let mut table = "| metric | type | labels | what |\n|---|---|---|---|\n".to_owned();
    let text = metrics();
    let labels = labels(&text);
    for (name, kind, help) in described(&text) {
        let labels: Vec<_> = labels[name].iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
        let suffix = if kind == "counter" { "_total" } else { "" };
        writeln!(table, "| `{name}{suffix}` | {kind} | {labels} | {help} |").unwrap();
    }
    check_table("metrics.md", "metrics", &table);
}

/// The metrics of a node that has done one of everything.
fn metrics() -> String {
    let metrics = Metrics::new();
    let name = |name: &str| name.parse().unwrap();
    let function = metrics.function(&FunctionId { tenant: name("t"), app: name("a"), function: name("f") });
    function.failed(CODES[0].code);
    let offences = rimward_capability::Offences::default();
    offences.count(rimward_capability::Offence::Cpu);
    function.offended(&offences);
    metrics.refused(CODES[0].code);
    metrics.connection_refused(RefusedFor::Malformed);
    let memory = Budget::new(1);
    metrics.tenant(&name("t"), &TenantShare::new(&Quota::default(), &memory));
    metrics.memory(&memory);
    let policy = Policy { cache: Some(Default::default()), ..Policy::default() };
    let upstream = UpstreamId { tenant: name("t"), app: name("a"), upstream: name("u") };
    metrics.outbox(&upstream, &Default::default(), false);
    metrics.upstream(&KnownUpstream {
        tenant: upstream.tenant,
        app: upstream.app,
        name: upstream.upstream,
        url: String::new(),
        state: Arc::new(State::unwatched(policy)),
        tally: Arc::default(),
    });
    let model = Model {
        name: "m".to_owned(),
        deadline: None,
        mode: Mode::default(),
        confidence: None,
        allows_non_finite: false,
        local: None,
        remote: None,
        judge: Mutex::default(),
        tally: Arc::default(),
    };
    let asked = model.infer(&InferRequest::default(), None, None).now_or_never();
    assert!(matches!(asked, Some(Err(_))), "it has no side");
    model.tally.count(&Ok(Answer {
        response: InferResponse::default(),
        side: Side::Local,
        reason: None,
        confidence: None,
        instead_of: None,
    }));
    metrics.model(&name("t"), &name("a"), &model);
    metrics.call_memory(&CallMemory::new(1 << 20));
    let room = Room { permits: 1, queue_max: 1, wait: Duration::ZERO, tenants: 1 };
    metrics.text(&Admission::new(room, None))
}

/// Name, type and help of each metric.
fn described(text: &str) -> Vec<(&str, &str, &str)> {
    let value = |kind: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(name)?.strip_prefix(' '))
    };
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    names
        .map(|name| {
            let help = value("# HELP ", name).unwrap_or_default();
            (name, value("# TYPE ", name).unwrap_or_default(), help.trim_end_matches('.'))
        })
        .collect()
}

/// The labels of each metric, from its samples.
fn labels(text: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut labels: BTreeMap<_, BTreeSet<_>> =
        described(text).into_iter().map(|(name, ..)| (name, BTreeSet::new())).collect();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (sample, rest) = line.split_once('{').unwrap_or((line, ""));
        let name =
            ["_total", "_bucket"].iter().find_map(|suffix| sample.strip_suffix(suffix)).unwrap_or(sample);
        let Some(known) = labels.get_mut(name) else { continue };
        let found = rest.split_once('}').map_or("", |(inside, _)| inside).split(',');
        known.extend(
            found.filter_map(|label| label.split_once('=')).map(|(key, _)| key).filter(|key| *key != "le"),
        );
    }
    labels
}

#[test]
fn the_books_examples_of_the_two_files_are_valid() {
    rimward_manifest::App::parse(&example("rimward-toml.md")).unwrap();
    rimward_manifest::NodeFile::parse(&example("node-toml.md")).unwrap();
}

/// Each block of a page that is a piece of one of the two files, with what it needs around it.
#[test]
fn the_books_pieces_of_the_two_files_are_valid() {
    let mut pieces = 0;
    for entry in fs::read_dir(page("")).unwrap() {
        let path = entry.unwrap().path();
        let is_page = path.extension().is_some_and(|extension| extension == "md");
        let text = if is_page { fs::read_to_string(&path).unwrap() } else { String::new() };
        for block in text.split("```toml\n").skip(1) {
            let block = block.split_once("```").unwrap().0;
            let has = |tables: &[&str]| {
                block.lines().any(|line| tables.iter().any(|table| line.starts_with(table)))
            };
            let problems = if has(&["[app]", "[function.", "[upstream.", "[store.", "[[trigger."]) {
                let app = if has(&["[app]"]) { "" } else { "[app]\nname = \"app\"\n" };
                let function =
                    if has(&["[function."]) { "" } else { "[function.f]\ncomponent = \"f.wasm\"\n" };
                rimward_manifest::App::parse(&format!("{app}{block}\n{function}"))
                    .err()
                    .map(|problems| problems.to_string())
            } else if has(&["[node]", "[[app]]", "[tenant.", "[tls]", "[secret."]) {
                rimward_manifest::NodeFile::parse(block).err().map(|problems| problems.to_string())
            } else {
                continue;
            };
            pieces += 1;
            assert!(problems.is_none(), "{}: {}\n{block}", path.display(), problems.unwrap_or_default());
        }
    }
    assert!(pieces > 12, "only {pieces} were found");
}

/// The page's first block below the heading that promises everything.
fn example(name: &str) -> String {
    let text = fs::read_to_string(page(name)).unwrap();
    let below = text.split_once("## Everything at once").unwrap().1;
    below.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_book_names_every_key_of_the_two_files() {
    check_keys("rimward-toml.md", &rimward_manifest::schema::rimward_toml());
    check_keys("node-toml.md", &rimward_manifest::schema::node_toml());
}

fn check_keys(name: &str, schema: &serde_json::Value) {
    let text = fs::read_to_string(page(name)).unwrap();
    let is_named = |key: &&String| {
        let in_header = [format!("[{key}]"), format!("[{key}."), format!(".{key}]"), format!(".{key}.")];
        text.contains(&format!("`{key}`")) || in_header.iter().any(|header| text.contains(header))
    };
    let missing: Vec<_> = keys(schema).into_iter().filter(|key| !is_named(key)).collect();
    assert!(missing.is_empty(), "`{name}` does not name {missing:?}");
}

fn keys(schema: &serde_json::Value) -> BTreeSet<&String> {
    let here = schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key);
    let object = schema.as_object().into_iter().flatten().map(|(_, below)| below);
    let below = object.chain(schema.as_array().into_iter().flatten()).flat_map(keys);
    here.chain(below).collect()
}
