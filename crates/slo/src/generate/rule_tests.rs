//! promtool unit tests of every alert: that it fires just above its factor and not just below, that
//! it resolves, that little traffic and no traffic wake nobody, and what happens without data.
//!
//! What has to come is computed from the events of the test, so that a rule that was changed by hand,
//! or a mistake in what writes the rules, fails here.

mod scenario;
mod text;
mod traffic;

use std::time::Duration;

use self::scenario::evaluate_every;
use self::text::Document;
use self::traffic::{Traffic, burn_alerts};
use super::names::{self, AlertKind, duration, ratio_rate};
use super::{Settings, promql};
use crate::spec::{Calendar, Catalog, DataLoss, Severity, Slo, Window};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// The test files of a service, by path: pages, tickets, without data, calendar windows.
pub(super) fn files(
    catalog: &Catalog,
    settings: &Settings,
    service: &str,
) -> Vec<(String, String)> {
    let new = |every| Document::new(catalog, settings, service, every);
    let mut pages = new(evaluate_every(Severity::Page));
    let mut tickets = new(evaluate_every(Severity::Ticket));
    let (mut without_data, mut calendar) = (new(2 * MINUTE), new(6 * HOUR));
    for slo in catalog.slos.iter().filter(|slo| slo.service == service) {
        burning(&mut pages, slo, Severity::Page);
        burning(&mut tickets, slo, Severity::Ticket);
        idle(&mut pages, slo);
        no_data(&mut without_data, slo);
        if let Window::Calendar(each) = slo.window {
            calendar_window(&mut calendar, slo, each);
        }
    }
    [("pages", pages), ("tickets", tickets), ("no-data", without_data), ("calendar", calendar)]
        .into_iter()
        .filter_map(|(what, document)| {
            Some((format!("prometheus/tests/{service}-{what}_test.yaml"), document.finish()?))
        })
        .collect()
}

fn burning(document: &mut Document<'_>, slo: &Slo, severity: Severity) {
    for scenario in scenario::all(slo, severity) {
        document.begin(slo, &scenario.name, &scenario.traffic);
        for look in &scenario.looks {
            document.alerts(slo, &scenario.traffic, *look);
        }
        if let Some(look) = scenario.recorded {
            document.ratios(slo, &scenario.traffic, look);
        }
    }
}

/// Nothing happens for as long as the windows that are evaluated most often: no alert, no ratio where
/// there is nothing to divide, and no NaN in the window's own, which still knows the hour before.
fn idle(document: &mut Document<'_>, slo: &Slo) {
    let mut traffic = Traffic::new(slo);
    traffic.add(HOUR, 1000, 0).add(7 * HOUR, 0, 0);
    document.begin(slo, "idle: no alert, no NaN", &traffic);
    let end = traffic.end();
    document.alerts(slo, &traffic, end);
    for window in [5 * MINUTE, HOUR, 6 * HOUR] {
        document.expression(&promql::recorded(slo, &ratio_rate(window)), end, &[]);
    }
    let labels = names::series_labels(slo, Some(&names::period(slo.window)));
    let left = "slo:period_error_budget_remaining:ratio";
    if matches!(slo.window, Window::Rolling { .. }) {
        document.expression(&promql::recorded(slo, left), end, &[(left, &labels, "1")]);
    }
    document.expression(&promql::recorded(slo, "slo:current_burn_rate:ratio"), end, &[]);
}

/// Everything burns, then the metrics are gone; later they come back and all is well.
fn no_data(document: &mut Document<'_>, slo: &Slo) {
    let mut traffic = Traffic::new(slo);
    let guards = promql::Guards::of(slo);
    traffic.add(20 * MINUTE, 0, guards.total_min.max(guards.bad_min).max(1));
    let gone = traffic.end();
    let shorts = slo.alerting.pairs.iter().map(|pair| pair.short);
    let silence = shorts.max().unwrap_or_default() + 30 * MINUTE;
    let back = Duration::from_secs((gone + silence).as_secs().div_ceil(120) * 120);
    let well = back + silence;
    document.begin_with_gap(slo, "without data", &traffic, back - gone, silence);
    document.alerts(slo, &traffic, gone);
    let missing = back - 10 * MINUTE;
    let left = traffic.budget_left(slo, gone);
    for (kind, severity) in burn_alerts(slo) {
        let fired = traffic.fires(slo, severity, gone).is_some();
        let frozen = fired && slo.data_loss != DataLoss::Ignore;
        document.alert(slo, kind, missing, frozen.then_some(text::Value::Frozen { left }));
    }
    if slo.data_loss == DataLoss::Alert {
        document.alert(slo, AlertKind::NoData, gone, None);
        document.alert(slo, AlertKind::NoData, missing, Some(text::Value::None));
        document.alert(slo, AlertKind::NoData, well, None);
    }
    for (kind, _) in burn_alerts(slo) {
        document.alert(slo, kind, well, None);
    }
}

/// Nothing but failures until the window ends, nothing bad in the next one.
fn calendar_window(document: &mut Document<'_>, slo: &Slo, calendar: Calendar) {
    // The first windows of 1970, in which these tests begin.
    let (first, next) = match calendar {
        Calendar::Week => (4 * DAY, 7),
        Calendar::Month => (31 * DAY, 28),
        Calendar::Quarter => (90 * DAY, 91),
        Calendar::Year => (365 * DAY, 365),
    };
    let mut traffic = Traffic::new(slo);
    traffic.step = MINUTE;
    traffic.add(first, 0, 1000).add(2 * DAY, 1000, 0);
    let name = format!("a {} begins anew", names::calendar_name(calendar));
    document.begin(slo, &name, &traffic);
    let window = names::period(slo.window);
    let labels = names::series_labels(slo, Some(&window));
    let name = names::period_ratio(slo);
    document.expression(&promql::recorded(slo, &name), first - 6 * HOUR, &[(&name, &labels, "1")]);
    // The five minutes before midnight are in the first rate of the new window, which is one of five
    // that this test records on its first day (and one of 2,880 where rules run every 30 s).
    let few = format!("{} < bool 0.5", promql::recorded(slo, &name));
    document.expression(&few, first + DAY, &[("", &labels, "1")]);
    let days = "slo:time_period:days";
    let labels = names::series_labels(slo, None);
    let next = next.to_string();
    document.expression(&promql::recorded(slo, days), first + DAY, &[(days, &labels, &next)]);
}

/// A moment as promtool reads it.
fn moment(at: Duration) -> String {
    duration(at)
}
