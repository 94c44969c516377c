;; Grows a table until it is refused, and then traps.
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $out))
  (core module $code
    (table $table 1 funcref)
    (func (export "handle") (param i32 i32)
      (loop $again
        (table.grow $table (ref.null func) (i32.const 1000))
        (br_if $again (i32.ne (i32.const -1))))
      unreachable))
  (core instance $code (instantiate $code))
  (func $handle (param "request" (own $request)) (param "response-out" (own $out))
    (canon lift (core func $code "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
