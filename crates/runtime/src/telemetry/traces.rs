//! The newest traces, in memory: what `shieldx trace` shows without a collector.
//!
//! Bounded in traces and in spans of one trace; the oldest trace makes room. A trace is its tenant's:
//! spans say `shieldx.tenant`, and one that two tenants are named in is shown to nobody.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use opentelemetry::Context;
use opentelemetry::trace::{SpanKind, Status, TraceId};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use serde::Serialize;

use super::export::service_of;

/// Traces kept.
const TRACES_MAX: usize = 2_000;
/// Spans kept of one trace; more are counted and left out.
const SPANS_MAX: usize = 256;
/// Bytes of one attribute's value.
const VALUE_BYTES_MAX: usize = 256;
/// The attribute that names a span's tenant.
const TENANT: &str = "shieldx.tenant";

/// Traces by id, newest last.
#[derive(Debug, Default)]
pub struct Traces {
    inner: Mutex<Inner>,
    left_out: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    by_id: HashMap<TraceId, Kept>,
    order: VecDeque<TraceId>,
}

#[derive(Debug, Default)]
struct Kept {
    spans: Vec<SpanDocument>,
    tenant: Whose,
    left_out: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Whose {
    #[default]
    Nobody,
    One(String),
    Several,
}

/// One trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct TraceDocument {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// In the order in which they ended.
    pub spans: Vec<SpanDocument>,
    /// Spans past the bound, which are not here.
    pub spans_left_out: u64,
}

/// One span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct SpanDocument {
    /// 16 hexadecimal digits.
    pub span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    pub name: String,
    /// `service.name`.
    pub service: String,
    /// `internal`, `server`, `client`, `producer`, `consumer`.
    pub kind: String,
    /// Microseconds since 1970.
    pub start_us: i64,
    /// Microseconds.
    pub duration_us: i64,
    pub error: bool,
    pub attributes: std::collections::BTreeMap<String, String>,
}

impl Traces {
    /// A trace of this tenant; `None` also for one of another.
    #[must_use]
    pub fn get(&self, tenant: &str, trace_id: &str) -> Option<TraceDocument> {
        let id = TraceId::from_hex(trace_id).ok()?;
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = inner.by_id.get(&id)?;
        (kept.tenant == Whose::One(tenant.to_owned())).then(|| TraceDocument {
            trace_id: id.to_string(),
            spans: kept.spans.clone(),
            spans_left_out: kept.left_out,
        })
    }

    /// Spans past a trace's bound, ever.
    #[must_use]
    pub fn spans_left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    fn keep(&self, span: &SpanData) {
        let id = span.span_context.trace_id();
        let document = document(span);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if !inner.by_id.contains_key(&id) {
            if inner.order.len() >= TRACES_MAX
                && let Some(oldest) = inner.order.pop_front()
            {
                inner.by_id.remove(&oldest);
            }
            inner.order.push_back(id);
        }
        let kept = inner.by_id.entry(id).or_default();
        if let Some(tenant) = document.attributes.get(TENANT) {
            kept.tenant = match std::mem::take(&mut kept.tenant) {
                Whose::Nobody => Whose::One(tenant.clone()),
                Whose::One(known) if known == *tenant => Whose::One(known),
                Whose::One(_) | Whose::Several => Whose::Several,
            };
        }
        if kept.spans.len() < SPANS_MAX {
            kept.spans.push(document);
        } else {
            kept.left_out += 1;
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn document(span: &SpanData) -> SpanDocument {
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let since_1970 = span.start_time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let kind = match span.span_kind {
        SpanKind::Client => "client",
        SpanKind::Server => "server",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal => "internal",
    };
    let shown = |value: &opentelemetry::Value| {
        let text = value.as_str();
        text[..text.floor_char_boundary(VALUE_BYTES_MAX)].to_owned()
    };
    let attributes = span
        .attributes
        .iter()
        .filter(|attribute| !matches!(attribute.key.as_str(), "target" | "service.name"))
        .map(|attribute| (attribute.key.to_string(), shown(&attribute.value)))
        .collect();
    let parent = span.parent_span_id;
    SpanDocument {
        span_id: span.span_context.span_id().to_string(),
        parent_id: (parent != opentelemetry::trace::SpanId::INVALID).then(|| parent.to_string()),
        name: span.name.to_string(),
        service: service_of(span).to_owned(),
        kind: kind.to_owned(),
        start_us: micros(since_1970),
        duration_us: micros(span.end_time.duration_since(span.start_time).unwrap_or_default()),
        error: matches!(span.status, Status::Error { .. }),
        attributes,
    }
}

/// Feeds [`Traces`] from the tracer.
#[derive(Debug)]
pub(super) struct Keeper(pub Arc<Traces>);

impl SpanProcessor for Keeper {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.keep(&span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
