//! The numbers behind a budget, each line checkable with a pocket calculator.

use serde::{Deserialize, Serialize};

use super::project::Projection;
use super::span::Extent;
use super::{burns, coverage, float_us, series, status};
use crate::history::History;
use crate::spec::Slo;
use crate::status::{Scope, Status};

/// A line of the computation behind a budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// `error budget`
    pub what: String,
    /// `1 − 0.9995`
    pub how: String,
    /// `0.0005`
    pub result: String,
}

/// The numbers behind a budget, step by step, such that each can be checked by hand.
#[must_use]
pub fn explain(slo: &Slo, scope: &Scope, history: &History, now_us: i64) -> Vec<Step> {
    let status = status(slo, scope, history, now_us);
    let view = history.view(&series(slo, scope));
    let extent = Extent::of(slo.window, now_us);
    let mut steps = vec![
        step("window", slo.window.to_string(), span_text(status.from_us, now_us)),
        step(
            "coverage",
            format!(
                "{} of {} s were counted",
                view.covered_us(extent.from_us, now_us) / 1_000_000,
                (now_us - extent.from_us) / 1_000_000
            ),
            percent(coverage(&view, extent.from_us, now_us)),
        ),
    ];
    steps.extend(budget_steps(slo, &status));
    let burns = burns(slo, &view, extent, now_us);
    for burn in burns.iter().filter(|burn| burn.events.total() > 0) {
        steps.push(step(
            &format!("burn rate over {}", duration_text(burn.window_s)),
            format!(
                "{} bad of {}, over {}",
                burn.events.bad,
                burn.events.total(),
                slo.budget().ratio()
            ),
            burn.rate.map_or_else(|| "none".to_owned(), digits),
        ));
    }
    steps.extend(projection_steps(&Projection::new(slo, &view, extent, now_us), &status));
    steps
}

fn budget_steps(slo: &Slo, status: &Status) -> Vec<Step> {
    let (events, budget, share) = (status.events, status.budget, slo.budget().ratio());
    let none = || "none: nothing happened".to_owned();
    let minutes = float_us(status.until_us - status.from_us) / 60e6;
    vec![
        step(
            "events",
            format!("{} good + {} bad", events.good, events.bad),
            events.total().to_string(),
        ),
        step("excluded", "counted for neither".to_owned(), events.excluded.to_string()),
        step(
            "error ratio",
            format!("{} / {}", events.bad, events.total()),
            events.error_ratio().map_or_else(none, digits),
        ),
        step("error budget", format!("1 − {}", slo.target.ratio()), share.clone()),
        step("bad events allowed", format!("{share} × {}", events.total()), digits(budget.events)),
        step(
            "bad events left",
            format!("{} − {}", digits(budget.events), events.bad),
            digits(budget.events_left),
        ),
        step(
            "budget left",
            format!("1 − {} / {}", events.bad, digits(budget.events)),
            budget.left.map_or_else(none, percent),
        ),
        step(
            "minutes of outage allowed",
            format!("{share} × {} min", digits(minutes)),
            digits(budget.minutes),
        ),
        step(
            "minutes left",
            format!("{} × {}", digits(budget.minutes), digits(budget.left.unwrap_or(1.0))),
            digits(budget.minutes_left),
        ),
    ]
}

fn projection_steps(project: &Projection<'_>, status: &Status) -> Vec<Step> {
    let (bad, all) = project.flow();
    let mut steps = vec![
        step(
            "traffic",
            format!("{} events over the covered time", status.events.total()),
            format!("{} events/min", digits(all * 60e6)),
        ),
        step(
            "projected failures",
            "traffic × error ratio of the last hour".to_owned(),
            format!("{} bad/min", digits(bad * 60e6)),
        ),
    ];
    if let Some(first) = status.refunds.first() {
        let all: u64 = status.refunds.iter().map(|refund| refund.bad).sum();
        steps.push(step(
            "refunds",
            format!("{all} bad events leave the window from {}", time_text(first.at_us)),
            percent(status.refunds.iter().map(|refund| refund.budget).sum()),
        ));
    }
    let used_up = status.budget.left.is_some_and(|left| left <= 0.0);
    let result = match status.exhausts_at_us {
        Some(at_us) => time_text(at_us),
        None if used_up => "it is used up".to_owned(),
        None => "not within the next window".to_owned(),
    };
    let how = "first minute at which failures, projected and without those that left, reach what is \
               allowed of the events then in the window";
    steps.push(step("budget used up", how.to_owned(), result));
    steps
}

fn step(what: &str, how: String, result: String) -> Step {
    Step { what: what.to_owned(), how, result }
}

fn span_text(from_us: i64, to_us: i64) -> String {
    format!("{} to {}", time_text(from_us), time_text(to_us))
}

pub(crate) fn time_text(us: i64) -> String {
    jiff::Timestamp::from_microsecond(us)
        .map_or_else(|_| us.to_string(), |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// `5m`, `1h`, `3d`, `90s`: as PromQL writes it.
pub(crate) fn duration_text(seconds: u64) -> String {
    for (unit, name) in [(86_400, "d"), (3600, "h"), (60, "m")] {
        if seconds >= unit && seconds.is_multiple_of(unit) {
            return format!("{}{name}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

fn percent(ratio: f64) -> String {
    format!("{} %", digits(ratio * 100.0))
}

/// Six significant digits, without an exponent or needless noughts.
pub(crate) fn digits(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return "0".to_owned();
    }
    let before_point = number.abs().log10().floor();
    let after = if before_point >= 5.0 { 0.0 } else { (5.0 - before_point).min(12.0) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 12")]
    let text = format!("{number:.*}", after as usize);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
