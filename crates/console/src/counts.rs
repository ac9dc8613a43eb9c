//! The console's own metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use runtime::metrics::Metrics;

/// Why a request is refused.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    /// A host name that is not ours.
    Host,
    /// No token, or a wrong one.
    Token,
    /// Too many event streams.
    Streams,
}

#[derive(Debug)]
pub(crate) struct Counts {
    refused: [Counter; 3],
    pub(crate) streams: Gauge,
    lines: Counter,
    lines_seen: AtomicU64,
}

impl Counts {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let help = "Requests refused: a host name that is not ours, no token, too many streams.";
        let names = ["host", "token", "streams"];
        let refused =
            metrics.counter_family("shieldx_console_requests_refused", help, "reason", names);
        let help = "Browsers that are told of new evaluations.";
        let streams = metrics.register("shieldx_console_event_streams", help, Gauge::default());
        let help = "Lines of golden signals that were too many to keep.";
        let lines =
            metrics.register("shieldx_console_signal_lines_refused", help, Counter::default());
        Self { refused, streams, lines, lines_seen: AtomicU64::new(0) }
    }

    pub(crate) fn refuse(&self, why: Refusal) {
        let [host, token, streams] = &self.refused;
        match why {
            Refusal::Host => host.inc(),
            Refusal::Token => token.inc(),
            Refusal::Streams => streams.inc(),
        };
    }

    /// `total`: since the start.
    pub(crate) fn lines_refused(&self, total: u64) {
        let before = self.lines_seen.swap(total, Ordering::Relaxed);
        self.lines.inc_by(total.saturating_sub(before));
    }
}
