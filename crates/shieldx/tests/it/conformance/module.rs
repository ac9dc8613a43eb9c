//! What of the conformance list has a meaning for a WebAssembly module: its end, its output, its
//! deadline, its arguments and environment, what it writes, and what is no module at all.

use types::{Ending, Kind, Level, Tier};

use crate::lab::{Lab, Outcome, Shieldx};
use crate::ways::{Way, assert_nothing_left};

/// Runs text as a module through the command line, as any other runner is asked.
fn run(text: &str, dress: impl FnOnce(Shieldx<'_>) -> Shieldx<'_>, arguments: &[&str]) -> Outcome {
    let lab = Lab::new();
    lab.write("module.wasm", wat::parse_str(text).expect("a module"));
    let mut command = vec!["./module.wasm"];
    command.extend(arguments);
    let call = lab.shieldx().with(&["--runner", "wasm"]).variable("TMPDIR", &Way::temporary(&lab));
    let outcome = dress(call).run(&command);
    assert_nothing_left(&lab, outcome.supervisor);
    outcome
}

/// Copies what one of the two calls gives to standard output, and exits with 7.
pub(crate) fn teller(kind: &str) -> String {
    format!(
        "(module
          (import \"wasi_snapshot_preview1\" \"{kind}_sizes_get\" (func $sizes (param i32 i32) (result i32)))
          (import \"wasi_snapshot_preview1\" \"{kind}_get\" (func $get (param i32 i32) (result i32)))
          (import \"wasi_snapshot_preview1\" \"fd_write\" (func $write (param i32 i32 i32 i32) (result i32)))
          (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
          (memory (export \"memory\") 2)
          (func (export \"_start\")
           (drop (call $sizes (i32.const 0) (i32.const 12)))
           (drop (call $get (i32.const 1000) (i32.const 8000)))
           (i32.store (i32.const 8) (i32.const 8000))
           (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 4)))
           (call $exit (i32.const 7))))"
    )
}

fn said(outcome: &Outcome) -> String {
    let value = outcome.document["output"]["stdout"].as_str().unwrap_or_default();
    types::Text::decode(value).expect("encoded text").to_lossy().into_owned()
}

#[test]
fn a_module_is_given_what_was_granted_and_its_end_is_told() {
    let strange = ["ä→🦀\n\"quoted\" \\", "x"];
    let outcome = run(&teller("args"), |call| call.with(&["--grant", "args"]), &strange);
    assert_eq!(outcome.run.ending, Ending::Exited { code: 7 }, "{}", outcome.summary());
    assert_eq!(outcome.code(), 7);
    let given = said(&outcome);
    assert!(given.ends_with(&format!("{}\0x\0", strange[0])), "{given:?}");
    let options = ["--grant", "env", "--env", "GIVEN=a b"];
    let outcome = run(&teller("environ"), |call| call.with(&options), &[]);
    assert!(
        said(&outcome).split('\0').any(|variable| variable == "GIVEN=a b"),
        "{}",
        said(&outcome)
    );
    // The same without a grant: it runs, and is told nothing, or it is told why it may not.
    assert_eq!(outcome.run.runner, "wasm");
    assert_eq!(outcome.assessment.evidence.tier, Tier::H);
    assert_eq!(outcome.assessment.evidence.level, Level::Full, "{}", outcome.summary());
    let ids: Vec<u64> = outcome.events.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..).take(ids.len()).collect::<Vec<u64>>());
    assert!(outcome.events.is_sorted_by_key(|event| event.time_ns));
    assert!(matches!(outcome.events[0].kind, Kind::Exec { .. }));
}

#[test]
fn a_module_past_its_deadline_and_one_that_says_too_much_are_ended_and_cut() {
    let outcome = run(
        r#"(module (func (export "_start") (loop (br 0))))"#,
        |call| call.with(&["--timeout", "1s"]),
        &[],
    );
    assert_eq!(outcome.run.ending, Ending::TimedOut);
    assert!(outcome.reached("time"), "{}", outcome.summary());
    assert_eq!(outcome.assessment.evidence.level, Level::Incomplete);
    let flood = "(module
        (import \"wasi_snapshot_preview1\" \"fd_write\" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export \"memory\") 2) (data (i32.const 0) \"\\10\\00\\00\\00\\00\\80\\00\\00\")
        (func (export \"_start\") (local $i i32) (loop $again
         (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
         (local.set $i (i32.add (local.get $i) (i32.const 1)))
         (br_if $again (i32.lt_u (local.get $i) (i32.const 100))))))";
    let outcome = run(flood, |call| call.with(&["--output-limit", "1M"]), &[]);
    assert!(outcome.reached("output"), "{}", outcome.summary());
    assert_eq!(outcome.document["output"]["truncated"], true);
    assert_eq!(outcome.document["output"]["stdout_bytes"], 100 << 15);
    assert!(said(&outcome).len() <= 1 << 20);
}

#[test]
fn what_is_no_module_or_not_there_is_said_clearly() {
    let lab = Lab::new();
    lab.write("plain", "no module\n");
    for (command, code) in [("./missing", 127), ("./plain", 126)] {
        let call = lab.shieldx().with(&["--runner", "wasm"]);
        let mut child = call.command(&[command]).spawn().expect("shieldx starts");
        let status = crate::lab::wait(&mut child, super::LIMIT);
        let said = std::fs::read_to_string(lab.side().join("stderr")).expect("error output");
        assert_eq!(status.code(), Some(code), "{command}: {said}");
        let named = said.contains("missing") || said.contains("no WebAssembly");
        assert!(named, "{command}: {said}");
    }
}
