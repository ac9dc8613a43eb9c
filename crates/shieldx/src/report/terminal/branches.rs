//! The process tree of the terminal report.
//!
//! A small tree is drawn whole. Of a larger one, the paths to the processes at which something
//! happened are drawn, and the rest of each parent's children is one line.

use std::collections::HashSet;

use types::Event;

use super::super::digest;
use super::super::tree::{self, End, Node};
use super::super::words;
use super::Page;

const EVENTS_PER_PROCESS_MAX: usize = 5;
/// Children without anything to note that take no more lines than this are drawn all the same.
const QUIET_LINES_MAX: usize = 2;

/// How much of a tree is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub lines_max: usize,
    /// A tree that fits into so many lines is drawn whole.
    pub whole_max: usize,
    /// Whether events are shown at their processes. Without them there is nothing to point at, and
    /// everything below the first process is one line.
    pub events: bool,
}

/// Draws process trees within a budget of lines.
pub(super) struct Tree<'p> {
    pub lines: Vec<String>,
    /// Processes for which the budget had no line.
    pub left_out: u64,
    budget: usize,
    events: bool,
    fold: bool,
    page: &'p Page,
    /// Ids of events that a detection rests on.
    evidence: &'p HashSet<u64>,
}

impl<'p> Tree<'p> {
    pub(super) fn draw(
        nodes: &[Node<'_>],
        page: &'p Page,
        evidence: &'p HashSet<u64>,
        extent: Extent,
    ) -> Self {
        let nodes: Vec<&Node<'_>> = nodes.iter().collect();
        let new = |budget, fold| Self {
            lines: Vec::new(),
            left_out: 0,
            budget,
            events: extent.events,
            fold,
            page,
            evidence,
        };
        // One line more than fits tells that it does not fit.
        let mut whole = new(extent.whole_max + 1, false);
        whole.list(&nodes, "", true);
        if whole.lines.len() <= extent.whole_max {
            return whole;
        }
        let mut folded = new(extent.lines_max, true);
        folded.list(&nodes, "", true);
        folded
    }

    fn list(&mut self, nodes: &[&Node<'_>], indent: &str, root: bool) {
        let quiet = self.quiet(nodes, indent, root);
        let hidden: HashSet<(u32, u64)> = quiet.iter().map(|node| node.key()).collect();
        let shown: Vec<&Node<'_>> =
            nodes.iter().copied().filter(|node| !hidden.contains(&node.key())).collect();
        let mut rest = shown.as_slice();
        while let Some((node, after)) = rest.split_first() {
            let same = after.iter().take_while(|other| alike(node, other)).count();
            let (same, remaining) = after.split_at_checked(same).unwrap_or((after, &[]));
            rest = remaining;
            self.node(node, same, indent, root, rest.is_empty() && quiet.is_empty());
        }
        if !quiet.is_empty() {
            if self.lines.len() >= self.budget {
                self.left_out +=
                    quiet.iter().map(|node| 1 + tree::count(&node.children)).sum::<u64>();
                return;
            }
            let branch = if root { "" } else { "└─ " };
            let room = self.room(indent.chars().count() + branch.chars().count() + 4);
            let text = format!("… {}", tree::quiet(&quiet));
            let text = self.page.paint("2", &words::cut(&text, room));
            self.lines.push(format!("  {indent}{branch}{text}"));
        }
    }

    /// Those of a list that are only counted.
    fn quiet<'n, 'e>(&self, nodes: &[&'n Node<'e>], indent: &str, root: bool) -> Vec<&'n Node<'e>> {
        if !self.fold {
            return Vec::new();
        }
        // The first process is what was asked for; it is always shown.
        let after = nodes.iter().copied().skip(usize::from(root));
        let quiet: Vec<&Node<'e>> = after.filter(|node| !(self.events && node.busy)).collect();
        let mut trial = Self {
            lines: Vec::new(),
            left_out: 0,
            budget: QUIET_LINES_MAX + 1,
            fold: false,
            ..*self
        };
        trial.list(&quiet, indent, root);
        if trial.lines.len() <= QUIET_LINES_MAX { Vec::new() } else { quiet }
    }

    /// Characters beside `used` others in a line.
    fn room(&self, used: usize) -> usize {
        self.page.style.width.saturating_sub(used).max(16)
    }

    /// One process, or one line for it and the neighbours that look the same.
    fn node(&mut self, node: &Node<'_>, same: &[&Node<'_>], indent: &str, root: bool, last: bool) {
        let times = same.len() + 1;
        if self.lines.len() >= self.budget {
            self.left_out += times as u64 + tree::count(&node.children);
            return;
        }
        let (branch, below) = match (root, last) {
            (true, _) => ("", ""),
            (false, true) => ("└─ ", "   "),
            (false, false) => ("├─ ", "│  "),
        };
        let (facts, mark) = (facts(node, times), mark(node));
        let used = indent.chars().count()
            + branch.chars().count()
            + facts.chars().count()
            + mark.chars().count();
        let room = self.room(used + 4);
        let was = node.earlier.first().filter(|_| self.events && !node.events.is_empty());
        let label = if let Some(was) = was {
            words::cut(&format!("{} (was {was})", node.label), room).into_owned()
        } else if same.iter().all(|other| other.label == node.label) {
            words::cut(&node.label, room).into_owned()
        } else {
            format!("{} …", words::cut(program(node), room.saturating_sub(2)))
        };
        let (facts, mark) = (self.page.paint("2", &facts), self.page.paint("1;33", &mark));
        self.lines.push(format!("  {indent}{branch}{label}  {facts}{mark}"));
        let indent = format!("{indent}{below}");
        if self.events {
            self.events(node, &indent);
        }
        let children: Vec<&Node<'_>> = node.children.iter().collect();
        self.list(&children, &indent, false);
    }

    fn events(&mut self, node: &Node<'_>, indent: &str) {
        let bar = if node.children.is_empty() { "   " } else { "│  " };
        let mut groups = groups(node);
        // What a detection rests on has the first right to a line, then what was refused; those
        // chosen stand in the order they happened.
        let weight = |event: &Event| (!self.evidence.contains(&event.id), !digest::refused(event));
        groups.sort_by_key(|group| (weight(group.first), group.first.id));
        let rest = groups.split_off(EVENTS_PER_PROCESS_MAX.min(groups.len()));
        groups.sort_by_key(|group| group.first.id);
        for Group { first, text, outcome, calls, .. } in &groups {
            if self.lines.len() >= self.budget {
                return;
            }
            let times =
                if *calls > 1 { format!("  × {}", words::grouped(*calls)) } else { String::new() };
            let outcome = outcome.as_ref().map_or_else(String::new, |text| format!("  {text}"));
            let text = format!("{text}{times}{outcome}");
            let text = words::cut_middle(&text, self.room(indent.chars().count() + 8));
            let (mark, codes) = match (digest::refused(first), self.evidence.contains(&first.id)) {
                (true, _) => ("✗", "31"),
                (false, true) => ("!", "1;33"),
                (false, false) => ("•", "2"),
            };
            let mark = self.page.paint(codes, mark);
            self.lines.push(format!("  {indent}{bar}{mark} {text}"));
        }
        let more = rest.iter().map(|group| group.events).sum::<u64>() + node.more_events;
        if more > 0 && self.lines.len() < self.budget {
            let more = words::plural(more, "more event", "more events");
            self.lines.push(format!("  {indent}{bar}… {more}"));
        }
    }
}

/// Events of one process that read the same.
struct Group<'a> {
    first: &'a Event,
    text: String,
    outcome: Option<String>,
    events: u64,
    calls: u64,
}

fn groups<'a>(node: &Node<'a>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for &first in &node.events {
        let (text, outcome) = (words::event(first), words::outcome(first));
        let calls = first.count.max(1);
        match groups.iter_mut().find(|group| group.text == text && group.outcome == outcome) {
            Some(group) => {
                group.events += 1;
                group.calls = group.calls.saturating_add(calls);
            }
            None => groups.push(Group { first, text, outcome, events: 1, calls }),
        }
    }
    groups
}

/// Which process it is and how it ended.
fn facts(node: &Node<'_>, times: usize) -> String {
    let end = match node.end {
        None => "  still running at the end".to_owned(),
        Some(End::Code(0)) => String::new(),
        Some(End::Code(code)) => format!("  exit {code}"),
        Some(End::Signal(signal)) => format!("  killed by {}", words::signal(signal)),
    };
    let pid = if times > 1 { format!("× {times}") } else { format!("pid {}", node.pid) };
    format!("{pid}{end}")
}

/// The exec of this very program is evidence.
fn mark(node: &Node<'_>) -> String {
    node.marks.last().map_or_else(String::new, |id| format!("  ! event {id}"))
}

/// Whether two neighbours look the same and have nothing to show of their own.
fn alike(a: &Node<'_>, b: &Node<'_>) -> bool {
    let boring = |node: &Node<'_>| {
        node.children.is_empty() && node.events.is_empty() && node.marks.is_empty()
    };
    boring(a) && boring(b) && a.end == b.end && program(a) == program(b)
}

/// Arguments differ from child to child; the program is what repeats.
fn program<'a>(node: &'a Node<'_>) -> &'a str {
    node.label.split(' ').next().unwrap_or_default()
}
