//! The formats of others, read by libraries of others; and what two runs differ in.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::cli::{Desk, expect, text};
use super::lab::skip;

const HOSTILE: &str = "cat /etc/shadow; echo x > 'a b'; \
     echo 'ssh-ed25519 AAAA x' >> ~/.ssh/authorized_keys; curl -s http://192.0.2.7/; exit 3";

/// A run with something to say, in every format.
fn written(desk: &Desk) {
    let words = [
        "run",
        "-q",
        "--report",
        "r.json",
        "--sarif",
        "r.sarif",
        "--stix",
        "stix.json",
        "--navigator",
        "layer.json",
    ];
    let output =
        desk.command(&words).args(["--", "sh", "-c", HOSTILE]).output().expect("shieldx starts");
    expect(&output, 3, "");
}

fn value(desk: &Desk, name: &str) -> Value {
    serde_json::from_slice(&fs::read(desk.path(name)).expect("it was written")).expect("JSON")
}

/// The Python of an environment that xtask makes, if it is there.
fn python() -> Option<PathBuf> {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_shieldx"));
    let python = program.ancestors().nth(2)?.join("report-formats/bin/python");
    if !python.exists() {
        skip("STIX and Navigator", "the Python environment report-formats is not there");
        return None;
    }
    Some(python)
}

#[test]
fn sarif_is_what_its_types_say_and_nothing_more() {
    let desk = Desk::new();
    written(&desk);
    let ours = value(&desk, "r.sarif");
    let log: serde_sarif::sarif::Sarif = serde_json::from_value(ours.clone()).expect("SARIF 2.1.0");
    // A member that the standard does not know is lost on the way and missing here.
    let theirs = serde_json::to_value(&log).unwrap();
    contained(&ours, &theirs, "");
    let results = log.runs[0].results.as_ref().expect("results");
    assert!(!results.is_empty());
    let report = value(&desk, "r.json");
    let detections = report["verdict"]["detections"].as_array().unwrap();
    assert_eq!(results.len(), detections.len());
}

/// Whether every member of `ours` is in `theirs`. Empty lists may be left out.
fn contained(ours: &Value, theirs: &Value, place: &str) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, value) in ours {
                let place = format!("{place}/{name}");
                match theirs.get(name) {
                    Some(their_value) => contained(value, their_value, &place),
                    None => assert_eq!(value, &Value::Array(vec![]), "{place} is no SARIF"),
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len(), "{place}");
            for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                contained(ours, theirs, &format!("{place}/{index}"));
            }
        }
        _ => assert_eq!(ours, theirs, "{place}"),
    }
}

#[test]
fn stix_is_valid_for_the_validator_of_oasis() {
    let desk = Desk::new();
    written(&desk);
    let bundle = value(&desk, "stix.json");
    let kinds: Vec<&str> =
        bundle["objects"].as_array().unwrap().iter().filter_map(|o| o["type"].as_str()).collect();
    for kind in ["identity", "malware-analysis", "attack-pattern", "file", "ipv4-addr"] {
        assert!(kinds.contains(&kind), "{kind} is not in {kinds:?}");
    }
    let Some(python) = python() else { return };
    let validator = python.with_file_name("stix2_validator");
    let said = Command::new(validator).arg(desk.path("stix.json")).output().expect("it starts");
    let words = text(&said.stdout);
    assert!(said.status.success() && words.contains("Valid"), "{words}{}", text(&said.stderr));
}

#[test]
fn the_layer_is_read_by_mitres_own_library() {
    let desk = Desk::new();
    written(&desk);
    let Some(python) = python() else { return };
    let code = "import sys; from mitreattack.navlayers import Layer; layer = Layer(); \
                layer.from_file(sys.argv[1]); \
                print(layer.layer.versions.layer, *[t.techniqueID for t in layer.layer.techniques])";
    let said = Command::new(python).args(["-c", code]).arg(desk.path("layer.json")).output();
    let said = said.expect("it starts");
    let words = text(&said.stdout);
    assert!(said.status.success(), "{}", text(&said.stderr));
    assert!(words.starts_with("4.5 ") && words.contains("T1003.008"), "{words}");
}

#[test]
fn formats_of_a_replay_are_those_of_the_run() {
    let desk = Desk::new();
    written(&desk);
    let output = desk.shieldx(&[
        "replay",
        "--sarif",
        "again.sarif",
        "--stix",
        "again.json",
        "--navigator",
        "again.layer",
        "r.json",
    ]);
    expect(&output, 0, "");
    for (first, second) in
        [("r.sarif", "again.sarif"), ("stix.json", "again.json"), ("layer.json", "again.layer")]
    {
        assert_eq!(fs::read(desk.path(first)).unwrap(), fs::read(desk.path(second)).unwrap());
    }
}

fn record(desk: &Desk, name: &str, script: &str) {
    // The same command line every time: what it does is in the file.
    fs::write(desk.path("job.sh"), script).unwrap();
    let words = ["run", "-q", "--report", name, "--", "sh", "job.sh"];
    desk.command(&words).output().expect("shieldx starts");
}

#[test]
fn a_version_that_does_more_is_told_from_one_that_does_the_same() {
    let desk = Desk::new();
    let install = "mkdir -p /tmp/build.$$; echo a > /tmp/build.$$/a.o; cp /tmp/build.$$/a.o lib.a";
    record(&desk, "old.json", install);
    record(&desk, "same.json", install);
    record(&desk, "new.json", &format!("{install}; cat ~/.aws/credentials /etc/shadow; uname -a"));
    let output = desk.shieldx(&["diff", "old.json", "same.json"]);
    expect(&output, 0, "");
    assert!(text(&output.stdout).contains("nothing differs"), "{}", text(&output.stdout));
    let output = desk.shieldx(&["diff", "--json", "old.json", "new.json"]);
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["schema"], "shieldx.diff/1");
    let added: Vec<(&str, &str)> = told["added"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (change["aspect"].as_str().unwrap(), change["fact"].as_str().unwrap()))
        .collect();
    for fact in [("reads", "/etc/shadow"), ("programs", "uname -a")] {
        assert!(added.contains(&fact), "{fact:?} is not in {added:?}");
    }
    assert!(added.iter().any(|(aspect, _)| *aspect == "detections"), "{added:?}");
    assert!(told["gone"].as_array().unwrap().is_empty(), "{}", told["gone"]);
}

#[test]
fn what_is_no_report_cannot_be_compared() {
    let desk = Desk::new();
    record(&desk, "old.json", "true");
    fs::write(desk.path("no.json"), "{}").unwrap();
    let output = desk.shieldx(&["diff", "old.json", "no.json"]);
    expect(&output, 65, "it has no \"schema\"");
}
