//! The newest traces, kept in memory, to be looked at where no collector is.
//!
//! Bounded in traces, in spans of one trace, and in bytes: the oldest trace goes first, and what
//! went is counted. Traces of no tenant (probes, requests without a key) have a quarter of the room
//! at most, so that nobody without a key can push out those of tenants.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use opentelemetry::{Array, KeyValue, Value};
use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::span::Ended;

/// The attribute by which a span names the tenant it works for.
pub const TENANT: &str = "shieldx.tenant";

/// How much is kept.
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

/// A trace as far as it is known: the spans that have ended.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Trace {
    /// 32 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    pub trace_id: String,
    /// Whose it is; absent when no span names a tenant, or two name different ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// By start.
    pub spans: Vec<Span>,
    /// Spans that were too many to keep.
    pub spans_dropped: u64,
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Span {
    /// 16 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{16}$")]
    pub span_id: String,
    /// The span it is part of; that one may not be ours, or not have ended. Absent at a root.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{16}$")]
    pub parent_id: Option<String>,
    pub name: String,
    pub service: String,
    pub kind: Kind,
    /// Microseconds since 1970.
    pub start_us: i64,
    pub duration_us: i64,
    pub status: SpanStatus,
    /// Whether the status is *error*.
    pub error: bool,
    /// What went wrong, where that was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Strings, numbers, booleans, or lists of them.
    pub attributes: BTreeMap<String, serde_json::Value>,
    pub events: Vec<SpanEvent>,
}

/// Something that happened within a span.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct SpanEvent {
    pub name: String,
    /// Microseconds since 1970.
    pub time_us: i64,
    pub attributes: BTreeMap<String, serde_json::Value>,
}

/// The part a span plays between services (OpenTelemetry's `SpanKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

/// OpenTelemetry's status of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SpanStatus {
    Unset,
    Ok,
    Error,
}

/// The newest traces of this process.
pub struct Traces {
    limits: TraceLimits,
    counts: Counts,
    kept: Mutex<Kept>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Kept {
    traces: HashMap<TraceId, Spans>,
    /// Traces in which a tenant is named, oldest first.
    owned: VecDeque<TraceId>,
    /// The others, oldest first; also some that are owned by now, or gone.
    unowned: VecDeque<TraceId>,
    bytes: usize,
}

#[derive(Default)]
struct Spans {
    spans: Vec<Arc<Ended>>,
    dropped: u64,
    bytes: usize,
    tenant: Tenant,
}

/// What the spans of a trace say of its tenant. It is also learned from spans that are not kept.
#[derive(Debug, Default, PartialEq, Eq)]
enum Tenant {
    #[default]
    Unnamed,
    One(String),
    Several,
}

impl Traces {
    pub(super) fn new(limits: TraceLimits, counts: Counts) -> Self {
        Self { limits, counts, kept: Mutex::default() }
    }

    /// A trace by its id; `None` when it is not (or no longer) kept, or the id is none.
    #[must_use]
    pub fn get(&self, trace_id: &str) -> Option<Trace> {
        if trace_id.len() != 32 {
            return None;
        }
        let id = TraceId::from_hex(trace_id).ok()?;
        let (spans, tenant, spans_dropped) = {
            let kept = self.lock();
            let found = kept.traces.get(&id)?;
            let tenant = match &found.tenant {
                Tenant::One(tenant) => Some(tenant.clone()),
                Tenant::Unnamed | Tenant::Several => None,
            };
            (found.spans.clone(), tenant, found.dropped)
        };
        let mut spans: Vec<Span> = spans.iter().map(|ended| Span::from(&**ended)).collect();
        spans.sort_by_key(|span| (span.start_us, std::cmp::Reverse(span.duration_us)));
        Some(Trace { trace_id: id.to_string(), tenant, spans, spans_dropped })
    }

    /// A trace that is this tenant's and nobody else's.
    #[must_use]
    pub fn of_tenant(&self, tenant: &str, trace_id: &str) -> Option<Trace> {
        self.get(trace_id).filter(|trace| trace.tenant.as_deref() == Some(tenant))
    }

    /// How many traces are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().traces.len()
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
        let mut kept = self.lock();
        if !kept.add(ended, self.limits.spans_per_trace_max) {
            self.counts.trace_spans_dropped.inc();
        }
        let gone = kept.evict(self.limits);
        self.counts.traces_evicted.inc_by(u64::try_from(gone.len()).unwrap_or(u64::MAX));
        self.counts.traces_kept.set(i64::try_from(kept.traces.len()).unwrap_or(i64::MAX));
        self.counts.trace_bytes.set(i64::try_from(kept.bytes).unwrap_or(i64::MAX));
        // Freeing many spans takes a while; others need not wait for it.
        drop(kept);
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// `false` when the trace has too many spans already.
    fn add(&mut self, ended: &Arc<Ended>, spans_max: usize) -> bool {
        let id = ended.data.span_context.trace_id();
        let trace = self.traces.entry(id).or_insert_with(|| {
            self.unowned.push_back(id);
            Spans::default()
        });
        if let Some(tenant) = ended.attribute(TENANT) {
            if trace.tenant == Tenant::Unnamed {
                self.owned.push_back(id);
            }
            trace.tenant.hear(&tenant.as_str());
        }
        if trace.spans.len() >= spans_max {
            trace.dropped = trace.dropped.saturating_add(1);
            return false;
        }
        let bytes = ended.bytes();
        trace.spans.push(Arc::clone(ended));
        trace.bytes += bytes;
        self.bytes += bytes;
        true
    }

    /// Takes out the oldest traces until the limits hold.
    fn evict(&mut self, limits: TraceLimits) -> Vec<Spans> {
        let mut gone = Vec::new();
        loop {
            let full = self.traces.len() > limits.traces_max || self.bytes > limits.bytes_max;
            let crowded = self.unowned.len() > limits.traces_max / 4;
            if !full && !crowded {
                return gone;
            }
            let oldest = if crowded || self.owned.is_empty() {
                let unowned = |id: &TraceId| {
                    self.traces.get(id).is_some_and(|trace| trace.tenant == Tenant::Unnamed)
                };
                match self.unowned.pop_front() {
                    Some(id) if unowned(&id) => id,
                    Some(_) => continue,
                    None => return gone,
                }
            } else {
                match self.owned.pop_front() {
                    Some(id) => id,
                    None => return gone,
                }
            };
            if let Some(trace) = self.traces.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(trace.bytes);
                gone.push(trace);
            }
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

impl From<&Ended> for Span {
    fn from(ended: &Ended) -> Self {
        let data = &ended.data;
        let (status, message) = match &data.status {
            Status::Unset => (SpanStatus::Unset, None),
            Status::Ok => (SpanStatus::Ok, None),
            Status::Error { description } => {
                let told = !description.is_empty();
                (SpanStatus::Error, told.then(|| description.to_string()))
            }
        };
        let lasted = data.end_time.duration_since(data.start_time).unwrap_or_default();
        let events = data.events.iter().map(|event| SpanEvent {
            name: event.name.to_string(),
            time_us: unix_us(event.timestamp),
            attributes: attributes(&event.attributes),
        });
        Self {
            span_id: data.span_context.span_id().to_string(),
            parent_id: (data.parent_span_id != SpanId::INVALID)
                .then(|| data.parent_span_id.to_string()),
            name: data.name.to_string(),
            service: ended.service.to_string(),
            kind: match data.span_kind {
                SpanKind::Internal => Kind::Internal,
                SpanKind::Server => Kind::Server,
                SpanKind::Client => Kind::Client,
                SpanKind::Producer => Kind::Producer,
                SpanKind::Consumer => Kind::Consumer,
            },
            start_us: unix_us(data.start_time),
            duration_us: micros(lasted),
            status,
            error: status == SpanStatus::Error,
            message,
            attributes: attributes(&data.attributes),
            events: events.collect(),
        }
    }
}

fn unix_us(time: SystemTime) -> i64 {
    micros(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, serde_json::Value> {
    attributes.iter().map(|pair| (pair.key.to_string(), json(&pair.value))).collect()
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::F64(value) => (*value).into(),
        Value::String(value) => value.as_str().into(),
        Value::Array(Array::Bool(values)) => values.clone().into(),
        Value::Array(Array::I64(values)) => values.clone().into(),
        Value::Array(Array::F64(values)) => values.clone().into(),
        Value::Array(Array::String(values)) => {
            values.iter().map(|value| value.as_str().to_owned()).collect()
        }
        other => other.to_string().into(),
    }
}
