//! What is known of an objective at one moment: the words that the ledger, the console, the command
//! line and the API share.

use serde::{Deserialize, Serialize};

use crate::spec::{DataLoss, Severity, SloName};

/// Events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub good: u64,
    pub bad: u64,
    /// Counted for neither: decided delays, clients that left, failures of applications.
    pub excluded: u64,
}

impl Counts {
    /// What the ratio is over.
    #[must_use]
    pub fn total(self) -> u64 {
        self.good.saturating_add(self.bad)
    }

    /// `None` without events: no events is not *all good*.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio of counts; 2^53 events is out of reach"
    )]
    pub fn error_ratio(self) -> Option<f64> {
        (self.total() > 0).then(|| self.bad as f64 / self.total() as f64)
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            good: self.good.saturating_add(other.good),
            bad: self.bad.saturating_add(other.bad),
            excluded: self.excluded.saturating_add(other.excluded),
        }
    }

    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            good: self.good.saturating_sub(other.good),
            bad: self.bad.saturating_sub(other.bad),
            excluded: self.excluded.saturating_sub(other.excluded),
        }
    }
}

/// Whose events.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    All,
    Tenant(String),
    RouteGroup(String),
}

/// An objective at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub slo: SloName,
    pub service: String,
    pub description: String,
    pub scope: Scope,
    /// `99.95`
    pub target_percent: String,
    /// `30d`, or `calendar month`
    pub window: String,
    /// `availability`, `latency`, `freshness`, `ratio`, `probe`
    pub kind: String,
    /// Microseconds since 1970, as all times here.
    pub at_us: i64,
    pub from_us: i64,
    /// The end of a calendar window; of a rolling one, now.
    pub until_us: i64,
    /// The first moment at which somebody counted this objective as it is now defined; what was
    /// before is not missing, it never was.
    pub begins_us: Option<i64>,
    pub events: Counts,
    pub error_ratio: Option<f64>,
    /// The share of the window's past in which there was somebody to count, 0 to 1. What is not
    /// covered is neither good nor bad.
    pub coverage: f64,
    pub budget: Budget,
    /// Over 5m, 30m, 1h, 2h, 6h, 1d, 3d and the windows of the alerts where they are others, in the
    /// order of their length; then over the window itself (a calendar one: so far).
    pub burns: Vec<Burn>,
    /// When the budget is used up if it goes on burning as in the last hour, with the refunds that
    /// come until then counted in. Absent: not within the next window, or it is used up already.
    pub exhausts_at_us: Option<i64>,
    /// Old failures leaving a rolling window, soonest first, in at most 32 steps.
    pub refunds: Vec<Refund>,
    pub alerts: Vec<AlertStatus>,
    /// Fewer events than the objective's minimum.
    pub few_events: bool,
    pub data_loss: DataLoss,
}

/// The error budget of the window. All are of the window's events so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// `1 − bad / ((1 − target) × total)`; below 0 when overspent; absent without events.
    pub left: Option<f64>,
    /// Bad events that the budget allows, and how many are left of them.
    pub events: f64,
    pub events_left: f64,
    /// Minutes of total outage that the budget allows over the whole window at constant traffic, and
    /// the share that is left of them.
    pub minutes: f64,
    pub minutes_left: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Burn {
    pub window_s: u64,
    pub events: Counts,
    pub error_ratio: Option<f64>,
    /// Error ratio over `1 − target`: 1 uses the budget up exactly within the window.
    pub rate: Option<f64>,
    pub coverage: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Refund {
    pub at_us: i64,
    /// Bad events that leave the window at about then.
    pub bad: u64,
    /// What that gives back of the budget.
    pub budget: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertStatus {
    pub severity: Severity,
    pub long_s: u64,
    pub short_s: u64,
    /// `14.4`
    pub factor: String,
    pub state: AlertState,
    /// Since when it is in this state.
    pub since_us: i64,
    /// Burn rates over both windows.
    pub long_rate: Option<f64>,
    pub short_rate: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    Inactive,
    Firing,
    /// Was firing when the data went missing: it stays so, and is not resolved.
    Frozen,
}

/// A point of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub at_us: i64,
    /// Absent: not covered, or nothing happened.
    pub value: Option<f64>,
}
