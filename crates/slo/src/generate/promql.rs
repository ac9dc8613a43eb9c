//! The PromQL of objectives. Ratios are ratios of sums, over all tenants and replicas; what was idle
//! has no ratio instead of a NaN that poisons everything it is added to.

use std::time::Duration;

use crate::generate::names::{EVENTS, calendar_name, duration, period_ratio, ratio_rate};
use crate::spec::{Calendar, Pair, Slo};

/// Below a whole count by half an event: `increase` extrapolates, events are whole.
const HALF: &str = ".5";

fn selector(slo: &Slo, outcome: &str) -> String {
    format!("{EVENTS}{{slo=\"{}\",outcome{outcome}}}", slo.name)
}

pub(super) fn bad(slo: &Slo) -> String {
    selector(slo, "=\"bad\"")
}

/// What the ratio is over: excluded events are in neither.
pub(super) fn counted(slo: &Slo) -> String {
    selector(slo, "=~\"good|bad\"")
}

/// The error ratio of an objective over a window, from its counters. No events, no result.
#[must_use]
pub fn error_ratio(slo: &Slo, window: Duration) -> String {
    let window = duration(window);
    format!("sum(rate({}[{window}]))\n/\n(sum(rate({}[{window}])) > 0)", bad(slo), counted(slo))
}

/// Bad events, and all that count, of a window.
pub(super) fn increase(series: &str, window: &str) -> String {
    format!("sum(increase({series}[{window}]))")
}

/// What tells a calendar window from all others, as a vector of one value: UTC, Monday begins a week.
pub(super) fn calendar_id(calendar: Calendar) -> &'static str {
    match calendar {
        // 1970-01-05 was a Monday.
        Calendar::Week => "floor(vector((time() - 345600) / 604800))",
        Calendar::Month => "year() * 100 + month()",
        Calendar::Quarter => "year() * 10 + ceil(month() / 3)",
        Calendar::Year => "year()",
    }
}

/// The days of the current calendar window.
pub(super) fn calendar_days(calendar: Calendar) -> String {
    let leap = "((year() % 4 == bool 0) - (year() % 100 == bool 0) + (year() % 400 == bool 0))";
    match calendar {
        Calendar::Week => "vector(7)".to_owned(),
        Calendar::Month => "days_in_month()".to_owned(),
        // 90 or 91, 91, 92, 92.
        Calendar::Quarter => {
            format!("92 - (month() <= bool 6) - (month() <= bool 3) * (1 - {leap})")
        }
        Calendar::Year => format!("365 + {leap}"),
    }
}

/// Never shorter than the calendar window.
pub(super) fn calendar_longest(calendar: Calendar) -> &'static str {
    match calendar {
        Calendar::Week => "7d",
        Calendar::Month => "31d",
        Calendar::Quarter => "92d",
        Calendar::Year => "366d",
    }
}

/// Name of the recorded events of calendar windows, by outcome and by the window they fell into.
pub(super) fn calendar_events(calendar: Calendar) -> String {
    format!("slo:shieldx_events_by_{}:rate5m", calendar_name(calendar))
}

/// Events of the last minutes, with the calendar window of now in the label `period`.
pub(super) fn calendar_recorded(slo: &Slo, calendar: Calendar) -> String {
    format!(
        "sum by (outcome) (rate({}[5m]))\n* on () group_left (period)\ncount_values(\"period\", {})",
        counted(slo),
        calendar_id(calendar)
    )
}

/// The error ratio of the current calendar window so far.
pub(super) fn calendar_ratio(slo: &Slo, calendar: Calendar) -> String {
    let of = |outcome: &str| {
        format!(
            "sum(\n  sum_over_time({}{{sloth_id=\"{}\",outcome{outcome}}}[{}])\n  and on (period) \
             count_values(\"period\", {})\n)",
            calendar_events(calendar),
            slo.name,
            calendar_longest(calendar),
            calendar_id(calendar)
        )
    };
    format!("{}\n/\n({} > 0)", of("=\"bad\""), of("=~\"good|bad\""))
}

/// A recorded series of one objective.
pub(super) fn recorded(slo: &Slo, name: &str) -> String {
    format!("{name}{{sloth_id=\"{}\"}}", slo.name)
}

pub(super) fn recorded_period(slo: &Slo) -> String {
    recorded(slo, &period_ratio(slo))
}

/// Whether a pair fires: both windows burn faster, and enough happened in the long one.
pub(super) fn pair(slo: &Slo, pair: &Pair) -> String {
    let threshold = slo.budget().times_tenths(pair.factor_tenths);
    let above = |window| format!("max({} > {threshold})", recorded(slo, &ratio_rate(window)));
    let long = duration(pair.long);
    let mut lines = vec![above(pair.long), above(pair.short)];
    let guards = Guards::of(slo);
    if let Some(least) = guards.bad_min.checked_sub(1) {
        lines.push(format!("{} > {least}{HALF}", increase(&bad(slo), &long)));
    }
    if let Some(least) = guards.total_min.checked_sub(1) {
        lines.push(format!("{} > {least}{HALF}", increase(&counted(slo), &long)));
    }
    lines.join("\nand ")
}

/// How much has to have happened in the long window of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guards {
    pub(super) bad_min: u64,
    /// See [`Slo::alert_events_min`]; 0 for none.
    pub(super) total_min: u64,
}

impl Guards {
    pub(super) fn of(slo: &Slo) -> Self {
        Self { bad_min: slo.alerting.bad_events_min, total_min: slo.alert_events_min() }
    }
}

/// While nobody counts, an alert that fired goes on: a fault that also cuts off the metrics is not
/// over. It ends when events are counted again and say so. Its value is below nought, as no ratio is.
pub(super) fn frozen(slo: &Slo, alertname: &str) -> String {
    format!(
        "-max(ALERTS{{alertname=\"{alertname}\",alertstate=\"firing\",slo=\"{}\"}})\nand absent(sum(rate({}[5m])))",
        slo.name,
        counted(slo)
    )
}

/// How fast the budget burns over every recorded window, told apart by `sloth_window`.
pub(super) fn burn_rates(slo: &Slo) -> String {
    format!(
        "{{__name__=~\"slo:sli_error:ratio_rate.*\",sloth_id=\"{}\"}}\n/ on (sloth_id) group_left ()\n{}",
        slo.name,
        recorded(slo, "slo:error_budget:ratio")
    )
}
