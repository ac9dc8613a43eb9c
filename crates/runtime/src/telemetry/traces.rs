//! The traces of this process, to be looked at where no collector is: the newest in memory, and those
//! worth keeping in an archive, where one is given.
//!
//! ```text
//! span ends ─▶ memory ─▶ quiet ─▶ tail: worth keeping? ─▶ archive
//!                └────────── get, recent ──────────────────┘
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::trace::TraceId;
use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::span::Ended;

mod archive;
mod memory;
mod recent;
mod settle;
mod shape;
mod tail;

pub use archive::{Archive, ArchiveError, TraceKey};
pub use recent::TraceFilter;
pub use shape::{
    KeptBecause, Kind, SLO_BAD, Span, SpanEvent, SpanLink, SpanStatus, Summary, TENANT, Trace,
};
pub use tail::Keeping;

pub(super) use settle::Settler;

use memory::{Due, Memory};

/// Traces that are looked at under one lock, when they are listed.
const LOOK: usize = 64;
/// Summaries of the archive that are looked through, when traces are listed.
const ARCHIVED_LOOK_MAX: usize = 4096;

/// How much is kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraceLimits {
    /// Traces; 0 keeps none.
    pub traces_max: usize,
    /// Spans of one trace; later ones are not kept, and the trace tells how many.
    pub spans_per_trace_max: usize,
    /// Bytes of all traces together, estimated.
    pub bytes_max: usize,
}

impl Default for TraceLimits {
    fn default() -> Self {
        Self { traces_max: 4096, spans_per_trace_max: 512, bytes_max: 32 << 20 }
    }
}

/// The traces of this process.
pub struct Traces {
    limits: TraceLimits,
    counts: Counts,
    memory: Mutex<Memory>,
    archive: OnceLock<Arc<dyn Archive>>,
    settling: Mutex<Settling>,
    changed: Condvar,
}

/// Whether there is a thread that decides on traces.
#[derive(Debug, Default, Clone, Copy)]
struct Settling {
    running: bool,
    stopping: bool,
    hurry: bool,
}

/// The answer to somebody who has a trace's id.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    Found(Box<Trace>),
    /// It is not there, or not any more: it was nothing special, has made room, or never was.
    Expired,
    /// No trace has such an id.
    NoId,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces")
            .field("limits", &self.limits)
            .field("archive", &self.archive.get())
            .finish_non_exhaustive()
    }
}

impl Traces {
    pub(super) fn new(limits: TraceLimits, counts: Counts) -> Self {
        Self {
            limits,
            counts,
            memory: Mutex::default(),
            archive: OnceLock::new(),
            settling: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// A trace by its id; `None` when it is not (or no longer) kept, or the id is none. It reads at
    /// most one record from disk.
    #[must_use]
    pub fn get(&self, trace_id: &str) -> Option<Trace> {
        match self.lookup(trace_id) {
            Lookup::Found(trace) => Some(*trace),
            Lookup::Expired | Lookup::NoId => None,
        }
    }

    /// The same, for whoever has to tell why there is none.
    #[must_use]
    pub fn lookup(&self, trace_id: &str) -> Lookup {
        let Some(id) = id(trace_id) else { return Lookup::NoId };
        let found = match (self.in_memory(id), self.archived(id)) {
            (Some(recent), Some(archived)) => Some(recent.joined(archived)),
            (recent, archived) => recent.or(archived),
        };
        found.map_or(Lookup::Expired, |trace| Lookup::Found(Box::new(trace)))
    }

    /// A trace that is this tenant's and nobody else's.
    #[must_use]
    pub fn of_tenant(&self, tenant: &str, trace_id: &str) -> Option<Trace> {
        self.get(trace_id).filter(|trace| trace.tenant.as_deref() == Some(tenant))
    }

    /// The newest traces that are wanted, in memory and in the archive, the newest first. Of the
    /// archive the last four thousand are looked through.
    #[must_use]
    pub fn recent(&self, limit: usize, filter: &TraceFilter) -> Vec<Summary> {
        let archived = self.archive.get();
        let archived = archived.map(|kept| archive::newest(&**kept, ARCHIVED_LOOK_MAX));
        let mut found: BTreeMap<String, Summary> = BTreeMap::new();
        let archived = archived.unwrap_or_default().into_iter();
        let why: BTreeMap<String, Summary> =
            archived.map(|summary| (summary.trace_id.clone(), summary)).collect();
        let mut ids = self.memory().by_age();
        ids.sort_unstable_by_key(|(age, _)| std::cmp::Reverse(*age));
        for chunk in ids.chunks(LOOK) {
            let wanted: Vec<Due> = {
                let memory = self.memory();
                let spans = chunk.iter().filter_map(|(_, id)| Some((*id, memory.get(*id)?)));
                let wanted = spans
                    .filter(|(_, spans)| filter.may_want(spans.tenant(), spans.error, spans.bad));
                wanted.map(|(id, spans)| spans.due(id)).collect()
            };
            for due in wanted {
                let mut summary = trace(due, KeptBecause::Recent).summary();
                if let Some(archived) = why.get(&summary.trace_id) {
                    summary.kept_because = archived.kept_because;
                }
                if filter.wants(&summary) {
                    found.insert(summary.trace_id.clone(), summary);
                }
            }
            if found.len() >= limit {
                break;
            }
        }
        for (id, summary) in why {
            if filter.wants(&summary) {
                found.entry(id).or_insert(summary);
            }
        }
        let mut found: Vec<Summary> = found.into_values().collect();
        found.sort_by(|a, b| (b.start_us, &b.trace_id).cmp(&(a.start_us, &a.trace_id)));
        found.truncate(limit);
        found
    }

    /// Says that a metric that was read names these traces, so that they are kept: what an exemplar
    /// points to is to be there. Ids that are none, or of traces that are gone, are passed over.
    pub fn shown<'a>(&self, trace_ids: impl IntoIterator<Item = &'a str>) {
        let ids: Vec<TraceId> = trace_ids.into_iter().filter_map(id).collect();
        let mut memory = self.memory();
        for id in ids {
            memory.show(id);
        }
    }

    /// How many traces are in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.memory().len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps a span that has ended.
    pub(super) fn add(&self, ended: &Arc<Ended>) {
        if self.limits.traces_max == 0 {
            return;
        }
        let mut memory = self.memory();
        let added = memory.add(ended, self.limits);
        let (traces, bytes) = (memory.len(), memory.bytes());
        // Freeing many spans takes a while; others need not wait for it.
        drop(memory);
        if added.span_dropped {
            self.counts.trace_spans_dropped.inc();
        }
        self.counts.traces_evicted.inc_by(u64::try_from(added.gone.len()).unwrap_or(u64::MAX));
        self.counts.traces_overflowed.inc_by(added.lost);
        self.counts.traces_kept.set(i64::try_from(traces).unwrap_or(i64::MAX));
        self.counts.trace_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        if added.crowded {
            self.settling().hurry = true;
            self.changed.notify_all();
        }
    }

    fn in_memory(&self, id: TraceId) -> Option<Trace> {
        let due = self.memory().get(id).map(|spans| spans.due(id))?;
        Some(trace(due, KeptBecause::Recent))
    }

    fn archived(&self, id: TraceId) -> Option<Trace> {
        match archive::get(&**self.archive.get()?, id.to_bytes()) {
            Ok(trace) => trace,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, trace = %id, "a trace cannot be read from the archive");
                None
            }
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settling(&self) -> MutexGuard<'_, Settling> {
        self.settling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread that decides on traces asks and says.
impl Traces {
    fn counts(&self) -> &Counts {
        &self.counts
    }

    /// `false` when traces are archived already.
    fn begin_settling(&self, archive: Arc<dyn Archive>) -> bool {
        let first = self.archive.set(archive).is_ok();
        if first {
            self.settling().running = true;
            self.memory().decide(true);
        }
        first
    }

    /// Waits until there may be something to do; `true` when it is the last time.
    fn wait_for_work(&self, tick: Duration) -> bool {
        let settling = self.settling();
        let mut settling = self
            .changed
            .wait_timeout_while(settling, tick, |state| !state.stopping && !state.hurry)
            .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        settling.hurry = false;
        settling.stopping
    }

    /// Traces that left before they were decided on, and those that came since this was asked last.
    fn undecided(&self) -> (Vec<Due>, Vec<TraceId>) {
        let mut memory = self.memory();
        (memory.take_evicted(), memory.take_fresh())
    }

    fn waiting(&self, id: TraceId) -> Option<(Instant, u32)> {
        self.memory().waiting(id)
    }

    fn take_due(&self, id: TraceId) -> Option<Due> {
        self.memory().take_due(id)
    }

    fn put_off(&self, id: TraceId) {
        self.memory().put_off(id);
    }

    /// The thread's last act.
    fn settled(&self) {
        self.memory().decide(false);
        self.settling().running = false;
        self.changed.notify_all();
    }

    fn finish_settling(&self, deadline: Instant) {
        let mut settling = self.settling();
        settling.stopping = true;
        self.changed.notify_all();
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = self.changed.wait_timeout_while(settling, left, |state| state.running);
        drop(wait);
    }
}

/// An id as it is written, 32 hexadecimal digits.
fn id(text: &str) -> Option<TraceId> {
    let hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = hex.then(|| TraceId::from_hex(text).ok())??;
    (id != TraceId::INVALID).then_some(id)
}

fn trace(due: Due, why: KeptBecause) -> Trace {
    let spans = due.spans.iter().map(|span| Span::from(&**span)).collect();
    Trace::new(due.id.to_string(), due.tenant, why, spans, due.dropped)
}
