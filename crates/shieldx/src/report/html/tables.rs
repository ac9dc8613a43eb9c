//! The page's tables: limits, network, refusals, output, techniques, walls and counters.

use super::super::anomaly::{self, Unusual};
use super::super::digest::Group;
use super::{
    Detection, Digest, Judged, Markup, PreEscaped, ROWS_MAX, clip, event_link, html, points, rest,
    words,
};

/// Characters of a captured stream that are shown.
const OUTPUT_CHARS_MAX: usize = 20_000;

/// Limits that were reached: they say how far the rest can be trusted.
pub(super) fn limits(digest: &Digest<'_>) -> Markup {
    html! {
        @if !digest.limits.is_empty() {
            section id="limits" {
                h2 { "Limits" }
                ul {
                    @for (limit, detail) in digest.limits.iter().take(ROWS_MAX) {
                        li { (clip(&words::limit(limit, detail).1)) }
                    }
                }
            }
        }
    }
}

/// How unusual the run is against its own history, and what differs.
pub(super) fn anomaly(judged: &Judged<'_>) -> Markup {
    let Some(unusual) = Unusual::new(judged) else { return PreEscaped(String::new()) };
    let rows: Vec<_> = unusual.deviations().collect();
    html! {
        section id="anomaly" {
            h2 {
                "Compared with its history"
                @if unusual.points > 0 { " " span.points { "+" (unusual.points) } }
            }
            p { (unusual.figure()) }
            @if !rows.is_empty() {
                table.narrow {
                    thead { tr {
                        th { "feature" } th.number { "this run" } th.number { "usually" }
                        th.number { "robust z" }
                    } }
                    tbody {
                        @for row in rows {
                            tr {
                                td { code { (row.feature) } } td.number { (row.value) }
                                td.number { (row.usual) } td.number { (row.distance) }
                            }
                        }
                    }
                }
            }
            p.meta {
                (anomaly::name(&unusual.anomaly.basis)) " · model "
                code { (anomaly::name(&unusual.anomaly.model)) }
            }
        }
    }
}

pub(super) fn groups(title: &str, id: &str, groups: &[Group<'_>]) -> Markup {
    html! {
        section id=(id) {
            h2 { (title) " " span.count { (words::grouped(groups.len() as u64)) } }
            @if groups.is_empty() { p.none { "Nothing." } } @else {
                table {
                    thead { tr { th.number { "times" } th { "what" } th { "result" } th { "first by" } } }
                    tbody {
                        @for group in groups.iter().take(ROWS_MAX) {
                            tr {
                                td.number { (words::grouped(group.calls)) }
                                td.long { (clip(&group.words)) }
                                td.short { (group.outcome.as_deref().unwrap_or("")) }
                                td.short { (group.first.task.comm) " (" (group.first.task.pid) ")" }
                            }
                        }
                    }
                }
                (rest(groups.len()))
            }
        }
    }
}

/// The rules of others that apply, and which were asked.
pub(super) fn rules(judged: &Judged<'_>) -> Markup {
    let recording = judged.recording;
    html! {
        section id="rules" {
            h2 { "Rules" " " span.count { (words::grouped(recording.matches.len() as u64)) } }
            @if recording.matches.is_empty() { p.none { "None applies." } } @else {
                table {
                    thead { tr { th { "level" } th { "rule" } th { "techniques" } th { "events" } } }
                    tbody {
                        @for hit in recording.matches.iter().take(ROWS_MAX) {
                            tr {
                                td.short { (words::safe(&hit.level)) }
                                td.long { (clip(&words::safe(&hit.title))) " " code { (clip(&words::safe(&hit.rule))) } }
                                td.short { (words::safe(&hit.techniques.join(", "))) }
                                td.short { (hit.events.iter().map(|id| format!("#{id}")).collect::<Vec<_>>().join(" ")) }
                            }
                        }
                    }
                }
                (rest(recording.matches.len()))
            }
            @for set in recording.rule_sets.iter().take(ROWS_MAX) {
                p.meta {
                    (words::safe(&set.language)) ", " (words::safe(&set.source)) ": "
                    (words::grouped(set.rules)) " rules"
                    @if set.skipped > 0 { ", " (words::grouped(set.skipped)) " not applied" }
                    " · " code { (words::safe(&set.sha256)) }
                }
            }
        }
    }
}

pub(super) fn output(judged: &Judged<'_>) -> Markup {
    let Some(output) = &judged.recording.output else { return PreEscaped(String::new()) };
    let streams = [
        ("Standard output", &output.stdout, output.stdout_bytes),
        ("Standard error", &output.stderr, output.stderr_bytes),
    ];
    html! {
        section id="output" {
            h2 { "Output" }
            @for (name, text, bytes) in streams {
                @if bytes == 0 { p.none { (name) ": nothing." } } @else {
                    details {
                        summary { (name) " · " (words::size(bytes)) }
                        pre { (lines(text)) }
                    }
                }
            }
            @if let Some(reason) = &output.not_passed_on { p.none { (clip(&words::safe(reason))) } }
            @if output.truncated { p.none { "The output was longer than its limit and was cut." } }
        }
    }
}

/// Escaped like everything else, but line by line.
fn lines(text: &types::Text) -> String {
    let mut out = String::new();
    for line in text.as_bytes().split(|&byte| byte == b'\n') {
        out.push_str(&types::Text::from(line).to_string());
        out.push('\n');
        if out.len() > OUTPUT_CHARS_MAX {
            break;
        }
    }
    words::cut(out.trim_end(), OUTPUT_CHARS_MAX).into_owned()
}

pub(super) fn attack(judged: &Judged<'_>, digest: &Digest<'_>) -> Markup {
    let mut detections: Vec<&Detection> = judged.assessment.detections.iter().collect();
    detections.sort_by(|a, b| a.technique.id.cmp(&b.technique.id));
    html! {
        @if !detections.is_empty() {
            section id="attack" {
                h2 { "ATT&CK" }
                table {
                    thead { tr {
                        th { "technique" } th { "name" } th { "tactic" } th { "detector" }
                        th.number { "points" } th.number { "first event" }
                    } }
                    tbody {
                        @for detection in detections {
                            tr {
                                td.short { (words::safe(&detection.technique.id)) }
                                td.long { (words::safe(&detection.technique.name)) }
                                td.short { (words::safe(&detection.technique.tactic)) }
                                td.short { (words::safe(&detection.detector)) }
                                td.number { (points(judged, detection)) }
                                td.number { @if let Some(id) = detection.events.first() { (event_link(judged, digest, *id)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn isolation(judged: &Judged<'_>) -> Markup {
    let run = &judged.recording.run;
    let limits = &run.limits;
    let cpu = match limits.cpu_percent {
        0 => "no limit".to_owned(),
        percent => format!("{percent} % of one core"),
    };
    html! {
        section id="isolation" {
            h2 { "Isolation" }
            table {
                thead { tr { th { "wall" } th { "stands" } th { "detail" } } }
                tbody {
                    @for wall in run.isolation.walls.iter().take(ROWS_MAX) {
                        tr class=(if wall.on { "" } else { "blocked" }) {
                            td { (words::safe(&wall.name)) }
                            td { (if wall.on { "yes" } else { "no" }) }
                            td.long { (clip(&words::safe(&wall.detail))) }
                        }
                    }
                }
            }
            p.meta {
                @for (key, value) in run.engine.iter().take(ROWS_MAX) {
                    (words::safe(key)) " " code { (clip(&words::safe(value))) } " · "
                }
            }
            p.meta {
                "Runner " (words::safe(&run.runner)) " · program " code { (clip(&run.program.to_string())) }
                " · in " code { (clip(&run.cwd.to_string())) }
                " · limits: " (words::time(limits.timeout_ms.saturating_mul(1_000_000)))
                ", memory " (words::size(limits.memory_bytes))
                ", " (words::grouped(u64::from(limits.pids))) " processes"
                ", CPU " (cpu)
                ", disk " (words::size(limits.disk_bytes))
                ", output " (words::size(limits.output_bytes))
            }
        }
    }
}

pub(super) fn counters(judged: &Judged<'_>) -> Markup {
    let counters = &judged.recording.counters;
    let number = |value: u64| html! { td.number { (words::grouped(value)) } };
    html! {
        section id="completeness" {
            h2 { "Completeness" }
            p.meta {
                "seen = received + dropped + aggregated, for every type"
                @if !counters.balanced() { strong { " – does not add up" } }
            }
            table.narrow {
                thead { tr {
                    th { "type" } th.number { "seen" } th.number { "sent" } th.number { "received" }
                    th.number { "dropped" } th.number { "aggregated" } th.number { "truncated" }
                } }
                tbody {
                    @for (name, c) in counters.by_type.iter().take(ROWS_MAX) {
                        tr {
                            td { (clip(&words::safe(name))) }
                            (number(c.seen)) (number(c.sent)) (number(c.received)) (number(c.dropped))
                            (number(c.aggregated)) (number(c.truncated))
                        }
                    }
                    tr.total {
                        td { "all" }
                        (number(counters.seen)) (number(counters.sent)) (number(counters.received))
                        (number(counters.dropped)) (number(counters.aggregated))
                        (number(counters.truncated))
                    }
                }
            }
            @if counters.throttled > 0 {
                p.meta { "The run was held back " (words::grouped(counters.throttled)) " times so that nothing was lost." }
            }
            @if !judged.recording.faults.is_empty() {
                ul { @for fault in judged.recording.faults.iter().take(ROWS_MAX) { li { (words::safe(fault)) } } }
            }
        }
    }
}
