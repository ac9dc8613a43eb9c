//! The thread that thinks about what was copied, and makes the looks that are due later.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use types::{Event, Kind, Text};

use super::books::count;
use super::{Copied, Job, START_SLACK_NS, Shared, Trigger};
use crate::memory::dump;
use crate::memory::examine::{Findings, examine};
use crate::memory::process::Process;

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
    pub(super) fn run(mut self, jobs: &Receiver<Job>) -> Vec<Event> {
        loop {
            let next = self.next_due();
            let job = match next.map(|due| due.saturating_duration_since(Instant::now())) {
                Some(wait) => jobs.recv_timeout(wait),
                None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match job {
                Ok(Job::Examine(copied)) => self.examine(&copied),
                Ok(Job::Wake) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.make_due_looks();
        }
        count(&self.shared.books.skipped, self.more);
        self.events
    }

    fn next_due(&self) -> Option<Instant> {
        let suspects = self.shared.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.values().filter_map(|suspect| suspect.due).min()
    }

    fn make_due_looks(&mut self) {
        let now = Instant::now();
        let mut due: Vec<(u32, u64)> = Vec::new();
        let mut suspects = self.shared.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, suspect) in suspects.iter_mut() {
            if suspect.due.is_some_and(|at| at <= now) {
                suspect.due = None;
                suspect.looks += 1;
                due.push(*key);
            }
        }
        drop(suspects);
        if due.is_empty() {
            return;
        }
        for host_pid in self.shared.members() {
            let Ok(who) = Process::open(host_pid).and_then(|p| p.who()) else {
                continue;
            };
            let start_ns = self.shared.start_ns(who.start_ticks);
            let same = |&(pid, start): &(u32, u64)| {
                pid == who.pid && start.abs_diff(start_ns) <= START_SLACK_NS
            };
            let Some(at) = due.iter().position(same) else { continue };
            due.swap_remove(at);
            let deadline = Instant::now() + self.shared.hold();
            if let Some(copied) = self.shared.copy(host_pid, Trigger::WriteExecute, deadline) {
                self.examine(&copied);
            }
        }
        // Who is not there any more was looked at before it ended.
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
