//! WebAssembly features: what no component for HTTP needs is off, and a component that uses it is refused when it is
//! loaded, by the name of the feature.

use crate::support::{HANDLERS, Handler, attacks, bad, beside, by_hand, hostile, is_unharmed, with_parts};
use rimward_tests::{app, component_of_text};

/// A feature, code that uses it, and a word that the refusal must have.
const REFUSED: [(&str, &str, &str); 13] = [
    ("64-bit memory", "(memory i64 1)", "memory64"),
    ("64-bit table", "(table i64 1 funcref)", "memory64"),
    ("shared memory", "(memory 1 1 shared)", "threads"),
    ("atomic operations", "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))", "threads"),
    ("garbage collection, structures", "(type (struct (field i32)))", "gc"),
    ("garbage collection, arrays", "(type (array i8))", "gc"),
    ("typed function references", "(type $f (func)) (func (param (ref null $f)))", "function references"),
    ("references to anything", "(func (param externref))", "gc"),
    ("exceptions", "(tag (param i32))", "exceptions"),
    (
        "relaxed SIMD",
        "(func (drop (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0))))",
        "relaxed",
    ),
    ("custom page sizes", "(memory 1 (pagesize 1))", "custom page sizes"),
    (
        "wide arithmetic",
        "(func (result i64 i64) (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)))",
        "wide arithmetic",
    ),
    ("stack switching", "(type $f (func)) (type (cont $f))", "stack switching"),
];

/// G9: advisories of these features cannot apply here.
#[tokio::test]
async fn a_feature_that_is_off_is_refused_by_its_name() {
    let node = beside(hostile("hostile-02")).start().await;
    for handler in HANDLERS {
        for (feature, uses, word) in REFUSED {
            let code = attacks(handler, &format!(r#"{uses} (func (export "attack"))"#));
            let function =
                app("by-hand").named("f").on("f.example").component("by-hand", component_of_text(&code));
            let why = node.refuses(function).await;
            assert!(why.contains("feature that this node has switched off, at byte "), "{feature}: {why}");
            assert!(why.to_lowercase().contains(word), "{handler:?} {feature}: {why}");
        }
    }
    is_unharmed(&node).await;
}

/// Parts of components that use drafts of the component model.
const COMPONENT_DRAFTS: [(&str, &str); 5] = [
    ("error contexts", "(core func (canon error-context.drop))"),
    ("threads", "(core func (canon thread.index))"),
    ("lists of fixed length", "(type (list u8 4))"),
    ("maps", "(type (map string u8))"),
    ("more of async", "(core func (canon subtask.cancel async))"),
];

/// G9: the same for drafts of the component model.
#[tokio::test]
async fn a_draft_of_the_component_model_is_refused() {
    let node = beside(hostile("hostile-02")).start().await;
    for handler in HANDLERS {
        for (draft, uses) in COMPONENT_DRAFTS {
            let code =
                r#"(core module $code (func (export "attack"))) (core instance $code (instantiate $code))"#;
            let text = with_parts(handler, uses, code);
            let function =
                app("by-hand").named("f").on("f.example").component("by-hand", component_of_text(&text));
            let why = node.refuses(function).await;
            assert!(why.contains("feature that this node has switched off"), "{handler:?} {draft}: {why}");
        }
    }
    is_unharmed(&node).await;
}

/// What compilers use is on.
#[tokio::test]
async fn what_compilers_use_is_allowed() {
    let allowed = [
        ("SIMD", "(func (drop (i32x4.add (v128.const i64x2 0 0) (v128.const i64x2 0 0))))"),
        ("tail calls", "(func $f (return_call $f))"),
        ("bulk memory", "(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 1)))"),
        ("several results", "(func (result i32 i32) (i32.const 0) (i32.const 0))"),
        ("sign extension", "(func (drop (i32.extend8_s (i32.const 0))))"),
        ("saturating conversions", "(func (drop (i32.trunc_sat_f32_s (f32.const 0))))"),
        ("extended constants", "(global i32 (i32.add (i32.const 1) (i32.const 2)))"),
        ("function tables", "(table 1 funcref) (func (table.set (i32.const 0) (ref.null func)))"),
    ];
    for handler in HANDLERS {
        let fields: String =
            allowed.iter().filter(|(name, _)| *name != "bulk memory").map(|(_, uses)| *uses).collect();
        for code in [fields, allowed[2].1.to_owned()] {
            let text = attacks(handler, &format!(r#"{code} (func (export "attack"))"#));
            let node = beside(by_hand(&text)).start().await;
            bad(&node, "/").await.code(handler.returned());
        }
    }
}

/// A component without code is looked at as well.
#[tokio::test]
async fn damage_is_told_apart_from_a_feature_that_is_off() {
    let node = beside(hostile("hostile-02")).start().await;
    let sound = component_of_text(&attacks(Handler::V2, r#"(func (export "attack"))"#));
    let cut = sound.slice(..sound.len() - 3);
    let why = node.refuses(app("by-hand").named("f").on("f.example").component("by-hand", cut)).await;
    assert!(why.contains("the component is not valid at byte"), "{why}");
}
