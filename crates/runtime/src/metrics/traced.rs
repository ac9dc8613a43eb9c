//! A counter that names a trace: the way from *some failed* to one that did.
//!
//! Only traces that are kept (sampled) are named; each sample has room for one, the newest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::exposition::{Exemplar, Kind, Number, Value};
use super::family::Shown;
use crate::clock::{Clock as _, System};
use crate::telemetry::{self, SpanIds};

/// The newest event, as an exemplar names it. With the labels' names that is 63 characters of the 128
/// that OpenMetrics allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newest {
    ids: SpanIds,
    events: u64,
    at_us: i64,
}

impl Newest {
    pub(super) fn now(ids: SpanIds, events: u64) -> Self {
        Self { ids, events, at_us: System.now_us() }
    }

    pub(super) fn shown(self, value: f64) -> Exemplar {
        self.exemplar(Number::Float(value))
    }

    fn exemplar(self, value: Number) -> Exemplar {
        let ids = [
            ("trace_id", self.ids.trace_id.to_string()),
            ("span_id", self.ids.span_id.to_string()),
        ];
        let labels = ids.map(|(name, id)| (name.to_owned(), id)).into();
        #[expect(clippy::cast_precision_loss, reason = "it is exact until the year 2255")]
        let at_s = Some(self.at_us as f64 / 1e6);
        Exemplar { labels, value, at_s }
    }
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
            *newest = Some(Newest::now(ids, events));
        }
    }

    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }
}

impl Shown for TracedCounter {
    const KIND: Kind = Kind::Counter;

    fn shown(&self) -> Value {
        let newest = self.0.newest.lock().ok().and_then(|newest| *newest);
        let exemplar = newest.map(|newest| newest.exemplar(Number::Count(newest.events)));
        Value::Number { number: Number::Count(self.get()), exemplar }
    }
}
