//! promtool accepts every rule and every unit test of them, and the tests see a rule that was changed.

use tempfile::TempDir;

use slo::Catalog;

use crate::catalogs::{files, odd, shipped};
use crate::programs::{accepts, has, write};

fn written(catalog: &Catalog) -> (TempDir, Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let files = files(catalog);
    write(folder.path(), &files);
    let of = |prefix: &str| -> Vec<String> {
        files
            .iter()
            .filter(|file| file.path.starts_with(prefix))
            .map(|file| file.path.clone())
            .collect()
    };
    (folder, of("prometheus/rules/"), of("prometheus/tests/"))
}

fn promtool(folder: &TempDir, command: &[&str], files: &[String]) -> String {
    let files = files.iter().map(String::as_str);
    let arguments: Vec<_> = command.iter().copied().chain(files).collect();
    accepts(folder.path(), "promtool", &arguments)
}

#[test]
fn promtool_accepts_the_shipped_rules_and_their_tests() {
    if !has("promtool") {
        return;
    }
    let (folder, rules, tests) = written(&shipped());
    promtool(&folder, &["check", "rules", "--lint=all", "--lint-fatal"], &rules);
    promtool(&folder, &["test", "rules"], &tests);
}

#[test]
fn promtool_accepts_odd_rules_and_their_tests() {
    if !has("promtool") {
        return;
    }
    let (folder, rules, tests) = written(&odd());
    promtool(&folder, &["check", "rules", "--lint=all", "--lint-fatal"], &rules);
    promtool(&folder, &["test", "rules"], &tests);
}
