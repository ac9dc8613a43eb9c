//! The processes of a run as a tree, built from forks, execs and exits.
//!
//! A recording can be incomplete or made up, so a process may have no parent, no start, or be its
//! own ancestor; each of these still ends in a finite tree that shows every process once.

use std::collections::{BTreeMap, HashMap, HashSet};

use types::{Event, Kind, Task};

use super::digest::Digest;
use super::words;

/// `(pid, start_ns)`, which stays unique when a pid is used again.
type Key = (u32, u64);

/// One process.
#[derive(Debug)]
pub struct Node<'a> {
    pub pid: u32,
    pub uid: u32,
    pub start_ns: u64,
    /// The command line of the last program it became, or its name when it never became one.
    pub label: String,
    /// Programs it was before that one.
    pub earlier: Vec<String>,
    pub end: Option<End>,
    /// Events worth showing here, at most [`EVENTS_MAX`].
    pub events: Vec<&'a Event>,
    /// How many more there were.
    pub more_events: u64,
    /// Execs that the label already tells and that a detection rests on.
    pub marks: Vec<u64>,
    /// Whether something worth pointing at happened here or below.
    pub busy: bool,
    pub children: Vec<Node<'a>>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Code(i32),
    Signal(i32),
}

/// Events kept per process.
pub const EVENTS_MAX: usize = 40;
/// Evidence still finds room among as much of everything else.
const EVENTS_WITH_EVIDENCE_MAX: usize = 2 * EVENTS_MAX;
/// Program names told of processes that are only counted.
const PROGRAMS_MAX: usize = 5;
/// Deeper descendants are shown at this depth; a tree can be as deep as the pid limit.
const DEPTH_MAX: usize = 32;

#[derive(Debug, Default)]
struct Draft<'a> {
    parent: Option<Key>,
    ppid: u32,
    uid: u32,
    comm: String,
    label: Option<String>,
    earlier: Vec<String>,
    end: Option<End>,
    events: Vec<&'a Event>,
    more_events: u64,
    marks: Vec<u64>,
}

/// All processes, as the trees of those without a known parent.
#[must_use]
pub fn build<'a>(events: &'a [Event], digest: &Digest<'_>) -> Vec<Node<'a>> {
    let mut drafts = drafts(events, digest);
    adopt(&mut drafts);
    let mut children: BTreeMap<Option<Key>, Vec<Key>> = BTreeMap::new();
    for (key, draft) in &drafts {
        children.entry(draft.parent).or_default().push(*key);
    }
    for list in children.values_mut() {
        list.sort_by_key(|&(pid, start_ns)| (start_ns, pid));
    }
    let roots = children.remove(&None).unwrap_or_default();
    let mut nodes: Vec<Node<'a>> =
        roots.into_iter().filter_map(|key| grow(key, &mut drafts, &mut children, 0)).collect();
    // Whatever is left is part of a circle of parents; break it anywhere.
    while let Some(key) = drafts.keys().min().copied() {
        nodes.extend(grow(key, &mut drafts, &mut children, 0));
    }
    nodes
}

/// How many processes a list of trees holds.
#[must_use]
pub fn count(nodes: &[Node<'_>]) -> u64 {
    nodes.iter().map(|node| 1 + count(&node.children)).sum()
}

/// Trees without anything to note, in one sentence: `56 more processes, nothing to note: bash × 50,
/// readlink × 6`.
#[must_use]
pub fn quiet(nodes: &[&Node<'_>]) -> String {
    let mut programs: BTreeMap<&str, u64> = BTreeMap::new();
    let mut open = nodes.to_vec();
    let mut total = 0_u64;
    while let Some(node) = open.pop() {
        total += 1;
        *programs.entry(node.program()).or_default() += 1;
        open.extend(&node.children);
    }
    let mut programs: Vec<(&str, u64)> = programs.into_iter().collect();
    programs.sort_by_key(|&(name, times)| (std::cmp::Reverse(times), name));
    let more = programs.len() > PROGRAMS_MAX;
    let names: Vec<String> = programs
        .iter()
        .take(PROGRAMS_MAX)
        .map(|&(name, times)| match times {
            1 => name.to_owned(),
            _ => format!("{name} × {}", words::grouped(times)),
        })
        .collect();
    let total = words::plural(total, "more process", "more processes");
    let rest = if more { " …" } else { "" };
    format!("{total}, nothing to note: {}{rest}", names.join(", "))
}

impl Node<'_> {
    #[must_use]
    pub fn key(&self) -> (u32, u64) {
        (self.pid, self.start_ns)
    }

    /// The name of its program, without folder and arguments.
    #[must_use]
    pub fn program(&self) -> &str {
        let word = self.label.split(' ').next().unwrap_or_default();
        word.rsplit('/').next().unwrap_or(word)
    }
}

fn drafts<'a>(events: &'a [Event], digest: &Digest<'_>) -> HashMap<Key, Draft<'a>> {
    let mut drafts: HashMap<Key, Draft<'a>> = HashMap::new();
    for event in events {
        if matches!(
            event.kind,
            Kind::FileChanged(_) | Kind::PatternMatch { .. } | Kind::LimitReached { .. }
        ) {
            // Found by the sandbox, not done by a process.
            continue;
        }
        let key = key(&event.task);
        if let Kind::Fork { child_pid, child_start_ns, thread: false, .. } = event.kind {
            let child = drafts.entry((child_pid, child_start_ns)).or_default();
            child.parent = Some(key);
            child.ppid = event.task.pid;
            child.uid = event.task.uid;
        }
        let draft = drafts.entry(key).or_default();
        draft.ppid = event.task.ppid;
        draft.uid = event.task.uid;
        draft.comm = event.task.comm.to_string();
        match &event.kind {
            Kind::Exec { path, argv, memfd, deleted, .. } if event.happened() => {
                let label = if argv.is_empty() { path.to_string() } else { words::command(argv) };
                // The name is the program's own choice; where it came from is not.
                let label = match (memfd, deleted) {
                    (true, _) => format!("{label} (from memory)"),
                    (false, true) => format!("{label} (deleted file)"),
                    _ => label,
                };
                draft.earlier.extend(draft.label.replace(label));
            }
            Kind::Exit { code, signal, thread: false } => {
                draft.end = match (signal, code) {
                    (Some(signal), _) => Some(End::Signal(*signal)),
                    (None, Some(code)) => Some(End::Code(*code)),
                    (None, None) => None,
                };
            }
            _ => {}
        }
        let shown_by_label = matches!(event.kind, Kind::Exec { memfd: false, deleted: false, .. })
            && event.happened();
        let evidence = digest.evidence.contains(&event.id);
        let room = if evidence { EVENTS_WITH_EVIDENCE_MAX } else { EVENTS_MAX };
        if shown_by_label {
            draft.marks.extend(evidence.then_some(event.id));
        } else if digest.interesting(event) {
            if draft.events.len() < room {
                draft.events.push(event);
            } else {
                draft.more_events += 1;
            }
        }
    }
    drafts
}

/// Gives processes whose fork was not seen to the youngest process with their parent's pid.
fn adopt(drafts: &mut HashMap<Key, Draft<'_>>) {
    let mut by_pid: HashMap<u32, Vec<u64>> = HashMap::new();
    for &(pid, start_ns) in drafts.keys() {
        by_pid.entry(pid).or_default().push(start_ns);
    }
    for (&(pid, start_ns), draft) in drafts.iter_mut() {
        if draft.parent.is_none() && draft.ppid != 0 && draft.ppid != pid {
            let starts = by_pid.get(&draft.ppid).into_iter().flatten();
            let parent = starts.filter(|&&parent| parent <= start_ns).max();
            draft.parent = parent.map(|&parent| (draft.ppid, parent));
        }
    }
}

fn grow<'a>(
    key: Key,
    drafts: &mut HashMap<Key, Draft<'a>>,
    children: &mut BTreeMap<Option<Key>, Vec<Key>>,
    depth: usize,
) -> Option<Node<'a>> {
    let draft = drafts.remove(&key)?;
    let mut below = children.remove(&Some(key)).unwrap_or_default();
    if depth >= DEPTH_MAX {
        below = flatten(below, children);
    }
    let children: Vec<Node<'a>> =
        below.into_iter().filter_map(|child| grow(child, drafts, children, depth + 1)).collect();
    Some(Node {
        busy: draft.end.is_some_and(crashed)
            || !draft.events.is_empty()
            || !draft.marks.is_empty()
            || children.iter().any(|child| child.busy),
        marks: draft.marks,
        pid: key.0,
        uid: draft.uid,
        start_ns: key.1,
        label: draft.label.unwrap_or(draft.comm),
        earlier: draft.earlier,
        end: draft.end,
        events: draft.events,
        more_events: draft.more_events,
        children,
    })
}

/// Ends that are the process's own fault, and not that of a pipe, a limit or a time-out.
fn crashed(end: End) -> bool {
    const FAULTS: [i32; 7] = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGABRT,
        libc::SIGSYS,
        libc::SIGTRAP,
    ];
    matches!(end, End::Signal(signal) if FAULTS.contains(&signal))
}

/// All descendants in one list, so that recursion stays bounded.
fn flatten(start: Vec<Key>, children: &mut BTreeMap<Option<Key>, Vec<Key>>) -> Vec<Key> {
    let mut seen: HashSet<Key> = start.iter().copied().collect();
    let mut all = start.clone();
    let mut open = start;
    while let Some(key) = open.pop() {
        for child in children.remove(&Some(key)).unwrap_or_default() {
            if seen.insert(child) {
                all.push(child);
                open.push(child);
            }
        }
    }
    all
}

fn key(task: &Task) -> Key {
    (task.pid, task.start_ns)
}
