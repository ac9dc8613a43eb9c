//! The report as one self-contained page: no script, no request to anywhere, readable in light and
//! dark. The template escapes markup; everything a sample controls went through `Text` before.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use shieldx_types::{Detection, Event, FileChange, Level, Verdict};

use super::digest::{Digest, Group};
use super::tree::{self, End, Node};
use super::{Judged, terminal, words};

mod tables;

const STYLE: &str = include_str!("html/style.css");

/// Rows of the timeline.
const TIMELINE_MAX: usize = 5_000;
/// Processes of the tree.
const PROCESSES_MAX: u64 = 2_000;
/// Rows of every other list.
const ROWS_MAX: usize = 1_000;
/// Characters of one value.
const VALUE_CHARS_MAX: usize = 1_000;

/// Renders the page.
#[must_use]
pub fn render(judged: &Judged<'_>) -> String {
    let digest = Digest::new(judged);
    let title = format!(
        "{} · {}",
        judged.assessment.verdict,
        clip(&words::command(&judged.recording.run.command))
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (banner(judged))
                main {
                    (reasons(judged))
                    (processes(judged, &digest))
                    (tables::files(&digest.files))
                    (tables::groups("Network", "network", &digest.network))
                    (tables::groups("Blocked", "blocked", &digest.blocked))
                    (tables::output(judged))
                    (tables::attack(judged))
                    (tables::isolation(judged))
                    (tables::counters(judged))
                    (timeline(judged, &digest))
                }
                footer {
                    "shieldx " (env!("CARGO_PKG_VERSION"))
                    " · detectors " (words::safe(&judged.assessment.detectors_version))
                    " · ATT&CK v" (words::safe(&judged.assessment.attack_version))
                    " · run " (words::safe(&judged.recording.run.id))
                }
            }
        }
    };
    page.into_string()
}

fn banner(judged: &Judged<'_>) -> Markup {
    let assessment = judged.assessment;
    let run = &judged.recording.run;
    let class = match assessment.verdict {
        Verdict::Benign => "benign",
        Verdict::Suspicious => "suspicious",
        Verdict::Malicious => "malicious",
        Verdict::Inconclusive => "inconclusive",
    };
    html! {
        header class=(class) {
            h1 { (assessment.verdict) }
            p.reason { (words::safe(&assessment.reason)) }
            p.command { code { (clip(&words::command(&run.command))) } }
            dl.facts {
                div { dt { "Score" } dd { (assessment.score) "/100" } }
                div { dt { "Evidence" } dd {
                    (terminal::evidence(assessment.evidence.level, assessment.evidence.tier))
                } }
                div { dt { "Ending" } dd { (terminal::ending(&run.ending)) } }
                div { dt { "Duration" } dd { (words::time(run.duration_ns)) } }
                div { dt { "CPU" } dd { (words::time(run.cpu_us.saturating_mul(1000))) } }
                @if let Some(bytes) = run.memory_peak_bytes {
                    div { dt { "Memory" } dd { (words::size(bytes)) } }
                }
                div { dt { "Started" } dd { (words::safe(&run.started_at)) } }
            }
            @if assessment.evidence.level != Level::Full {
                ul.evidence {
                    @for reason in assessment.evidence.reasons.iter().take(ROWS_MAX) {
                        li { (words::safe(reason)) }
                    }
                    @if !assessment.evidence.blind_detectors.is_empty() {
                        li {
                            "Detectors that could not see: "
                            (words::safe(&assessment.evidence.blind_detectors.join(", ")))
                        }
                    }
                }
            }
        }
    }
}

fn reasons(judged: &Judged<'_>) -> Markup {
    let assessment = judged.assessment;
    html! {
        section id="reasons" {
            h2 { "Why" }
            @if assessment.detections.is_empty() { p.none { "No detector found anything." } }
            @for detection in &assessment.detections {
                article class=(if detection.blocked { "detection attempt" } else { "detection" }) {
                    h3 {
                        span.points { "+" (points(judged, detection)) }
                        (words::safe(&detection.title))
                        @if detection.blocked { span.tag { "blocked attempt" } }
                    }
                    p { (words::safe_again(&detection.summary)) }
                    p.meta {
                        code { (words::safe(&detection.technique.id)) } " "
                        (words::safe(&detection.technique.name)) " · "
                        (words::safe(&detection.technique.tactic)) " · "
                        code { (words::safe(&detection.detector)) } " · "
                        (detection.weight_decibans) " dB · events "
                        @for (index, id) in detection.events.iter().enumerate() {
                            @if index > 0 { ", " }
                            (event_link(judged, *id))
                        }
                        @let more = detection.event_count.saturating_sub(detection.events.len() as u64);
                        @if more > 0 { " and " (words::grouped(more)) " more" }
                    }
                }
            }
            p.meta { "The points of all detections sum to the score, " (assessment.score) "." }
        }
    }
}

fn points(judged: &Judged<'_>, detection: &Detection) -> u32 {
    let same = |c: &&shieldx_types::Contribution| {
        c.detector == detection.detector && c.technique == detection.technique.id
    };
    judged.assessment.contributions.iter().filter(same).map(|c| c.points).sum()
}

/// A link into the timeline, where that event has a row.
fn event_link(judged: &Judged<'_>, id: u64) -> Markup {
    let shown = id >= 1 && id <= judged.recording.events.len().min(TIMELINE_MAX) as u64;
    html! {
        @if shown { a href=(format!("#e{id}")) { (id) } } @else { (id) }
    }
}

fn processes(judged: &Judged<'_>, digest: &Digest<'_>) -> Markup {
    let nodes = tree::build(&judged.recording.events, digest);
    let total = tree::count(&nodes);
    let mut budget = PROCESSES_MAX;
    html! {
        section id="processes" {
            h2 { "Processes " span.count { (words::grouped(total)) } }
            @if total == 0 { p.none { "None were recorded." } }
            div.tree { (branch(judged, &nodes, &mut budget)) }
            @if total > PROCESSES_MAX {
                p.none { (words::grouped(total - PROCESSES_MAX)) " more are not shown." }
            }
        }
    }
}

fn branch(judged: &Judged<'_>, nodes: &[Node<'_>], budget: &mut u64) -> Markup {
    let mut items = Vec::new();
    for node in nodes {
        if *budget == 0 {
            break;
        }
        *budget -= 1;
        items.push(process(judged, node, budget));
    }
    html! {
        @if !items.is_empty() { ul { @for item in items { li { (item) } } } }
    }
}

fn process(judged: &Judged<'_>, node: &Node<'_>, budget: &mut u64) -> Markup {
    let end = match node.end {
        None => "running at the end".to_owned(),
        Some(End::Code(code)) => format!("exit {code}"),
        Some(End::Signal(signal)) => format!("killed by {}", words::signal(signal)),
    };
    html! {
        code { (clip(&node.label)) }
        span.meta {
            " pid " (node.pid) " · uid " (node.uid) " · from "
            (words::seconds(node.start_ns)) " s · " (end)
            @if !node.earlier.is_empty() {
                " · before: " (clip(&node.earlier.join(" → ")))
            }
        }
        @if !node.events.is_empty() {
            ul.events {
                @for event in &node.events { li class=(row_class(event)) { (event_line(judged, event)) } }
                @if node.more_events > 0 { li { "… " (words::grouped(node.more_events)) " more" } }
            }
        }
        (branch(judged, &node.children, budget))
    }
}

fn event_line(judged: &Judged<'_>, event: &Event) -> Markup {
    html! {
        (event_link(judged, event.id)) " " (clip(&words::event(event)))
        @if event.count > 1 { " × " (words::grouped(event.count)) }
        @if let Some(outcome) = words::outcome(event) { " " span.outcome { (outcome) } }
    }
}

fn row_class(event: &Event) -> &'static str {
    if event.blocked { "blocked" } else { "" }
}

fn timeline(judged: &Judged<'_>, digest: &Digest<'_>) -> Markup {
    let events = &judged.recording.events;
    html! {
        section id="timeline" {
            h2 { "Timeline " span.count { (words::grouped(events.len() as u64)) } }
            @if events.len() > TIMELINE_MAX {
                p.none {
                    "The first " (words::grouped(TIMELINE_MAX as u64)) " events are shown; "
                    code { "--events FILE" } " writes all of them."
                }
            }
            table {
                thead { tr {
                    th { "id" } th { "seconds" } th { "pid" } th { "process" } th { "what" }
                    th { "result" }
                } }
                tbody {
                    @for event in events.iter().take(TIMELINE_MAX) {
                        @let class = if digest.evidence.contains(&event.id) { "evidence" } else { row_class(event) };
                        tr id=(format!("e{}", event.id)) class=(class) {
                            td { (event.id) }
                            td { (words::seconds(event.time_ns)) }
                            td { (event.task.pid) }
                            td { (event.task.comm) }
                            td {
                                (clip(&words::event(event)))
                                @if event.count > 1 { " × " (words::grouped(event.count)) }
                                @if event.advisory {
                                    span.tag title="read from memory that the sample could change" { "advisory" }
                                }
                                @if event.truncated { span.tag { "cut" } }
                            }
                            td { (words::outcome(event).unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }
}

/// A value of bounded length.
fn clip(value: &str) -> String {
    words::cut(value, VALUE_CHARS_MAX).into_owned()
}

/// How many rows of a list are not shown, in words.
fn rest(total: usize) -> Markup {
    let more = total.saturating_sub(ROWS_MAX) as u64;
    html! { @if more > 0 { p.none { (words::grouped(more)) " more are not shown." } } }
}

#[cfg(test)]
#[path = "html/tests.rs"]
mod tests;
