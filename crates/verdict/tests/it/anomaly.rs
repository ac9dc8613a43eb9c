//! What a run that is unusual for its workload does to the verdict.

use types::{Anomaly, Deviation, Level, Recording, Verdict};
use verdict::{MALICIOUS_POINTS, Options, SUSPICIOUS_POINTS, assess};

use crate::trace::{ENOENT, ROOT, Trace, read};

const ANY: Options = Options { require_full: false };

fn unusual(p_ppm: Option<u32>) -> Anomaly {
    Anomaly {
        workload: "report.py with python3".to_owned(),
        history_runs: 212,
        p_ppm,
        basis: "212 runs".to_owned(),
        deviations: vec![Deviation {
            feature: "write_bytes".to_owned(),
            value_milli: 52_000_000,
            median_milli: 1_200_000,
            robust_z_milli: 14_200,
        }],
        model: "conformal/1".to_owned(),
    }
}

fn quiet(p_ppm: Option<u32>) -> Recording {
    let mut recording = Trace::of("/usr/bin/true", &["true"]).finish();
    recording.anomaly = Some(unusual(p_ppm));
    recording
}

#[test]
fn anomaly_alone_reaches_suspicious_and_never_malicious() {
    let mut last = 100;
    for p_ppm in [0, 1, 999, 1_407, 3_211, 3_212, 4_000, 50_000, 158_809, 158_810, 999_999] {
        let assessment = assess(&quiet(Some(p_ppm)), &ANY);
        assert!(assessment.score < MALICIOUS_POINTS && assessment.score <= last, "{p_ppm}");
        last = assessment.score;
        let suspicious = assessment.score >= SUSPICIOUS_POINTS;
        let expect = if suspicious { Verdict::Suspicious } else { Verdict::Benign };
        assert_eq!(assessment.verdict, expect, "{p_ppm}");
        // 13 decibans, a p-value of 0.0032, is where suspicion starts.
        assert_eq!(suspicious, p_ppm <= 3_211, "{p_ppm}");
        assert!(assessment.detections.is_empty());
    }
    assert_eq!(last, 0);
}

#[test]
fn the_reason_says_what_is_unusual_and_what_it_rests_on() {
    let assessment = assess(&quiet(Some(999)), &ANY);
    assert_eq!(
        assessment.reason,
        "unusual for this workload: p = 0.000999 against 212 runs; write_bytes 52000 where 1200 is \
         usual"
    );
    let [part] = assessment.contributions.as_slice() else { panic!("one contribution") };
    assert_eq!((part.detector.as_str(), part.technique.as_str()), ("anomaly", ""));
    assert_eq!(part.points, assessment.score);
    assert!(part.events.is_empty());
    let weak = assess(&quiet(Some(4_000)), &ANY);
    assert!(weak.reason.starts_with("only weak signs: unusual for this workload: p = 0.004"));
}

#[test]
fn too_few_runs_and_ordinary_runs_weigh_nothing_and_change_no_byte() {
    let mut plain = quiet(None);
    plain.anomaly = None;
    let expect = assess(&plain, &ANY);
    for p_ppm in [None, Some(1_000_000), Some(400_000)] {
        assert_eq!(assess(&quiet(p_ppm), &ANY), expect);
    }
}

#[test]
fn points_add_up_and_unusual_evidence_tips_what_was_nearly_enough() {
    let mut trace = Trace::new();
    trace.failed(ROOT, read("/etc/shadow"), ENOENT);
    let mut recording = trace.finish();
    let alone = assess(&recording, &ANY);
    recording.anomaly = Some(unusual(Some(500)));
    let both = assess(&recording, &ANY);
    assert!(both.score > alone.score);
    assert_eq!(both.contributions.iter().map(|part| part.points).sum::<u32>(), both.score);
    assert_eq!(both.detections.len() + 1, both.contributions.len());
    assert_eq!(both.contributions.last().unwrap().detector, "anomaly");
    let title = &both.detections[0].title;
    assert!(both.reason.starts_with(title.as_str()), "{}", both.reason);
    assert!(both.reason.contains("; unusual for this workload"), "{}", both.reason);
}

#[test]
fn lost_evidence_stays_inconclusive_however_ordinary_the_run_looks() {
    let mut recording = quiet(Some(900_000));
    recording.faults.push("the monitor was lost".to_owned());
    let assessment = assess(&recording, &ANY);
    assert_eq!(assessment.evidence.level, Level::Incomplete);
    assert_eq!(assessment.verdict, Verdict::Inconclusive);
}
