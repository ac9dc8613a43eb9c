//! What the evidence is worth, and what that does to the verdict.

use types::{Ending, Level, Recording, Tier, Verdict};
use verdict::{Options, assess};

use crate::trace::{ENOENT, ROOT, Trace, exec, read};

const ANY: Options = Options { require_full: false };
const FULL: Options = Options { require_full: true };

fn quiet() -> Recording {
    Trace::of("/usr/bin/true", &["true"]).finish()
}

fn hostile() -> Recording {
    let mut trace = Trace::new();
    trace.failed(ROOT, read("/etc/shadow"), ENOENT);
    trace.finish()
}

fn level(recording: &Recording) -> (Level, Verdict) {
    let assessment = assess(recording, &ANY);
    assert_eq!(assessment.evidence.reasons.is_empty(), assessment.evidence.level == Level::Full);
    (assessment.evidence.level, assessment.verdict)
}

#[test]
fn nothing_lost_is_full() {
    assert_eq!(level(&quiet()), (Level::Full, Verdict::Benign));
}

/// A way to lose something.
type Loss = (&'static str, fn(&mut Recording));

fn losses() -> Vec<Loss> {
    vec![
        ("dropped", |r| {
            r.counters.seen += 1;
            r.counters.dropped = 1;
        }),
        ("unbalanced", |r| r.counters.seen += 1),
        ("unbalanced by type", |r| {
            r.counters.by_type.entry("exec".to_owned()).or_default().seen = 1;
        }),
        ("fault", |r| r.faults.push("the monitor was lost".to_owned())),
        ("timed out", |r| r.run.ending = Ending::TimedOut),
        ("interrupted", |r| r.run.ending = Ending::Interrupted { signal: 2 }),
        ("no monitor", |r| r.run.tier = Tier::None),
        ("cut target", |r| r.counters.truncated = 1),
        ("cut target, tier C", |r| {
            r.run.tier = Tier::C;
            r.counters.by_type.entry("open".to_owned()).or_default().truncated = 1;
        }),
    ]
}

/// A sample can make files that nobody looks into, and processes until nobody looks at more.
#[test]
fn what_was_not_looked_at_reduces_the_evidence_and_is_told() {
    for (name, words) in [
        ("artifact", "the artifact was"),
        ("files", "changed files were"),
        ("memory", "processes' memory was"),
    ] {
        let mut recording = quiet();
        let detail = "the reason".to_owned();
        let wall = types::run::Wall { name: name.to_owned(), on: false, detail };
        recording.run.isolation.walls.push(wall);
        assert_eq!(level(&recording), (Level::Reduced, Verdict::Benign));
        let assessment = assess(&recording, &ANY);
        let told = format!("not all {words} looked at: the reason");
        assert_eq!(assessment.evidence.reasons, std::slice::from_ref(&told));
        assert!(assessment.reason.contains(&told), "{}", assessment.reason);
        assert_eq!(assess(&recording, &FULL).verdict, Verdict::Inconclusive);
        recording.run.isolation.walls.last_mut().unwrap().on = true;
        assert_eq!(level(&recording), (Level::Full, Verdict::Benign));
    }
}

#[test]
fn incomplete_is_never_benign_and_says_why() {
    for (name, lose) in losses() {
        let mut recording = quiet();
        lose(&mut recording);
        assert_eq!(level(&recording), (Level::Incomplete, Verdict::Inconclusive), "{name}");
        let assessment = assess(&recording, &ANY);
        assert!(assessment.reason.contains("incomplete"), "{name}: {}", assessment.reason);
    }
}

#[test]
fn incomplete_does_not_acquit() {
    for (name, lose) in losses() {
        let mut recording = hostile();
        lose(&mut recording);
        assert_eq!(level(&recording), (Level::Incomplete, Verdict::Suspicious), "{name}");
    }
}

#[test]
fn a_long_argument_list_is_counted_and_not_held_against_the_run() {
    let mut trace = Trace::of("/usr/bin/make", &["make"]);
    let child = trace.fork(ROOT);
    trace.event(child, exec("/usr/bin/ld", &["ld", "-o", "x"], Vec::new())).truncated = true;
    let mut recording = trace.finish();
    recording.counters.truncated = 1;
    assert_eq!(level(&recording), (Level::Full, Verdict::Benign));

    let mut trace = Trace::of("/usr/bin/cat", &["cat"]);
    trace.event(ROOT, read("/very/long")).truncated = true;
    assert_eq!(level(&trace.finish()), (Level::Incomplete, Verdict::Inconclusive));
}

#[test]
fn tier_c_is_reduced_and_names_what_is_blind() {
    let mut recording = quiet();
    recording.run.tier = Tier::C;
    assert_eq!(level(&recording), (Level::Reduced, Verdict::Benign));
    let assessment = assess(&recording, &ANY);
    assert!(assessment.evidence.blind_detectors.contains(&"dropped-program".to_owned()));
    assert!(assessment.reason.contains("reduced"), "{}", assessment.reason);
}

#[test]
fn full_evidence_required_keeps_score_and_detections() {
    let mut recording = hostile();
    assert_eq!(assess(&recording, &FULL).verdict, Verdict::Suspicious);
    recording.run.tier = Tier::C;
    let assessment = assess(&recording, &FULL);
    assert_eq!(assessment.verdict, Verdict::Inconclusive);
    assert!(assessment.score >= 30 && !assessment.detections.is_empty());
    assert_eq!(assess(&quiet(), &FULL).verdict, Verdict::Benign);
}
