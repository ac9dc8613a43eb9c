//! The shapes of the API's answers, described for OpenAPI: those of `slo::status` and `slo::gate`,
//! field by field, of which nothing but the description is made here. The contract test holds what is
//! answered against it.
#![allow(dead_code, reason = "these types are descriptions; the answers are slo's own")]

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Whose view; without any, all events.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Viewed {
    /// The caller's own tenant.
    #[param(max_length = 63)]
    pub(super) tenant: Option<String>,
    #[param(max_length = 63)]
    pub(super) route_group: Option<String>,
}

/// What is to be deployed.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Absent: all.
    #[param(max_length = 63)]
    pub(super) service: Option<String>,
    /// `feature`, `security`, `reliability`, `rollback` …
    #[param(max_length = 63)]
    pub(super) change: Option<String>,
}

/// Something that was deployed.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Deploy {
    /// Absent: all.
    pub(super) service: Option<String>,
    #[schema(min_length = 1, max_length = 200)]
    pub(super) text: String,
}

/// A list.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Items<T> {
    pub(super) items: Vec<T>,
}

#[derive(Debug, ToSchema)]
pub(super) struct Statuses {
    items: Vec<Status>,
}

#[derive(Debug, ToSchema)]
pub(super) struct Steps {
    items: Vec<Step>,
}

#[derive(Debug, ToSchema)]
pub(super) struct Overrides {
    items: Vec<OverrideUse>,
}

#[derive(Debug, ToSchema)]
pub(super) struct Deploys {
    items: Vec<Mark>,
}

/// A deploy mark.
#[derive(Debug, ToSchema)]
pub(super) struct Mark {
    /// Microseconds since 1970.
    at_us: i64,
    service: Option<String>,
    text: String,
}

/// A deploy that went on by an override.
#[derive(Debug, ToSchema)]
pub(super) struct OverrideUse {
    /// Microseconds since 1970.
    at_us: i64,
    service: Option<String>,
    change: Option<String>,
    /// Whose override, until when and why.
    lifted_by: String,
    /// The API key that asked.
    key_id: Option<String>,
}

/// A line of the computation behind a budget.
#[derive(Debug, ToSchema)]
pub(super) struct Step {
    /// `error budget`
    what: String,
    /// `1 − 0.9995`
    how: String,
    /// `0.0005`
    result: String,
}

/// An objective at one moment. Times are microseconds since 1970.
#[derive(Debug, ToSchema)]
pub(super) struct Status {
    slo: String,
    service: String,
    description: String,
    scope: Scope,
    /// `99.95`
    target_percent: String,
    /// `30d`, or `calendar month`
    window: String,
    /// `availability`, `latency`, `freshness`, `ratio`, `probe`
    kind: String,
    at_us: i64,
    from_us: i64,
    /// The end of a calendar window; of a rolling one, now.
    until_us: i64,
    /// When it was first counted.
    begins_us: Option<i64>,
    events: Counts,
    error_ratio: Option<f64>,
    /// The share of the window in which somebody counted.
    #[schema(minimum = 0, maximum = 1)]
    coverage: f64,
    budget: Budget,
    /// Over 5m, 30m, 1h, 2h, 6h, 1d, 3d and the window.
    burns: Vec<Burn>,
    /// When the budget is used up, at the burn of the last hour.
    exhausts_at_us: Option<i64>,
    /// Old failures leaving a rolling window, soonest first.
    refunds: Vec<Refund>,
    alerts: Vec<Alert>,
    /// Fewer events than the objective's minimum.
    few_events: bool,
    data_loss: DataLoss,
}

/// Whose events.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Scope {
    All,
    Tenant(String),
    RouteGroup(String),
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "lowercase")]
enum DataLoss {
    Freeze,
    Alert,
    Ignore,
}

/// Events.
#[derive(Debug, ToSchema)]
struct Counts {
    good: u64,
    bad: u64,
    /// Counted for neither.
    excluded: u64,
}

/// The error budget of the window.
#[derive(Debug, ToSchema)]
struct Budget {
    /// 1 to below 0; absent without events.
    left: Option<f64>,
    /// Bad events that the budget allows.
    events: f64,
    events_left: f64,
    /// Minutes of total outage that it allows at constant traffic.
    minutes: f64,
    minutes_left: f64,
}

#[derive(Debug, ToSchema)]
struct Burn {
    window_s: u64,
    events: Counts,
    error_ratio: Option<f64>,
    /// 1 uses the budget up exactly within the window.
    rate: Option<f64>,
    #[schema(minimum = 0, maximum = 1)]
    coverage: f64,
}

#[derive(Debug, ToSchema)]
struct Refund {
    at_us: i64,
    bad: u64,
    budget: f64,
}

#[derive(Debug, ToSchema)]
struct Alert {
    severity: Severity,
    long_s: u64,
    short_s: u64,
    /// `14.4`
    factor: String,
    state: AlertState,
    since_us: i64,
    long_rate: Option<f64>,
    short_rate: Option<f64>,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Page,
    Ticket,
}

/// `frozen`: was firing when the data went missing.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "lowercase")]
enum AlertState {
    Inactive,
    Firing,
    Frozen,
}

/// Whether to deploy.
#[derive(Debug, ToSchema)]
pub(super) struct Decision {
    answer: Answer,
    /// What it would be without exemption or override.
    answer_of_budgets: Answer,
    at_us: i64,
    /// One for each objective, the worst first.
    reasons: Vec<Reason>,
    /// When it opens again, if nothing more goes wrong.
    opens_at_us: Option<i64>,
    /// Why a freeze does not count.
    lifted_by: Option<String>,
    /// Why the override that was handed in is refused.
    override_refused: Option<String>,
    /// What is to be said besides.
    #[schema(required = false)]
    note: Option<String>,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Allow,
    Slow,
    Freeze,
    Unknown,
}

#[derive(Debug, ToSchema)]
struct Reason {
    slo: String,
    answer: Answer,
    text: String,
}
