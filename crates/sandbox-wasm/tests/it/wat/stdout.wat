;; A command that prints "hi\n" through a stream.
(component
  (import "wasi:io/error@0.2.3" (instance $error
    (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error-type))
  (import "wasi:io/streams@0.2.3" (instance $streams
    (export "output-stream" (type $out (sub resource)))
    (alias outer 1 $error-type (type $outer-error))
    (export "error" (type $e (eq $outer-error)))
    (type $stream-error (variant (case "last-operation-failed" (own $e)) (case "closed")))
    (export "stream-error" (type $se (eq $stream-error)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $se)))))))
  (alias export $streams "output-stream" (type $out-type))
  (import "wasi:cli/stdout@0.2.3" (instance $stdout
    (alias outer 1 $out-type (type $outer-out))
    (export "output-stream" (type $out (eq $outer-out)))
    (export "get-stdout" (func (result (own $out))))))
  (core module $memory-module (memory (export "memory") 1) (data (i32.const 16) "hi\0a"))
  (core instance $memory (instantiate $memory-module))
  (core func $get (canon lower (func $stdout "get-stdout")))
  (core func $write (canon lower
    (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory (core memory $memory "memory"))))
  (core func $drop (canon resource.drop $out-type))
  (core module $main
    (import "host" "get" (func $get (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "host" "drop" (func $drop (param i32)))
    (func (export "run") (result i32)
      (local $stream i32)
      (local.set $stream (call $get))
      (call $write (local.get $stream) (i32.const 16) (i32.const 3) (i32.const 64))
      (call $drop (local.get $stream))
      (i32.const 0)))
  (core instance $i (instantiate $main (with "host" (instance
    (export "get" (func $get))
    (export "write" (func $write))
    (export "drop" (func $drop))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (component $commands
    (import "f" (func $f (result (result))))
    (export "run" (func $f)))
  (instance $x (instantiate $commands (with "f" (func $run))))
  (export "wasi:cli/run@0.2.3" (instance $x)))
