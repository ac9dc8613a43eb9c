//! What a trace looks like to who reads it: in an answer, on a page, in the archive.
//!
//! Made from spans that have ended, or read back from what was archived; it knows neither where a
//! trace is kept nor how it was chosen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry::{Array, KeyValue, Value};
use serde::{Deserialize, Serialize};

use crate::telemetry::span::Ended;

/// The attribute by which a span names the tenant it works for.
pub const TENANT: &str = "shieldx.tenant";
/// The attribute, a boolean, of a request that was bad for an objective.
pub const SLO_BAD: &str = "shieldx.slo.bad";

/// A trace as far as it is known: the spans that have ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Trace {
    /// 32 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    pub trace_id: String,
    /// Whose it is; absent when no span names a tenant, or two name different ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    pub kept_because: KeptBecause,
    /// The span everything else is part of: the first without a parent here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{16}$")]
    pub root: Option<String>,
    /// Microseconds from the first start to the last end.
    pub duration_us: i64,
    /// By start.
    pub spans: Vec<Span>,
    /// Spans that were too many to keep.
    pub spans_dropped: u64,
}

/// Why a trace is still there.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum KeptBecause {
    /// It is one of the newest; nothing else holds it.
    Recent,
    /// One of its spans failed.
    Error,
    /// A request in it was bad for an objective.
    SloBad,
    /// The slowest of its route within a minute.
    Slowest,
    /// A metric that was read names it.
    Exemplar,
    /// One of the share of all others.
    Sampled,
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Span {
    /// 16 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{16}$")]
    pub span_id: String,
    /// The span it is part of; that one may not be ours, or not have ended. Absent at a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Strings, numbers, booleans, or lists of them.
    pub attributes: BTreeMap<String, serde_json::Value>,
    pub events: Vec<SpanEvent>,
    /// Spans it has to do with without being part of them: what asked for it earlier.
    #[serde(default)]
    pub links: Vec<SpanLink>,
}

/// Something that happened within a span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SpanEvent {
    pub name: String,
    /// Microseconds since 1970.
    pub time_us: i64,
    pub attributes: BTreeMap<String, serde_json::Value>,
}

/// A span, maybe of another trace, that another one points to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SpanLink {
    #[schema(pattern = "^[0-9a-f]{32}$")]
    pub trace_id: String,
    #[schema(pattern = "^[0-9a-f]{16}$")]
    pub span_id: String,
}

/// The part a span plays between services (OpenTelemetry's `SpanKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

/// OpenTelemetry's status of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SpanStatus {
    Unset,
    Ok,
    Error,
}

/// A trace in one line of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Summary {
    #[schema(pattern = "^[0-9a-f]{32}$")]
    pub trace_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The root's name, as `GET /v1/x`.
    pub name: String,
    /// The root's service.
    pub service: String,
    /// All services that took part, by name.
    pub services: Vec<String>,
    /// Microseconds since 1970.
    pub start_us: i64,
    pub duration_us: i64,
    /// Spans, without those that were dropped.
    pub spans: u64,
    /// Whether one of its spans failed.
    pub error: bool,
    /// Whether a request in it was bad for an objective.
    pub bad: bool,
    pub kept_because: KeptBecause,
}

impl KeptBecause {
    /// As JSON and labels write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Recent => "recent",
            Self::Error => "error",
            Self::SloBad => "slo_bad",
            Self::Slowest => "slowest",
            Self::Exemplar => "exemplar",
            Self::Sampled => "sampled",
        }
    }
}

impl Trace {
    /// Puts spans into order and sees what they are together.
    pub(super) fn new(
        trace_id: String,
        tenant: Option<String>,
        kept_because: KeptBecause,
        mut spans: Vec<Span>,
        spans_dropped: u64,
    ) -> Self {
        spans.sort_by(|a, b| {
            let key = |span: &Span| (span.start_us, std::cmp::Reverse(span.duration_us));
            key(a).cmp(&key(b)).then_with(|| a.span_id.cmp(&b.span_id))
        });
        let ids: BTreeSet<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
        let orphan = |span: &&Span| span.parent_id.as_ref().is_none_or(|id| !ids.contains(&**id));
        let root = spans.iter().find(orphan).map(|span| span.span_id.clone());
        let start = spans.first().map_or(0, |span| span.start_us);
        let ends = spans.iter().map(|span| span.start_us.saturating_add(span.duration_us));
        let duration_us = ends.max().unwrap_or(start).saturating_sub(start);
        Self { trace_id, tenant, kept_because, root, duration_us, spans, spans_dropped }
    }

    /// Both together: what was kept earlier of a trace and what has become of it since. A span of
    /// both is taken once. The trace is a tenant's only if neither part could be another's.
    pub(super) fn joined(self, earlier: Self) -> Self {
        let tenant = match (&self.tenant, &earlier.tenant) {
            (Some(one), Some(other)) if one == other => self.tenant.clone(),
            (Some(_), None) if earlier.names_nobody() => self.tenant.clone(),
            (None, Some(_)) if self.names_nobody() => earlier.tenant.clone(),
            _ => None,
        };
        let why = match (self.kept_because, earlier.kept_because) {
            (KeptBecause::Recent, earlier) => earlier,
            (now, KeptBecause::Recent) => now,
            (now, earlier) => now.min(earlier),
        };
        let known: BTreeSet<String> = self.spans.iter().map(|span| span.span_id.clone()).collect();
        let mut spans = self.spans;
        spans.extend(earlier.spans.into_iter().filter(|span| !known.contains(&span.span_id)));
        let dropped = self.spans_dropped.max(earlier.spans_dropped);
        Self::new(self.trace_id, tenant, why, spans, dropped)
    }

    /// Whether no span, also none that was dropped, can have named a tenant.
    fn names_nobody(&self) -> bool {
        self.spans_dropped == 0 && self.spans.iter().all(|s| !s.attributes.contains_key(TENANT))
    }

    /// The trace in one line.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let root = self.spans.iter().find(|span| Some(&span.span_id) == self.root.as_ref());
        let services: BTreeSet<&str> = self.spans.iter().map(|span| &*span.service).collect();
        Summary {
            trace_id: self.trace_id.clone(),
            tenant: self.tenant.clone(),
            name: root.map_or_else(String::new, |root| root.name.clone()),
            service: root.map_or_else(String::new, |root| root.service.clone()),
            services: services.into_iter().map(str::to_owned).collect(),
            start_us: self.spans.first().map_or(0, |span| span.start_us),
            duration_us: self.duration_us,
            spans: u64::try_from(self.spans.len()).unwrap_or(u64::MAX),
            error: self.spans.iter().any(|span| span.error),
            bad: self.spans.iter().any(|span| span.attributes.get(SLO_BAD) == Some(&true.into())),
            kept_because: self.kept_because,
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
        let events = data.events.iter().map(|event| SpanEvent {
            name: event.name.to_string(),
            time_us: unix_us(event.timestamp),
            attributes: attributes(&event.attributes),
        });
        let links = data.links.iter().map(|link| SpanLink {
            trace_id: link.span_context.trace_id().to_string(),
            span_id: link.span_context.span_id().to_string(),
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
            duration_us: micros(ended.lasted()),
            status,
            error: status == SpanStatus::Error,
            message,
            attributes: attributes(&data.attributes),
            events: events.collect(),
            links: links.collect(),
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
