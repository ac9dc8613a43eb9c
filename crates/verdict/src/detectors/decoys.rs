//! What is done with files that were planted to be touched.
//!
//! A walk over everything (a backup, a search) meets them, too, and says nothing by itself; a
//! program that goes from secret to secret does, and so does whoever sends after gathering.

use std::collections::BTreeSet;

use super::credentials::passes_by;
use super::requests::{Said, said};
use crate::attack::{EXFILTRATION_C2, LOCAL_DATA};
use crate::detector::{Detector, Finding, Info, TierC, list, show};
use crate::paths;
use crate::timeline::Timeline;

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: Info {
            id: "decoys-gathered",
            title: "Planted secrets collected",
            attack: LOCAL_DATA,
            looks_for: "planted secrets of three or more different kinds opened by programs that \
                        were pointed at them",
            needs: &["open"],
            tier_c: TierC::Sees,
        },
        find: gathered,
    },
    Detector {
        info: Info {
            id: "decoys-taken-out",
            title: "Planted files read before data was sent",
            attack: EXFILTRATION_C2,
            looks_for: "many planted files read, by whatever program, and an upload afterwards",
            needs: &["open", "request"],
            tier_c: TierC::Sees,
        },
        find: taken_out,
    },
];

const KINDS_MIN: usize = 3;
const GATHERED_DECIBANS: u32 = 18;
/// Files of a home that a walk over it reads.
const READ_MIN: usize = 6;
const TAKEN_OUT_DECIBANS: u32 = 26;

/// The planted files by path.
pub(crate) fn planted(timeline: &Timeline<'_>) -> BTreeSet<String> {
    let decoys = &timeline.recording.run.decoys;
    decoys.iter().map(|path| paths::clean(path).into_owned()).collect()
}

/// Planted files that are not documents: where a secret lies is no coincidence. Shells read their
/// startup files by themselves.
fn is_secret(path: &str) -> bool {
    let hidden = path.split('/').any(|part| part.starts_with('.') && part.len() > 1);
    let startup = matches!(paths::name(path), ".bashrc" | ".profile" | ".bash_history");
    (hidden && !startup) || paths::name(path).contains("passw")
}

fn gathered(timeline: &Timeline<'_>) -> Option<Finding> {
    let planted = planted(timeline);
    let (mut kinds, mut events) = (BTreeSet::new(), Vec::new());
    for read in &timeline.reads {
        let image = timeline.image(read.event);
        if planted.contains(read.path.as_ref())
            && is_secret(&read.path)
            && timeline.events[read.event].happened()
            && !passes_by(image, &read.path)
        {
            kinds.insert(read.path.as_ref());
            events.push(read.event);
        }
    }
    let names: Vec<&str> = kinds.iter().copied().collect();
    (kinds.len() >= KINDS_MIN).then(|| {
        Finding::new(GATHERED_DECIBANS, format!("opened one by one: {}", list(&names)), events)
    })
}

fn taken_out(timeline: &Timeline<'_>) -> Option<Finding> {
    let planted = planted(timeline);
    let (sent, to) = said(timeline)
        .filter(|(index, said)| said.uploads() && !timeline.image(*index).is_package_tool())
        .map(|(index, said): (usize, Said<'_>)| (index, said.to()))
        .last()?;
    let (mut files, mut events) = (BTreeSet::new(), Vec::new());
    for read in timeline.reads.iter().take_while(|read| read.event < sent) {
        let happened = timeline.events[read.event].happened();
        if happened && planted.contains(read.path.as_ref()) && files.insert(read.path.as_ref()) {
            events.push(read.event);
        }
    }
    let secrets = files.iter().filter(|path| is_secret(path)).count();
    (files.len() >= READ_MIN && secrets > 0).then(|| {
        events.push(sent);
        let summary = format!("{} were read, then data went to {}", files.len(), show(&to));
        Finding::new(TAKEN_OUT_DECIBANS, summary, events)
    })
}
