//! What an objective is, once it has been read and found possible.
//!
//! `read` turns `slo.yaml` into these types and refuses what cannot work, with the arithmetic; the
//! types themselves are what every other room here takes.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decimal::Share;

mod alerting;
mod check;
pub(crate) mod emit;
mod fields;
pub(crate) mod read;
mod revision;
mod selector;
mod span;
pub(crate) mod tree;
mod warnings;
pub(crate) mod write;

pub use alerting::{Alerting, PAIRS, Pair, Severity};
pub use read::{Refused, SHIPPED, is_key_name, read};
pub use selector::{BadSelector, Matcher, Selector, Sign};
pub use span::{parse as span_from, text as span_text};
pub use write::write;

/// Whose requests are counted.
pub const SERVICES: [&str; 6] =
    ["ingress", "gateway", "contauth", "verifier-pool", "ml-service", "console"];
/// The upper bounds of histograms of requests' durations: a threshold has to be one of them. They
/// are `runtime::metrics::DURATION_BUCKETS_S`, which this room may not know.
pub const LATENCY_BOUNDS_MS: [u64; 16] =
    [5, 10, 25, 50, 75, 100, 250, 350, 500, 750, 1000, 2000, 2500, 5000, 7500, 10_000];

/// How long counts are kept.
pub const RETENTION_DAYS: u32 = 400;
/// The label of tenants beyond the bound, and of events whose tenant is not known.
pub const OTHER_TENANTS: &str = "__other__";
pub const NO_TENANT: &str = "__none__";
/// The route group of routes that are in none.
pub const OTHER_ROUTES: &str = "other";

/// An objective's name: 1–63 of `a-z`, `0-9` and `-`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SloName(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an objective is named with 1 to 63 of a-z, 0-9 and -, a letter first: {text:?} is not")]
pub struct BadName {
    pub text: String,
}

impl SloName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SloName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        let letters = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let good = (1..=63).contains(&text.len())
            && text.bytes().all(letters)
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-');
        if good { Ok(Self(text)) } else { Err(BadName { text }) }
    }
}

impl From<SloName> for String {
    fn from(name: SloName) -> Self {
        name.0
    }
}

impl fmt::Display for SloName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything one file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// In the order of the file.
    pub slos: Vec<Slo>,
    pub route_groups: Vec<RouteGroup>,
    pub tenants: TenantBound,
    pub gate: GatePolicy,
    /// Base URL of runbooks that alerts link to; absent: the console's own pages.
    pub runbook_base_url: Option<String>,
}

impl Catalog {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Slo> {
        self.slos.iter().find(|slo| slo.name.as_str() == name)
    }

    /// The route group a request is in.
    #[must_use]
    pub fn route_group(&self, service: &str, method: &str, route: &str) -> &str {
        let has = |group: &&RouteGroup| {
            group.routes.iter().any(|known| known.matches(service, method, route))
        };
        self.route_groups.iter().find(has).map_or(OTHER_ROUTES, |group| &group.name)
    }
}

/// One objective.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slo {
    pub name: SloName,
    /// The service it belongs to: `ingress`, `gateway`, …
    pub service: String,
    /// One sentence for people.
    pub description: String,
    /// Whom alerts go to (label `team`); absent: nobody in particular.
    pub team: Option<String>,
    /// The share of events that have to be good.
    pub target: Share,
    pub window: Window,
    pub sli: Sli,
    /// Below this many events in the window the gate does not act on this objective and says so.
    pub minimum_events: u64,
    pub data_loss: DataLoss,
    /// The share of the window, since anybody counted in it, that has to be covered for the gate to
    /// know; e.g. 90 %.
    pub coverage_min: Share,
    pub alerting: Alerting,
    /// Whether the deploy gate looks at it.
    pub gated: bool,
    /// Counts which views: per tenant, per route group.
    pub views: Views,
    /// A hash of what the counts mean (SLI) and are held against (target, window): counts of another
    /// revision are not mixed in.
    pub revision: u32,
}

impl Slo {
    /// `1 − target`.
    #[must_use]
    pub fn budget(&self) -> Share {
        self.target.complement()
    }

    /// So many events, good and bad, have to be in a pair's long window for it to fire: `1 / (1 − t)`,
    /// since with fewer a single failure is more than the budget. Not where events come by the clock:
    /// there are as few in an hour as the interval makes them, and the bad ones have a minimum.
    #[must_use]
    pub fn alert_events_min(&self) -> u64 {
        match self.sli {
            Sli::Probe { .. } | Sli::Freshness { .. } => 0,
            Sli::Availability { .. } | Sli::Latency { .. } | Sli::Ratio { .. } => {
                check::enough_events(self.target)
            }
        }
    }
}

/// Of which time an objective speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The last so many days.
    Rolling { days: u32 },
    /// From the beginning of the current one (UTC); Monday begins a week.
    Calendar(Calendar),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calendar {
    Week,
    Month,
    Quarter,
    Year,
}

const CALENDARS: [(&str, Calendar); 4] = [
    ("week", Calendar::Week),
    ("month", Calendar::Month),
    ("quarter", Calendar::Quarter),
    ("year", Calendar::Year),
];

impl Window {
    /// The fewest days it has: a month has 28.
    #[must_use]
    pub fn days_min(self) -> u32 {
        match self {
            Self::Rolling { days } => days,
            Self::Calendar(Calendar::Week) => 7,
            Self::Calendar(Calendar::Month) => 28,
            Self::Calendar(Calendar::Quarter) => 90,
            Self::Calendar(Calendar::Year) => 365,
        }
    }
}

/// As a file says it: `30d`, `calendar month`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rolling { days } => write!(f, "{days}d"),
            Self::Calendar(calendar) => {
                let known = CALENDARS.iter().find(|(_, known)| known == calendar);
                write!(f, "calendar {}", known.map_or("", |(name, _)| name))
            }
        }
    }
}

/// From `30d`, `4w` or `calendar month`; a rolling window has whole days.
#[must_use]
pub fn window_from(text: &str) -> Option<Window> {
    if let Some(unit) = text.strip_prefix("calendar ") {
        let found = CALENDARS.iter().find(|(name, _)| *name == unit.trim());
        return found.map(|(_, calendar)| Window::Calendar(*calendar));
    }
    let span = span_from(text)?;
    let days = span.as_secs() / 86_400;
    let whole = days > 0 && Duration::from_secs(days * 86_400) == span;
    u32::try_from(days).ok().filter(|_| whole).map(|days| Window::Rolling { days })
}

/// What is counted, and which of it is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sli {
    /// Requests; bad are those that fail on our side: 5xx, but for what the application behind the
    /// gateway answered itself. A denial is a decision and good.
    Availability { requests: Requests },
    /// Requests that did not fail; good are those whose response's header came within the threshold.
    /// `le` says whether exactly the threshold is good (`<=`) or not (`<`). Failed ones are
    /// excluded: they burn the availability's budget. Delays that were decided on (tarpit) are, too.
    Latency { requests: Requests, threshold: Duration, le: bool },
    /// Once per evaluation: good while a timestamp (a gauge, seconds since 1970) is at most this old.
    Freshness { timestamp: Selector, max_age: Duration },
    /// Any two counters of our own metrics.
    Ratio { events: RatioEvents, total: Selector },
    /// A request of our own from outside, every so often; good when it is answered 2xx or 3xx in time.
    Probe { target: ProbeTarget, interval: Duration, timeout: Duration },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RatioEvents {
    Good(Selector),
    Bad(Selector),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeTarget {
    /// The public door of this server.
    Ingress,
    Url(String),
}

/// Which requests of the objective's service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    /// Only these route groups; empty for all.
    pub only: Vec<String>,
    /// Not these.
    pub except: Vec<String>,
}

/// Routes of a service that are looked at together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteGroup {
    /// As an objective's name.
    pub name: String,
    /// The first group that matches has the request.
    pub routes: Vec<RouteMatch>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteMatch {
    /// Absent: any.
    pub service: Option<String>,
    /// Upper case; empty: any.
    pub methods: Vec<String>,
    /// A route template as in metrics (`/v1/verifications/{id}`), or its beginning and `*`.
    pub route: String,
}

impl RouteMatch {
    #[must_use]
    pub fn matches(&self, service: &str, method: &str, route: &str) -> bool {
        self.service.as_deref().is_none_or(|wanted| wanted == service)
            && (self.methods.is_empty() || self.methods.iter().any(|known| known == method))
            && match self.route.strip_suffix('*') {
                Some(prefix) => route.starts_with(prefix),
                None => route == self.route,
            }
    }
}

/// Which tenants are counted on their own; all others together are [`OTHER_TENANTS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantBound {
    /// These.
    Listed(Vec<String>),
    /// The first so many that are seen.
    First(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Views {
    pub tenants: bool,
    pub route_groups: bool,
}

/// What missing data means for alerts and the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataLoss {
    /// Alerts stay as they are until there is data again; uncovered time is shown as such.
    Freeze,
    /// As freeze, and an alert of its own says that there is no data.
    Alert,
    /// Alerts are evaluated on what there is.
    Ignore,
}

/// When a deploy may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatePolicy {
    /// Budget left below which deploys stop: 10 %.
    pub freeze_below: Share,
    /// Budget left at which they go on again after a freeze: 15 %.
    pub reopen_at: Share,
    /// Budget left below which they are to be slow: 25 %.
    pub slow_below: Share,
    /// Whether a page that burns stops them.
    pub freeze_on_page: bool,
    /// What is answered where the ledger does not know: `unknown` (the pipeline decides), or as if
    /// frozen or open.
    pub on_unknown: OnUnknown,
    /// The same where the window is covered, but fewer events happened than the objective's minimum.
    pub on_few_events: OnUnknown,
    /// Kinds of change that a freeze does not stop: `security`, `reliability`, `rollback`.
    pub exempt: Vec<String>,
    /// Ed25519 public keys, base64, of those who may override; empty: nobody may.
    pub override_keys: Vec<OverrideKey>,
    /// Ids of overrides that are not to count any more.
    pub revoked: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnknown {
    Unknown,
    Freeze,
    Allow,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverrideKey {
    /// Whose.
    pub name: String,
    /// 32 bytes.
    pub public: [u8; 32],
}

#[cfg(test)]
mod tests;
