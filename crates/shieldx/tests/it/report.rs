//! The files a real run writes: they follow their schemas and stand on their own.

use std::fs;

use serde_json::Value;

use super::cli::{Desk, expect, text};

fn schema(name: &str) -> jsonschema::Validator {
    let path = format!("{}/../../docs/generated/{name}", env!("CARGO_MANIFEST_DIR"));
    let schema = fs::read(path).expect("the generated schema");
    let schema: Value = serde_json::from_slice(&schema).expect("JSON");
    jsonschema::validator_for(&schema).expect("a JSON schema")
}

/// A file with a name that is markup, an invalid byte and a terminal escape.
const NASTY: &str = r#"printf x > "$(printf '<script>alert(1)<script>\377\033[2J')"; ls"#;

#[test]
fn every_file_of_a_run_follows_its_schema() {
    let desk = Desk::new();
    let words = ["run", "--report", "r.json", "--events", "e.ndjson", "--html", "p.html"];
    let output = desk.command(&words).args(["--", "sh", "-c", NASTY]).output().unwrap();
    expect(&output, 0, "");

    let report: Value = serde_json::from_slice(&fs::read(desk.path("r.json")).unwrap()).unwrap();
    schema("report.schema.json").validate(&report).unwrap();
    assert!(report["events"].as_array().is_some_and(|events| !events.is_empty()));

    let lines = fs::read_to_string(desk.path("e.ndjson")).unwrap();
    let validator = schema("events.schema.json");
    for line in lines.lines() {
        validator.validate(&serde_json::from_str(line).unwrap()).unwrap();
    }
    let trailer: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(trailer["trailer"]["event_count"], lines.lines().count() - 2);

    let page = fs::read_to_string(desk.path("p.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;script&gt;\\xff\\u{1b}[2J"));
    assert!(!page.contains("<script"));

    let stderr = text(&output.stderr);
    assert!(stderr.contains("<script>alert(1)<script>\\xff\\u{1b}[2J"), "{stderr}");
    assert!(!stderr.contains('\u{1b}'), "{stderr}");
}

#[test]
fn the_files_have_ordinary_permissions_and_replace_old_ones() {
    let desk = Desk::new();
    fs::write(desk.path("r.json"), "old").unwrap();
    std::os::unix::fs::symlink("r.json", desk.path("link")).unwrap();
    expect(&desk.shieldx(&["run", "-q", "--report", "link", "--", "true"]), 0, "");
    assert!(fs::symlink_metadata(desk.path("link")).unwrap().is_symlink());
    assert!(fs::read_to_string(desk.path("r.json")).unwrap().contains("shieldx.report/1"));
    assert_eq!(desk.entries(), 2);
}
