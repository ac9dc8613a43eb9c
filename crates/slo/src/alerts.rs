//! Which alerts fire. An alert fires while both windows of its pair burn faster than its factor and
//! there are enough events; without data it is frozen, not resolved.

use serde::{Deserialize, Serialize};

use crate::spec::{Catalog, Severity, SloName};
use crate::status::Status;

/// What changed, for whoever is to be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    pub slo: SloName,
    pub service: String,
    pub team: Option<String>,
    pub severity: Severity,
    /// `true`: it fires (also when it still does); `false`: it is over.
    pub firing: bool,
    pub since_us: i64,
    /// When it was over.
    pub ended_us: Option<i64>,
    /// One line: `99.9% of … : budget burns 22.3 × over 1h and 31.0 × over 5m (page at 14.4)`.
    pub summary: String,
    /// Several lines: what it means, budget left, when it is used up.
    pub description: String,
}

/// The state of all alerts; it outlives a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Alerts {}

impl Alerts {
    /// Looks at new statuses (those of scope *all*), writes into them how their alerts are, and gives
    /// what changed: one notice per objective and severity, however many of its pairs fire.
    pub fn step(&mut self, catalog: &Catalog, statuses: &mut [Status], now_us: i64) -> Vec<Notice> {
        let _ = (catalog, statuses, now_us);
        Vec::new()
    }

    /// Everything that fires now, for receivers that want to be told again and again (Alertmanager).
    #[must_use]
    pub fn firing(&self) -> Vec<Notice> {
        Vec::new()
    }
}
