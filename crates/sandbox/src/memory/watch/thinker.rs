//! The thread that thinks about what was copied.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use types::{Event, Kind, Text};

use super::books::count;
use super::{Copied, Shared, Trigger};
use crate::memory::dump;
use crate::memory::examine::{Findings, examine};

/// Events of one run.
const EVENTS_MAX: usize = 2000;
/// Core files of one run.
const CORES_MAX: u64 = 8;

/// The thread that thinks.
pub(super) struct Thinker {
    pub(super) shared: Arc<Shared>,
    pub(super) events: Vec<Event>,
    /// Findings past the bound.
    pub(super) more: u64,
}

impl Thinker {
    pub(super) fn run(mut self, jobs: &Receiver<Box<Copied>>) -> Vec<Event> {
        while let Ok(copied) = jobs.recv() {
            self.examine(&copied);
        }
        count(&self.shared.books.skipped, self.more);
        self.events
    }

    fn examine(&mut self, copied: &Copied) {
        let shared = self.shared.clone();
        let books = &shared.books;
        let capture = &copied.capture;
        let findings = examine(capture, shared.setting.scanner.as_deref());
        books.waiting_bytes.fetch_sub(capture.bytes, Ordering::Relaxed);
        count(&books.cut, u64::from(findings.cut.is_some()));
        count(&books.not_compared, findings.not_compared);
        count(&books.scans_failed, findings.scans_failed);
        if let Some(folder) = &shared.setting.cores
            && (copied.trigger == Trigger::Demand || findings.telling())
            && count(&books.cores, 1) < CORES_MAX
            && dump::write(folder, capture).is_err()
        {
            books.cores.fetch_sub(1, Ordering::Relaxed);
            count(&books.cores_failed, 1);
        }
        self.more += findings.more;
        for kind in kinds(copied.trigger, findings) {
            self.keep(copied, kind);
        }
    }

    fn keep(&mut self, copied: &Copied, kind: Kind) {
        let task = self.shared.task(&copied.capture);
        let same = |event: &Event| {
            event.task.pid == task.pid
                && event.task.start_ns == task.start_ns
                && fact(&event.kind) == fact(&kind)
        };
        if self.events.iter().any(same) {
            return;
        }
        if self.events.len() >= EVENTS_MAX {
            self.more += 1;
            return;
        }
        self.events.push(Event {
            id: 0,
            time_ns: copied.time_ns,
            task,
            kind,
            ret: None,
            blocked: false,
            advisory: false,
            truncated: copied.capture.cut.is_some(),
            count: 1,
        });
    }
}

/// What makes two findings the same, whenever they were made. Who asks gets an answer of their own.
fn fact(kind: &Kind) -> (&str, u64, bool) {
    match kind {
        Kind::MemoryRegion { trigger, finding, address, .. } => {
            (finding, *address, trigger == Trigger::Demand.name())
        }
        Kind::PatternMatch { rule, .. } => (rule, 0, false),
        _ => ("", 0, false),
    }
}

fn kinds(trigger: Trigger, findings: Findings) -> Vec<Kind> {
    let regions = findings.found.into_iter().map(|found| Kind::MemoryRegion {
        trigger: trigger.name().to_owned(),
        finding: found.finding.to_owned(),
        address: found.address,
        length: found.length,
        protection: found.protection,
        file: found.file.map(Text::new),
        entropy_millibits: found.entropy_millibits,
        detail: Text::from(found.detail.as_str()),
    });
    let matches = findings.matches.into_iter().map(|found| Kind::PatternMatch {
        rule: found.pattern.rule,
        title: found.pattern.title,
        place: "memory".to_owned(),
        target: Text::from(found.target.as_str()),
        level: found.pattern.level,
        techniques: found.pattern.techniques,
        offset: found.pattern.offset,
    });
    regions.chain(matches).collect()
}
