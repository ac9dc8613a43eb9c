//! `cargo xtask test`: formatting, lints, every test, and one summary of all of it.
//!
//! Every step runs, also after a failed one, so that one run names everything that is wrong.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, bail};

use crate::{guest, packages, python};

/// What a test prints, outside the harness's capture, when the machine lacks what it needs.
const SKIP: &str = "SKIP ";

struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
}

const STEPS: &[Step] = &[
    Step { name: "fmt", arguments: &["fmt", "--all", "--check"] },
    Step {
        name: "clippy",
        arguments: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
    },
    // Each runner can be left out, and all of them.
    Step { name: "none", arguments: &["check", "-p", "shieldx", "--no-default-features"] },
    Step {
        name: "docker",
        arguments: &[
            "check",
            "-p",
            "shieldx",
            "--no-default-features",
            "--features",
            "sandbox-docker",
        ],
    },
    Step {
        name: "wasm",
        arguments: &[
            "check",
            "-p",
            "shieldx",
            "--no-default-features",
            "--features",
            "sandbox-wasm",
        ],
    },
    Step {
        name: "microvm",
        arguments: &[
            "check",
            "-p",
            "shieldx",
            "--no-default-features",
            "--features",
            "sandbox-microvm",
        ],
    },
    Step { name: "test", arguments: &["test", "--workspace", "--no-fail-fast"] },
];

/// What the lines of all steps said.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    skipped: Vec<String>,
    failures: Vec<String>,
}

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let mut missing = packages::ensure();
    missing.extend(python::ensure());
    missing.extend(guest::ensure());
    for line in &missing {
        eprintln!("{SKIP}{line}");
    }
    let tally = Mutex::new(Tally::default());
    let mut failed_steps = Vec::new();
    let mut lines = Vec::new();
    for step in STEPS {
        eprintln!("xtask: cargo {}", step.arguments.join(" "));
        let start = Instant::now();
        let passed = cargo(root, step.arguments, &tally)?;
        let verdict = if passed { "ok" } else { "FAILED" };
        lines.push(format!("  {:<7} {verdict:<7} {} s", step.name, start.elapsed().as_secs()));
        if !passed {
            failed_steps.push(step.name);
        }
    }
    let tally = tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    summarize(&lines, &missing, &tally);
    if !failed_steps.is_empty() {
        bail!("failed: {}", failed_steps.join(", "));
    }
    Ok(())
}

fn summarize(lines: &[String], missing: &[String], tally: &Tally) {
    eprintln!("\nsummary");
    for line in lines {
        eprintln!("{line}");
    }
    eprintln!(
        "  {} tests passed, {} failed, {} ignored; {} skips",
        tally.passed,
        tally.failed,
        tally.ignored,
        tally.skipped.len()
    );
    for failure in &tally.failures {
        eprintln!("  failed: {failure}");
    }
    for skip in missing.iter().chain(&tally.skipped) {
        eprintln!("  skipped: {skip}");
    }
}

/// Runs cargo, passes its output on and reads it along the way. Answers whether it succeeded.
fn cargo(root: &Path, arguments: &[&str], tally: &Mutex<Tally>) -> anyhow::Result<bool> {
    let mut child = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("could not start cargo")?;
    let out = child.stdout.take().context("cargo has no output")?;
    let err = child.stderr.take().context("cargo has no error output")?;
    std::thread::scope(|scope| {
        scope.spawn(|| follow(out, tally));
        scope.spawn(|| follow(err, tally));
    });
    Ok(child.wait().context("could not wait for cargo")?.success())
}

fn follow(stream: impl Read, tally: &Mutex<Tally>) {
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        // The reader of xtask's output may be gone; the tests still have to run to their end.
        let _ = std::io::stderr().write_all(&line);
        note(&String::from_utf8_lossy(&line), tally);
        line.clear();
    }
}

fn note(line: &str, tally: &Mutex<Tally>) {
    let mut tally = tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let line = line.trim_end();
    // The harness writes "test NAME ... " first and the skip may land on the same line.
    if let Some((_, reason)) = line.split_once(SKIP) {
        tally.skipped.push(reason.to_owned());
    }
    if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix("... FAILED"))
    {
        tally.failures.push(name.trim_end().to_owned());
    }
    if let Some(counts) = line.strip_prefix("test result: ") {
        tally.passed += count(counts, " passed");
        tally.failed += count(counts, " failed");
        tally.ignored += count(counts, " ignored");
    }
}

/// The number before `word` in `ok. 12 passed; 0 failed; …`.
fn count(counts: &str, word: &str) -> u64 {
    let before = counts.split(word).next().unwrap_or("");
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Tally, note};
    use std::sync::Mutex;

    #[test]
    fn the_summary_adds_up_what_the_harness_says() {
        let tally = Mutex::new(Tally::default());
        for line in [
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            "test hostile::each::fork_bomb ... FAILED",
            "test a ... SKIP b: cc is missing",
        ] {
            note(line, &tally);
        }
        let tally = tally.into_inner().unwrap();
        assert_eq!((tally.passed, tally.failed, tally.ignored), (15, 2, 1));
        assert_eq!(tally.failures, ["hostile::each::fork_bomb"]);
        assert_eq!(tally.skipped, ["b: cc is missing"]);
    }
}
