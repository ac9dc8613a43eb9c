//! The pipelines of `deploy/ci`: their own scripts are run with a gate that answers everything it may,
//! and things it may not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn pipeline(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/ci").join(name);
    yaml_serde::from_str(&fs::read_to_string(path).expect("the pipeline")).expect("YAML")
}

/// What a script does with a gate that ends like this: whether it goes on, and at which pace.
fn outcome(shell: &[&str], script: &str, gate: &str, change: &str) -> (bool, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("shieldx");
    let text = format!("#!/bin/sh\nprintf '%s|' \"$@\" > \"$(dirname \"$0\")/asked\"\n{gate}\n");
    fs::write(&program, text).expect("a gate");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it can run");
    let file = folder.path().join("script");
    fs::write(&file, script).expect("a script");
    let output = Command::new(shell[0])
        .args(&shell[1..])
        .arg(&file)
        .current_dir(folder.path())
        .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
        .env("CHANGE", change)
        .env("OVERRIDE", "")
        .env("GITHUB_OUTPUT", folder.path().join("gate.env"))
        .output()
        .expect("a shell");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    (output.status.success(), read("gate.env").trim().to_lowercase(), read("asked"))
}

fn check(shell: &[&str], script: &str) {
    for (gate, passes, pace) in [
        ("exit 0", true, "pace=normal"),
        ("exit 10", true, "pace=slow"),
        ("exit 20", false, ""),
        ("exit 30", false, ""),
        ("exit 64", false, ""),
        ("exit 125", false, ""),
        // A panic, an abort, a program that is not there, a shell's own error, any other.
        ("exit 101", false, ""),
        ("kill -ABRT $$", false, ""),
        ("exit 127", false, ""),
        ("exit 1", false, ""),
    ] {
        let (passed, said, asked) = outcome(shell, script, gate, "security");
        assert_eq!((passed, said.as_str()), (passes, pace), "{gate}\n{script}");
        assert_eq!(asked, "slo|gate|--service|gateway|--change|security|");
    }
    // What somebody types is one argument, whatever it says.
    let (_, _, asked) = outcome(shell, script, "exit 20", "x; touch ran $(touch ran) `touch ran`");
    assert_eq!(asked.matches('|').count(), 6, "{asked}");
}

#[test]
fn the_github_example_obeys_the_gate() {
    let pipeline = pipeline("github-actions.yml");
    let script = pipeline["jobs"]["gate"]["steps"][0]["run"].as_str().expect("a script");
    assert!(!script.contains("${{"), "inputs would be run");
    check(&["bash", "-e"], script);
    assert_eq!(pipeline["jobs"]["deploy"]["needs"], "gate");
}

#[test]
fn the_gitlab_example_obeys_the_gate() {
    let pipeline = pipeline("gitlab-ci.yml");
    let script = pipeline["slo-gate"]["script"][0].as_str().expect("a script");
    check(&["sh", "-e"], script);
    assert_eq!(pipeline["deploy"]["needs"][0], "slo-gate");
}
