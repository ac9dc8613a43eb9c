//! How things are called in the generated files: windows as Prometheus writes them, the labels that
//! Sloth gave its series, alerts and where their runbooks are.

use std::time::Duration;

use crate::generate::Settings;
use crate::spec::{Calendar, Catalog, DataLoss, Pair, Severity, Slo, Window};

/// Counters of all events by tenant, and by route group.
pub const EVENTS: &str = "shieldx_slo_events_total";
pub const ROUTE_GROUP_EVENTS: &str = "shieldx_slo_route_group_events_total";

/// A length of time as Prometheus prints it: `5m`, `1h30m`, `3d`; weeks and years only where nothing
/// is left over (28 days are `4w`, 30 days `30d`).
#[must_use]
pub fn duration(length: Duration) -> String {
    const UNITS: [(&str, u128, bool); 7] = [
        ("y", 365 * 86_400_000, true),
        ("w", 7 * 86_400_000, true),
        ("d", 86_400_000, false),
        ("h", 3_600_000, false),
        ("m", 60_000, false),
        ("s", 1000, false),
        ("ms", 1, false),
    ];
    let mut left = length.as_millis();
    let mut text = String::new();
    for (unit, size, whole_only) in UNITS {
        if left < size || (whole_only && !left.is_multiple_of(size)) {
            continue;
        }
        text.push_str(&format!("{}{unit}", left / size));
        left %= size;
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// An objective's own window as it is in the label `sloth_window` and in the name of the series.
pub(super) fn period(window: Window) -> String {
    match window {
        Window::Rolling { days } => duration(days_of(days)),
        Window::Calendar(calendar) => format!("calendar_{}", calendar_name(calendar)),
    }
}

/// … and for people.
pub(super) fn period_text(window: Window) -> String {
    match window {
        Window::Rolling { days } => format!("{days}d"),
        Window::Calendar(calendar) => format!("calendar {}", calendar_name(calendar)),
    }
}

pub(super) fn calendar_name(calendar: Calendar) -> &'static str {
    match calendar {
        Calendar::Week => "week",
        Calendar::Month => "month",
        Calendar::Quarter => "quarter",
        Calendar::Year => "year",
    }
}

pub(super) fn days_of(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 86_400)
}

/// Name of the series with the error ratio over the objective's own window.
#[must_use]
pub fn period_ratio(slo: &Slo) -> String {
    match slo.window {
        Window::Rolling { days } => ratio_rate(days_of(days)),
        Window::Calendar(_) => format!("slo:sli_error:ratio_{}", period(slo.window)),
    }
}

/// Name of the series with the error ratio over a window.
#[must_use]
pub fn ratio_rate(window: Duration) -> String {
    format!("slo:sli_error:ratio_rate{}", duration(window))
}

/// What may be told of an objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertKind {
    /// The budget burns: one alert for all pairs of a severity.
    Burn(Severity),
    /// Nobody counts.
    NoData,
}

impl AlertKind {
    /// The label `alertname`.
    #[must_use]
    pub fn alertname(self) -> &'static str {
        match self {
            Self::Burn(Severity::Page) => "SloBurnsFast",
            Self::Burn(Severity::Ticket) => "SloBurnsSlowly",
            Self::NoData => "SloHasNoData",
        }
    }

    /// The end of the alert's id: `page` in `gateway-latency-page`.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Burn(severity) => severity.as_str(),
            Self::NoData => "no-data",
        }
    }
}

/// The alerts of an objective, most urgent first.
#[must_use]
pub fn alerts(slo: &Slo) -> Vec<AlertKind> {
    let mut kinds: Vec<_> = [Severity::Page, Severity::Ticket]
        .into_iter()
        .filter(|severity| pairs(slo, *severity).next().is_some())
        .map(AlertKind::Burn)
        .collect();
    if slo.data_loss == DataLoss::Alert {
        kinds.push(AlertKind::NoData);
    }
    kinds
}

/// The pairs of a severity that can fire: one whose factor times the budget is one or more asks for
/// more than every event to be bad.
pub(super) fn pairs(slo: &Slo, severity: Severity) -> impl Iterator<Item = &Pair> {
    let budget = u64::from(slo.budget().billionths());
    slo.alerting.pairs.iter().filter(move |pair| {
        pair.severity == severity && budget * u64::from(pair.factor_tenths) < 10_000_000_000
    })
}

/// How urgent an alert is. To be without data is as urgent as what cannot be seen meanwhile.
#[must_use]
pub fn severity(slo: &Slo, kind: AlertKind) -> Severity {
    match kind {
        AlertKind::Burn(severity) => severity,
        AlertKind::NoData if pairs(slo, Severity::Page).next().is_some() => Severity::Page,
        AlertKind::NoData => Severity::Ticket,
    }
}

/// All labels of an alert as it reaches Alertmanager. Whoever sends the same alert with the same
/// labels does not wake anybody twice.
#[must_use]
pub fn alert_labels(slo: &Slo, kind: AlertKind) -> Vec<(String, String)> {
    let mut labels = vec![("alertname".to_owned(), kind.alertname().to_owned())];
    labels.extend(rule_labels(slo, kind));
    labels
}

/// The same without `alertname`, which Prometheus adds.
pub(super) fn rule_labels(slo: &Slo, kind: AlertKind) -> Vec<(String, String)> {
    let severity = severity(slo, kind).as_str();
    let mut labels = vec![
        ("service", slo.service.as_str()),
        ("severity", severity),
        ("slo", slo.name.as_str()),
        ("sloth_id", slo.name.as_str()),
        ("sloth_service", slo.service.as_str()),
        ("sloth_severity", severity),
        ("sloth_slo", slo.name.as_str()),
    ];
    if let Some(team) = &slo.team {
        labels.push(("team", team));
    }
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Labels of every recorded series.
pub(super) fn series_labels(slo: &Slo, window: Option<&str>) -> Vec<(String, String)> {
    let mut labels = vec![
        ("sloth_id", slo.name.as_str()),
        ("sloth_service", slo.service.as_str()),
        ("sloth_slo", slo.name.as_str()),
    ];
    labels.extend(window.map(|window| ("sloth_window", window)));
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// An alert's id, which its runbook is named after: `gateway-latency-page`.
#[must_use]
pub fn alert_id(slo: &Slo, kind: AlertKind) -> String {
    format!("{}-{}", slo.name, kind.suffix())
}

/// Where an alert's runbook is read.
#[must_use]
pub fn runbook_url(catalog: &Catalog, settings: &Settings, slo: &Slo, kind: AlertKind) -> String {
    let id = alert_id(slo, kind);
    match &catalog.runbook_base_url {
        Some(base) => format!("{}/{id}.md", base.trim_end_matches('/')),
        None => format!("{}/runbooks/{id}", settings.console()),
    }
}

/// The services of a catalog, in the order in which it names them first.
pub(super) fn services(catalog: &Catalog) -> Vec<&str> {
    let mut services: Vec<&str> = Vec::new();
    for slo in &catalog.slos {
        if !services.contains(&slo.service.as_str()) {
            services.push(&slo.service);
        }
    }
    services
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_written_as_prometheus_does() {
        for (seconds, text) in [
            (0, "0s"),
            (300, "5m"),
            (5400, "1h30m"),
            (86_400, "1d"),
            (7 * 86_400, "1w"),
            (28 * 86_400, "4w"),
            (30 * 86_400, "30d"),
            (365 * 86_400, "1y"),
            (400 * 86_400, "400d"),
            (86_461, "1d1m1s"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
    }
}
