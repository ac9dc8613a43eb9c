//! `shieldx rules`: one table of everything, rules that are broken, and what rules match in a run.

use std::fs;

use serde_json::Value;

use crate::cli::{Desk, text};

#[test]
fn one_table_has_detectors_and_rules_of_both_languages() {
    let desk = Desk::new();
    let rule = "title: Mine\nid: mine\nlogsource: {category: process_creation}\ndetection: {s: \
                {Image|endswith: /true}, condition: s}\n";
    fs::write(desk.path("mine.yml"), rule).expect("a rule");
    let listed = desk.shieldx(&["rules", "list", "--json", "--rules", "mine.yml"]);
    assert_eq!(listed.status.code(), Some(0), "{}", text(&listed.stderr));
    let rows: Vec<Value> = serde_json::from_slice(&listed.stdout).expect("JSON");
    for language in ["native", "sigma", "yara"] {
        let mut rows = rows.iter().filter(|row| row["language"] == language);
        assert!(rows.clone().count() > 10, "{language}");
        let complete = |row: &Value| {
            let words = ["id", "title", "severity", "looks_at"];
            words.iter().all(|key| row[key].as_str().is_some_and(|word| !word.is_empty()))
        };
        assert!(rows.all(complete), "{language}");
    }
    assert!(rows.iter().any(|row| row["id"] == "mine" && row["source"] == "mine.yml"));
}

#[test]
fn exit_codes_tell_broken_rules_and_rules_that_match_nothing() {
    let desk = Desk::new();
    fs::write(desk.path("a.yar"), "rule a { strings: $x = \"MARK\" condition: $x }")
        .expect("a rule");
    fs::write(desk.path("b.yml"), "title: b\ndetection: [\n").expect("a rule");
    fs::write(desk.path("yes"), "..MARK").expect("a file");
    fs::write(desk.path("no"), "nothing").expect("a file");
    let code = |words: &[&str]| {
        let output = desk.shieldx(&[&["rules", "test"], words].concat());
        (output.status.code().expect("a code"), text(&output.stdout) + &text(&output.stderr))
    };
    assert_eq!(code(&["a.yar"]).0, 0);
    let (matched, words) = code(&["a.yar", "--file", "yes"]);
    assert!(matched == 0 && words.contains("at 2"), "{words}");
    assert_eq!(code(&["a.yar", "--file", "no"]).0, 1);
    let (broken, words) = code(&["."]);
    assert!(broken == 65 && words.contains("b.yml"), "{words}");
    let (absent, words) = code(&["absent"]);
    assert!(absent == 65 && words.contains("absent"), "{words}");
    let (damaged, words) = code(&["a.yar", "--recording", "no"]);
    assert!(damaged == 65 && words.contains("no recording"), "{words}");
}

#[test]
fn coverage_is_written_as_a_layer() {
    let desk = Desk::new();
    let covered = desk.shieldx(&["rules", "coverage", "--navigator", "layer.json"]);
    assert_eq!(covered.status.code(), Some(0), "{}", text(&covered.stderr));
    assert!(text(&covered.stdout).contains("ATT&CK v19"));
    let layer = fs::read(desk.path("layer.json")).expect("a layer");
    let layer: Value = serde_json::from_slice(&layer).expect("JSON");
    assert_eq!(layer["versions"]["layer"], "4.5");
    assert!(layer["techniques"].as_array().expect("techniques").len() > 60);
}
