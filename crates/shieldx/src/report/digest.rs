//! Groups the events of a recording the way a person asks about them: which are the interesting
//! ones, which files changed, where to, what was refused.

use std::collections::{BTreeMap, HashMap, HashSet};

use types::{Event, FileChange, Kind, Text};

use super::{Judged, words};
use crate::engine;

/// Events by what they are about; everything borrows from the recording.
#[derive(Debug)]
pub struct Digest<'a> {
    /// Ids that a detection or contribution points at.
    pub evidence: HashSet<u64>,
    pub files: Vec<&'a FileChange>,
    pub network: Vec<Group<'a>>,
    pub blocked: Vec<Group<'a>>,
    pub limits: Vec<(&'a str, &'a str)>,
    /// What scans found: in memory, and patterns anywhere.
    pub found: Vec<Group<'a>>,
    /// Files that a detection points at, by path.
    named: HashSet<&'a Text>,
}

/// Events that read the same.
#[derive(Debug)]
pub struct Group<'a> {
    pub words: String,
    pub outcome: Option<String>,
    pub calls: u64,
    pub first: &'a Event,
}

impl<'a> Digest<'a> {
    #[must_use]
    pub fn new(judged: &Judged<'a>) -> Self {
        let events = &judged.recording.events;
        let detections = judged.assessment.detections.iter().flat_map(|d| &d.events);
        let contributions = judged.assessment.contributions.iter().flat_map(|c| &c.events);
        let evidence: HashSet<u64> = detections.chain(contributions).copied().collect();
        let pointed = events.iter().filter(|event| evidence.contains(&event.id));
        Self {
            named: pointed.flat_map(|event| changes(&event.kind)).collect(),
            evidence,
            files: files(events),
            network: grouped(events.iter().filter(goes_out), words::event),
            blocked: grouped(events.iter().filter(|event| refused(event)), call_name),
            found: grouped(events.iter().filter(|event| by_scan(&event.kind)), words::event),
            limits: events
                .iter()
                .filter_map(|event| match &event.kind {
                    Kind::LimitReached { limit, detail } => Some((limit.as_str(), detail.as_str())),
                    _ => None,
                })
                .collect(),
        }
    }

    /// Whether an event is worth showing at its process.
    #[must_use]
    pub fn interesting(&self, event: &Event) -> bool {
        let hidden =
            |kind: &Kind| matches!(kind, Kind::Exec { memfd, deleted, .. } if *memfd || *deleted);
        self.evidence.contains(&event.id)
            || refused(event)
            || is_network(&event.kind)
            || hidden(&event.kind)
    }

    /// Whether a changed file must not disappear in a sum: a detection points at it, or it gives
    /// its owner's rights to whoever runs it.
    #[must_use]
    pub fn notable(&self, change: &FileChange) -> bool {
        self.named.contains(&change.path) || sets_id(change)
    }
}

/// Whether the policy kept the sample from something it tried.
#[must_use]
pub fn refused(event: &Event) -> bool {
    let fallback = match &event.kind {
        Kind::Syscall { call, args, .. } => engine::is_fallback(call, args),
        _ => false,
    };
    event.blocked && !fallback
}

/// Whether the file is setuid or setgid.
#[must_use]
pub fn sets_id(change: &FileChange) -> bool {
    change.mode & 0o6000 != 0 && change.file_type == "file"
}

/// Paths that an event changes or leaves behind.
fn changes(kind: &Kind) -> Vec<&Text> {
    match kind {
        Kind::FileChanged(change) => vec![&change.path],
        Kind::Open { path, .. }
        | Kind::Write { path, .. }
        | Kind::Unlink { path, .. }
        | Kind::Chmod { path, .. }
        | Kind::Chown { path, .. }
        | Kind::SetXattr { path, .. }
        | Kind::SetTimes { path, .. }
        | Kind::Truncate { path, .. } => vec![path],
        Kind::Rename { from, to } | Kind::Link { from, to, .. } => vec![from, to],
        _ => vec![],
    }
}

/// Stated by a scan of the sandbox, not by the kernel.
fn by_scan(kind: &Kind) -> bool {
    matches!(kind, Kind::MemoryRegion { .. } | Kind::PatternMatch { .. })
}

/// Network events but for a process's own streams, which are shown at the process.
fn goes_out(event: &&Event) -> bool {
    is_network(&event.kind) && !matches!(event.kind, Kind::StdioSocket { .. })
}

/// Network events that tell where something goes; sockets by themselves and local name lookups
/// over Unix sockets say nothing.
fn is_network(kind: &Kind) -> bool {
    use types::Endpoint;
    match kind {
        Kind::Connect { peer } => !matches!(peer, Endpoint::Unix { .. }),
        Kind::Bind { address } => matches!(address, Endpoint::Inet { .. }),
        Kind::Listen { address } => !matches!(address, Some(Endpoint::Unix { .. })),
        Kind::Accept { peer } | Kind::Send { peer, .. } => {
            matches!(peer, Some(Endpoint::Inet { .. }))
        }
        Kind::Dns { .. } | Kind::Request { .. } | Kind::StdioSocket { .. } => true,
        _ => false,
    }
}

/// The last change of every path, in the order of the recording.
fn files(events: &[Event]) -> Vec<&FileChange> {
    let mut place: HashMap<&Text, usize> = HashMap::new();
    let mut files: Vec<&FileChange> = Vec::new();
    for event in events {
        let Kind::FileChanged(change) = &event.kind else { continue };
        match place.get(&change.path).and_then(|&at| files.get_mut(at)) {
            Some(slot) => *slot = change,
            None => {
                place.insert(&change.path, files.len());
                files.push(change);
            }
        }
    }
    files
}

/// What was refused: the call, not its arguments, except where the target is the point.
fn call_name(event: &Event) -> String {
    match &event.kind {
        Kind::Syscall { call, .. } => words::safe(call),
        Kind::Connect { .. } | Kind::Send { .. } | Kind::Exec { .. } | Kind::Open { .. } => {
            words::event(event)
        }
        other => other.name().to_owned(),
    }
}

/// Most frequent first; equal counts stay in the order of the run.
fn grouped<'a>(
    events: impl Iterator<Item = &'a Event>,
    name: impl Fn(&Event) -> String,
) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut place: BTreeMap<(String, Option<String>), usize> = BTreeMap::new();
    for event in events {
        let key = (name(event), words::outcome(event));
        let calls = event.count.max(1);
        match place.get(&key).and_then(|&at| groups.get_mut(at)) {
            Some(group) => group.calls = group.calls.saturating_add(calls),
            None => {
                let (words, outcome) = key.clone();
                place.insert(key, groups.len());
                groups.push(Group { words, outcome, calls, first: event });
            }
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.calls));
    groups
}
