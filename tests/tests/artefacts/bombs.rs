//! Components that are made to exhaust whoever validates or compiles them. The node that is given one goes on serving, and
//! its own memory stays what it was: what is expensive happens in a process of its own, under limits.

use crate::code::{in_a_process, why_refused};
use rimward_engine::{
    Cache, ChildLimits, Compiler, Engine, LoadError, PoolSize, Settings, Source, limits::COMPONENT_BYTES,
};
use rimward_tests::{TestNode, component_of_text, node};
use std::time::{Duration, Instant};

/// Limits that a component of a few hundred KiB stays under by far.
const LIMITS: ChildLimits = ChildLimits {
    cpu: Duration::from_secs(2),
    wall: Duration::from_secs(60),
    memory_bytes: 400 << 20,
    confine: rimward_confine::Mode::Auto,
};

/// By how much the node's own memory may grow beside the component's bytes, which it holds several times.
const GROWTH_BYTES: u64 = 96 << 20;

fn module(content: &str) -> Vec<u8> {
    component_of_text(&format!("(component (core module {content}))")).to_vec()
}

/// Many functions: the bound of the format is a million.
fn functions(count: usize) -> Vec<u8> {
    module(&"(func)".repeat(count))
}

/// Many of the largest `br_table` that is valid.
fn branches(count: usize) -> Vec<u8> {
    let targets = "0 ".repeat(65_000);
    module(&format!("(func (param i32) block local.get 0 br_table {targets} end)").repeat(count))
}

/// Blocks in blocks: the compiler takes time that grows with the square of their number.
fn blocks(depth: usize) -> Vec<u8> {
    module(&format!("(func {} {})", "block ".repeat(depth), "end ".repeat(depth)))
}

/// Components in components, which no text parser would read.
fn nested(depth: usize) -> Vec<u8> {
    const HEAD: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
    /// The id of the section that holds a component.
    const COMPONENT: u8 = 4;
    // Written from the inside, so back to front.
    let mut backwards: Vec<u8> = HEAD.iter().rev().copied().collect();
    for _ in 0..depth {
        let mut size = leb128(backwards.len());
        size.reverse();
        backwards.extend(size);
        backwards.push(COMPONENT);
        backwards.extend(HEAD.iter().rev());
    }
    backwards.reverse();
    backwards
}

fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let seven = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        match number {
            0 => return [bytes, vec![seven]].concat(),
            _ => bytes.push(seven | 0x80),
        }
    }
}

/// A type that contains a type that contains a type: `list` nests, `tuple` doubles.
fn types(kind: &str, depth: usize) -> Vec<u8> {
    let next = |n: usize| match kind {
        "list" => format!("(type $t{n} (list $t{}))", n - 1),
        _ => format!("(type $t{n} (tuple $t{0} $t{0}))", n - 1),
    };
    let types: String = (1..depth).map(next).collect();
    component_of_text(&format!("(component (type $t0 (list u8)) {types})")).to_vec()
}

/// Bytes of a custom section, so that the component is valid and of exactly that size.
fn padded(bytes: usize) -> Vec<u8> {
    let mut component = component_of_text("(component)").to_vec();
    let content = bytes - component.len() - 1 - 4;
    let size = leb128(content);
    assert_eq!(size.len(), 4, "the size of the section takes four bytes");
    component.push(0);
    component.extend(size);
    component.push(1);
    component.push(b'x');
    component.resize(bytes, 0);
    component
}

/// The most memory that this process has held, bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() << 10
}

async fn serving(limits: ChildLimits) -> TestNode {
    let node = node().own_cache().compiler(in_a_process(limits)).start().await;
    node.install("hello").await;
    node
}

/// Gives the node a bomb while others call it, and says why the bomb was refused.
async fn check(limits: ChildLimits, bomb: Vec<u8>) -> String {
    // The component that serves is compiled under limits that fit it.
    let node = serving(ChildLimits::default()).await;
    let kept = node.folder().join("cache");
    let node = node.stop().own_cache().compiler(in_a_process(limits)).app("hello").start().await;
    let entries = || std::fs::read_dir(&kept).unwrap().count();
    let (before, memory, bytes) = (entries(), peak_memory(), bomb.len() as u64);
    let mut answered = 0;
    let refused = why_refused(&node, bomb);
    tokio::pin!(refused);
    let why = loop {
        tokio::select! {
            why = &mut refused => break why,
            answer = node.get("/").into_future() => {
                answer.is(200).says("hello\n");
                answered += 1;
            }
        }
    };
    node.get("/").await.is(200).says("hello\n");
    let grown = peak_memory().saturating_sub(memory);
    eprintln!("{bytes} bytes, {answered} answers meanwhile, {} MiB more: {why}", grown >> 20);
    assert!(grown < GROWTH_BYTES + 4 * bytes, "the node itself grew by {} MiB: {why}", grown >> 20);
    let compiled = why.contains("does not export");
    assert_eq!(entries(), before + usize::from(compiled), "nothing else is stored");
    why
}

/// D3: a million functions: killed at the limit of CPU time or memory, whichever comes first.
#[tokio::test]
async fn a_component_of_very_many_functions_is_killed_at_its_limits() {
    let why = check(LIMITS, functions(900_000)).await;
    assert!(why.contains("could not be compiled"), "{why}");
}

/// D3: the format's own bound.
#[tokio::test]
async fn a_component_of_more_than_a_million_functions_is_not_valid() {
    let why = check(LIMITS, functions(1_000_001)).await;
    assert!(why.contains("not valid at byte"), "{why}");
}

/// D3: CPU time.
#[tokio::test]
async fn a_component_that_costs_the_compiler_time_is_killed_at_its_cpu_limit() {
    let why = check(LIMITS, blocks(100_000)).await;
    assert!(why.contains("ended early") && why.contains("2 s of CPU"), "{why}");
}

/// D3: wall time.
#[tokio::test]
async fn a_component_that_costs_the_compiler_time_is_killed_at_its_deadline() {
    let limits = ChildLimits { cpu: Duration::from_secs(600), wall: Duration::from_secs(1), ..LIMITS };
    let started = Instant::now();
    let why = check(limits, blocks(100_000)).await;
    assert!(why.contains("took longer than 1 s"), "{why}");
    assert!(started.elapsed() < Duration::from_secs(25), "it was killed, not waited for");
}

/// D3: memory.
#[tokio::test]
async fn a_component_that_costs_the_compiler_memory_is_killed_at_its_memory_limit() {
    let limits = ChildLimits { memory_bytes: 96 << 20, cpu: Duration::from_secs(600), ..LIMITS };
    let why = check(limits, branches(200)).await;
    assert!(why.contains("ended early") && why.contains("96 MiB"), "{why}");
}

/// D3: nesting, which must not use up a stack either.
#[tokio::test]
async fn what_is_nested_too_deep_is_refused() {
    for depth in [65, 1_000, 200_000] {
        let why = check(LIMITS, nested(depth)).await;
        assert!(why.contains("nested deeper than 64"), "{depth} components: {why}");
    }
    for (kind, depth) in [("list", 100_000), ("tuple", 30), ("tuple", 1_000)] {
        let why = check(LIMITS, types(kind, depth)).await;
        assert!(why.contains("not valid at byte"), "{depth} of {kind}: {why}");
    }
}

/// D3: the largest component that is looked at, and one byte more.
#[tokio::test]
async fn a_component_of_the_largest_size_is_looked_at_and_one_byte_more_is_not() {
    let why = check(LIMITS, padded(COMPONENT_BYTES)).await;
    assert!(why.contains("does not export"), "it was compiled, and has no handler: {why}");
    let why = check(LIMITS, padded(COMPONENT_BYTES + 1)).await;
    assert!(why.contains("more than the 104857600 that are accepted"), "{why}");
}

/// Gives the engine modules that a generator made of these seeds: each is loaded or refused, and that is all.
fn check_seeds(seeds: std::ops::Range<u64>) {
    use rand::{RngCore, SeedableRng};
    let settings = Settings { pool: PoolSize::Slots(4), concurrent: true, ..Settings::default() };
    let engine = Engine::new(&settings, Cache::none(), Some(Compiler::here())).unwrap();
    let mut loaded = 0;
    for seed in seeds.clone() {
        let mut bytes = vec![0; 2048];
        rand::rngs::StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
        let mut unstructured = arbitrary::Unstructured::new(&bytes);
        let wasm = match seed % 4 {
            0 => {
                wasm_smith::Component::new(config(), &mut unstructured).map(|component| component.to_bytes())
            }
            _ => wasm_smith::Module::new(config(), &mut unstructured)
                .map(|module| in_a_component(&module.to_bytes())),
        };
        let Ok(wasm) = wasm else { continue };
        match engine.load(Source::Wasm(&wasm)) {
            Ok(_) => loaded += 1,
            Err(
                LoadError::Invalid { .. }
                | LoadError::FeatureOff { .. }
                | LoadError::TooMuch(_)
                | LoadError::Compile(_),
            ) => {}
            Err(other) => panic!("seed {seed}: {other}"),
        }
    }
    eprintln!("{loaded} of {seeds:?} are loaded");
    assert!(loaded > 0, "some of {seeds:?} are loaded");
}

/// Without what no guest may use here.
fn config() -> wasm_smith::Config {
    wasm_smith::Config {
        gc_enabled: false,
        exceptions_enabled: false,
        memory64_enabled: false,
        relaxed_simd_enabled: false,
        threads_enabled: false,
        shared_everything_threads_enabled: false,
        wide_arithmetic_enabled: false,
        tail_call_enabled: false,
        ..wasm_smith::Config::default()
    }
}

fn in_a_component(module: &[u8]) -> Vec<u8> {
    const MODULE: u8 = 1;
    let mut component = component_of_text("(component)").to_vec();
    component.push(MODULE);
    component.extend(leb128(module.len()));
    component.extend(module);
    component
}

/// D3: what a generator of odd modules makes: a sample of 400 seeds; the whole is in `slow`.
#[test]
fn odd_modules_are_loaded_or_refused() {
    check_seeds(0..400);
}

mod slow {
    /// D3: 20,000 seeds.
    #[test]
    fn thousands_of_odd_modules_are_loaded_or_refused() {
        super::check_seeds(0..20_000);
    }
}
