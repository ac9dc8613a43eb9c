//! Prometheus rules of a service: recording rules with the names and labels that Sloth gave them, so
//! that dashboards made for Sloth work, and alerts.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::names::{self, AlertKind, alerts, duration, ratio_rate, rule_labels, series_labels};
use super::{Settings, burn, promql, yaml};
use crate::spec::{Catalog, Slo, Window};

/// The windows every objective has, whatever its pairs: the last is the console's and Sloth's, too.
const WINDOWS_S: [u64; 7] = [300, 1800, 3600, 7200, 21_600, 86_400, 259_200];
/// Up to this long a window is looked at again at every evaluation; longer ones change slowly and
/// cost more.
const SHORT: Duration = Duration::from_secs(21_600);

/// The file of a service's rules.
pub(super) fn file(catalog: &Catalog, settings: &Settings, service: &str) -> String {
    let mut text = format!(
        "# Objectives of {service}: recording rules and alerts. Written by `shieldx slo generate`;\n\
         # change slo.yaml instead. Every ratio is a ratio of sums of counts, never an average of\n\
         # ratios; series have the names and labels of Sloth's.\ngroups:\n"
    );
    for slo in catalog.slos.iter().filter(|slo| slo.service == service) {
        let intervals = Intervals::of(settings);
        text.push_str(&ratios(slo, intervals));
        text.push_str(&meta(slo, intervals));
        let kinds = alerts(slo);
        if kinds.is_empty() {
            continue;
        }
        group(&mut text, &groups(slo)[3], intervals.short_s);
        for kind in kinds {
            text.push_str(&alert(catalog, settings, slo, kind));
        }
    }
    text
}

/// The groups of an objective in the order in which they build on each other.
pub(super) fn groups(slo: &Slo) -> [String; 4] {
    ["ratios", "long-ratios", "meta", "alerts"]
        .map(|part| format!("shieldx-slo-{}-{part}", slo.name))
}

/// Seconds between evaluations. Instant selectors look back five minutes, so no more than two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Intervals {
    pub(super) short_s: u32,
    pub(super) long_s: u32,
}

impl Intervals {
    pub(super) fn of(settings: &Settings) -> Self {
        let scrape = settings.scrape_interval_s.max(1);
        Self {
            short_s: scrape.saturating_mul(2).min(60),
            long_s: scrape.saturating_mul(8).min(120),
        }
    }
}

fn group(text: &mut String, name: &str, interval_s: u32) {
    let interval = duration(Duration::from_secs(interval_s.into()));
    let _ = write!(text, "  - name: {name}\n    interval: {interval}\n    rules:\n");
}

/// All windows over which an objective's error ratio is recorded, but for a calendar window.
pub(super) fn windows(slo: &Slo) -> BTreeSet<Duration> {
    let mut windows: BTreeSet<Duration> = WINDOWS_S.map(Duration::from_secs).into();
    windows.extend(slo.alerting.pairs.iter().flat_map(|pair| [pair.long, pair.short]));
    if let Window::Rolling { days } = slo.window {
        windows.insert(names::days_of(days));
    }
    windows
}

fn ratios(slo: &Slo, intervals: Intervals) -> String {
    let mut text = String::new();
    let [short_name, long_name, ..] = groups(slo);
    let windows = windows(slo);
    let (short, long): (Vec<Duration>, Vec<Duration>) =
        windows.into_iter().partition(|window| *window <= SHORT);
    group(&mut text, &short_name, intervals.short_s);
    for window in short {
        text.push_str(&ratio(slo, window));
    }
    if let Window::Calendar(calendar) = slo.window {
        let labels = series_labels(slo, None);
        let name = promql::calendar_events(calendar);
        text.push_str(&record(&name, &promql::calendar_recorded(slo, calendar), &labels));
    }
    group(&mut text, &long_name, intervals.long_s);
    for window in long {
        text.push_str(&ratio(slo, window));
    }
    if let Window::Calendar(calendar) = slo.window {
        let labels = series_labels(slo, Some(&names::period(slo.window)));
        let name = names::period_ratio(slo);
        text.push_str(&record(&name, &promql::calendar_ratio(slo, calendar), &labels));
    }
    text
}

fn ratio(slo: &Slo, window: Duration) -> String {
    let labels = series_labels(slo, Some(&duration(window)));
    record(&ratio_rate(window), &promql::error_ratio(slo, window), &labels)
}

fn meta(slo: &Slo, intervals: Intervals) -> String {
    let mut text = String::new();
    group(&mut text, &groups(slo)[2], intervals.short_s);
    let labels = series_labels(slo, None);
    let days = match slo.window {
        Window::Rolling { days } => format!("vector({days})"),
        Window::Calendar(calendar) => promql::calendar_days(calendar),
    };
    let of_budget = |ratio: String| {
        let budget = promql::recorded(slo, "slo:error_budget:ratio");
        format!("{ratio}\n/ on (sloth_id, sloth_slo, sloth_service) group_left ()\n{budget}")
    };
    let now = promql::recorded(slo, &ratio_rate(Duration::from_secs(WINDOWS_S[0])));
    let burnt = promql::recorded(slo, "slo:period_burn_rate:ratio");
    for (name, expr) in [
        ("slo:objective:ratio", format!("vector({})", slo.target.ratio())),
        ("slo:error_budget:ratio", format!("vector({})", slo.budget().ratio())),
        ("slo:time_period:days", days),
        ("slo:current_burn_rate:ratio", of_budget(now)),
        ("slo:period_burn_rate:ratio", of_budget(promql::recorded_period(slo))),
        ("slo:period_error_budget_remaining:ratio", format!("1 - {burnt}")),
    ] {
        text.push_str(&record(name, &expr, &labels));
    }
    let mut info = labels;
    let mode = "shieldx-slo-generate".to_owned();
    info.push(("sloth_mode".to_owned(), mode));
    info.push(("sloth_objective".to_owned(), slo.target.percent()));
    info.push(("sloth_spec".to_owned(), "shieldx/v1".to_owned()));
    info.push(("sloth_window".to_owned(), names::period(slo.window)));
    text.push_str(&record("sloth_slo_info", "vector(1)", &info));
    text
}

fn record(name: &str, expr: &str, labels: &[(String, String)]) -> String {
    format!(
        "      - record: {name}\n        expr: {}\n        labels:\n{}",
        yaml::block(expr, 10),
        yaml::map(labels, 10)
    )
}

fn alert(catalog: &Catalog, settings: &Settings, slo: &Slo, kind: AlertKind) -> String {
    let (expr, hold) = match kind {
        AlertKind::Burn(severity) => (burn::expr(slo, severity), ""),
        // As long as the console, Alertmanager and a restart may take.
        AlertKind::NoData => (burn::no_data_expr(slo), "        for: 5m\n"),
    };
    format!(
        "      - alert: {}\n        expr: {}\n{hold}        labels:\n{}        annotations:\n{}",
        kind.alertname(),
        yaml::block(&expr, 10),
        yaml::map(&label_templates(slo, kind), 10),
        yaml::map(&burn::annotations(catalog, settings, slo, kind), 10)
    )
}

/// Labels of alerts are templates, too.
fn label_templates(slo: &Slo, kind: AlertKind) -> Vec<(String, String)> {
    rule_labels(slo, kind).into_iter().map(|(key, value)| (key, burn::escaped(&value))).collect()
}
