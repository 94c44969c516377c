;; Calls itself without end, on the stack that the host gives it.
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $out))
  (core module $code
    (func $deeper (param $depth i32) (result i32)
      (i32.add (local.get $depth) (call $deeper (i32.add (local.get $depth) (i32.const 1)))))
    (func (export "handle") (param i32 i32)
      (drop (call $deeper (i32.const 0)))))
  (core instance $code (instantiate $code))
  (func $handle (param "request" (own $request)) (param "response-out" (own $out))
    (canon lift (core func $code "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
