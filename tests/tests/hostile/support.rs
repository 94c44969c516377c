//! A node with a hostile function and one that behaves, on hosts of their own, and components made of hand-written code.

use rimward_node::Outcome;
use rimward_tests::{App, Call, Ended, NodeBuilder, TestNode, app, component_of_text, node};

/// The same program for both versions of `wasi:http`.
pub(crate) const GUESTS: [&str; 2] = ["hostile-02", "hostile-03"];

const BAD: &str = "bad.example";
const GOOD: &str = "good.example";

/// The hostile function.
pub(crate) fn hostile(guest: &str) -> App {
    app(guest).named("hostile").on(BAD)
}

/// A node that serves both versions, with the function and one that behaves.
pub(crate) fn beside(function: App) -> NodeBuilder {
    node().file(|file| file.node.wasi_http_03 = true).app(function.on(BAD)).app(app("hello").on(GOOD))
}

/// A request for the hostile function.
pub(crate) fn bad(node: &TestNode, path: &str) -> Call {
    node.get(path).host(BAD)
}

/// The other function still answers, and nothing of the hostile one is left.
pub(crate) async fn is_unharmed(node: &TestNode) {
    node.get("/").host(GOOD).await.is(200).says("hello\n");
    node.is_idle().await;
}

/// One call fails like this and alone: the caller, the operator and the counters all say so.
pub(crate) async fn check_fails(
    function: App,
    path: &str,
    status: u16,
    code: &'static str,
    offence: Option<&str>,
) -> Ended {
    let node = beside(function).start().await;
    bad(&node, path).await.is(status).code(code);
    let ended = node.heard().end(|ended| ended.path == path).await;
    assert_eq!((ended.outcome, ended.status), (Outcome::Failed(code), Some(status)), "{ended:?}");
    if let Some(offence) = offence {
        let told: Vec<_> = ended.offences.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(told, [offence], "{ended:?}");
        let labels = format!("tenant=default, app=hostile, function=hostile, kind={offence}");
        assert!(node.metric("rimward_function_offences_total", &labels).value() >= 1.0, "{labels}");
    }
    is_unharmed(&node).await;
    ended
}

/// An app of a component that is written by hand.
pub(crate) fn by_hand(text: &str) -> App {
    app("by-hand").named("hostile").on(BAD).component("by-hand", component_of_text(text))
}

/// Which handler a component by hand has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handler {
    /// `wasi:http` 0.2: returns without an answer where the code returns.
    V2,
    /// `wasi:http` 0.3: ends without an answer where the code returns, which is a trap.
    V3,
}

pub(crate) const HANDLERS: [Handler; 2] = [Handler::V2, Handler::V3];

impl Handler {
    /// What a call comes to whose code has simply returned.
    pub(crate) fn returned(self) -> &'static str {
        match self {
            Self::V2 => "rimward.guest.no-response",
            Self::V3 => "rimward.guest.trap",
        }
    }
}

/// A component whose handler calls `attack` of a core module with these fields.
pub(crate) fn attacks(handler: Handler, fields: &str) -> String {
    with_parts(
        handler,
        "",
        &format!("(core module $code {fields})\n(core instance $code (instantiate $code))"),
    )
}

/// The same, with `parts` that make the core instance `$code`, below `before` at the top of the component.
pub(crate) fn with_parts(handler: Handler, before: &str, parts: &str) -> String {
    match handler {
        Handler::V2 => format!(
            r#"(component
              (import "wasi:http/types@0.2.0" (instance $types
                (export "incoming-request" (type (sub resource)))
                (export "response-outparam" (type (sub resource)))))
              (alias export $types "incoming-request" (type $request))
              (alias export $types "response-outparam" (type $out))
              {before}
              {parts}
              (core module $shell
                (import "code" "attack" (func $attack))
                (func (export "handle") (param i32 i32) (call $attack)))
              (core instance $shell (instantiate $shell (with "code" (instance $code))))
              (func $handle (param "request" (own $request)) (param "response-out" (own $out))
                (canon lift (core func $shell "handle")))
              (instance $handler (export "handle" (func $handle)))
              (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#
        ),
        Handler::V3 => format!(
            r#"(component
              (import "wasi:http/types@0.3.0" (instance $types
                (export "request" (type (sub resource)))
                (export "response" (type (sub resource)))
                {ERROR_CODE_03}
                (export "error-code" (type (eq $error-code)))))
              (alias export $types "request" (type $request))
              (alias export $types "response" (type $response))
              (alias export $types "error-code" (type $error))
              {before}
              {parts}
              (core module $shell
                (import "code" "attack" (func $attack))
                (func (export "handle") (param i32) (result i32) (call $attack) (i32.const 0))
                (func (export "callback") (param i32 i32 i32) (result i32) (i32.const 0)))
              (core instance $shell (instantiate $shell (with "code" (instance $code))))
              (core module $room (memory (export "memory") 1))
              (core instance $room (instantiate $room))
              (func $handle async (param "request" (own $request))
                (result (result (own $response) (error $error)))
                (canon lift (core func $shell "handle") async (callback (func $shell "callback"))
                  (memory $room "memory")))
              (instance $handler (export "handle" (func $handle)))
              (export "wasi:http/handler@0.3.0" (instance $handler)))"#
        ),
    }
}

/// Two components beside each other: `callee`, which exports what the handler's component imports as `callee`. `import` is
/// that import and what else goes before `parts`. A component may not call those that lie in it.
pub(crate) fn composed(handler: Handler, callee: &str, import: &str, parts: &str) -> String {
    let (types, exported) = match handler {
        Handler::V2 => ("wasi:http/types@0.2.0", "wasi:http/incoming-handler@0.2.0"),
        Handler::V3 => ("wasi:http/types@0.3.0", "wasi:http/handler@0.3.0"),
    };
    let caller = with_parts(handler, import, parts).replacen("(component", "(component $caller", 1);
    let (_, rest) = caller.split_once("(component $caller").expect("it was just named");
    let (imported_types, _) = rest.split_once("(alias export $types").expect("every handler has types");
    format!(
        r#"(component
          {imported_types}
          (component $callee {callee})
          (instance $callee (instantiate $callee))
          {caller}
          (instance $caller (instantiate $caller
            (with "{types}" (instance $types)) (with "callee" (instance $callee))))
          (alias export $caller "{exported}" (instance $handler))
          (export "{exported}" (instance $handler)))"#
    )
}

/// `error-code` of `wasi:http/types@0.3.0`, inside of the instance's type.
const ERROR_CODE_03: &str = r#"
    (type $dns (record (field "rcode" (option string)) (field "info-code" (option u16))))
    (export "DNS-error-payload" (type $dns-named (eq $dns)))
    (type $tls (record (field "alert-id" (option u8)) (field "alert-message" (option string))))
    (export "TLS-alert-received-payload" (type $tls-named (eq $tls)))
    (type $field (record (field "field-name" (option string)) (field "field-size" (option u32))))
    (export "field-size-payload" (type $field-named (eq $field)))
    (type $error-code (variant
      (case "DNS-timeout") (case "DNS-error" $dns-named) (case "destination-not-found")
      (case "destination-unavailable") (case "destination-IP-prohibited") (case "destination-IP-unroutable")
      (case "connection-refused") (case "connection-terminated") (case "connection-timeout")
      (case "connection-read-timeout") (case "connection-write-timeout") (case "connection-limit-reached")
      (case "TLS-protocol-error") (case "TLS-certificate-error") (case "TLS-alert-received" $tls-named)
      (case "HTTP-request-denied") (case "HTTP-request-length-required")
      (case "HTTP-request-body-size" (option u64)) (case "HTTP-request-method-invalid")
      (case "HTTP-request-URI-invalid") (case "HTTP-request-URI-too-long")
      (case "HTTP-request-header-section-size" (option u32))
      (case "HTTP-request-header-size" (option $field-named))
      (case "HTTP-request-trailer-section-size" (option u32))
      (case "HTTP-request-trailer-size" $field-named) (case "HTTP-response-incomplete")
      (case "HTTP-response-header-section-size" (option u32)) (case "HTTP-response-header-size" $field-named)
      (case "HTTP-response-body-size" (option u64)) (case "HTTP-response-trailer-section-size" (option u32))
      (case "HTTP-response-trailer-size" $field-named) (case "HTTP-response-transfer-coding" (option string))
      (case "HTTP-response-content-coding" (option string)) (case "HTTP-response-timeout")
      (case "HTTP-upgrade-failed") (case "HTTP-protocol-error") (case "loop-detected")
      (case "configuration-error") (case "internal-error" (option string))))"#;

/// Resident memory of this process, bytes: that of the node in it and of the test.
pub(crate) fn resident() -> u64 {
    status("VmRSS:")
}

/// The most that [`resident`] has been since [`forget_peak`].
pub(crate) fn resident_peak() -> u64 {
    status("VmHWM:")
}

/// Starts [`resident_peak`] anew (proc(5), `clear_refs`).
pub(crate) fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("the kernel can forget it");
}

fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("it is there");
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().expect("it is a number");
    kib << 10
}
/// Bytes in hexadecimal, as the guests read them.
pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    use std::fmt::Write;
    bytes.as_ref().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string can be written to");
        text
    })
}
