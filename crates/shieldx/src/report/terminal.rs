//! The report that a person reads in a terminal: the verdict first, then why, then what happened.
//!
//! A quiet run gets a quiet report; every list is bounded and says how much it left out.

use std::fmt::Write as _;

use shieldx_types::{Ending, FileChange, Level, Tier, Verdict};

use super::digest::{Digest, Group};
use super::tree;
use super::{Judged, words};

mod branches;

use branches::Tree;

/// How to draw.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub color: bool,
    /// Characters per line.
    pub width: usize,
    /// Where to look for more, for a run that calls for it.
    pub hint: Option<&'static str>,
}

const TREE_LINES_MAX: usize = 40;
/// When nothing is worth pointing at.
const TREE_LINES_PLAIN_MAX: usize = 6;
const FILES_MAX: usize = 15;
const NETWORK_MAX: usize = 10;
const BLOCKED_MAX: usize = 10;
const REASONS_MAX: usize = 20;
const PARAGRAPH_LINES_MAX: usize = 6;
const SUMMARY_INDENT: usize = 17;
/// Width of the left column that names a section.
const LABEL: usize = 11;

/// Draws the report.
#[must_use]
pub fn render(judged: &Judged<'_>, style: Style) -> String {
    let digest = Digest::new(judged);
    let mut page = Page { out: String::new(), style };
    page.verdict(judged);
    page.reasons(judged);
    page.processes(judged, &digest);
    page.files(&digest.files);
    page.groups("network", &digest.network, NETWORK_MAX);
    page.blocked(&digest);
    for (limit, detail) in digest.limits.iter().take(BLOCKED_MAX) {
        page.row("limit", &format!("{} reached: {}", words::safe(limit), words::safe(detail)));
    }
    page.evidence(judged);
    if let Some(hint) = style.hint.filter(|_| judged.assessment.verdict != Verdict::Benign) {
        page.row("more", hint);
    }
    page.out
}

/// What the run was, in the words of the first line.
#[must_use]
pub fn ending(ending: &Ending) -> String {
    match ending {
        Ending::Exited { code } => format!("exit {code}"),
        Ending::Signaled { signal } => format!("killed by {}", words::signal(*signal)),
        Ending::TimedOut => "time limit reached".to_owned(),
        Ending::Interrupted { signal } => format!("interrupted by {}", words::signal(*signal)),
    }
}

/// `full (tier B)`.
#[must_use]
pub fn evidence(level: Level, tier: Tier) -> String {
    let level = match level {
        Level::Full => "full",
        Level::Reduced => "reduced",
        Level::Incomplete => "incomplete",
    };
    match tier {
        Tier::A => format!("{level} (tier A)"),
        Tier::B => format!("{level} (tier B)"),
        Tier::C => format!("{level} (tier C)"),
        Tier::None => format!("{level} (no monitor)"),
    }
}

struct Page {
    out: String,
    style: Style,
}

impl Page {
    fn paint(&self, codes: &str, text: &str) -> String {
        if self.style.color { format!("\u{1b}[{codes}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// A section's name on the left and one line of it on the right.
    fn row(&mut self, label: &str, text: &str) {
        let text = words::cut(text, self.style.width.saturating_sub(LABEL + 2));
        let label = self.paint("2", &format!("{label:<LABEL$}"));
        self.line(&format!("  {label}{text}"));
    }

    /// A sentence that is worth reading to its end, over as many lines as it needs.
    fn paragraph(&mut self, label: &str, text: &str) {
        let lines = words::wrap(text, self.style.width.saturating_sub(LABEL + 2));
        for (index, line) in lines.iter().take(PARAGRAPH_LINES_MAX).enumerate() {
            self.row(if index == 0 { label } else { "" }, line);
        }
    }

    fn verdict(&mut self, judged: &Judged<'_>) {
        let assessment = judged.assessment;
        let run = &judged.recording.run;
        let codes = match assessment.verdict {
            Verdict::Benign => "1;32",
            Verdict::Suspicious => "1;33",
            Verdict::Malicious => "1;97;41",
            Verdict::Inconclusive => "1;35",
        };
        let name = assessment.verdict.to_string().to_uppercase();
        let name = if self.style.color && assessment.verdict == Verdict::Malicious {
            format!(" {name} ")
        } else {
            name
        };
        let facts = format!(
            "score {}/100   evidence {}   {}   {}",
            assessment.score,
            evidence(assessment.evidence.level, assessment.evidence.tier),
            words::time(run.duration_ns),
            ending(&run.ending),
        );
        let line = format!("{}   {facts}", self.paint(codes, &name));
        self.line(&line);
        let reason = words::safe(&assessment.reason);
        let lines = words::wrap(&reason, self.style.width.saturating_sub(2));
        for line in lines.iter().take(PARAGRAPH_LINES_MAX) {
            self.line(&format!("  {line}"));
        }
        if assessment.evidence.level != Level::Full {
            for reason in assessment.evidence.reasons.iter().take(REASONS_MAX) {
                let reason = words::safe(reason);
                if !assessment.reason.contains(&reason) {
                    self.paragraph("evidence", &reason);
                }
            }
            let blind = &assessment.evidence.blind_detectors;
            if !blind.is_empty() {
                let names: Vec<String> = blind.iter().map(|name| words::safe(name)).collect();
                self.paragraph("blind", &names.join(", "));
            }
        }
    }

    fn reasons(&mut self, judged: &Judged<'_>) {
        let assessment = judged.assessment;
        if assessment.detections.is_empty() {
            return;
        }
        self.line("");
        for detection in assessment.detections.iter().take(REASONS_MAX) {
            let points: u32 = assessment
                .contributions
                .iter()
                .filter(|c| {
                    c.detector == detection.detector && c.technique == detection.technique.id
                })
                .map(|c| c.points)
                .sum();
            let points = self.paint("1", &format!("{:>4}", format!("+{points}")));
            let id = self.paint("36", &format!("{:<10}", words::safe(&detection.technique.id)));
            let attempt = if detection.blocked { "  (blocked)" } else { "" };
            self.line(&format!(" {points}  {id}{}{attempt}", words::safe(&detection.title)));
            let ids: Vec<String> = detection.events.iter().take(4).map(u64::to_string).collect();
            let more = detection.event_count.saturating_sub(ids.len() as u64);
            let more = if more > 0 { format!(" +{}", words::grouped(more)) } else { String::new() };
            let ids = format!("[event {}{more}]", ids.join(", "));
            self.summary(&words::safe_again(&detection.summary), &ids);
        }
        let more = assessment.detections.len().saturating_sub(REASONS_MAX);
        if more > 0 {
            self.line(&format!("       … {more} more"));
        }
    }

    /// What a detection saw, and the events it rests on behind it.
    fn summary(&mut self, text: &str, ids: &str) {
        let room = self.style.width.saturating_sub(SUMMARY_INDENT);
        let mut lines = words::wrap(text, room);
        lines.truncate(PARAGRAPH_LINES_MAX);
        let painted = self.paint("2", ids);
        match lines.last_mut() {
            Some(last) if last.chars().count() + 1 + ids.chars().count() <= room => {
                last.push(' ');
                last.push_str(&painted);
            }
            _ => lines.push(painted),
        }
        for line in lines {
            self.line(&format!("{:SUMMARY_INDENT$}{line}", ""));
        }
    }

    fn processes(&mut self, judged: &Judged<'_>, digest: &Digest<'_>) {
        let nodes = tree::build(&judged.recording.events, digest);
        let count = tree::count(&nodes);
        if count == 0 {
            return;
        }
        let plain = judged.assessment.detections.is_empty() && digest.blocked.is_empty();
        if let [node] = nodes.as_slice()
            && plain
            && count == 1
            && node.events.is_empty()
        {
            self.row("process", &node.label);
            return;
        }
        self.line("");
        let budget = if plain { TREE_LINES_PLAIN_MAX } else { TREE_LINES_MAX };
        let evidence = &digest.evidence;
        let mut tree = Tree { lines: Vec::new(), budget, left_out: 0, page: self, evidence };
        tree.list(&nodes, "", true);
        let (lines, left_out) = (tree.lines, tree.left_out);
        for line in lines {
            self.line(&line);
        }
        if left_out > 0 {
            self.line(&format!("  … {} more, see --html", words::grouped(left_out)));
        }
        self.line("");
    }

    fn files(&mut self, files: &[&FileChange]) {
        if files.is_empty() {
            return;
        }
        let mut label = "files";
        for change in files.iter().take(FILES_MAX) {
            let size = if change.file_type == "file" {
                words::size(change.size_bytes)
            } else {
                words::safe(&change.file_type)
            };
            let hash = change.sha256.as_deref().map_or_else(String::new, |hash| {
                let short: String = words::safe(hash).chars().take(12).collect();
                format!("  sha256 {short}…")
            });
            let target =
                change.link_target.as_ref().map_or_else(String::new, |to| format!(" → {to}"));
            let special = if change.mode & 0o6000 != 0 && change.file_type == "file" {
                "  SETUID/SETGID"
            } else {
                ""
            };
            let what = words::safe(&change.change);
            self.row(label, &format!("{what:<9} {}{target}  {size}{hash}{special}", change.path));
            label = "";
        }
        let more = files.len().saturating_sub(FILES_MAX);
        if more > 0 {
            self.row("", &format!("… {} more, see --html", words::grouped(more as u64)));
        }
    }

    fn groups(&mut self, label: &str, groups: &[Group<'_>], max: usize) {
        let mut label = label;
        for group in groups.iter().take(max) {
            let times = if group.calls > 1 {
                format!("{} × ", words::grouped(group.calls))
            } else {
                String::new()
            };
            let outcome = group.outcome.as_ref().map_or_else(String::new, |o| format!("  {o}"));
            self.row(label, &format!("{times}{}{outcome}", group.words));
            label = "";
        }
        let more = groups.len().saturating_sub(max);
        if more > 0 {
            self.row("", &format!("… {} more, see --html", words::grouped(more as u64)));
        }
    }

    fn blocked(&mut self, digest: &Digest<'_>) {
        if digest.blocked.is_empty() {
            return;
        }
        let mut kinds: Vec<String> = digest
            .blocked
            .iter()
            .take(BLOCKED_MAX)
            .map(|group| {
                let outcome = group.outcome.as_deref().unwrap_or("");
                let errno = outcome.strip_prefix("blocked, ").unwrap_or("");
                format!("{} × {} {errno}", words::grouped(group.calls), group.words)
                    .trim_end()
                    .to_owned()
            })
            .collect();
        let more = digest.blocked.len().saturating_sub(BLOCKED_MAX);
        if more > 0 {
            kinds.push(format!("{} more kinds", words::grouped(more as u64)));
        }
        let mut label = "blocked";
        for kind in kinds {
            self.row(label, &kind);
            label = "";
        }
    }

    /// The books, and the walls that do not stand.
    fn evidence(&mut self, judged: &Judged<'_>) {
        let recording = judged.recording;
        let counters = &recording.counters;
        let mut books = format!(
            "{} seen = {} received + {} dropped + {} aggregated",
            words::grouped(counters.seen),
            words::grouped(counters.received),
            words::grouped(counters.dropped),
            words::grouped(counters.aggregated),
        );
        if !counters.balanced() {
            books.push_str("  DOES NOT ADD UP");
        }
        if counters.truncated > 0 {
            let _ = write!(books, ", {} truncated", words::grouped(counters.truncated));
        }
        self.row("events", &books);
        for fault in recording.faults.iter().take(REASONS_MAX) {
            let fault = words::safe(fault);
            if !judged.assessment.evidence.reasons.contains(&fault) {
                self.paragraph("fault", &fault);
            }
        }
        for wall in recording.run.isolation.walls.iter().filter(|wall| !wall.on).take(REASONS_MAX) {
            let (name, detail) = (words::safe(&wall.name), words::safe(&wall.detail));
            // The runner's word for what no wall could be made of; its detail says it all.
            let text = if name == "missing" { detail } else { format!("{name}: {detail}") };
            self.paragraph("wall off", &text);
        }
    }
}

#[cfg(test)]
#[path = "terminal/tests.rs"]
mod tests;
