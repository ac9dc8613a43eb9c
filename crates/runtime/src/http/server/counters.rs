//! What a listener counts. The handles exist before they are registered, so that a listener can be
//! served without metrics.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::activity::Overdue;
use crate::metrics::Metrics;

type Labels = [(&'static str, &'static str); 1];

/// Counters of one listener.
#[derive(Debug, Clone)]
pub struct Counters {
    pub(super) open: Gauge,
    ended: Family<Labels, Counter>,
    handles: [Counter; Ended::ALL.len()],
}

/// Why a connection was ended by us, or not taken at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Its address had all connections it may have.
    AddressFull,
    /// It was idle while there was no room for others.
    Evicted,
    /// It was idle for too long.
    Idle,
    /// A header did not come to its end.
    SlowHeader,
    /// A body did not come; the request was answered with 408.
    SlowBody,
    /// The client took nothing of its responses.
    Stalled,
    /// The TLS handshake failed or took too long.
    Handshake,
    /// It broke the protocol: a header too long, an HTTP/2 flood.
    Protocol,
}

impl Ended {
    const ALL: [Self; 8] = [
        Self::AddressFull,
        Self::Evicted,
        Self::Idle,
        Self::SlowHeader,
        Self::SlowBody,
        Self::Stalled,
        Self::Handshake,
        Self::Protocol,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::AddressFull => "address_full",
            Self::Evicted => "evicted",
            Self::Idle => "idle",
            Self::SlowHeader => "slow_header",
            Self::SlowBody => "slow_body",
            Self::Stalled => "stalled",
            Self::Handshake => "handshake",
            Self::Protocol => "protocol",
        }
    }
}

impl From<Overdue> for Ended {
    fn from(overdue: Overdue) -> Self {
        match overdue {
            Overdue::SlowHeader => Self::SlowHeader,
            Overdue::Idle => Self::Idle,
            Overdue::Stalled => Self::Stalled,
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        let ended = Family::<Labels, Counter>::default();
        let handles =
            Ended::ALL.map(|why| ended.get_or_create(&[("reason", why.as_str())]).clone());
        Self { open: Gauge::default(), ended, handles }
    }
}

impl Counters {
    /// Registers them in a service's metrics. `listener` tells several listeners of one service
    /// apart and is part of the name: `public`, `tls`, `internal`.
    pub fn register(&self, metrics: &Metrics, listener: &str) {
        let prefix = format!("shieldx_{}_{listener}", metrics.service().replace('-', "_"));
        let name = format!("{prefix}_connections");
        metrics.register(&name, "Connections that are open.", self.open.clone());
        let name = format!("{prefix}_connections_ended");
        let help = "Connections ended or refused by the server, by reason.";
        metrics.register(&name, help, self.ended.clone());
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open(&self) -> i64 {
        self.open.get()
    }

    pub(super) fn count(&self, why: Ended) {
        if let Some(index) = Ended::ALL.iter().position(|each| *each == why) {
            self.handles[index].inc();
        }
    }
}
