//! When to tell somebody: pairs of windows, and how fast a budget may burn in both.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When to tell somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerting {
    /// Empty: none. In the order of urgency.
    pub pairs: Vec<Pair>,
    /// A pair fires only with at least so many bad events in its long window.
    pub bad_events_min: u64,
}

/// Two windows over which the budget burns faster than a factor allows: both have to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    pub severity: Severity,
    pub long: Duration,
    pub short: Duration,
    /// 14.4 is 144.
    pub factor_tenths: u32,
}

impl Pair {
    /// `14.4`, `6`
    #[must_use]
    pub fn factor(self) -> String {
        factor_text(self.factor_tenths)
    }
}

pub(super) fn factor_text(tenths: u32) -> String {
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        part => format!("{}.{part}", tenths / 10),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Page,
    Ticket,
}

impl Severity {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
        }
    }
}

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// The pairs of the SRE Workbook, chapter 5, table 5-8, with the 24 h row of its example rules: the
/// factors for a budget of 30 days. They are kept for other windows, so that a factor means the same
/// burn everywhere.
pub const PAIRS: [Pair; 4] = [
    Pair { severity: Severity::Page, long: hours(1), short: minutes(5), factor_tenths: 144 },
    Pair { severity: Severity::Page, long: hours(6), short: minutes(30), factor_tenths: 60 },
    Pair { severity: Severity::Ticket, long: hours(24), short: hours(2), factor_tenths: 30 },
    Pair { severity: Severity::Ticket, long: hours(72), short: hours(6), factor_tenths: 10 },
];
