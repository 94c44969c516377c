;; Calls itself without end, and the host at every step, also where the stack is all but used up.
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "now" (func (result u64)))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $out))
  (core func $now (canon lower (func $clock "now")))
  (core module $code
    (import "host" "now" (func $now (result i64)))
    (func $deeper (result i64)
      (i64.add (call $now) (call $deeper)))
    (func (export "handle") (param i32 i32)
      (drop (call $deeper))))
  (core instance $code (instantiate $code
    (with "host" (instance (export "now" (func $now))))))
  (func $handle (param "request" (own $request)) (param "response-out" (own $out))
    (canon lift (core func $code "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
