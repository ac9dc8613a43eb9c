//! For every detector, a trace that it must fire on.

mod data;
mod requests;
mod system;
mod told;

use std::collections::BTreeSet;

use types::Verdict;
use verdict::{Options, assess, detectors};

use self::data::{COLLECTION, CREDENTIALS, DECOYS, DISCOVERY, DISRUPTION, RANSOM};
use self::requests::REQUESTS;
use self::system::{EXECUTION, KERNEL, MEMORY, NETWORK, PERSISTENCE, PRIVILEGE, SHELLS, TAMPERING};
use self::told::{HABITS, SCRIPTS, STATED};
use crate::trace::{ROOT, Trace};

/// What a trace must come to, at least.
#[derive(Clone, Copy, PartialEq)]
enum Expect {
    /// Fires, though it does not convict by itself.
    Weak,
    Suspicious,
    Malicious,
}

type Row = (&'static str, Expect, fn(&mut Trace));

fn check((detector, expect, build): &Row) -> Option<String> {
    let mut trace = Trace::new();
    build(&mut trace);
    let assessment = assess(&trace.finish(), &Options::default());
    let found: Vec<&str> = assessment.detections.iter().map(|d| d.detector.as_str()).collect();
    if !found.contains(detector) {
        return Some(format!("{detector} does not fire; only {found:?}"));
    }
    let ok = match expect {
        Expect::Weak => true,
        Expect::Suspicious => {
            matches!(assessment.verdict, Verdict::Suspicious | Verdict::Malicious)
        }
        Expect::Malicious => assessment.verdict == Verdict::Malicious,
    };
    for detection in &assessment.detections {
        assert!(
            !detection.events.is_empty(),
            "{detector}: {} rests on nothing",
            detection.detector
        );
        assert!(!detection.summary.is_empty());
    }
    (!ok).then(|| format!("{detector}: {} {} by {found:?}", assessment.verdict, assessment.score))
}

/// A command of the system, started by the sample.
fn runs(trace: &mut Trace, line: &str) {
    trace.command(ROOT, line);
}

/// `sh -c TEXT`, started by the sample.
fn shell(trace: &mut Trace, text: &str) -> u32 {
    trace.spawn(ROOT, "/usr/bin/dash", &["sh", "-c", text])
}

const ALL: &[&[Row]] = &[
    SHELLS,
    CREDENTIALS,
    DECOYS,
    PERSISTENCE,
    RANSOM,
    MEMORY,
    PRIVILEGE,
    TAMPERING,
    KERNEL,
    NETWORK,
    REQUESTS,
    EXECUTION,
    DISCOVERY,
    COLLECTION,
    DISRUPTION,
    STATED,
    SCRIPTS,
    HABITS,
];

#[test]
fn every_behaviour_is_detected_and_weighs_enough() {
    let wrong: Vec<String> = ALL.iter().copied().flatten().filter_map(check).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A script of a maintainer states much that its branches do not do.
#[test]
fn what_is_only_stated_says_so_and_convicts_nobody() {
    let mut trace = Trace::new();
    shell(
        &mut trace,
        "if false; then echo /opt/x.so > /etc/ld.so.preload; insmod /tmp/x.ko; usermod -o -u 0 eve; \
         cat /etc/shadow > /tmp/s; rm -rf /var/log/auth.log; systemctl stop auditd; fi",
    );
    let assessment = assess(&trace.finish(), &Options::default());
    assert_eq!(assessment.verdict, Verdict::Suspicious, "{:#?}", assessment.detections);
    assert!(assessment.detections.len() > 2);
    for detection in &assessment.detections {
        assert!(detection.summary.starts_with("stated, not seen done: "), "{}", detection.summary);
        assert!(detection.title.ends_with(" (stated, not seen)"), "{}", detection.title);
    }
}

/// Forty doublings of a value are terabytes; the verdict once tried to have them.
#[test]
fn a_text_that_doubles_a_value_does_not_grow() {
    let mut trace = Trace::new();
    let text = format!("a=xxxxxxxx\n{}cat $a /etc/shadow > /tmp/s", "a=$a$a\n".repeat(40));
    shell(&mut trace, &text);
    let assessment = assess(&trace.finish(), &Options::default());
    assert!(assessment.detections.iter().any(|detection| detection.detector == "shadow-read"));
}

#[test]
fn every_detector_has_a_trace() {
    let tried: BTreeSet<&str> = ALL.iter().copied().flatten().map(|row| row.0).collect();
    let known: BTreeSet<&str> = detectors().iter().map(|info| info.id).collect();
    assert_eq!(tried, known);
}
