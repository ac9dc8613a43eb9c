//! Everyday traces: not a single detection. Each is named with the detectors that it comes near.

mod data;
mod requests;
mod system;
mod told;

use std::collections::BTreeSet;

use verdict::{Options, assess, detectors};

use self::data::{MANY_FILES, PLACES, SECRETS, STREAMS};
use self::requests::REQUESTS;
use self::system::{CODE, KERNEL, NETWORK, PROGRAMS, TRACES};
use self::told::TOLD;
use crate::trace::Trace;

type Row = (&'static [&'static str], fn() -> Trace);

fn of(line: &str) -> Trace {
    let argv: Vec<&str> = line.split_whitespace().collect();
    Trace::of(&format!("/usr/bin/{}", argv[0]), &argv)
}

fn sh(text: &str) -> Trace {
    Trace::of("/usr/bin/dash", &["sh", "-c", text])
}

/// `line` in a trace of its own, with what it does.
fn with(line: &str, acts: impl Fn(&mut Trace)) -> Trace {
    let mut trace = of(line);
    acts(&mut trace);
    trace
}

fn files() -> impl Iterator<Item = (u32, String)> {
    (0..100).map(|n| (n, format!("/data/many/{n}.txt")))
}

const GZIP: &[u8] = b"\x1f\x8b\x08\x00and then sixty bytes of noise";

const ALL: &[&[Row]] = &[
    STREAMS, SECRETS, PLACES, MANY_FILES, CODE, TRACES, KERNEL, NETWORK, REQUESTS, PROGRAMS, TOLD,
];

#[test]
fn everyday_traces_have_no_detection() {
    let mut wrong = Vec::new();
    for (near, build) in ALL.iter().copied().flatten() {
        let assessment = assess(&build().finish(), &Options::default());
        let found = assessment.detections.iter().map(|d| format!("{}: {}", d.detector, d.summary));
        wrong.extend(found.map(|found| format!("near {near:?}: {found}")));
        assert_eq!(assessment.score == 0, assessment.detections.is_empty());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_detector_has_an_everyday_trace_that_comes_near() {
    let near: BTreeSet<&str> =
        ALL.iter().copied().flatten().flat_map(|row| row.0.iter().copied()).collect();
    let known: BTreeSet<&str> = detectors().iter().map(|info| info.id).collect();
    assert_eq!(near, known);
}
