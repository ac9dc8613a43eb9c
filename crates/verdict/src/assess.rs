//! The verdict: one function from a recording to an assessment.

use types::{
    Anomaly, Assessment, Contribution, Detection, Evidence, Level, Recording, Technique, Verdict,
};

use crate::anomaly;
use crate::attack::ATTACK_VERSION;
use crate::detector::{Detector, Finding};
use crate::detectors;
use crate::evidence;
use crate::matched::{self, Matched};
use crate::score;
use crate::timeline::Timeline;

/// Version of the detector set. Raised whenever any recording may get another assessment.
pub const DETECTORS_VERSION: &str = "3";

/// The score is bounded by this.
pub const SCORE_POINTS_MAX: u32 = 100;

/// From here a run is suspicious.
///
/// Derivation. Weights are log-likelihood ratios in decibans, so they add up to posterior odds once
/// the prior is known. The prior is an assumption, not a measurement: of the commands people bother
/// to check, one in a hundred is hostile, −20 decibans. A verdict *malicious* should be right ten
/// times as often as wrong: posterior odds 10 : 1, +10 decibans, hence 30 decibans of evidence.
/// *Suspicious* should start where a person's minute is well spent: about one in six of such runs
/// hostile, −7 decibans, hence 13 decibans of evidence. 70 points for 30 decibans fix the scale
/// (7/3 points per deciban): 13 decibans are 30 points, and 100 points are 43 decibans, 200 : 1.
pub const SUSPICIOUS_POINTS: u32 = 30;

/// The decibans of [`SUSPICIOUS_POINTS`].
pub(crate) const SUSPICIOUS_DECIBANS: u32 = 13;

/// From here a run is malicious; the derivation is at [`SUSPICIOUS_POINTS`].
pub const MALICIOUS_POINTS: u32 = 70;

/// What was only stated counts for at most this much: one deciban below [`MALICIOUS_POINTS`].
const STATED_DECIBANS_MAX: u32 = 29;

/// A detection names at most this many events; `event_count` has the full number.
const DETECTION_EVENTS_MAX: usize = 16;

/// What the caller asks of a verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Anything but full evidence makes the run inconclusive; score and detections stay visible.
    pub require_full: bool,
}

/// Tells what a recording means. Pure: equal input, equal bytes.
#[must_use]
pub fn assess(recording: &Recording, options: &Options) -> Assessment {
    let timeline = Timeline::new(recording);
    let mut findings = findings(&timeline);
    let stated = tell_apart(&mut findings, &Timeline::seen(recording));
    let mut decibans = weights(&findings);
    bound_stated(&mut decibans, &stated);
    let matched = matched::matched(&timeline, &findings);
    decibans.extend(matched.iter().map(|rule| rule.counted));
    let unusual = anomaly::decibans(recording.anomaly.as_ref());
    decibans.push(unusual);
    let score = score::points(&decibans, SCORE_POINTS_MAX);
    let points = score::split(score, &decibans);

    let native = findings.iter().zip(&stated);
    let native = native.map(|((detector, finding), stated)| {
        let mut told = native_detection(&timeline, detector, finding);
        if *stated {
            told.title.push_str(" (stated, not seen)");
        }
        told
    });
    let others = matched.iter().map(|rule| other(&timeline, rule));
    let mut rows: Vec<(Detection, u32)> =
        native.chain(others).zip(points.iter().copied()).collect();
    // What weighs most comes first; the order of the detector list breaks ties.
    rows.sort_by_key(|(detection, points)| {
        (std::cmp::Reverse(*points), std::cmp::Reverse(detection.weight_decibans))
    });
    let contributions = rows.iter().map(|(detection, points)| contribution(detection, *points));
    let mut contributions: Vec<Contribution> = contributions.collect();
    if unusual > 0 {
        contributions.push(Contribution {
            detector: anomaly::CONTRIBUTOR.to_owned(),
            technique: String::new(),
            points: points.last().copied().unwrap_or(0),
            events: Vec::new(),
        });
    }
    let detections: Vec<Detection> = rows.into_iter().map(|(detection, _)| detection).collect();

    let evidence = evidence::appraise(recording);
    let signs = signs(&detections, recording.anomaly.as_ref().filter(|_| unusual > 0));
    let (verdict, reason) = judge(score, &signs, &evidence, options);
    Assessment {
        verdict,
        score,
        reason,
        contributions,
        detections,
        evidence,
        attack_version: ATTACK_VERSION.to_owned(),
        detectors_version: DETECTORS_VERSION.to_owned(),
    }
}

fn findings(timeline: &Timeline<'_>) -> Vec<(&'static Detector, Finding)> {
    detectors::all()
        .iter()
        .filter_map(|detector| Some((detector, (detector.find)(timeline)?)))
        .filter(|(_, finding)| finding.weight > 0)
        .collect()
}

/// Which findings rest on what a shell was told and nobody did. What was also seen is found as it
/// was seen; of the others the summary says that they were not.
fn tell_apart(findings: &mut [(&Detector, Finding)], seen: &Timeline<'_>) -> Vec<bool> {
    let stated = findings.iter_mut().map(|(detector, finding)| {
        let done = (detector.find)(seen).filter(|done| done.weight > 0);
        let stated = done.is_none();
        match done {
            Some(done) => *finding = done,
            None => finding.summary.insert_str(0, "stated, not seen done: "),
        }
        stated
    });
    stated.collect()
}

/// Words are suspicion and no proof: together they stay below a verdict *malicious*.
fn bound_stated(decibans: &mut [u32], stated: &[bool]) {
    let mut left = STATED_DECIBANS_MAX;
    for (counted, _) in decibans.iter_mut().zip(stated).filter(|(_, stated)| **stated) {
        *counted = (*counted).min(left);
        left -= *counted;
    }
}

/// The weight of each finding in decibans, capped per technique.
fn weights(findings: &[(&Detector, Finding)]) -> Vec<u32> {
    let named: Vec<_> = findings.iter().map(|(d, f)| (d.info.attack.id, f)).collect();
    score::capped(&named)
}

/// How many detectors found something, and the decibans of it all.
pub(crate) fn weight_of_findings(timeline: &Timeline<'_>) -> (u64, u64) {
    let findings = findings(timeline);
    let decibans = weights(&findings).into_iter().map(u64::from).sum();
    (findings.len() as u64, decibans)
}

/// A detector's finding.
fn native_detection(timeline: &Timeline<'_>, detector: &Detector, finding: &Finding) -> Detection {
    let attack = detector.info.attack;
    let technique = Technique {
        id: attack.id.to_owned(),
        name: attack.name.to_owned(),
        tactic: attack.tactic.to_owned(),
    };
    detection(timeline, detector.info.id, detector.info.title, technique, finding)
}

/// A rule of others.
fn other(timeline: &Timeline<'_>, rule: &Matched) -> Detection {
    detection(timeline, &rule.detector, &rule.title, rule.technique.clone(), &rule.finding)
}

fn detection(
    timeline: &Timeline<'_>,
    detector: &str,
    title: &str,
    technique: Technique,
    finding: &Finding,
) -> Detection {
    let event = |&index: &usize| &timeline.events[index];
    let mut ids: Vec<u64> =
        finding.events.iter().chain(&finding.context).map(|index| event(index).id).collect();
    ids.sort_unstable();
    ids.dedup();
    let event_count = ids.len() as u64;
    if ids.len() > DETECTION_EVENTS_MAX {
        // The events that are the behaviour go before those that explain it.
        ids = finding.events.iter().take(DETECTION_EVENTS_MAX).map(|i| event(i).id).collect();
        ids.sort_unstable();
        ids.dedup();
    }
    Detection {
        detector: detector.to_owned(),
        title: title.to_owned(),
        technique,
        summary: finding.summary.clone(),
        events: ids,
        event_count,
        weight_decibans: finding.weight,
        blocked: finding.events.iter().all(|index| event(index).blocked),
    }
}

fn contribution(detection: &Detection, points: u32) -> Contribution {
    Contribution {
        detector: detection.detector.clone(),
        technique: detection.technique.id.clone(),
        points,
        events: detection.events.clone(),
    }
}

/// What there is to point at, in words; empty when nothing is.
fn signs(detections: &[Detection], anomaly: Option<&Anomaly>) -> String {
    let mut signs = detections.first().map_or_else(String::new, |first| first.title.clone());
    if detections.len() > 1 {
        signs.push_str(&format!(" and {} more", detections.len() - 1));
    }
    if let Some(anomaly) = anomaly {
        if !signs.is_empty() {
            signs.push_str("; ");
        }
        signs.push_str(&anomaly::words(anomaly));
    }
    signs
}

fn judge(score: u32, signs: &str, evidence: &Evidence, options: &Options) -> (Verdict, String) {
    let worth = worth(evidence);
    if options.require_full && evidence.level != Level::Full {
        return (Verdict::Inconclusive, format!("full evidence is required and {worth}"));
    }
    match score {
        MALICIOUS_POINTS.. => (Verdict::Malicious, signs.to_owned()),
        SUSPICIOUS_POINTS.. => (Verdict::Suspicious, signs.to_owned()),
        _ if evidence.level == Level::Incomplete => {
            (Verdict::Inconclusive, format!("nothing decisive was seen, but {worth}"))
        }
        0 if evidence.level == Level::Full => {
            (Verdict::Benign, "nothing was detected and nothing was lost".to_owned())
        }
        0 => (Verdict::Benign, format!("nothing was detected, and {worth}")),
        _ => (Verdict::Benign, format!("only weak signs: {signs}")),
    }
}

/// The evidence in words, for the end of a sentence.
fn worth(evidence: &Evidence) -> String {
    let first = evidence.reasons.first().map_or("", String::as_str);
    match evidence.level {
        Level::Full => "the evidence is full".to_owned(),
        Level::Reduced => format!("the evidence is reduced: {first}"),
        Level::Incomplete => format!("the evidence is incomplete: {first}"),
    }
}
