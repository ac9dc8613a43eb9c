//! OpenSLO v1 (<https://github.com/OpenSLO/OpenSLO>) in and out. What cannot be carried is said.
//!
//! What OpenSLO has words for is in its own fields (target, window, service, alert conditions), and
//! those count; what it has none for (what an indicator is made of, second windows, the gate) is in
//! annotations `shieldx.…`, as in `slo.yaml`. So our own export comes back as the same catalog, also
//! after somebody changed a target in it.

mod export;
mod import;

pub use export::export;
pub use import::import;

/// The names of annotations: on the data source what is the catalog's …
const ROUTE_GROUPS: &str = "shieldx.route_groups";
const TENANTS: &str = "shieldx.tenants";
const GATE_POLICY: &str = "shieldx.gate_policy";
const RUNBOOK_BASE_URL: &str = "shieldx.runbook_base_url";
/// … on an indicator what it is made of …
const INDICATOR: &str = "shieldx.indicator";
/// … on an objective the rest of it …
const TEAM: &str = "shieldx.team";
const MINIMUM_EVENTS: &str = "shieldx.minimum_events";
const DATA_LOSS: &str = "shieldx.data_loss";
const COVERAGE_MIN: &str = "shieldx.coverage_min";
const BAD_EVENTS_MIN: &str = "shieldx.bad_events_min";
const GATE: &str = "shieldx.gate";
const VIEWS: &str = "shieldx.views";
/// … and on a condition its second window.
const SHORT_WINDOW: &str = "shieldx.short_window";

/// What came of an import or an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// YAML: `slo.yaml` of an import, OpenSLO documents of an export.
    pub text: String,
    /// What could not be carried, or means something a little different now, one sentence each.
    pub left_out: Vec<String>,
}

#[cfg(test)]
mod tests;
