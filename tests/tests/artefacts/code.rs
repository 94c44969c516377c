//! Code: how components are compiled, kept and refused.

use bytes::Bytes;
use rimward_bundle::{Bundle, Component, Digest, Precompiled};
use rimward_engine::{
    Cache, ChildLimits, Compiler, Engine, Generation, LoadError, Origin, PoolSize, Settings, Source, limits,
    precompiled_key,
};
use rimward_node::Placement;
use rimward_tests::{TestNode, app, chain, component, component_of_text, node};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The `rimward` binary of this build, whose hidden command compiles for a node.
pub(crate) fn in_a_process(limits: ChildLimits) -> Compiler {
    let program = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("rimward");
    assert!(program.exists(), "`{}` is not there: run `cargo build -p rimward`", program.display());
    Compiler::child(program, vec!["compile-component".into()], limits)
}

/// D3: compiling is bounded.
#[tokio::test]
async fn a_component_is_compiled_in_a_process_of_its_own() {
    let node = node().own_cache().compiler(in_a_process(ChildLimits::default())).start().await;
    assert_eq!(node.install("hello").await.compiled, 1);
    node.get("/").await.is(200).says("hello\n");
}

/// D3: compiling is bounded.
#[tokio::test]
async fn a_component_that_takes_too_long_to_compile_is_refused() {
    let limits = ChildLimits { wall: Duration::from_millis(1), ..ChildLimits::default() };
    let node = node().own_cache().compiler(in_a_process(limits)).start().await;
    let why = node.refuses("hello").await;
    assert!(why.contains("took longer than") && why.contains("stopped"), "{why}");
    node.get("/").await.is(503);
}

/// D3: compiling is bounded.
#[tokio::test]
async fn a_component_that_needs_too_much_memory_to_compile_is_refused() {
    let limits = ChildLimits { memory_bytes: 32 << 20, ..ChildLimits::default() };
    let node = node().own_cache().compiler(in_a_process(limits)).start().await;
    let why = node.refuses("hello").await;
    // It dies of it, or says itself that there is none.
    assert!(why.contains("could not be compiled"), "{why}");
}

#[tokio::test]
async fn a_component_is_compiled_once() {
    let node = node().own_cache().start().await;
    assert_eq!(node.install(app("trap").named("one")).await.compiled, 1);
    assert_eq!(node.install(app("trap").named("other").route("/other")).await.compiled, 0);
    let node = node.stop().own_cache().start().await;
    assert_eq!(node.install("trap").await.compiled, 0, "not by the next node either");
}

/// D14: within one process.
#[tokio::test]
async fn apps_that_come_at_once_share_one_compilation() {
    let node = node().own_cache().start().await;
    let installing = (0..4).map(|n| {
        let app = app("trap").named(&format!("app-{n}")).route(&format!("/{n}"));
        node.install(app)
    });
    let installed = futures_util::future::join_all(installing).await;
    assert_eq!(installed.iter().map(|one| one.compiled).sum::<usize>(), 1);
}

/// D10: while a node uses it.
#[tokio::test]
async fn a_damaged_cache_costs_a_compilation_and_nothing_else() {
    let node = node().own_cache().start().await;
    node.install("trap").await;
    let entries = || std::fs::read_dir(node.folder().join("cache")).unwrap();
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
    // Beside it lies the file that processes lock.
    let entry: PathBuf = entries().map(|entry| entry.unwrap().path()).max_by_key(size).unwrap();
    let good = std::fs::read(&entry).unwrap();
    for at in (0..good.len()).step_by(good.len() / 8) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&entry, bad).unwrap();
        assert_eq!(node.install("trap").await.compiled, 1, "byte {at}");
        assert_eq!(node.install("trap").await.compiled, 0);
    }
    std::fs::remove_file(&entry).unwrap();
    assert_eq!(node.install("trap").await.compiled, 1);
    node.get("/").await.code("rimward.guest.trap");
}

/// Why the node refuses an app of these bytes, past the look that a bundle takes at them.
pub(crate) async fn why_refused(node: &TestNode, bytes: impl Into<Bytes>) -> String {
    let mut bundle = Bundle::from_component("odd".parse().unwrap(), component("hello")).unwrap();
    let bytes = bytes.into();
    let odd = Component { digest: Digest::of(&bytes), bytes, precompiled: Vec::new() };
    bundle.components.insert("odd".parse().unwrap(), odd);
    let placement = Placement { tenant: "default".parse().unwrap(), bind: Default::default() };
    match node.node().install(bundle, placement).await {
        Ok(installed) => panic!("it was installed: {installed:?}"),
        Err(error) => chain(&error),
    }
}

/// D2: at load, with the reason.
#[tokio::test]
async fn what_is_no_component_is_refused_with_the_remedy() {
    let node = node().start().await;
    let cases = [
        (component_of_text("(module)"), "core module", "`wasm32-wasip2`"),
        (Bytes::from("(component)"), "WebAssembly text", "`wasm-tools parse`"),
        (Bytes::from("\x7fELF\x02\x01\x01"), "native code", "`.wasm` file"),
        (Bytes::from("#!/bin/sh\n"), "not WebAssembly", "`\\0asm`"),
        (Bytes::from("\0asm\x0a\0\x01\0"), "old or unknown", "rebuild"),
        (Bytes::new(), "not WebAssembly", "`\\0asm`"),
    ];
    for (bytes, what, remedy) in cases {
        let why = why_refused(&node, bytes).await;
        assert!(why.contains(what) && why.contains(remedy), "{why}");
    }
}

/// D2: at load, with the reason.
#[tokio::test]
async fn a_damaged_component_is_refused_with_the_place() {
    let node = node().start().await;
    let good = component("hello");
    let why = why_refused(&node, good.slice(..good.len() / 2)).await;
    assert!(why.contains("not valid at byte"), "{why}");
}

/// D3: compiling is bounded.
#[tokio::test]
async fn a_component_is_looked_at_up_to_its_largest_size_and_no_further() {
    let node = node().start().await;
    let mut bytes = component("hello").to_vec();
    bytes.resize(limits::COMPONENT_BYTES, 0);
    let why = why_refused(&node, bytes.clone()).await;
    assert!(why.contains("not valid"), "it was looked at: {why}");
    bytes.push(0);
    let why = why_refused(&node, bytes).await;
    assert!(why.contains("more than the 104857600 that are accepted"), "{why}");
}

fn engine() -> Arc<Engine> {
    let settings = Settings { pool: PoolSize::Slots(4), concurrent: false, ..Settings::default() };
    Engine::new(&settings, Cache::none(), Some(Compiler::here())).unwrap()
}

/// D11: code that was made for another engine.
#[test]
fn precompiled_code_is_loaded_where_it_fits() {
    let (generation, code) = engine().precompile(&component("hello")).unwrap();
    assert_eq!(generation, Generation::Plain);
    let source =
        |generation, trusted_code| Source::TrustedPrecompiled { generation, digest: [0; 32], trusted_code };
    let loaded = engine().load(source(Generation::Plain, &code)).unwrap();
    assert_eq!(loaded.origin, Origin::Precompiled);
    let off = engine().load(source(Generation::Concurrent, &code));
    assert!(matches!(off, Err(LoadError::ConcurrentIsOff)));
    let Err(error) = engine().load(source(Generation::Plain, &component("hello"))) else {
        panic!("it was loaded")
    };
    assert!(matches!(error, LoadError::Precompiled(_)), "{error}");
}

/// A bundle of one component, as it is after `rimward build --precompile` or without that.
fn bundle(precompiled: Vec<Precompiled>) -> Bundle {
    let mut bundle = Bundle::from_component("hello".parse().unwrap(), component("hello")).unwrap();
    bundle.components.values_mut().for_each(|component| component.precompiled.clone_from(&precompiled));
    bundle
}

#[tokio::test]
async fn a_node_without_a_compiler_serves_a_precompiled_bundle_and_no_other() {
    let node = node().without_compiler().start().await;
    let placement = || Placement { tenant: "default".parse().unwrap(), bind: Default::default() };
    let refused = node.node().install(bundle(Vec::new()), placement()).await.unwrap_err();
    assert!(chain(&refused).contains("without a compiler"), "{}", chain(&refused));
    let (generation, code) = engine().precompile(&component("hello")).unwrap();
    let precompiled = Precompiled { engine: precompiled_key(generation), bytes: code.into() };
    let installed = node.node().install(bundle(vec![precompiled]), placement()).await.unwrap();
    assert_eq!(installed.compiled, 0);
    node.get("/").await.is(200).says("hello\n");
}
