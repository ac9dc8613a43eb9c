//! The schemas in docs/generated are those of the code, and what is written follows them.

use super::super::fixtures::{hostile_names, judged, reverse_shell};
use super::{schemas, write_events, write_report};

#[expect(clippy::disallowed_methods, reason = "UPDATE=1 rewrites the generated files")]
fn update() -> bool {
    std::env::var_os("UPDATE").is_some()
}

#[test]
fn the_generated_schemas_are_current() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/generated");
    for (name, schema) in schemas() {
        let path = format!("{folder}/{name}");
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if update() {
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{path} is out of date; UPDATE=1 cargo test -p shieldx writes it");
    }
}

#[test]
fn what_is_written_follows_the_schema() {
    let [(_, report), (_, line), _] = schemas();
    let report = jsonschema::validator_for(report.as_value()).unwrap();
    let line = jsonschema::validator_for(line.as_value()).unwrap();
    for (recording, assessment) in [reverse_shell(), hostile_names()] {
        let judged = judged(&recording, &assessment);
        let mut bytes = Vec::new();
        write_report(&judged, &mut bytes).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        report.validate(&value).unwrap();
        for missing in ["schema", "verdict", "counters", "events"] {
            let mut value = value.clone();
            value.as_object_mut().unwrap().remove(missing);
            assert!(report.validate(&value).is_err(), "{missing}");
        }

        let mut bytes = Vec::new();
        write_events(&judged, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), recording.events.len() + 2);
        for row in text.lines() {
            line.validate(&serde_json::from_str(row).unwrap()).unwrap();
        }
    }
}

/// A pager, `grep` and `sed` work on lines: every event has one of its own.
#[test]
fn a_report_has_one_line_per_member_and_event() {
    let (recording, assessment) = reverse_shell();
    let mut bytes = Vec::new();
    write_report(&judged(&recording, &assessment), &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().count(), 9 + recording.events.len() + 1);
    let verdict = text.lines().find_map(|line| line.strip_prefix("\"verdict\":")).unwrap();
    let line = super::verdict_line(&assessment).unwrap();
    assert_eq!(verdict.trim_end_matches(','), String::from_utf8(line).unwrap());
}
