//! promtool accepts every rule and every unit test of them, and the tests see a rule that was changed.

use tempfile::TempDir;

use slo::Catalog;

use crate::catalogs::{files, odd, shipped};
use crate::programs::{accepts, has, run, text, write};

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

/// Every number an alert compares with is changed, up and then down: each story of each alert has to
/// notice, on the side it is about. What notices nothing proves nothing.
#[test]
fn unit_tests_notice_every_changed_number() {
    if !has("promtool") {
        return;
    }
    let catalog = shipped();
    for (direction, told_by) in [
        (Direction::Up, ["fires just above, and resolves", "does not fire on too few events"]),
        (
            Direction::Down,
            [
                "does not fire with the long window just below",
                "does not fire with the short window just below",
            ],
        ),
    ] {
        let (folder, rules, tests) = written(&catalog);
        for path in &rules {
            let path = folder.path().join(path);
            let rules = std::fs::read_to_string(&path).expect("rules");
            std::fs::write(&path, changed(&rules, direction)).expect("rules");
        }
        let mut said = String::new();
        for test in tests.iter().filter(|test| !test.contains("-no-data_")) {
            let output = run(folder.path(), "promtool", &["test", "rules", test]);
            assert!(!output.status.success(), "{test} passes with all numbers {direction:?}");
            said.push_str(&text(&output));
        }
        for slo in &catalog.slos {
            for pair in &slo.alerting.pairs {
                for story in told_by {
                    let factor = pair.factor_tenths / 10;
                    let begins = format!("{}: {} at {factor}", slo.name, pair.severity.as_str());
                    let noticed = said.lines().any(|line| {
                        line.contains(&begins) && line.contains(story) && line.contains("name: ")
                    });
                    assert!(noticed, "no test failed: {begins} … {story}, numbers {direction:?}");
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// Changes what `max(slo:… > N)` and `sum(increase(…)) > N` compare with: by half a percent, and by one.
fn changed(rules: &str, direction: Direction) -> String {
    let mut text = String::new();
    for line in rules.lines() {
        let ratio = line.contains("max(slo:sli_error:");
        let count = line.contains("sum(increase(");
        match line.rsplit_once(" > ") {
            Some((left, right)) if ratio || count => {
                let (number, rest) = right.split_at(right.find(')').unwrap_or(right.len()));
                let number: f64 = number.parse().expect("a number");
                let number = match (ratio, direction) {
                    (true, Direction::Up) => number * 1.005,
                    (true, Direction::Down) => number * 0.995,
                    (false, Direction::Up) => number + 1.0,
                    (false, Direction::Down) => number - 1.0,
                };
                text.push_str(&format!("{left} > {number}{rest}\n"));
            }
            _ => text.push_str(&format!("{line}\n")),
        }
    }
    assert_ne!(text, rules);
    text
}
