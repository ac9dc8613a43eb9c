//! docs/slo-dashboard.md: its tables are the shipped objectives', its recipes are PromQL.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::catalogs::shipped;
use crate::programs::{accepts, has};

const MARK: &str = "<!-- golden signals -->\n";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/slo-dashboard.md")
}

/// Writes the table anew where it is another, and fails, so that somebody looks and commits it.
#[test]
fn the_golden_signals_are_those_of_the_shipped_objectives() {
    let text = fs::read_to_string(path()).expect("the document");
    let parts: Vec<_> = text.split(MARK).collect();
    let [before, table, after] = parts.as_slice() else {
        panic!("docs/slo-dashboard.md has not two lines {MARK:?}");
    };
    let generated = format!("\n{}\n", slo::generate::golden_signals(&shipped()));
    if *table != generated {
        fs::write(path(), [before, MARK, &generated, MARK, after].concat()).expect("the document");
        panic!("docs/slo-dashboard.md was not up to date; it is now, look at it and commit it");
    }
}

#[test]
fn every_expression_in_it_is_promql() {
    if !has("promtool") {
        return;
    }
    let text = fs::read_to_string(path()).expect("the document");
    let blocks = text.split("```promql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let cells = text.lines().filter(|line| line.starts_with("| ")).filter_map(|line| {
        let cell = line.trim_end_matches(" |").rsplit(" | ").next()?;
        let expr = cell.strip_prefix('`')?.strip_suffix('`')?;
        (expr.contains('{')).then(|| expr.replace("\\|", "|"))
    });
    let rules: Vec<_> = blocks
        .map(str::to_owned)
        .chain(cells)
        .enumerate()
        .map(|(index, expr)| json!({"record": format!("expression_{index}"), "expr": expr}))
        .collect();
    assert!(rules.len() > 40, "{} expressions", rules.len());
    let folder = tempfile::tempdir().expect("a folder");
    let groups = json!({"groups": [{"name": "document", "rules": rules}]});
    fs::write(folder.path().join("rules.yaml"), groups.to_string()).expect("a file");
    accepts(folder.path(), "promtool", &["check", "rules", "rules.yaml"]);
}
