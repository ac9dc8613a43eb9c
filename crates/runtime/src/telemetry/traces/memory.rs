//! The newest traces in memory, bounded in traces, in spans of one trace, and in bytes: the oldest
//! goes first. Traces of no tenant (probes, requests without a key) have a quarter of the room at
//! most, in number and in bytes, so that nobody without a key can push out those of tenants.
//!
//! It knows which traces have not been decided on, and nothing of how that is done.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use opentelemetry::Value;
use opentelemetry::trace::{Status, TraceId};

use super::TraceLimits;
use super::shape::{SLO_BAD, TENANT};
use crate::telemetry::span::Ended;

/// Traces that came and that nobody has asked for yet; of further ones nothing is archived.
const FRESH_MAX: usize = 65_536;
/// Traces that left memory before they were decided on, waiting for that.
const EVICTED_TRACES_MAX: usize = 1024;
/// Their bytes, estimated.
const EVICTED_BYTES_MAX: usize = 8 << 20;

#[derive(Default)]
pub(super) struct Memory {
    traces: HashMap<TraceId, Spans>,
    /// Traces in which a tenant is named, oldest first.
    owned: VecDeque<TraceId>,
    /// The others, oldest first; also some that are owned by now, or gone.
    unowned: VecDeque<TraceId>,
    bytes: usize,
    /// Of those, what traces take in which no tenant is named.
    unowned_bytes: usize,
    sequence: u64,
    /// Whether traces are decided on at all.
    deciding: bool,
    /// Traces with something new since they were decided on; also some that are gone.
    fresh: Vec<TraceId>,
    evicted: Vec<Due>,
    evicted_bytes: usize,
}

/// What is known of one trace.
#[derive(Default)]
pub(super) struct Spans {
    pub(super) spans: Vec<Arc<Ended>>,
    pub(super) dropped: u64,
    pub(super) tenant: Tenant,
    pub(super) error: bool,
    pub(super) bad: bool,
    bytes: usize,
    /// Later traces have greater ones.
    sequence: u64,
    touched: Option<Instant>,
    /// It is to be decided on.
    undecided: bool,
    /// How often it was.
    decided: u32,
    /// A metric that was read names it.
    shown: bool,
}

/// A trace to decide on.
#[derive(Debug, Clone)]
pub(super) struct Due {
    pub(super) id: TraceId,
    pub(super) spans: Vec<Arc<Ended>>,
    pub(super) dropped: u64,
    pub(super) bytes: usize,
    pub(super) tenant: Option<String>,
    pub(super) error: bool,
    pub(super) bad: bool,
    pub(super) shown: bool,
}

/// What adding a span led to.
#[derive(Default)]
pub(super) struct Added {
    /// The trace has too many spans already.
    pub(super) span_dropped: bool,
    /// Traces that made room.
    pub(super) gone: Vec<Spans>,
    /// Traces nobody will decide on any more.
    pub(super) lost: u64,
    /// There is much to decide on; it should not wait.
    pub(super) crowded: bool,
}

/// What the spans of a trace say of its tenant. It is also learned from spans that are not kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Tenant {
    #[default]
    Unnamed,
    One(String),
    Several,
}

impl Memory {
    pub(super) fn len(&self) -> usize {
        self.traces.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, id: TraceId) -> Option<&Spans> {
        self.traces.get(&id)
    }

    /// All traces, with what orders them by age: the newest has the greatest.
    pub(super) fn by_age(&self) -> Vec<(u64, TraceId)> {
        self.traces.iter().map(|(id, spans)| (spans.sequence, *id)).collect()
    }

    pub(super) fn add(&mut self, ended: &Arc<Ended>, limits: TraceLimits) -> Added {
        let mut added = Added::default();
        added.span_dropped = !self.take(ended, limits.spans_per_trace_max, &mut added);
        self.evict(limits, &mut added);
        added.crowded = self.evicted.len() == EVICTED_TRACES_MAX / 2;
        added
    }

    /// `false` when the trace has too many spans already.
    fn take(&mut self, ended: &Arc<Ended>, spans_max: usize, added: &mut Added) -> bool {
        let id = ended.data.span_context.trace_id();
        let trace = self.traces.entry(id).or_insert_with(|| {
            self.unowned.push_back(id);
            self.sequence += 1;
            Spans { sequence: self.sequence, ..Spans::default() }
        });
        if self.deciding {
            trace.touched = Some(Instant::now());
            if !trace.undecided && self.fresh.len() < FRESH_MAX {
                trace.undecided = true;
                self.fresh.push(id);
            } else if !trace.undecided && trace.spans.is_empty() {
                added.lost += 1;
            }
        }
        if let Some(tenant) = ended.attribute(TENANT) {
            if trace.tenant == Tenant::Unnamed {
                self.owned.push_back(id);
                self.unowned_bytes = self.unowned_bytes.saturating_sub(trace.bytes);
            }
            trace.tenant.hear(&tenant.as_str());
        }
        trace.error |= matches!(ended.data.status, Status::Error { .. });
        trace.bad |= ended.attribute(SLO_BAD) == Some(&Value::Bool(true));
        if trace.spans.len() >= spans_max {
            trace.dropped = trace.dropped.saturating_add(1);
            return false;
        }
        let bytes = ended.bytes();
        trace.spans.push(Arc::clone(ended));
        trace.bytes += bytes;
        self.bytes += bytes;
        if trace.tenant == Tenant::Unnamed {
            self.unowned_bytes += bytes;
        }
        true
    }

    /// Takes out the oldest traces until the limits hold.
    fn evict(&mut self, limits: TraceLimits, added: &mut Added) {
        loop {
            let full = self.traces.len() > limits.traces_max || self.bytes > limits.bytes_max;
            let crowded = self.unowned.len() > limits.traces_max / 4
                || self.unowned_bytes > limits.bytes_max / 4;
            if !full && !crowded {
                return;
            }
            let oldest = if crowded || self.owned.is_empty() {
                let unowned = |id: &TraceId| {
                    self.traces.get(id).is_some_and(|trace| trace.tenant == Tenant::Unnamed)
                };
                match self.unowned.pop_front() {
                    Some(id) if unowned(&id) => id,
                    Some(_) => continue,
                    None => return,
                }
            } else {
                match self.owned.pop_front() {
                    Some(id) => id,
                    None => return,
                }
            };
            if let Some(trace) = self.traces.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(trace.bytes);
                if trace.tenant == Tenant::Unnamed {
                    self.unowned_bytes = self.unowned_bytes.saturating_sub(trace.bytes);
                }
                if trace.undecided && !self.hold(oldest, &trace) {
                    added.lost += 1;
                }
                added.gone.push(trace);
            }
        }
    }

    /// Keeps a trace that leaves until it is decided on; `false` when too many are kept so.
    fn hold(&mut self, id: TraceId, trace: &Spans) -> bool {
        let room = self.evicted.len() < EVICTED_TRACES_MAX
            && self.evicted_bytes + trace.bytes <= EVICTED_BYTES_MAX;
        if room {
            self.evicted_bytes += trace.bytes;
            self.evicted.push(trace.due(id));
        }
        room
    }

    /// Whether traces are decided on from now on; also those that are here.
    pub(super) fn decide(&mut self, whether: bool) {
        self.deciding = whether;
        self.fresh.clear();
        self.take_evicted();
        if !whether {
            return;
        }
        for (id, trace) in &mut self.traces {
            trace.touched = Some(Instant::now());
            trace.undecided = true;
            self.fresh.push(*id);
        }
    }

    /// Traces that left before they were decided on.
    pub(super) fn take_evicted(&mut self) -> Vec<Due> {
        self.evicted_bytes = 0;
        std::mem::take(&mut self.evicted)
    }

    /// Traces that are to be decided on once they are quiet; the longest list there can be is that of
    /// the traces that came since this was asked last.
    pub(super) fn take_fresh(&mut self) -> Vec<TraceId> {
        std::mem::take(&mut self.fresh)
    }

    /// When something was added last to a trace that is to be decided on, and how often it was.
    pub(super) fn waiting(&self, id: TraceId) -> Option<(Instant, u32)> {
        let trace = self.traces.get(&id).filter(|trace| trace.undecided)?;
        Some((trace.touched?, trace.decided))
    }

    /// What there is of a trace, to decide on it; as long as nothing is added that is done then.
    pub(super) fn take_due(&mut self, id: TraceId) -> Option<Due> {
        let trace = self.traces.get_mut(&id)?;
        trace.undecided = false;
        trace.decided = trace.decided.saturating_add(1);
        Some(trace.due(id))
    }

    /// It was not decided on after all; whoever took it remembers it.
    pub(super) fn put_off(&mut self, id: TraceId) {
        if let Some(trace) = self.traces.get_mut(&id) {
            trace.undecided = true;
            trace.decided = trace.decided.saturating_sub(1);
        }
    }

    /// A metric that was read names this trace. `true` when that is new and the trace is here.
    pub(super) fn show(&mut self, id: TraceId) -> bool {
        let Some(trace) = self.traces.get_mut(&id) else { return false };
        let new = self.deciding && !std::mem::replace(&mut trace.shown, true);
        if new && !trace.undecided && self.fresh.len() < FRESH_MAX {
            trace.undecided = true;
            trace.decided = 0;
            trace.touched.get_or_insert_with(Instant::now);
            self.fresh.push(id);
        }
        new
    }
}

impl Spans {
    pub(super) fn tenant(&self) -> Option<&str> {
        match &self.tenant {
            Tenant::One(tenant) => Some(tenant),
            Tenant::Unnamed | Tenant::Several => None,
        }
    }

    pub(super) fn due(&self, id: TraceId) -> Due {
        Due {
            id,
            spans: self.spans.clone(),
            dropped: self.dropped,
            bytes: self.bytes,
            tenant: self.tenant().map(str::to_owned),
            error: self.error,
            bad: self.bad,
            shown: self.shown,
        }
    }
}

impl Tenant {
    fn hear(&mut self, named: &str) {
        match self {
            Self::Unnamed => *self = Self::One(named.to_owned()),
            Self::One(tenant) if tenant == named => {}
            Self::One(_) | Self::Several => *self = Self::Several,
        }
    }
}
