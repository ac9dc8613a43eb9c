//! The report that a person reads in a terminal: the verdict first, then why, then what happened.
//!
//! A quiet run gets a quiet report; every list is bounded and says how much it left out.

use std::fmt::Write as _;

use types::{Ending, FileChange, Level, Tier, Verdict};

use super::anomaly::Unusual;
use super::digest::{self, Digest, Group};
use super::folders::{self, Folder, Row};
use super::tree;
use super::{Judged, words};

mod branches;

use branches::{Extent, Tree};

/// How to draw.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub color: bool,
    /// Characters per line.
    pub width: usize,
    /// Where to look for more, for a run that calls for it.
    pub hint: Option<&'static str>,
}

/// How long the parts of a report may be.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    tree: Extent,
    files: usize,
    network: usize,
    blocked: usize,
}

/// When there is something to point at.
const TELLING: Bounds = Bounds {
    tree: Extent { lines_max: 40, whole_max: 16, events: true },
    files: 15,
    network: 10,
    blocked: 10,
};
/// When there is not.
const PLAIN: Bounds = Bounds {
    tree: Extent { lines_max: 5, whole_max: 5, events: false },
    files: 3,
    network: 2,
    blocked: 3,
};
const LIMITS_MAX: usize = 10;
/// Files that are shown by themselves because something points at them.
const NOTABLE_FILES_MAX: usize = 8;
/// A path is not shortened below this for the sake of a hash.
const PATH_CHARS_MIN: usize = 40;
const REASONS_MAX: usize = 20;
const DEVIATIONS_MAX: usize = 3;
const PARAGRAPH_LINES_MAX: usize = 6;
const SUMMARY_INDENT: usize = 17;
/// Width of the left column that names a section.
const LABEL: usize = 11;

/// Draws the report.
#[must_use]
pub fn render(judged: &Judged<'_>, style: Style) -> String {
    let digest = Digest::new(judged);
    let bounds = if judged.assessment.detections.is_empty() { PLAIN } else { TELLING };
    let mut page = Page { out: String::new(), style };
    page.verdict(judged);
    page.reasons(judged);
    page.anomaly(judged);
    page.processes(judged, &digest, bounds.tree);
    page.files(&digest, bounds.files);
    page.network(&digest.network, bounds.network);
    page.blocked(&digest.blocked, bounds.blocked);
    page.found(judged, &digest.found, bounds.blocked);
    for (limit, detail) in digest.limits.iter().take(LIMITS_MAX) {
        let (label, text) = words::limit(limit, detail);
        page.paragraph(label, &text);
    }
    page.evidence(judged);
    page.carrier(judged);
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
        Tier::H => format!("{level} (tier H)"),
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
        let text = words::cut_middle(text, self.room());
        let label = self.paint("2", &format!("{label:<LABEL$}"));
        self.line(&format!("  {label}{text}"));
    }

    /// Characters beside the label.
    fn room(&self) -> usize {
        self.style.width.saturating_sub(LABEL + 2)
    }

    /// A sentence that is worth reading to its end, over as many lines as it needs.
    fn paragraph(&mut self, label: &str, text: &str) {
        let lines = words::wrap(text, self.room());
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

    /// How unusual the run is; one line when that weighs nothing.
    fn anomaly(&mut self, judged: &Judged<'_>) {
        let Some(unusual) = Unusual::new(judged) else { return };
        if unusual.points == 0 {
            self.paragraph("anomaly", &unusual.figure());
            return;
        }
        if judged.assessment.detections.is_empty() {
            self.line("");
        }
        let points = self.paint("1", &format!("{:>4}", format!("+{}", unusual.points)));
        let id = self.paint("36", &format!("{:<10}", "anomaly"));
        self.line(&format!(" {points}  {id}Unusual for its workload"));
        let model = format!("[{}]", super::anomaly::name(&unusual.anomaly.model));
        self.summary(&unusual.figure(), &model);
        let room = self.style.width.saturating_sub(SUMMARY_INDENT);
        for row in unusual.deviations().take(DEVIATIONS_MAX) {
            let sentence = row.sentence();
            let text = words::cut_middle(&sentence, room);
            self.line(&format!("{:SUMMARY_INDENT$}{text}", ""));
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

    fn processes(&mut self, judged: &Judged<'_>, digest: &Digest<'_>, extent: Extent) {
        let nodes = tree::build(&judged.recording.events, digest);
        let count = tree::count(&nodes);
        if count == 0 {
            return;
        }
        if let [node] = nodes.as_slice()
            && count == 1
            && (!extent.events || node.events.is_empty())
        {
            self.row("process", &words::cut(&node.label, self.room()));
            return;
        }
        self.line("");
        let tree = Tree::draw(&nodes, self, &digest.evidence, extent);
        let (lines, left_out) = (tree.lines, tree.left_out);
        for line in lines {
            self.line(&line);
        }
        if left_out > 0 {
            self.line(&format!("  … {} more, see --html", words::grouped(left_out)));
        }
        self.line("");
    }

    /// Those that something points at by themselves, the others summed up by folder.
    fn files(&mut self, digest: &Digest<'_>, max: usize) {
        let (notable, rest): (Vec<&FileChange>, Vec<&FileChange>) =
            digest.files.iter().partition(|change| digest.notable(change));
        let (notable, unnamed) =
            notable.split_at_checked(NOTABLE_FILES_MAX).unwrap_or((&notable, &[]));
        let rest: Vec<&FileChange> = unnamed.iter().copied().chain(rest).collect();
        let rows = folders::rows(&rest, max.saturating_sub(notable.len()).max(2));
        let mut label = "files";
        let notable = notable.iter().map(|change| Row::File(change));
        for row in notable.chain(rows).take(2 * max) {
            let text = match row {
                Row::File(change) => self.file(change),
                Row::Folder(folder) => self.folder(&folder),
            };
            self.row(label, &text);
            label = "";
        }
    }

    fn file(&self, change: &FileChange) -> String {
        let size = if change.file_type == "file" {
            words::size(change.size_bytes)
        } else {
            words::safe(&change.file_type)
        };
        let special = if digest::sets_id(change) { "  SETUID/SETGID" } else { "" };
        let what = format!("{:<9}", words::safe(&change.change));
        let path = change.path.to_string();
        let room =
            self.room().saturating_sub(what.chars().count() + size.len() + special.len() + 3);
        if let Some(target) = &change.link_target {
            let (half, target) = (room.saturating_sub(3) / 2, target.to_string());
            let (path, target) = (words::path(&path, half), words::path(&target, half));
            return format!("{what} {path} → {target}  {size}");
        }
        let mut facts = format!("{size}{special}");
        let mut room = room;
        if let Some(hash) = change.sha256.as_deref() {
            let short: String = words::safe(hash).chars().take(12).collect();
            let hash = format!("  sha256 {short}…");
            let beside = room.saturating_sub(hash.chars().count());
            if beside >= path.chars().count().min(PATH_CHARS_MIN) {
                (facts, room) = (format!("{size}{hash}{special}"), beside);
            }
        }
        format!("{what} {}  {facts}", words::path(&path, room))
    }

    fn folder(&self, folder: &Folder<'_>) -> String {
        let (what, sum) = (format!("{:<9}", folder.change()), folder.sum());
        let room = self.room().saturating_sub(what.chars().count() + sum.chars().count() + 3);
        let path = if folder.path.is_empty() { "here".to_owned() } else { folder.path.to_string() };
        format!("{what} {}  {sum}", words::path(&path, room.max(16)))
    }

    fn network(&mut self, groups: &[Group<'_>], max: usize) {
        let mut label = "network";
        for group in groups.iter().take(max) {
            let times = if group.calls > 1 {
                format!("{} × ", words::grouped(group.calls))
            } else {
                String::new()
            };
            let outcome = group.outcome.as_ref().map_or_else(String::new, |o| format!("  {o}"));
            let task = &group.first.task;
            let first = if group.calls > 1 { "first by" } else { "by" };
            let by = format!("  {first} {} (pid {})", task.comm, task.pid);
            self.row(label, &format!("{times}{}{outcome}{by}", group.words));
            label = "";
        }
        self.more(groups.len().saturating_sub(max));
    }

    fn blocked(&mut self, groups: &[Group<'_>], max: usize) {
        let mut label = "blocked";
        for group in groups.iter().take(max) {
            let outcome = group.outcome.as_deref().unwrap_or("");
            let errno = outcome.strip_prefix("blocked, ").unwrap_or("");
            let kind = format!("{} × {} {errno}", words::grouped(group.calls), group.words);
            self.row(label, kind.trim_end());
            label = "";
        }
        self.more(groups.len().saturating_sub(max));
    }

    /// What scans of files and memory and the rules of others say.
    fn found(&mut self, judged: &Judged<'_>, groups: &[Group<'_>], max: usize) {
        let mut label = "scans";
        for group in groups.iter().take(max) {
            let times = words::grouped(group.calls);
            self.row(label, &format!("{times} × {}", group.words));
            label = "";
        }
        self.more(groups.len().saturating_sub(max));
        let mut label = "rules";
        let matches = &judged.recording.matches;
        for hit in matches.iter().take(max) {
            let events: Vec<String> = hit.events.iter().map(|id| format!("#{id}")).collect();
            let (title, level) = (words::safe(&hit.title), words::safe(&hit.level));
            self.row(label, &format!("{title} ({level})  {}", events.join(" ")));
            label = "";
        }
        self.more(matches.len().saturating_sub(max));
    }

    fn more(&mut self, left_out: usize) {
        if left_out > 0 {
            self.row("", &format!("… {} more, see --html", words::grouped(left_out as u64)));
        }
    }

    /// What carried the run, where that is more than this host's kernel.
    fn carrier(&mut self, judged: &Judged<'_>) {
        let run = &judged.recording.run;
        if run.engine.is_empty() {
            return;
        }
        // Hashes are for programs: the other outputs have them.
        let facts = run.engine.iter().filter(|(key, _)| !key.ends_with("sha256"));
        let facts: Vec<String> = facts
            .map(|(key, value)| format!("{} {}", words::safe(key), words::safe(value)))
            .collect();
        self.row("runner", &format!("{}: {}", words::safe(&run.runner), facts.join(", ")));
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
