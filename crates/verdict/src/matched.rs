//! What the rules of others say of a recording: Sigma matches beside the events, YARA matches among
//! them.
//!
//! A rule is somebody's opinion about one event or a few bytes, and thousands of them are public.
//! Three things keep them in their place. A rule that says again what a detector or a stronger rule
//! says (the same technique, or the same event) counts only for what it says more. Everything up to
//! *medium* together stays below *suspicious*. And no single rule convicts: that takes a second sign.

use std::collections::BTreeSet;

use types::{Endpoint, Event, Kind, Technique};

use crate::assess::SUSPICIOUS_DECIBANS;
use crate::attack::{self, Attack};
use crate::detector::{Detector, Finding, list};
use crate::timeline::Timeline;

/// A level's weight in decibans. *High* alone is worth a person's minute (13 decibans are
/// suspicious); *critical* alone stays below the 30 of *malicious*. Public rules are written for
/// hosts where somebody looks at every match, so these are small beside what a native detector says
/// of the same thing.
const WEIGHTS: &[(&str, u32)] = &[("low", 2), ("medium", 6), ("high", 14), ("critical", 22)];

/// Rules up to this weight count together as [`WEAK_TOGETHER_MAX`] at most.
const WEAK_WEIGHT_MAX: u32 = 6;
const WEAK_TOGETHER_MAX: u32 = SUSPICIOUS_DECIBANS - 1;
/// Rules that a verdict looks at; a recording is a file that anybody can write.
const RULES_MAX: usize = 4_096;

/// A rule that matched, and what it is worth beside everything else.
#[derive(Debug)]
pub(crate) struct Matched {
    /// `sigma:<id>`, `yara:<rule>`.
    pub(crate) detector: String,
    pub(crate) title: String,
    pub(crate) technique: Technique,
    pub(crate) finding: Finding,
    /// Decibans that go into the score.
    pub(crate) counted: u32,
    /// All techniques the rule names, without their subs.
    families: BTreeSet<String>,
}

/// Every rule that matched and has a weight, Sigma first, in the order of the recording.
pub(crate) fn matched(
    timeline: &Timeline<'_>,
    native: &[(&'static Detector, Finding)],
) -> Vec<Matched> {
    let mut all = sigma(timeline);
    all.extend(yara(timeline));
    let native: Vec<Said<'_>> = native
        .iter()
        .map(|(detector, finding)| Said {
            weight: finding.weight,
            families: BTreeSet::from([family(detector.info.attack.id)]),
            events: &finding.events,
        })
        .collect();
    let counted = counted(&all, native);
    for (rule, counted) in all.iter_mut().zip(counted) {
        rule.counted = counted;
    }
    all
}

/// Something that was said already.
struct Said<'a> {
    weight: u32,
    families: BTreeSet<String>,
    events: &'a [usize],
}

fn counted<'a>(rules: &'a [Matched], mut said: Vec<Said<'a>>) -> Vec<u32> {
    let mut order: Vec<usize> = (0..rules.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(rules[index].finding.weight), index));
    let mut counted = vec![0; rules.len()];
    let mut weak = 0;
    for index in order {
        let rule = &rules[index];
        let events: BTreeSet<usize> = rule.finding.events.iter().copied().collect();
        let again = |other: &&Said<'_>| {
            !other.families.is_disjoint(&rule.families)
                || other.events.iter().any(|event| events.contains(event))
        };
        let before = said.iter().filter(again).map(|other| other.weight).max().unwrap_or(0);
        let mut more = rule.finding.weight.saturating_sub(before);
        if rule.finding.weight <= WEAK_WEIGHT_MAX {
            more = more.min(WEAK_TOGETHER_MAX - weak);
            weak += more;
        }
        counted[index] = more;
        said.push(Said {
            weight: rule.finding.weight,
            families: rule.families.clone(),
            events: &rule.finding.events,
        });
    }
    counted
}

fn sigma(timeline: &Timeline<'_>) -> Vec<Matched> {
    let rules = timeline.recording.matches.iter().take(RULES_MAX);
    rules
        .filter_map(|rule| {
            let weight = weight(&rule.level)?;
            // Ids count from 1; a recording from elsewhere may name what is not there.
            let events = rule.events.iter().filter_map(|&id| {
                let index = usize::try_from(id).ok()?.checked_sub(1)?;
                timeline.events.get(index).filter(|event| event.id == id).map(|_| index)
            });
            let events: Vec<usize> = events.collect();
            let names: Vec<String> = events.iter().map(|&e| name(&timeline.events[e])).collect();
            let summary = format!("the rule applies to {}", list(&distinct(names)));
            (!events.is_empty()).then(|| Matched {
                detector: format!("sigma:{}", types::Text::from(rule.rule.as_str())),
                title: types::Text::from(rule.title.as_str()).to_string(),
                technique: technique(&rule.techniques),
                finding: Finding::new(weight, summary, events),
                counted: 0,
                families: families(&rule.techniques),
            })
        })
        .collect()
}

fn yara(timeline: &Timeline<'_>) -> Vec<Matched> {
    let mut rules: Vec<(Matched, Vec<String>)> = Vec::new();
    for (index, event) in timeline.events.iter().enumerate() {
        let Kind::PatternMatch { rule, title, place, target, level, techniques, .. } = &event.kind
        else {
            continue;
        };
        let Some(weight) = weight(level) else { continue };
        let detector = format!("yara:{}", types::Text::from(rule.as_str()));
        let target = format!("{} {}", place, target.to_lossy());
        if let Some((known, targets)) = rules.iter_mut().find(|(m, _)| m.detector == detector) {
            known.finding.events.push(index);
            known.finding.weight = known.finding.weight.max(weight);
            targets.push(target);
        } else if rules.len() < RULES_MAX {
            let matched = Matched {
                detector,
                title: types::Text::from(title.as_str()).to_string(),
                technique: technique(techniques),
                finding: Finding::new(weight, String::new(), vec![index]),
                counted: 0,
                families: families(techniques),
            };
            rules.push((matched, vec![target]));
        }
    }
    let said = |(mut matched, targets): (Matched, Vec<String>)| {
        matched.finding.summary = format!("the pattern is in {}", list(&distinct(targets)));
        matched
    };
    rules.into_iter().map(said).collect()
}

/// `None` for what informs and weighs nothing, and for words that are no level.
fn weight(level: &str) -> Option<u32> {
    WEIGHTS.iter().find(|(name, _)| *name == level).map(|(_, weight)| *weight)
}

/// The first technique, with its name and tactic where this version's detectors know them.
fn technique(ids: &[String]) -> Technique {
    let id = ids.first().map_or("", String::as_str);
    let known = attack::find(id).unwrap_or(Attack { id: "", name: "", tactic: "" });
    Technique {
        id: types::Text::from(id).to_string(),
        name: known.name.to_owned(),
        tactic: known.tactic.to_owned(),
    }
}

fn families(techniques: &[String]) -> BTreeSet<String> {
    techniques.iter().map(|id| family(id)).collect()
}

/// `T1059.004` → `T1059`.
fn family(technique: &str) -> String {
    technique.split('.').next().unwrap_or_default().to_owned()
}

fn distinct(names: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.into_iter().filter(|name| seen.insert(name.clone())).collect()
}

/// What an event is about, for a summary.
fn name(event: &Event) -> String {
    let ip = |peer: &Endpoint| match peer {
        Endpoint::Inet { ip, port } => format!("a connection to {ip} port {port}"),
        _ => "a connection".to_owned(),
    };
    match &event.kind {
        Kind::Exec { argv, path, .. } => {
            let words: Vec<_> = argv.iter().map(types::Text::to_lossy).collect();
            if words.is_empty() { path.to_lossy().into_owned() } else { words.join(" ") }
        }
        Kind::Open { path, .. }
        | Kind::Write { path, .. }
        | Kind::Unlink { path, .. }
        | Kind::SetTimes { path, .. }
        | Kind::Rename { to: path, .. }
        | Kind::Link { to: path, .. } => path.to_lossy().into_owned(),
        Kind::Connect { peer } | Kind::Send { peer: Some(peer), .. } => ip(peer),
        Kind::Request { peer, host, .. } => {
            host.as_ref().map_or_else(|| ip(peer), |host| host.to_lossy().into_owned())
        }
        Kind::Dns { question, .. } => question.to_lossy().into_owned(),
        other => other.name().to_owned(),
    }
}
