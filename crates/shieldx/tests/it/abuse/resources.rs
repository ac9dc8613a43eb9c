//! Attempts 1–16: using the machine up, and outliving whoever started it.

use std::fs;

use types::{Ending, Level, Tier, Verdict};

use super::{attempt, expect, result};
use crate::lab::{Lab, Outcome, have, tier};

/// Whoever reads the report learns that a limit was reached.
fn assert_limited(outcome: &Outcome, limit: &str) {
    assert!(outcome.reached(limit), "limit {limit} is not in the record: {}", outcome.summary());
}

#[test]
fn n01_fork_bomb() {
    let Some((_, outcome)) = attempt(&["--pids", "64"], &["fork-bomb"]) else { return };
    assert!(expect(&outcome, "children").0 < 64, "{}", outcome.summary());
    assert_eq!(expect(&outcome, "fork").1, libc::EAGAIN);
    assert_limited(&outcome, "pids");
}

#[test]
fn n02_memory_bomb() {
    let Some((_, outcome)) = attempt(&["--memory", "128M"], &["memory-bomb"]) else { return };
    let contained = match result(&outcome, "memory") {
        Some((value, errno)) => value < 0 && errno == libc::ENOMEM,
        None => outcome.run.ending == Ending::Signaled { signal: libc::SIGKILL },
    };
    assert!(contained, "{}", outcome.summary());
    assert_limited(&outcome, "memory");
}

#[test]
fn n03_disk_fill() {
    for path in ["/tmp/fill", "./fill", "/dev/shm/fill"] {
        let options = ["--disk", "16M", "--memory", "256M"];
        let Some((_, outcome)) = attempt(&options, &["fill", path]) else { return };
        let (written, _) = expect(&outcome, "bytes");
        assert!(written <= 16 << 20, "{path}: {written} bytes; {}", outcome.summary());
        assert_eq!(expect(&outcome, "fill").1, libc::ENOSPC, "{path}");
        assert_limited(&outcome, "disk");
    }
}

#[test]
fn n04_inode_fill() {
    let Some((_, outcome)) = attempt(&["--disk", "32M"], &["inode-fill"]) else { return };
    assert!(expect(&outcome, "create").0 < 0, "{}", outcome.summary());
    let errno = expect(&outcome, "create").1;
    assert!(errno == libc::ENOSPC || errno == libc::EDQUOT, "errno {errno}");
    assert_limited(&outcome, "disk");
}

#[test]
fn n05_descriptors() {
    let Some((_, outcome)) = attempt(&[], &["descriptors"]) else { return };
    assert!(expect(&outcome, "descriptors").0 <= 1 << 16, "{}", outcome.summary());
    assert_eq!(expect(&outcome, "open").1, libc::EMFILE);
}

#[test]
fn n06_output_flood() {
    let Some((_, outcome)) = attempt(&["--timeout", "60s"], &["output-flood"]) else { return };
    assert!(outcome.output().len() < 64 << 20, "the document keeps a bounded part");
    // Captured output is no evidence: a verdict does not rest on what a command says of itself.
    assert_limited(&outcome, "output");
}

#[test]
fn n07_spin_past_the_deadline() {
    let Some((_, outcome)) = attempt(&["--timeout", "2s"], &["spin"]) else { return };
    assert_eq!(outcome.run.ending, Ending::TimedOut);
    assert_eq!(outcome.assessment.evidence.level, Level::Incomplete);
    assert_eq!(outcome.assessment.verdict, Verdict::Inconclusive, "{}", outcome.summary());
    assert_limited(&outcome, "time");
}

#[test]
fn n08_thread_bomb() {
    let Some((_, outcome)) = attempt(&["--pids", "64"], &["thread-bomb"]) else { return };
    assert!(expect(&outcome, "threads").0 < 64, "{}", outcome.summary());
    assert_eq!(expect(&outcome, "thread").1, libc::EAGAIN);
    assert_limited(&outcome, "pids");
}

#[test]
fn n09_sparse_artefact() {
    let lab = Lab::new();
    if !have("n09", &["cc"]) {
        return;
    }
    let mut command = lab.program("abuse.c");
    command.push("sparse".to_owned());
    let keep = lab.side().join("kept");
    let keep_word = keep.to_str().expect("ASCII").to_owned();
    let outcome = lab.shieldx().with(&["--keep", &keep_word, "--disk", "16M"]).run(&command);
    // A terabyte of nothing is neither hashed for minutes nor copied out.
    assert!(size(&keep) <= 16 << 20, "{}", outcome.summary());
    lab.assert_no_process();
}

/// Bytes of disk below a folder; 0 when it is not there.
fn size(folder: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => size(&entry.path()),
            Ok(about) => about.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

#[test]
fn n10_zip_bomb() {
    if !have("n10", &["gzip"]) {
        return;
    }
    let lab = Lab::new();
    let line = "head -c 300000000 /dev/zero | gzip -9 > z.gz && gzip -dc z.gz > z";
    let outcome = lab.shieldx().with(&["--disk", "16M"]).run(&["sh", "-c", line]);
    assert_ne!(outcome.code(), 0, "{}", outcome.summary());
    assert_limited(&outcome, "disk");
    lab.assert_no_process();
}

#[test]
fn n11_n12_n16_survivors() {
    let Some((_, outcome)) = attempt(&[], &["survivor", "120"]) else { return };
    assert_eq!(expect(&outcome, "survivors").0, 4);
    assert!(outcome.run.duration_ns < 60_000_000_000, "waited for a process that had been left");
}

#[test]
fn n12_ignored_sigterm_at_the_deadline() {
    if !have("n12", &["cc"]) {
        return;
    }
    let lab = Lab::new();
    let mut command = lab.program("survivor.c");
    command.push("120".to_owned());
    let outcome = lab.shieldx().with(&["--timeout", "1s"]).run(&command);
    assert_eq!(outcome.run.ending, Ending::TimedOut, "{}", outcome.summary());
    lab.assert_no_process();
}

#[test]
fn n13_zombie_storm() {
    let Some((_, outcome)) = attempt(&["--pids", "100"], &["zombies"]) else { return };
    assert!(expect(&outcome, "zombies").0 < 100, "{}", outcome.summary());
    assert_limited(&outcome, "pids");
}

#[test]
fn n14_kill_the_supervisor() {
    let Some((_, outcome)) = attempt(&["--timeout", "30s"], &["kill-supervisor"]) else { return };
    // Whether it kills the first process of its own namespace or not, the run ends and is told.
    assert!(!matches!(outcome.run.ending, Ending::TimedOut), "{}", outcome.summary());
    if tier() == Tier::B {
        assert!(outcome.events.iter().any(|event| event.kind.name() == "kill"));
    }
}

#[test]
fn n15_kill_everything() {
    let Some((_, outcome)) = attempt(&["--timeout", "30s"], &["kill-all"]) else { return };
    assert!(!matches!(outcome.run.ending, Ending::TimedOut), "{}", outcome.summary());
    if tier() == Tier::B {
        assert!(outcome.events.iter().any(|event| event.kind.name() == "kill"));
    }
}
