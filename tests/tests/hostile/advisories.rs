//! What the advisories of wasmtime in 2026 were about, tried here: `docs/advisories.md` says which test is for which. A
//! defect that was fixed must not come back with another version, and a feature that is off must stay off.

use crate::support::{
    GUESTS, HANDLERS, Handler, attacks, bad, beside, by_hand, composed, hostile, is_unharmed, with_parts,
};
use rimward_tests::{App, Over, app, component_of_text, node, upload};

/// One call that must come to this, and leaves others alone.
async fn comes_to(function: App, code: &str) -> String {
    let node = beside(function).start().await;
    let answer = bad(&node, "/").await;
    let ended = node.heard().ends(1).await.remove(0);
    assert_eq!(answer.problem()["code"], code, "{ended:?}");
    is_unharmed(&node).await;
    ended.cause.unwrap_or_default()
}

/// The page of advisories names only tests that there are.
#[test]
fn the_page_names_tests_that_there_are() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(page.join("../docs/advisories.md")).expect("the page is there");
    let mut sources = String::new();
    for folder in ["tests/artefacts", "tests/hostile", "tests/node", "tests/capabilities", "tests/compat"] {
        for entry in std::fs::read_dir(page.join(folder)).expect("the tests are there") {
            let path = entry.expect("it can be read").path();
            sources += &std::fs::read_to_string(path).expect("it can be read");
        }
    }
    let named: Vec<_> = text.split('`').filter(|word| word.contains("::")).collect();
    assert!(named.len() > 30, "the page names its tests");
    for name in named {
        let function = name.rsplit("::").next().expect("it has a last part");
        assert!(sources.contains(&format!("fn {function}(")), "`{name}` is no test");
    }
    assert!(text.matches("GHSA-").count() >= 60, "every advisory has its row");
}

/// G9: Winch, the compiler that several advisories were about, is not part of the program; nor is a wasmtime before the
/// last fix.
#[test]
fn the_engine_is_of_a_fixed_version_and_has_no_other_compiler() {
    let lock = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let lock = std::fs::read_to_string(lock).expect("the workspace has a lock file");
    assert!(!lock.contains("winch"), "Winch must not be compiled in");
    for package in ["wasmtime-wasi-nn", "wasmtime-wasi-tls", "wasmtime-wasi-threads", "wasi-common"] {
        assert!(!lock.contains(package), "`{package}` must not be compiled in");
    }
    for package in ["wasmtime", "wasmtime-wasi", "wasmtime-wasi-http"] {
        let (_, rest) =
            lock.split_once(&format!("name = \"{package}\"\nversion = \"")).expect("it is locked");
        let (version, _) = rest.split_once('"').expect("versions are quoted");
        let parts: Vec<u64> = version.split('.').map(|part| part.parse().expect("a number")).collect();
        assert!(parts.as_slice() >= &[48, 0, 8], "{package} {version} has known defects");
    }
}

/// G10: loads at the very end of a memory that the code generator once made wider (`f64.copysign`, `f64x2.splat`).
#[tokio::test]
async fn a_load_at_the_end_of_memory_is_no_wider_than_it_says() {
    for handler in HANDLERS {
        let code = attacks(
            handler,
            r#"(memory 1 1)
               (func (export "attack")
                 (f64.store (i32.const 0)
                   (f64.copysign (f64.const 1) (f64.load (i32.const 65528))))
                 (f64.store (i32.const 0)
                   (f64.copysign (f64.load (i32.const 65528)) (f64.const -1)))
                 (v128.store (i32.const 0) (f64x2.splat (f64.load (i32.const 65528))))
                 (v128.store (i32.const 0) (v128.load64_splat (i32.const 65528)))
                 (if (i64.ne (i64.load (i32.const 0)) (i64.const 0)) (then unreachable)))"#,
        );
        let cause = comes_to(by_hand(&code), handler.returned()).await;
        assert!(!cause.contains("out of bounds") && !cause.contains("`unreachable`"), "{cause}");
    }
}

/// G9: a huge branch table leads where it says.
#[tokio::test]
async fn a_huge_branch_table_leads_where_it_says() {
    let filler = "$wrong ".repeat(49_999);
    let code = |handler| {
        attacks(
            handler,
            &format!(
                r#"(func $at (param i32) (result i32)
                     (block $right
                       (block $wrong (br_table {filler} $right $wrong (local.get 0)))
                       (return (i32.const 0)))
                     (i32.const 1))
                   (func (export "attack")
                     (if (i32.ne (call $at (i32.const 49999)) (i32.const 1)) (then unreachable))
                     (if (call $at (i32.const 49998)) (then unreachable))
                     (if (call $at (i32.const 50000)) (then unreachable))
                     (if (call $at (i32.const -1)) (then unreachable)))"#
            ),
        )
    };
    for handler in HANDLERS {
        let cause = comes_to(by_hand(&code(handler)), handler.returned()).await;
        assert!(!cause.contains("`unreachable`"), "{cause}");
    }
}

/// A component that hands a text in one encoding to another component that takes it in another. The text is at `at` and has
/// `units` code units.
fn transcodes(handler: Handler, from: &str, to: &str, at: u32, units: u32) -> String {
    composed(
        handler,
        &format!(
            r#"(core module $m
                 (memory (export "memory") 2)
                 (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
                 (func (export "take") (param i32 i32)))
               (core instance $m (instantiate $m))
               (func (export "take") (param "text" string)
                 (canon lift (core func $m "take") (memory $m "memory") (realloc (func $m "realloc"))
                   string-encoding={to}))"#
        ),
        &format!(
            r#"(import "callee" (instance $takes (export "take" (func (param "text" string)))))
               (core module $memory (memory (export "memory") 1))
               (core instance $memory (instantiate $memory))
               (core func $take (canon lower (func $takes "take") (memory $memory "memory")
                 string-encoding={from}))"#
        ),
        &format!(
            r#"(core module $code
                 (import "host" "take" (func $take (param i32 i32)))
                 (func (export "attack") (call $take (i32.const {at}) (i32.const {units}))))
               (core instance $code (instantiate $code
                 (with "host" (instance (export "take" (func $take))))))"#
        ),
    )
}

/// G14: texts between components: misaligned, beyond the end, and sound, in every pair of encodings.
#[tokio::test]
async fn texts_between_components_are_checked_in_every_encoding() {
    const ENCODINGS: [&str; 3] = ["utf8", "utf16", "latin1+utf16"];
    for handler in HANDLERS {
        for from in ENCODINGS {
            for to in ENCODINGS {
                let sound = transcodes(handler, from, to, 16, 32);
                let cause = comes_to(by_hand(&sound), handler.returned()).await;
                assert!(
                    !cause.contains("unaligned") && !cause.contains("out of bounds"),
                    "{from} {to}: {cause}"
                );
                let tag = 1_u32 << 31;
                for (at, units) in [
                    (65_535, 2),
                    (65_520, 64),
                    (0, 0x7fff_ffff),
                    (0, u32::MAX),
                    (65_520, tag | 64),
                    (17, tag | 8),
                    (u32::MAX, 1),
                ] {
                    comes_to(by_hand(&transcodes(handler, from, to, at, units)), "rimward.guest.trap").await;
                }
                if from == "utf16" {
                    comes_to(by_hand(&transcodes(handler, from, to, 17, 8)), "rimward.guest.trap").await;
                }
            }
        }
    }
}

/// G13: handles that a component makes itself, without the host, in one instance or in several.
#[tokio::test]
async fn handles_that_components_make_themselves_are_counted_together() {
    for handler in HANDLERS {
        let maker = |name: &str, number: usize| {
            format!(
                r#"(core module $make-{name}
                     (import "r" "new" (func $new (param i32) (result i32)))
                     (func (export "make") (local $left i32)
                       (local.set $left (i32.const {number}))
                       (loop $again
                         (drop (call $new (i32.const 1)))
                         (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                         (br_if $again (local.get $left)))))
                   (type $r-{name} (resource (rep i32)))
                   (core func $new-{name} (canon resource.new $r-{name}))
                   (core instance $make-{name} (instantiate $make-{name}
                     (with "r" (instance (export "new" (func $new-{name}))))))"#
            )
        };
        let text = |number: usize| {
            let parts = format!(
                r#"{} {}
                   (core module $code
                     (import "one" "make" (func $one)) (import "other" "make" (func $other))
                     (func (export "attack") (call $one) (call $other)))
                   (core instance $code (instantiate $code
                     (with "one" (instance $make-one)) (with "other" (instance $make-other))))"#,
                maker("one", number),
                maker("other", number)
            );
            with_parts(handler, "", &parts)
        };
        let cause = comes_to(by_hand(&text(40)).limits("handles = 100"), handler.returned()).await;
        assert!(!cause.contains("handle limit"), "{cause}");
        for (number, limits) in [(60, "handles = 100"), (1_000_000, "")] {
            let cause = comes_to(by_hand(&text(number)).limits(limits), "rimward.guest.trap").await;
            assert!(cause.contains("handle limit exceeded"), "{cause}");
        }
    }
}

/// G5: `realloc` calls the host while the host writes into it.
#[tokio::test]
async fn a_call_to_the_host_from_inside_of_one_is_a_trap() {
    for handler in HANDLERS {
        let text = with_parts(
            handler,
            r#"(import "wasi:random/random@0.2.0" (instance $random
                 (export "get-random-u64" (func (result u64)))
                 (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
               (core func $inner (canon lower (func $random "get-random-u64")))
               (core module $memory
                 (import "host" "inner" (func $inner (result i64)))
                 (memory (export "memory") 1)
                 (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                   (drop (call $inner))
                   (i32.const 1024)))
               (core instance $memory (instantiate $memory
                 (with "host" (instance (export "inner" (func $inner))))))
               (core func $bytes (canon lower (func $random "get-random-bytes")
                 (memory $memory "memory") (realloc (func $memory "realloc"))))"#,
            r#"(core module $code
                 (import "host" "bytes" (func $bytes (param i64 i32)))
                 (func (export "attack") (call $bytes (i64.const 64) (i32.const 16))))
               (core instance $code (instantiate $code
                 (with "host" (instance (export "bytes" (func $bytes))))))"#,
        );
        let cause = comes_to(by_hand(&text), "rimward.guest.trap").await;
        assert!(cause.contains("leave component instance"), "{handler:?}: {cause}");
    }
}

/// A 0.3 component whose code uses a stream of bytes and one of numbers.
fn streams(attack: &str) -> String {
    with_parts(
        Handler::V3,
        r#"(core module $memory (memory (export "memory") 1))
           (core instance $memory (instantiate $memory))
           (type $bytes (stream u8))
           (type $numbers (stream u32))
           (type $later (future u8))
           (core func $new (canon stream.new $bytes))
           (core func $write (canon stream.write $bytes async (memory $memory "memory")))
           (core func $read (canon stream.read $bytes async (memory $memory "memory")))
           (core func $write-numbers (canon stream.write $numbers async (memory $memory "memory")))
           (core func $read-later (canon future.read $later async (memory $memory "memory")))"#,
        &format!(
            r#"(core module $code
                 (import "host" "new" (func $new (result i64)))
                 (import "host" "write" (func $write (param i32 i32 i32) (result i32)))
                 (import "host" "read" (func $read (param i32 i32 i32) (result i32)))
                 (import "host" "write-numbers" (func $write-numbers (param i32 i32 i32) (result i32)))
                 (import "host" "read-later" (func $read-later (param i32 i32) (result i32)))
                 (func (export "attack") (local $ends i64) (local $reads i32) (local $writes i32)
                   (local.set $ends (call $new))
                   (local.set $reads (i32.wrap_i64 (local.get $ends)))
                   (local.set $writes (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
                   {attack}))
               (core instance $code (instantiate $code (with "host" (instance
                 (export "new" (func $new)) (export "write" (func $write)) (export "read" (func $read))
                 (export "write-numbers" (func $write-numbers))
                 (export "read-later" (func $read-later))))))"#
        ),
    )
}

/// G13: streams used as another type, at no place in memory, by the wrong end or twice.
#[tokio::test]
async fn a_stream_that_is_used_wrongly_is_a_trap() {
    for attack in [
        "(drop (call $write (local.get $writes) (i32.const -1) (i32.const 0)))",
        "(drop (call $write (local.get $writes) (i32.const 65536) (i32.const 1)))",
        "(drop (call $write (local.get $writes) (i32.const 0) (i32.const -1)))",
        "(drop (call $write (local.get $reads) (i32.const 0) (i32.const 1)))",
        "(drop (call $read (local.get $writes) (i32.const 0) (i32.const 1)))",
        "(drop (call $write-numbers (local.get $writes) (i32.const 0) (i32.const 1)))",
        "(drop (call $read-later (local.get $reads) (i32.const 0)))",
        "(drop (call $write (i32.const 12345) (i32.const 0) (i32.const 1)))",
        "(drop (call $write (local.get $writes) (i32.const 0) (i32.const 1)))
         (drop (call $write (local.get $writes) (i32.const 0) (i32.const 1)))",
        // Both ends in one component: allowed for bytes, and the end without an answer is the trap.
        "(drop (call $write (local.get $writes) (i32.const 0) (i32.const 4)))
         (drop (call $read (local.get $reads) (i32.const 65532) (i32.const 4)))",
    ] {
        comes_to(by_hand(&streams(attack)), "rimward.guest.trap").await;
    }
}

/// G10: a callback with another signature is refused when the component is loaded.
#[tokio::test]
async fn a_callback_with_a_wrong_signature_is_refused() {
    let node = beside(hostile("hostile-02")).start().await;
    let sound = attacks(Handler::V3, r#"(func (export "attack"))"#);
    let callback = r#"(func (export "callback") (param i32 i32 i32) (result i32) (i32.const 0))"#;
    assert!(sound.contains(callback));
    for wrong in [
        r#"(func (export "callback") (param i32 i32 i32) (result i32 i32) (i32.const 0) (i32.const 0))"#,
        r#"(func (export "callback") (param i32 i32 i32))"#,
        r#"(func (export "callback") (param i32 i32) (result i32) (i32.const 0))"#,
        r#"(func (export "callback") (param i32 i32 i32) (result i64) (i64.const 0))"#,
    ] {
        let text = component_of_text(&sound.replace(callback, wrong));
        let why = node.refuses(app("by-hand").named("c").on("c.example").component("by-hand", text)).await;
        assert!(why.contains("not valid"), "{why}");
    }
    is_unharmed(&node).await;
}

/// G19: GHSA-jxcf-8qw5-5c33: trailers that a 0.3 function only passes on.
#[tokio::test]
async fn trailers_that_are_passed_on_have_no_forbidden_names() {
    for guest in ["wasi-http-03", "echo"] {
        let node = node().dev().app(guest).start().await;
        let (sending, body) = upload();
        let call = node.post("/echo").over(Over::Http2).header("te", "trailers").streams(body);
        let call = tokio::spawn(call.into_future());
        assert!(sending.send("body").await);
        let names = ["host", "proxy-authorization", "http2-settings", "x-end"];
        let trailers = names.map(|name| (name.parse().expect("a name"), "1".parse().expect("a value")));
        sending.end_with(trailers.into_iter().collect()).await;
        let answer = call.await.expect("the client does not panic");
        let names: Vec<_> = answer.is(200).trailers().keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["x-end"], "{guest}");
    }
}

/// G22: no folder, socket, variable or argument is there, in either version of WASI.
#[tokio::test]
async fn nothing_of_the_machine_is_within_reach() {
    for guest in GUESTS {
        let node = beside(hostile(guest)).start().await;
        bad(&node, "/reach").await.is(200).says("0 folders, tcp false, udp false, 0 variables, file false");
        is_unharmed(&node).await;
    }
}

/// G12: futures of guests that are dropped wherever they are, many at once.
#[tokio::test]
async fn a_guest_can_be_dropped_wherever_it_waits() {
    for guest in GUESTS {
        let node = beside(hostile(guest).limits(r#"wall = "20ms""#)).start().await;
        for path in ["/never", "/wait-least", "/stalls", "/spin"] {
            for answer in futures_util::future::join_all((0..6).map(|_| bad(&node, path).try_open())).await {
                drop(answer);
            }
        }
        is_unharmed(&node).await;
    }
}

/// G5: a 0.2 handler that is lifted as if it were an async one.
#[tokio::test]
async fn a_handler_that_is_lifted_in_another_way_is_refused_or_traps() {
    let node = beside(hostile("hostile-02")).start().await;
    let sound = attacks(Handler::V2, r#"(func (export "attack"))"#);
    let text = sound.replace(
        r#"(canon lift (core func $shell "handle"))"#,
        r#"(canon lift (core func $shell "handle") async)"#,
    );
    assert_ne!(text, sound);
    let function = app("by-hand").named("l").on("l.example").component("by-hand", component_of_text(&text));
    if node.try_install(function).await.is_ok() {
        let answer = node.get("/").host("l.example").await;
        assert_eq!(answer.status(), 500);
    }
    is_unharmed(&node).await;
}
