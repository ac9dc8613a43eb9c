//! What became of spans, as metrics.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::metrics::Metrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    decision: &'static str,
}

/// What can be decided on a trace; the last is the lack of a decision.
const DECISIONS: [&str; 7] =
    ["error", "slo_bad", "slowest", "exemplar", "sampled", "dropped", "overflow"];

/// Cloning gives other handles to the same.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    spans: Family<Labels, Counter>,
    /// Taken by the collector.
    pub(super) exported: Counter,
    /// Reached the collector, which did not want them.
    pub(super) rejected: Counter,
    /// Did not reach it.
    pub(super) failed: Counter,
    /// Were not sent: the queue was full, or closed.
    pub(super) dropped: Counter,
    pub(super) traces_kept: Gauge,
    pub(super) trace_bytes: Gauge,
    pub(super) traces_evicted: Counter,
    pub(super) trace_spans_dropped: Counter,
    decisions: Family<DecisionLabels, Counter>,
    /// Were nothing special, and are only in memory.
    pub(super) traces_dropped: Counter,
    /// Were not decided on: there were too many at once.
    pub(super) traces_overflowed: Counter,
    pub(super) archive_bytes: Gauge,
    pub(super) archive_traces: Gauge,
    pub(super) archive_errors: Counter,
}

/// What became of the spans that were to be exported, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Taken by the collector.
    pub exported: u64,
    /// Reached the collector, which did not want them.
    pub rejected: u64,
    /// Did not reach it.
    pub failed: u64,
    /// Were not sent: the queue was full, or closed.
    pub dropped: u64,
}

impl Counts {
    pub(super) fn new() -> Self {
        let spans = Family::<Labels, Counter>::default();
        let of = |outcome| spans.get_or_create_owned(&Labels { outcome });
        let decisions = Family::<DecisionLabels, Counter>::default();
        for decision in DECISIONS {
            let _ = decisions.get_or_create_owned(&DecisionLabels { decision });
        }
        let decided = |decision| decisions.get_or_create_owned(&DecisionLabels { decision });
        Self {
            exported: of("exported"),
            rejected: of("rejected"),
            failed: of("failed"),
            dropped: of("dropped"),
            spans,
            traces_kept: Gauge::default(),
            trace_bytes: Gauge::default(),
            traces_evicted: Counter::default(),
            trace_spans_dropped: Counter::default(),
            traces_dropped: decided("dropped"),
            traces_overflowed: decided("overflow"),
            decisions,
            archive_bytes: Gauge::default(),
            archive_traces: Gauge::default(),
            archive_errors: Counter::default(),
        }
    }

    /// A trace is archived for this reason.
    pub(super) fn decided(&self, decision: &'static str) {
        self.decisions.get_or_create_owned(&DecisionLabels { decision }).inc();
    }

    pub(super) fn exported(&self) -> Exported {
        Exported {
            exported: self.exported.get(),
            rejected: self.rejected.get(),
            failed: self.failed.get(),
            dropped: self.dropped.get(),
        }
    }

    pub(super) fn register(&self, metrics: &Metrics) {
        let help = "Spans that were to be exported, by what became of them.";
        metrics.register("shieldx_telemetry_spans", help, self.spans.clone());
        let help = "Traces kept in memory.";
        metrics.register("shieldx_telemetry_traces_kept", help, self.traces_kept.clone());
        let help = "Bytes of the traces kept in memory, estimated.";
        metrics.register("shieldx_telemetry_traces_kept_bytes", help, self.trace_bytes.clone());
        let help = "Traces that made room for newer ones.";
        metrics.register("shieldx_telemetry_traces_evicted", help, self.traces_evicted.clone());
        let help = "Spans not kept because their trace had too many.";
        let dropped = self.trace_spans_dropped.clone();
        metrics.register("shieldx_telemetry_trace_spans_dropped", help, dropped);
        let help = "Traces that were decided on, by what was decided; archived or not.";
        metrics.register("shieldx_telemetry_traces_decided", help, self.decisions.clone());
        let help = "Bytes of the archive of traces, on disk.";
        metrics.register("shieldx_telemetry_archive_bytes", help, self.archive_bytes.clone());
        let help = "Traces in the archive.";
        metrics.register("shieldx_telemetry_archive_traces", help, self.archive_traces.clone());
        let help = "Traces that were to be archived and could not be written.";
        let errors = self.archive_errors.clone();
        metrics.register("shieldx_telemetry_archive_write_errors", help, errors);
    }
}
