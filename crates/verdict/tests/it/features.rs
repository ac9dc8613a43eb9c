//! The numbers that describe a run.

use std::collections::BTreeMap;

use types::{Ending, Endpoint, Kind, Recording, run::Output};
use verdict::{FEATURES, features};

use crate::trace::{
    ECONNREFUSED, ENOENT, ROOT, Trace, connect, dns, exec, limit, memory, read, rename, syscall,
    unlink,
};

fn check(recording: &Recording, expect: &[(&str, f64)]) -> BTreeMap<String, f64> {
    let found = features(recording);
    for (name, value) in expect {
        assert!((found[*name] - value).abs() < 1e-9, "{name} is {}, not {value}", found[*name]);
    }
    found
}

#[test]
fn every_run_has_the_same_names() {
    let names: Vec<&str> = FEATURES.iter().map(|(name, _)| *name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "sorted, and no name twice");
    for name in &names {
        let start = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(start && name.chars().all(letter), "{name}");
    }
    let mut busy = Trace::new();
    busy.failed(ROOT, read("/etc/shadow"), ENOENT);
    for recording in [Trace::bare().finish(), busy.finish()] {
        assert_eq!(features(&recording).keys().collect::<Vec<_>>(), names);
        assert!(features(&recording).values().all(|value| value.is_finite()));
    }
}

#[test]
fn processes_are_counted_with_their_depth() {
    let mut trace = Trace::new();
    let child = trace.spawn(ROOT, "/usr/bin/sh", &["sh"]);
    let grandchild = trace.spawn(child, "/usr/bin/ls", &["ls"]);
    trace.spawn(ROOT, "/usr/bin/ls", &["ls"]);
    trace.failed(grandchild, exec("/nowhere", &["x"], Vec::new()), ENOENT);
    check(
        &trace.finish(),
        &[
            ("exec_count", 4.0),
            ("exec_failed_count", 1.0),
            ("program_distinct_count", 3.0),
            ("fork_count", 3.0),
            ("process_depth_max", 3.0),
        ],
    );
    check(&Trace::new().finish(), &[("process_depth_max", 1.0), ("fork_count", 0.0)]);
}

#[test]
fn files_and_bytes_are_counted() {
    let mut trace = Trace::new();
    trace.writes(ROOT, "/data/a", b"12345");
    trace.event(ROOT, rename("/data/a", "/data/b"));
    trace.event(ROOT, unlink("/data/b")).count = 7;
    trace.failed(ROOT, read("/data/secret"), ENOENT);
    let found = check(
        &trace.finish(),
        &[("rename_count", 1.0), ("unlink_count", 7.0), ("path_distinct_count", 3.0)],
    );
    assert!(found["write_bytes"] >= 5.0 && found["open_write_count"] >= 1.0, "{found:?}");
}

#[test]
fn connections_are_told_apart_by_their_end() {
    let mut trace = Trace::new();
    trace.event(ROOT, connect("10.0.0.1", 80)).count = 3;
    trace.failed(ROOT, connect("10.0.0.1", 81), ECONNREFUSED);
    trace.failed(ROOT, connect("10.0.0.1", 82), -115);
    trace.refused(ROOT, connect("10.0.0.2", 80));
    let local = Endpoint::Unix { path: "/run/x".into(), abstract_name: false };
    trace.event(ROOT, Kind::Connect { peer: local });
    trace.event(ROOT, dns("example.com", 1));
    check(
        &trace.finish(),
        &[
            ("connect_ok_count", 4.0),
            ("connect_failed_count", 1.0),
            ("connect_blocked_count", 1.0),
            ("connect_unix_count", 1.0),
            ("peer_distinct_count", 4.0),
            ("dns_count", 1.0),
            ("blocked_count", 1.0),
        ],
    );
}

#[test]
fn the_surface_and_the_end_of_a_run_are_counted() {
    let mut trace = Trace::new();
    trace.event(ROOT, memory(true));
    trace.refused(ROOT, syscall("bpf", &[]));
    trace.event(ROOT, limit("pids"));
    let mut recording = trace.finish();
    recording.run.ending = Ending::TimedOut;
    recording.run.duration_ns = 2_500_000_000;
    recording.run.cpu_us = 70_000;
    recording.run.memory_peak_bytes = Some(4096);
    recording.output = Some(Output { stdout_bytes: 9, stderr_bytes: 2, ..Output::default() });
    let found = check(
        &recording,
        &[
            ("memory_wx_count", 1.0),
            ("syscall_count", 1.0),
            ("limit_count", 1.0),
            ("exit_timed_out", 1.0),
            ("exit_failed", 0.0),
            ("duration_ms", 2500.0),
            ("cpu_ms", 70.0),
            ("memory_peak_bytes", 4096.0),
            ("stdout_bytes", 9.0),
            ("stderr_bytes", 2.0),
        ],
    );
    let assessment = verdict::assess(&recording, &verdict::Options::default());
    assert!((found["detection_count"] - 1.0).abs() < 1e-9 || assessment.detections.len() != 1);
    assert!(found["detection_decibans"] > 0.0);
}
