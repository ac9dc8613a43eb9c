;; A command that asks for one random number and ends well.
(component
  (import "wasi:random/random@0.2.3" (instance $random
    (export "get-random-u64" (func (result u64)))))
  (core func $get (canon lower (func $random "get-random-u64")))
  (core module $main
    (import "host" "get" (func $get (result i64)))
    (func (export "run") (result i32) (drop (call $get)) (i32.const 0)))
  (core instance $i (instantiate $main
    (with "host" (instance (export "get" (func $get))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (component $commands
    (import "f" (func $f (result (result))))
    (export "run" (func $f)))
  (instance $x (instantiate $commands (with "f" (func $run))))
  (export "wasi:cli/run@0.2.3" (instance $x)))
