//! Every call is on the record, once.

use std::fmt::Write as _;

use types::{Ending, Kind};

use crate::kit::{Bench, called, open, preview1, stdout};

/// The functions of preview 1 with their parameters, as its definition lists them; without `sock_*`,
/// which no grant gives.
const FUNCTIONS: [(&str, &str); 42] = [
    ("args_get", "i32 i32"),
    ("args_sizes_get", "i32 i32"),
    ("environ_get", "i32 i32"),
    ("environ_sizes_get", "i32 i32"),
    ("clock_res_get", "i32 i32"),
    ("clock_time_get", "i32 i64 i32"),
    ("fd_advise", "i32 i64 i64 i32"),
    ("fd_allocate", "i32 i64 i64"),
    ("fd_close", "i32"),
    ("fd_datasync", "i32"),
    ("fd_fdstat_get", "i32 i32"),
    ("fd_fdstat_set_flags", "i32 i32"),
    ("fd_fdstat_set_rights", "i32 i64 i64"),
    ("fd_filestat_get", "i32 i32"),
    ("fd_filestat_set_size", "i32 i64"),
    ("fd_filestat_set_times", "i32 i64 i64 i32"),
    ("fd_pread", "i32 i32 i32 i64 i32"),
    ("fd_prestat_get", "i32 i32"),
    ("fd_prestat_dir_name", "i32 i32 i32"),
    ("fd_pwrite", "i32 i32 i32 i64 i32"),
    ("fd_read", "i32 i32 i32 i32"),
    ("fd_readdir", "i32 i32 i32 i64 i32"),
    ("fd_renumber", "i32 i32"),
    ("fd_seek", "i32 i64 i32 i32"),
    ("fd_sync", "i32"),
    ("fd_tell", "i32 i32"),
    ("fd_write", "i32 i32 i32 i32"),
    ("path_create_directory", "i32 i32 i32"),
    ("path_filestat_get", "i32 i32 i32 i32 i32"),
    ("path_filestat_set_times", "i32 i32 i32 i32 i64 i64 i32"),
    ("path_link", "i32 i32 i32 i32 i32 i32 i32"),
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
    ("path_readlink", "i32 i32 i32 i32 i32 i32"),
    ("path_remove_directory", "i32 i32 i32"),
    ("path_rename", "i32 i32 i32 i32 i32 i32"),
    ("path_symlink", "i32 i32 i32 i32 i32"),
    ("path_unlink_file", "i32 i32 i32"),
    ("poll_oneoff", "i32 i32 i32 i32"),
    ("proc_exit", "i32"),
    ("proc_raise", "i32"),
    ("sched_yield", ""),
    ("random_get", "i32 i32"),
];

#[test]
fn every_function_of_preview_1_is_seen_when_it_is_called() {
    let functions = &FUNCTIONS;
    let (mut imports, mut body, mut end) = (String::new(), String::new(), String::new());
    for (name, params) in functions {
        let result = if *name == "proc_exit" { "" } else { "(result i32)" };
        let _ = write!(
            imports,
            "(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param {params}) {result}))"
        );
        // A descriptor that is not open, and zeroes: an address, no length, the first of each list.
        let on_file = name.starts_with("fd_") || name.starts_with("path_");
        let value = |(at, kind): (usize, &str)| match kind {
            "i64" => "(i64.const 0)",
            _ if on_file && at == 0 => "(i32.const 99)",
            _ => "(i32.const 0)",
        };
        let arguments =
            params.split_whitespace().enumerate().map(value).collect::<Vec<_>>().join(" ");
        if *name == "proc_exit" {
            end = "(call $proc_exit (i32.const 3))".to_owned();
        } else {
            let _ = write!(body, "(drop (call ${name} {arguments}))");
        }
    }
    let text = format!(
        "(module {imports} (memory (export \"memory\") 1) (func (export \"_start\") {body} {end}))"
    );
    let bench = Bench::new(&text).grant("clock").grant("random");
    let (mut bench, _) = bench.folder("/data", true);
    bench.spec.limits.timeout_ms = 60_000;
    let recording = bench.run();
    assert_eq!(recording.run.ending, Ending::Exited { code: 3 }, "{:?}", recording.run.engine);
    // Each function once, the beginning and the end.
    assert_eq!(recording.counters.seen, functions.len() as u64 + 2, "{:#?}", recording.events);
    assert_eq!(recording.counters.dropped, 0);
    let typed = ["write", "open", "unlink", "rename", "mkdir", "link", "truncate", "set_times"];
    for (name, _) in functions {
        let by_name = called(&recording, name);
        let has_type = name.starts_with("path_")
            || name.starts_with("fd_filestat_set")
            || name.contains("write");
        assert!(by_name == 1 || has_type, "{name}");
    }
    let typed: u64 = typed
        .iter()
        .filter_map(|name| recording.counters.by_type.get(*name))
        .map(|counters| counters.seen)
        .sum();
    assert_eq!(typed + recording.counters.by_type["host_call"].seen + 2, recording.counters.seen);
}

#[test]
fn identical_calls_are_one_event_with_a_count() {
    let body = "(local $i i32) (loop $again
        (drop (call $random_get (i32.const 0) (i32.const 8)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 20000))))";
    let recording = Bench::new(&preview1("random_get", "", body)).grant("random").run();
    assert_eq!(called(&recording, "random_get"), 20_000);
    assert_eq!(recording.counters.by_type["host_call"].received, 1);
    assert_eq!(recording.counters.by_type["host_call"].aggregated, 19_999);
}

#[test]
fn a_deterministic_run_is_the_same_twice() {
    // Random bytes and the time are printed.
    let data = r#"(data (i32.const 0) "\20\00\00\00\18\00\00\00") (data (i32.const 1000) "f")"#;
    let body = format!(
        "(drop (call $random_get (i32.const 32) (i32.const 16)))
         (drop (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 48)))
         (drop {})
         (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))",
        open(1_000, 1, 0, false)
    );
    let text = preview1("random_get clock_time_get path_open fd_write", data, &body);
    let run = |deterministic: bool| {
        let (mut bench, _) =
            Bench::new(&text).grant("random").grant("clock").folder("/data", false);
        bench.spec.wasm.deterministic = deterministic;
        let mut recording = bench.run();
        for event in &mut recording.events {
            event.time_ns = 0;
            if let Kind::Exec { path, .. } = &mut event.kind {
                *path = "".into();
            }
        }
        (
            recording.output.clone().unwrap(),
            recording.events,
            recording.counters,
            recording.run.engine["fuel_used"].clone(),
        )
    };
    assert_eq!(run(true), run(true));
    assert_ne!(run(false).0, run(false).0);
}

#[test]
fn arguments_and_environment_are_empty_unless_granted() {
    // Prints both counts.
    let data = r#"(data (i32.const 0) "\20\00\00\00\08\00\00\00")"#;
    let body = "(drop (call $args_sizes_get (i32.const 32) (i32.const 100)))
        (drop (call $environ_sizes_get (i32.const 36) (i32.const 100)))
        (i32.store (i32.const 32) (i32.add (i32.load (i32.const 32)) (i32.const 48)))
        (i32.store (i32.const 36) (i32.add (i32.load (i32.const 36)) (i32.const 48)))
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))";
    let text = preview1("args_sizes_get environ_sizes_get fd_write", data, body);
    assert_eq!(stdout(&Bench::new(&text).run()), "0\0\0\x000\0\0\0");
    assert_eq!(stdout(&Bench::new(&text).grant("args").run()), "2\0\0\x000\0\0\0");
    assert_eq!(stdout(&Bench::new(&text).grant("env").run()), "0\0\0\x001\0\0\0");
}
