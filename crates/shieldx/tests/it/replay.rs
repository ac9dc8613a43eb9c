//! A recorded run gives its verdict again, byte for byte; anything else is refused or told.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use super::cli::{Desk, expect, text};

const BUSY: &str =
    "for i in 1 2 3; do cat /etc/passwd > copy$i; done; mv copy1 moved; rm copy2; id";

fn record(desk: &Desk) {
    let words = ["run", "-q", "--report", "r.json", "--events", "e.ndjson", "--verdict", "v.json"];
    let output =
        desk.command(&words).args(["--", "sh", "-c", BUSY]).output().expect("shieldx starts");
    expect(&output, 0, "");
}

#[test]
fn both_files_give_the_recorded_bytes() {
    let desk = Desk::new();
    record(&desk);
    let recorded = fs::read(desk.path("v.json")).unwrap();
    for file in ["r.json", "e.ndjson"] {
        let output = desk.shieldx(&["replay", "--json", file]);
        expect(&output, 0, "");
        assert_eq!(text(&output.stdout), text(&recorded), "{file}");
        let output = desk.shieldx(&["replay", file]);
        expect(&output, 0, "");
        assert!(text(&output.stdout).contains("the recorded verdict, bit for bit"));
    }
    let report: Value = serde_json::from_slice(&fs::read(desk.path("r.json")).unwrap()).unwrap();
    let verdict: Value = serde_json::from_slice(&recorded).unwrap();
    assert_eq!(report["verdict"], verdict);
}

#[test]
fn standard_input_is_read_as_a_dash() {
    let desk = Desk::new();
    record(&desk);
    let mut child = desk
        .command(&["replay", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let report = fs::read(desk.path("r.json")).unwrap();
    child.stdin.take().unwrap().write_all(&report).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, fs::read(desk.path("v.json")).unwrap());
}

#[test]
fn strict_evidence_is_part_of_the_recording() {
    let desk = Desk::new();
    let words = ["run", "-q", "--require-evidence", "full", "--monitor", "notify"];
    let output = desk
        .command(&words)
        .args(["--report", "r.json", "--verdict", "v.json", "--", "true"])
        .output()
        .unwrap();
    expect(&output, 0, "");
    let verdict: Value = serde_json::from_slice(&fs::read(desk.path("v.json")).unwrap()).unwrap();
    assert_eq!(verdict["verdict"], "inconclusive");
    let output = desk.shieldx(&["replay", "--json", "r.json"]);
    assert_eq!(output.stdout, fs::read(desk.path("v.json")).unwrap());
    assert_eq!(
        desk.shieldx(&["replay", "--fail-on", "malicious", "r.json"]).status.code(),
        Some(30)
    );
}

#[test]
fn a_changed_recording_is_told() {
    let desk = Desk::new();
    record(&desk);
    let report = fs::read_to_string(desk.path("r.json")).unwrap();
    let forged = report.replacen("\"score\":0", "\"score\":77", 1);
    assert_ne!(report, forged);
    fs::write(desk.path("forged.json"), forged).unwrap();
    let output = desk.shieldx(&["replay", "forged.json"]);
    expect(&output, 1, "the recorded verdict differs");
    expect(&output, 1, "score 77 then");
}

#[test]
fn what_cannot_be_replayed_is_refused_with_its_reason() {
    let desk = Desk::new();
    record(&desk);
    let report = fs::read_to_string(desk.path("r.json")).unwrap();
    let events = fs::read_to_string(desk.path("e.ndjson")).unwrap();
    let lines: Vec<&str> = events.lines().collect();
    let half = lines.len() / 2;
    for (name, content, message) in [
        ("newer", report.replacen("report/1", "report/2", 1), "\"shieldx.report/2\""),
        ("newer-events", events.replacen("events/1", "events/2", 1), "\"shieldx.events/2\""),
        ("cut", report[..report.len() / 2].to_owned(), "cut off"),
        ("cut-events", lines[..half].join("\n") + "\n", "cut off"),
        ("cut-line", events[..events.len() - 9].to_owned(), "cut off"),
        ("garbage", "hello".to_owned(), "not a ShieldX recording"),
        ("json", "{\"a\":1}".to_owned(), "no \"schema\""),
        ("empty", String::new(), "it is empty"),
    ] {
        fs::write(desk.path(name), content).unwrap();
        let output = desk.shieldx(&["replay", name]);
        expect(&output, 65, message);
        assert!(output.stdout.is_empty(), "{name}");
    }
    expect(&desk.shieldx(&["replay", "newer"]), 65, "newer shieldx");
    expect(&desk.shieldx(&["replay", "missing"]), 65, "No such file");
    expect(&desk.shieldx(&["replay", "/"]), 65, "Is a directory");
    let huge = fs::File::create(desk.path("huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
    expect(&desk.shieldx(&["replay", "huge"]), 65, "larger than");
    expect(&desk.shieldx(&["replay", "/dev/zero"]), 65, "not a ShieldX recording");
}
