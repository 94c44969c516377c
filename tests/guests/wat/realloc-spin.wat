;; Spins while the host writes a string into its memory.
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "incoming-request" (type $request (sub resource)))
    (export "response-outparam" (type (sub resource)))
    (export "[method]incoming-request.path-with-query"
      (func (param "self" (borrow $request)) (result (option string))))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $out))
  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (loop $again (br $again))
      unreachable))
  (core instance $memory (instantiate $memory))
  (core func $path (canon lower (func $types "[method]incoming-request.path-with-query")
    (memory $memory "memory") (realloc (func $memory "realloc"))))
  (core module $code
    (import "host" "path" (func $path (param i32 i32)))
    (func (export "handle") (param $request i32) (param i32)
      (call $path (local.get $request) (i32.const 1024))))
  (core instance $code (instantiate $code
    (with "host" (instance (export "path" (func $path))))))
  (func $handle (param "request" (own $request)) (param "response-out" (own $out))
    (canon lift (core func $code "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
