//! The process tree of the page. Branches in which nothing happened are there, but closed.

use super::super::tree::{self, End, Node};
use super::{Digest, Event, Judged, Markup, clip, digest, event_link, html, row_class, words};

/// Processes of the tree.
const PROCESSES_MAX: u64 = 2_000;
/// A tree of at most so many processes is shown open.
const OPEN_MAX: u64 = 12;
/// Characters of a command line that are shown before it is opened.
const COMMAND_CHARS_MAX: usize = 110;

/// What a branch needs to know.
#[derive(Clone, Copy)]
struct Page<'a> {
    judged: &'a Judged<'a>,
    digest: &'a Digest<'a>,
    fold: bool,
}

pub(super) fn section(judged: &Judged<'_>, digest: &Digest<'_>) -> Markup {
    let nodes = tree::build(&judged.recording.events, digest);
    let total = tree::count(&nodes);
    let mut budget = PROCESSES_MAX;
    let page = Page { judged, digest, fold: total > OPEN_MAX };
    let all: Vec<&Node<'_>> = nodes.iter().collect();
    html! {
        section id="processes" {
            h2 { "Processes " span.count { (words::grouped(total)) } }
            @if total == 0 { p.none { "None were recorded." } }
            div.tree { (branch(page, &all, true, &mut budget)) }
            @if total > PROCESSES_MAX {
                p.none { (words::grouped(total - PROCESSES_MAX)) " more are not shown." }
            }
        }
    }
}

fn branch(page: Page<'_>, nodes: &[&Node<'_>], root: bool, budget: &mut u64) -> Markup {
    // A line that says "one more" is no shorter than the one.
    let lone = nodes.iter().filter(|node| !node.busy).count() == 1;
    let (mut shown, mut quiet) = (Vec::new(), Vec::new());
    for (index, &node) in nodes.iter().enumerate() {
        // The first process is what was asked for; it is always open.
        let first = root && index == 0;
        if !page.fold || node.busy || first || (lone && node.children.is_empty()) {
            shown.push(node);
        } else {
            quiet.push(node);
        }
    }
    // Busy ones first: they may use up the budget.
    let shown = items(page, &shown, budget);
    let closed = items(Page { fold: false, ..page }, &quiet, budget);
    html! {
        @if !shown.is_empty() || !closed.is_empty() {
            ul {
                @for item in &shown { li { (item) } }
                @if !closed.is_empty() {
                    li {
                        details.quiet {
                            summary { (clip(&tree::quiet(&quiet))) }
                            ul { @for item in &closed { li { (item) } } }
                        }
                    }
                }
            }
        }
    }
}

fn items(page: Page<'_>, nodes: &[&Node<'_>], budget: &mut u64) -> Vec<Markup> {
    let mut items = Vec::new();
    for node in nodes {
        if *budget == 0 {
            break;
        }
        *budget -= 1;
        items.push(process(page, node, budget));
    }
    items
}

fn process(page: Page<'_>, node: &Node<'_>, budget: &mut u64) -> Markup {
    let end = match node.end {
        None => "running at the end".to_owned(),
        Some(End::Code(code)) => format!("exit {code}"),
        Some(End::Signal(signal)) => format!("killed by {}", words::signal(signal)),
    };
    let children: Vec<&Node<'_>> = node.children.iter().collect();
    html! {
        (command(&node.label))
        span.meta {
            " pid " (node.pid) " · uid " (node.uid) " · from "
            (words::seconds(node.start_ns)) " s · " (end)
        }
        @if !node.earlier.is_empty() {
            details.earlier {
                summary { "before that " (words::plural(node.earlier.len() as u64, "other program", "other programs")) }
                ol { @for label in &node.earlier { li { code { (clip(label)) } } } }
            }
        }
        @if !node.events.is_empty() || !node.marks.is_empty() {
            ul.events {
                @for id in &node.marks {
                    li.evidence { (event_link(page.judged, page.digest, *id)) " this program was started" }
                }
                @for event in &node.events { (event_line(page, event)) }
                @if node.more_events > 0 { li { "… " (words::grouped(node.more_events)) " more" } }
            }
        }
        (branch(page, &children, false, budget))
    }
}

/// A command line, a long one to be opened.
fn command(label: &str) -> Markup {
    let short = words::cut(label, COMMAND_CHARS_MAX);
    html! {
        @if short == label { code { (label) } } @else {
            details.command {
                summary { code { (short) } }
                code { (clip(label)) }
            }
        }
    }
}

fn event_line(page: Page<'_>, event: &Event) -> Markup {
    let class = match (digest::refused(event), page.digest.evidence.contains(&event.id)) {
        (true, _) => row_class(event),
        (false, true) => "evidence",
        (false, false) => "",
    };
    html! {
        li class=(class) {
            (event_link(page.judged, page.digest, event.id)) " " (clip(&words::event(event)))
            @if event.count > 1 { " × " (words::grouped(event.count)) }
            @if let Some(outcome) = words::outcome(event) { " " span.outcome { (outcome) } }
        }
    }
}
