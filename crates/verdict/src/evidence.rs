//! What a recording is worth: full, reduced or incomplete, and why (invariant 4).
//!
//! One decision needs its reason here. The issue counts *truncated* as incomplete. A cut **target**
//! (a path, a name, an address) can hide what was touched, so it makes the record incomplete. The
//! **argument list** of an exec is different: a link command of a large build is longer than any
//! sensible bound, its program and everything it then does are recorded whole, and detectors decide
//! on what was done. A cut argument list is therefore counted, shown, and not held against the run.

use types::{Ending, Evidence, Kind, Level, Recording, Tier};

use crate::detector::TierC;
use crate::detectors::detectors;

pub(crate) fn appraise(recording: &Recording) -> Evidence {
    let mut reasons = losses(recording);
    let unseen = unseen(recording);
    let level = match (reasons.is_empty(), recording.run.tier) {
        (false, _) => Level::Incomplete,
        (true, Tier::A | Tier::B | Tier::H) if unseen.is_empty() => Level::Full,
        (true, _) => Level::Reduced,
    };
    reasons.extend(unseen);
    let mut blind_detectors = Vec::new();
    if recording.run.tier == Tier::C {
        blind_detectors.extend(blind().map(str::to_owned));
        reasons.push(format!(
            "tier C watches only the calls it names and does not see how they end; {} of {} \
             detectors are blind",
            blind_detectors.len(),
            detectors().len()
        ));
    }
    if recording.run.tier == Tier::None {
        blind_detectors.extend(detectors().iter().map(|info| info.id.to_owned()));
    }
    Evidence {
        level,
        tier: recording.run.tier,
        reasons,
        blind_detectors,
        counters: recording.counters.clone(),
    }
}

/// What was not looked into although everything that happened to it is known: files that
/// are too large, closed or packed like a bomb, memory when there were too many processes. A
/// sample can bring that about, so it is told; software does it every day, so it is no loss.
fn unseen(recording: &Recording) -> Vec<String> {
    let walls = recording.run.isolation.walls.iter();
    let unseen = walls.filter(|wall| !wall.on).filter_map(|wall| {
        let what = match wall.name.as_str() {
            "artifact" => "the artifact was",
            "files" => "changed files were",
            "memory" => "processes' memory was",
            _ => return None,
        };
        Some(format!("not all {what} looked at: {}", wall.detail))
    });
    unseen.collect()
}

/// Ids of the detectors that cannot fire under tier C.
fn blind() -> impl Iterator<Item = &'static str> {
    detectors().iter().filter(|info| matches!(info.tier_c, TierC::Blind(_))).map(|info| info.id)
}

/// Everything that makes the record incomplete.
fn losses(recording: &Recording) -> Vec<String> {
    let mut reasons = Vec::new();
    if recording.run.tier == Tier::None {
        reasons.push("no monitor watched the run".to_owned());
    }
    reasons.extend(recording.faults.iter().cloned());
    let counters = &recording.counters;
    if counters.dropped > 0 {
        reasons.push(format!("{} events were dropped", counters.dropped));
    }
    if !counters.balanced() {
        reasons.push(format!(
            "the books do not balance: {} seen, {} received, {} dropped, {} aggregated",
            counters.seen, counters.received, counters.dropped, counters.aggregated
        ));
    }
    let cut = cut_targets(recording);
    if cut > 0 {
        reasons.push(format!("{cut} events have a target that was cut"));
    }
    match recording.run.ending {
        Ending::TimedOut => {
            reasons
                .push("the time limit ended the run; what would have come is unknown".to_owned());
        }
        Ending::Interrupted { signal } => {
            reasons.push(format!("signal {signal} interrupted the run"));
        }
        Ending::Exited { .. } | Ending::Signaled { .. } => {}
    }
    reasons
}

/// Cut events that are not merely a long argument list.
fn cut_targets(recording: &Recording) -> u64 {
    let is_argument_list = |kind: &Kind| matches!(kind, Kind::Exec { .. });
    let (mut lists, mut targets) = (0_u64, 0_u64);
    for event in recording.events.iter().filter(|event| event.truncated) {
        let sum = if is_argument_list(&event.kind) { &mut lists } else { &mut targets };
        *sum = sum.saturating_add(event.count);
    }
    // Cut events that were aggregated away or lost are only in the counters; those by type say
    // whether they were argument lists.
    let by_type = &recording.counters.by_type;
    let counted = if by_type.is_empty() {
        recording.counters.truncated.saturating_sub(lists)
    } else {
        by_type
            .iter()
            .filter(|(name, _)| name.as_str() != "exec")
            .fold(0, |sum: u64, (_, counters)| sum.saturating_add(counters.truncated))
    };
    targets.max(counted)
}
