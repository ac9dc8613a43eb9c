//! The process tree of the terminal report.

use std::collections::HashSet;

use shieldx_types::Event;

use super::super::tree::{self, End, Node};
use super::super::words;
use super::Page;

const EVENTS_PER_PROCESS_MAX: usize = 5;

/// Draws process trees within a budget of lines.
pub(super) struct Tree<'p> {
    pub lines: Vec<String>,
    pub budget: usize,
    pub left_out: u64,
    pub page: &'p Page,
    /// Ids of events that a detection rests on.
    pub evidence: &'p HashSet<u64>,
}

impl Tree<'_> {
    pub(super) fn list(&mut self, nodes: &[Node<'_>], indent: &str, root: bool) {
        let mut rest = nodes;
        while let Some((node, after)) = rest.split_first() {
            let same = after.iter().take_while(|other| alike(node, other)).count();
            let (_, remaining) = after.split_at_checked(same).unwrap_or((after, &[]));
            rest = remaining;
            let same = after.get(..same).unwrap_or_default();
            self.node(node, same, indent, root, rest.is_empty());
        }
    }

    /// One process, or one line for it and the neighbours that look the same.
    fn node(&mut self, node: &Node<'_>, same: &[Node<'_>], indent: &str, root: bool, last: bool) {
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
        let end = match node.end {
            None => "still running at the end".to_owned(),
            Some(End::Code(0)) => String::new(),
            Some(End::Code(code)) => format!("exit {code}"),
            Some(End::Signal(signal)) => format!("killed by {}", words::signal(signal)),
        };
        let pid = if times > 1 { format!("× {times}") } else { format!("pid {}", node.pid) };
        let facts = format!("{pid}{}{end}", if end.is_empty() { "" } else { "  " });
        let used = 2 + indent.chars().count() + branch.chars().count() + facts.chars().count() + 2;
        let room = self.page.style.width.saturating_sub(used).max(16);
        let was = node.earlier.first().filter(|_| !node.events.is_empty());
        let label = if let Some(was) = was {
            words::cut(&format!("{} (was {was})", node.label), room).into_owned()
        } else if same.iter().all(|other| other.label == node.label) {
            words::cut(&node.label, room).into_owned()
        } else {
            format!("{} …", words::cut(program(node), room.saturating_sub(2)))
        };
        let facts = self.page.paint("2", &facts);
        self.lines.push(format!("  {indent}{branch}{label}  {facts}"));
        let indent = format!("{indent}{below}");
        self.events(node, &indent);
        self.list(&node.children, &indent, false);
    }

    fn events(&mut self, node: &Node<'_>, indent: &str) {
        let bar = if node.children.is_empty() { "   " } else { "│  " };
        let mut rest = node.events.as_slice();
        for _ in 0..EVENTS_PER_PROCESS_MAX {
            let Some((event, after)) = rest.split_first() else { break };
            if self.lines.len() >= self.budget {
                break;
            }
            let said = (words::event(event), words::outcome(event));
            let same = |other: &&&Event| (words::event(other), words::outcome(other)) == said;
            let repeats = after.iter().take_while(same).count();
            rest = after.get(repeats..).unwrap_or_default();
            let calls = 1 + repeats as u64 + event.count.saturating_sub(1);
            let times = if calls > 1 { format!("  × {calls}") } else { String::new() };
            let outcome = said.1.map_or_else(String::new, |text| format!("  {text}"));
            let text = format!("{}{times}{outcome}", said.0);
            let room = self.page.style.width.saturating_sub(indent.chars().count() + 8).max(16);
            let text = words::cut(&text, room);
            let (mark, codes) = match (event.blocked, self.evidence.contains(&event.id)) {
                (true, _) => ("✗", "31"),
                (false, true) => ("!", "1;33"),
                (false, false) => ("•", "2"),
            };
            let mark = self.page.paint(codes, mark);
            self.lines.push(format!("  {indent}{bar}{mark} {text}"));
        }
        let more = rest.len() as u64 + node.more_events;
        if more > 0 && self.lines.len() < self.budget {
            self.lines.push(format!("  {indent}{bar}… {} more events", words::grouped(more)));
        }
    }
}

/// Whether two neighbours look the same and have nothing to show of their own.
fn alike(a: &Node<'_>, b: &Node<'_>) -> bool {
    let boring = |node: &Node<'_>| node.children.is_empty() && node.events.is_empty();
    boring(a) && boring(b) && a.end == b.end && program(a) == program(b)
}

/// Arguments differ from child to child; the program is what repeats.
fn program<'a>(node: &'a Node<'_>) -> &'a str {
    node.label.split(' ').next().unwrap_or_default()
}
