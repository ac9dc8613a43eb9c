//! Counters and histograms that name a trace: the way from *some failed* to one that did.
//!
//! Only traces that are kept (sampled) are named; each sample line has room for one, the newest.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::exemplar::{CounterWithExemplar, HistogramWithExemplars};
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::DURATION_BUCKETS_S;
use crate::clock::{Clock as _, System};
use crate::telemetry::{self, SpanIds};

/// With their names, 62 characters of the 128 that OpenMetrics allows an exemplar.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ids {
    trace_id: String,
    span_id: String,
}

impl From<SpanIds> for Ids {
    fn from(ids: SpanIds) -> Self {
        Self { trace_id: ids.trace_id.to_string(), span_id: ids.span_id.to_string() }
    }
}

fn now() -> Option<SystemTime> {
    let since_1970 = u64::try_from(System.now_us()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(since_1970))
}

/// A counter that names the trace of the newest event in it. Cloning gives another handle to the
/// same. Without a trace it is one atomic addition.
#[derive(Debug, Clone, Default)]
pub struct TracedCounter(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    count: AtomicU64,
    newest: Mutex<Option<Newest>>,
}

#[derive(Debug, Clone, Copy)]
struct Newest {
    ids: SpanIds,
    events: u64,
    at: Option<SystemTime>,
}

impl TracedCounter {
    /// Counts events outside of any trace.
    pub fn add(&self, events: u64) {
        self.0.count.fetch_add(events, Ordering::Relaxed);
    }

    /// Counts events and names the current trace: call it within the span.
    pub fn add_here(&self, events: u64) {
        self.add_in(events, telemetry::current_sampled_span());
    }

    pub(crate) fn add_in(&self, events: u64, span: Option<SpanIds>) {
        self.add(events);
        let Some(ids) = span.filter(|_| events > 0) else {
            return;
        };
        // Whoever holds it names a trace that is as new.
        if let Ok(mut newest) = self.0.newest.try_lock() {
            *newest = Some(Newest { ids, events, at: now() });
        }
    }

    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }
}

impl TypedMetric for TracedCounter {
    const TYPE: MetricType = MetricType::Counter;
}

impl EncodeMetric for TracedCounter {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        // The events of an exemplar are counted before it is named.
        let newest = self.0.newest.lock().ok().and_then(|newest| *newest);
        let count = self.get();
        // The library makes exemplars of its own counters only.
        let shown = CounterWithExemplar::<Ids>::default();
        match newest {
            Some(Newest { ids, events, at }) => {
                shown.inc_by(count.saturating_sub(events), None, None);
                shown.inc_by(events, Some(ids.into()), at);
            }
            None => {
                shown.inc_by(count, None, None);
            }
        }
        shown.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// A histogram of seconds that names, for each of its buckets, the trace of the newest request in it.
/// Cloning gives another handle to the same.
#[derive(Debug, Clone)]
pub struct TracedHistogram(HistogramWithExemplars<Ids>);

impl Default for TracedHistogram {
    fn default() -> Self {
        Self::new()
    }
}

impl TracedHistogram {
    /// With [`DURATION_BUCKETS_S`].
    #[must_use]
    pub fn new() -> Self {
        Self(HistogramWithExemplars::new(DURATION_BUCKETS_S.into_iter()))
    }

    /// Names the current trace, where that is kept: call it within the span.
    pub fn observe(&self, seconds: f64) {
        let ids = telemetry::current_sampled_span().map(Ids::from);
        let at = ids.as_ref().and_then(|_| now());
        self.0.observe(seconds, ids, at);
    }
}

impl TypedMetric for TracedHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for TracedHistogram {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
