//! Reading modules and components that are whole, damaged and too large.

use super::{AnalysisError, Form, analyse};

fn module(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn a_module_is_told_apart() {
    let bytes = module(
        r#"(module
            (import "env" "f" (func))
            (memory (export "memory") 2 4)
            (table 3 funcref)
            (global i32 (i32.const 1))
            (data (i32.const 0) "abcd")
            (func $main (drop (i32.xor (i32.const 1) (i32.const 2))) (call 0))
            (start $main)
            (@custom "note" "hello"))"#,
    );
    let analysis = analyse(&bytes).unwrap();
    assert_eq!(analysis.form, Form::Module);
    assert_eq!(analysis.imports[0].full_name(), "env.f");
    assert_eq!(
        (analysis.memories[0].minimum_bytes, analysis.memories[0].maximum_bytes),
        (131_072, Some(262_144))
    );
    assert_eq!((analysis.functions, analysis.data_bytes, analysis.globals), (1, 4, 1));
    assert!(analysis.start);
    assert_eq!(
        analysis.custom_sections.iter().find(|c| c.name == "note".into()).unwrap().size_bytes,
        5
    );
    assert_eq!(analysis.instructions["bitwise"], 1);
    assert_eq!(analysis.instructions["call"], 1);
    assert!(analysis.text().contains("imports: env.f"));
}

#[test]
fn a_component_tells_the_functions_it_uses() {
    let bytes = module(
        r#"(component
            (import "wasi:random/random@0.2.3" (instance (export "get-random-u64" (func (result u64))))))"#,
    );
    let analysis = analyse(&bytes).unwrap();
    assert_eq!(analysis.form, Form::Component);
    assert_eq!(analysis.imports[0].full_name(), "wasi:random/random@0.2.3.get-random-u64");
    assert_eq!(analysis.imports[0].kind, "function");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    assert_eq!(analyse(b"#!/bin/sh").unwrap_err(), AnalysisError::NotWasm);
    let mut bytes = module("(module (func (result i32) (i32.const 1)))");
    bytes.push(7);
    assert!(matches!(analyse(&bytes), Err(AnalysisError::Malformed { .. })));
    let bytes = module("(module (func (result i32) (i64.const 1)))");
    let Err(AnalysisError::Malformed { offset, message }) = analyse(&bytes) else {
        panic!("accepted")
    };
    assert!(offset > 8 && message.contains("type mismatch"), "{message}");
    for (what, text) in [
        ("threads", "(module (memory 1 1 shared))"),
        ("multi-memory", "(module (memory 1) (memory 1))"),
        ("memory64", "(module (memory i64 1))"),
    ] {
        assert!(matches!(analyse(&module(text)), Err(AnalysisError::Malformed { .. })), "{what}");
    }
}

#[test]
fn modules_that_cost_a_compiler_too_much_are_refused() {
    let nested = format!("(module (func {}{}))", "block ".repeat(3_000), "end ".repeat(3_000));
    let targets = format!("(br_table {} (i32.const 0))", "0 ".repeat(60_000));
    let tables = format!("(module (func (block {})))", targets.repeat(9));
    let blocks = "(block)".repeat(1_000);
    let locals = format!("(module (func (local {}) {blocks}))", "i64 ".repeat(5_000));
    let many = "(loop)".repeat(500);
    let loops = format!("(module (func (local {}) {many}))", "i64 ".repeat(500));
    for (what, text) in [
        ("locals times loops of one function", loops),
        ("blocks inside each other", nested),
        ("branch targets", tables),
        ("locals times blocks of one function", locals),
    ] {
        match analyse(&module(&text)) {
            Err(AnalysisError::TooLarge { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{what}: {other:?}"),
        }
    }
}
