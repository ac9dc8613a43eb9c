//! The page's tables: files, network, refusals, output, techniques, walls and counters.

use super::{
    Detection, FileChange, Group, Judged, Markup, PreEscaped, ROWS_MAX, clip, event_link, html,
    points, rest, words,
};

/// Characters of a captured stream that are shown.
const OUTPUT_CHARS_MAX: usize = 20_000;

pub(super) fn files(files: &[&FileChange]) -> Markup {
    html! {
        section id="files" {
            h2 { "Files changed " span.count { (words::grouped(files.len() as u64)) } }
            @if files.is_empty() { p.none { "Nothing was changed." } } @else {
                table {
                    thead { tr {
                        th { "change" } th { "path" } th { "type" } th { "size" } th { "mode" }
                        th { "entropy" } th { "sha256" }
                    } }
                    tbody { @for change in files.iter().take(ROWS_MAX) { (file(change)) } }
                }
                (rest(files.len()))
            }
        }
    }
}

fn file(change: &FileChange) -> Markup {
    let special = change.mode & 0o6000 != 0 && change.file_type == "file";
    html! {
        tr class=(if special { "evidence" } else { "" }) {
            td { (words::safe(&change.change)) }
            td {
                code { (clip(&change.path.to_string())) }
                @if let Some(target) = &change.link_target { " → " code { (clip(&target.to_string())) } }
            }
            td { (words::safe(&change.file_type)) }
            td.number { (words::size(change.size_bytes)) }
            td.number { (format!("{:04o}", change.mode & 0o7777)) }
            td.number {
                @if let Some(millibits) = change.entropy_millibits {
                    (format!("{}.{:03}", millibits / 1000, millibits % 1000))
                }
            }
            td { @if let Some(hash) = &change.sha256 { code.hash { (clip(&words::safe(hash))) } } }
        }
    }
}

pub(super) fn groups(title: &str, id: &str, groups: &[Group<'_>]) -> Markup {
    html! {
        section id=(id) {
            h2 { (title) " " span.count { (words::grouped(groups.len() as u64)) } }
            @if groups.is_empty() { p.none { "Nothing." } } @else {
                table {
                    thead { tr { th { "times" } th { "what" } th { "result" } th { "first by" } } }
                    tbody {
                        @for group in groups.iter().take(ROWS_MAX) {
                            tr {
                                td.number { (words::grouped(group.calls)) }
                                td { (clip(&group.words)) }
                                td { (group.outcome.as_deref().unwrap_or("")) }
                                td { (group.first.task.comm) " (" (group.first.task.pid) ")" }
                            }
                        }
                    }
                }
                (rest(groups.len()))
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
                details {
                    summary { (name) " · " (words::size(bytes)) }
                    pre { (lines(text)) }
                }
            }
            @if output.truncated { p.none { "The output was longer than its limit and was cut." } }
        }
    }
}

/// Escaped like everything else, but line by line.
fn lines(text: &shieldx_types::Text) -> String {
    let mut out = String::new();
    for line in text.as_bytes().split(|&byte| byte == b'\n') {
        out.push_str(&shieldx_types::Text::from(line).to_string());
        out.push('\n');
        if out.len() > OUTPUT_CHARS_MAX {
            break;
        }
    }
    words::cut(out.trim_end(), OUTPUT_CHARS_MAX).into_owned()
}

pub(super) fn attack(judged: &Judged<'_>) -> Markup {
    let mut detections: Vec<&Detection> = judged.assessment.detections.iter().collect();
    detections.sort_by(|a, b| a.technique.id.cmp(&b.technique.id));
    html! {
        @if !detections.is_empty() {
            section id="attack" {
                h2 { "ATT&CK" }
                table {
                    thead { tr {
                        th { "technique" } th { "name" } th { "tactic" } th { "detector" }
                        th { "points" } th { "first event" }
                    } }
                    tbody {
                        @for detection in detections {
                            tr {
                                td { code { (words::safe(&detection.technique.id)) } }
                                td { (words::safe(&detection.technique.name)) }
                                td { (words::safe(&detection.technique.tactic)) }
                                td { (words::safe(&detection.detector)) }
                                td.number { (points(judged, detection)) }
                                td { @if let Some(id) = detection.events.first() { (event_link(judged, *id)) } }
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
                            td { (clip(&words::safe(&wall.detail))) }
                        }
                    }
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
            table {
                thead { tr {
                    th { "type" } th { "seen" } th { "sent" } th { "received" } th { "dropped" }
                    th { "aggregated" } th { "truncated" }
                } }
                tbody {
                    @for (name, c) in counters.by_type.iter().take(ROWS_MAX) {
                        tr {
                            td { (words::safe(name)) }
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
