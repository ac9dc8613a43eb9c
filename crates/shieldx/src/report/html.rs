//! The report as one self-contained page: no script, no request to anywhere, readable in light and
//! dark. The template escapes markup; everything a sample controls went through `Text` before.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use types::{Detection, Event, Level, Verdict};

use super::anomaly::Unusual;
use super::digest::{self, Digest};
use super::{Judged, terminal, words};

mod files;
mod processes;
mod tables;

const STYLE: &str = include_str!("html/style.css");

/// Events from the start that are in the timeline.
const TIMELINE_MAX: u64 = 5_000;
/// Rows of the timeline with the evidence that came later.
const ROWS_ALL_MAX: usize = 6_000;
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
                (contents(judged, &digest))
                main {
                    (reasons(judged, &digest))
                    (tables::anomaly(judged))
                    (tables::limits(&digest))
                    (processes::section(judged, &digest))
                    (files::section(&digest))
                    (tables::groups("Network", "network", &digest.network))
                    (tables::groups("Blocked", "blocked", &digest.blocked))
                    (tables::groups("Found by scans", "scans", &digest.found))
                    (tables::rules(judged))
                    (tables::output(judged))
                    (tables::attack(judged, &digest))
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
            div.headline {
                h1 { (assessment.verdict) }
                p.reason { (words::safe(&assessment.reason)) }
            }
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
                div { dt { "Started" } dd { (clock(&run.started_at)) } }
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

/// Where everything is and how much of it there is.
fn contents(judged: &Judged<'_>, digest: &Digest<'_>) -> Markup {
    let count = |n: usize| Some(n as u64);
    let sections = [
        ("reasons", "Why", count(judged.assessment.detections.len())),
        ("processes", "Processes", None),
        ("files", "Files", count(digest.files.len())),
        ("network", "Network", count(digest.network.len())),
        ("blocked", "Blocked", count(digest.blocked.len())),
        ("scans", "Scans", count(digest.found.len())),
        ("rules", "Rules", count(judged.recording.matches.len())),
        ("isolation", "Isolation", None),
        ("completeness", "Completeness", None),
        ("timeline", "Timeline", count(judged.recording.events.len())),
    ];
    html! {
        nav {
            @for (id, name, count) in sections {
                a href=(format!("#{id}")) {
                    (name)
                    @if let Some(count) = count { " " span.count { (words::grouped(count)) } }
                }
            }
        }
    }
}

fn reasons(judged: &Judged<'_>, digest: &Digest<'_>) -> Markup {
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
                            (event_link(judged, digest, *id))
                        }
                        @let more = detection.event_count.saturating_sub(detection.events.len() as u64);
                        @if more > 0 { " and " (words::grouped(more)) " more" }
                    }
                }
            }
            @if !assessment.detections.is_empty() {
                p.meta {
                    "The points of all detections"
                    @if anomaly_points(judged) > 0 { " and of the anomaly" }
                    " sum to the score, " (assessment.score) "."
                }
            }
        }
    }
}

fn anomaly_points(judged: &Judged<'_>) -> u32 {
    Unusual::new(judged).map_or(0, |unusual| unusual.points)
}

fn points(judged: &Judged<'_>, detection: &Detection) -> u32 {
    let same = |c: &&types::Contribution| {
        c.detector == detection.detector && c.technique == detection.technique.id
    };
    judged.assessment.contributions.iter().filter(same).map(|c| c.points).sum()
}

/// A link into the timeline, where that event has a row.
fn event_link(judged: &Judged<'_>, digest: &Digest<'_>, id: u64) -> Markup {
    let exists = id >= 1 && id <= judged.recording.events.len() as u64;
    html! {
        @if exists && has_row(digest, id) { a href=(format!("#e{id}")) { (id) } } @else { (id) }
    }
}

/// The beginning of the run has rows, and all evidence however late it is.
fn has_row(digest: &Digest<'_>, id: u64) -> bool {
    id <= TIMELINE_MAX || digest.evidence.contains(&id)
}

fn row_class(event: &Event) -> &'static str {
    if digest::refused(event) { "blocked" } else { "" }
}

fn timeline(judged: &Judged<'_>, digest: &Digest<'_>) -> Markup {
    let events = &judged.recording.events;
    html! {
        section id="timeline" {
            h2 { "Timeline " span.count { (words::grouped(events.len() as u64)) } }
            @if events.len() as u64 > TIMELINE_MAX {
                p.none {
                    "The first " (words::grouped(TIMELINE_MAX)) " events are shown, and evidence "
                    "that came later; " code { "--events FILE" } " writes all of them."
                }
            }
            table.timeline {
                thead { tr {
                    th.number { "id" } th.number { "seconds" } th.number { "pid" }
                    th { "process" } th { "what" } th { "result" }
                } }
                tbody {
                    @let rows = events.iter().filter(|event| has_row(digest, event.id));
                    @for event in rows.take(ROWS_ALL_MAX) {
                        @let class = if digest.evidence.contains(&event.id) { "evidence" } else { row_class(event) };
                        tr id=(format!("e{}", event.id)) class=(class) {
                            td.number { (event.id) }
                            td.number { (words::seconds(event.time_ns)) }
                            td.number { (event.task.pid) }
                            td { (event.task.comm) }
                            td.long {
                                (clip(&words::event(event)))
                                @if event.count > 1 { " × " (words::grouped(event.count)) }
                                @if event.advisory {
                                    span.tag title="read from memory that the sample could change" { "advisory" }
                                }
                                @if event.truncated { span.tag { "cut" } }
                            }
                            td.short { (words::outcome(event).unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }
}

/// Seconds are enough for a reader; the report has the rest.
fn clock(time: &str) -> String {
    let time = words::safe(time);
    match (time.split_once('.'), time.ends_with('Z')) {
        (Some((seconds, _)), true) => format!("{}Z", clip(seconds)),
        _ => clip(&time),
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
