//! Documents that repeat what the program says, compared with the program.
//!
//! A reference that has drifted is written anew, and the test fails once so that somebody looks at
//! the difference and commits it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// Fails, after writing it, when the file is not `content`.
fn ensure(name: &str, content: &str) {
    let path = document(name);
    if fs::read_to_string(&path).is_ok_and(|there| there == content) {
        return;
    }
    fs::write(&path, content).expect("the document");
    panic!("{name} was not up to date; it is now, look at the difference and commit it");
}

#[test]
fn the_list_of_detectors_is_the_programs() {
    let output = Command::new(env!("CARGO_BIN_EXE_shieldx"))
        .args(["detectors", "--json"])
        .output()
        .expect("shieldx starts");
    let detectors: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let detectors = detectors.as_array().expect("a list");
    assert!(detectors.len() >= 15);
    let mut text = format!(
        "# Detectors\n\nWritten by `crates/shieldx/tests/it/documents.rs` from `shieldx detectors \
         --json`. {} detectors; weights and\nthresholds are explained in \
         [adr/0006](adr/0006-score-in-decibans.md).\n\n| detector | technique | looks for | tier C \
         |\n|---|---|---|---|\n",
        detectors.len()
    );
    for detector in detectors {
        let field = |name: &str| detector[name].as_str().unwrap_or("").replace('|', "\\|");
        let tier_c = match field("tier_c") {
            limit if limit.is_empty() => "sees".to_owned(),
            limit => limit,
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {tier_c} |",
            field("id"),
            field("technique"),
            field("looks_for"),
        );
    }
    ensure("docs/detectors.md", &text);
}

#[test]
fn the_readme_has_the_exit_codes_of_the_program() {
    let readme = fs::read_to_string(document("README.md")).expect("README.md");
    assert!(
        readme.contains(shieldx::exit::HELP),
        "README.md does not have the text of shieldx::exit::HELP:\n{}",
        shieldx::exit::HELP
    );
}
