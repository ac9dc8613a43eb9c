//! From counts to a [`Status`]: error ratio, burn rates, budget, exhaustion, refunds, forecast.
//!
//! With `t` the target, `good` and `bad` the events of the window so far and `total` their sum:
//!
//! | what | formula |
//! |---|---|
//! | error ratio | `bad / total` |
//! | burn rate | `error ratio / (1 − t)` |
//! | budget, in events | `(1 − t) × total` |
//! | budget left | `1 − bad / ((1 − t) × total)` |
//! | budget, in minutes | `(1 − t) × the window's minutes`, of total outage at constant traffic |
//!
//! Sums of counts throughout, never means of ratios: an hour at night weighs what happened in it.

use std::time::Duration;

use serde::Serialize;

use crate::decimal::Share;
use crate::history::{History, Series, View};
use crate::spec::{Sli, Slo};
use crate::status::{Budget, Burn, Counts, Point, Scope, Status};
use span::Extent;

mod explain;
mod project;
mod span;
#[cfg(test)]
mod tests;

pub use explain::{Step, explain};
pub(crate) use explain::{digits, duration_text, time_text};

/// Windows that burn rates are always given for, in seconds.
pub const BURN_WINDOWS_S: [u64; 7] = [300, 1800, 3600, 7200, 21_600, 86_400, 259_200];
/// Points of a chart.
pub const POINTS_MAX: u32 = 10_000;

/// An objective now. `alerts` is empty: [`crate::alerts`] fills it.
#[must_use]
pub fn status(slo: &Slo, scope: &Scope, history: &History, now_us: i64) -> Status {
    let view = history.view(&series(slo, scope));
    let extent = Extent::of(slo.window, now_us);
    let events = view.counts(extent.from_us, now_us);
    let budget = budget(slo, extent, events);
    let project = project::Projection::new(slo, &view, extent, now_us);
    Status {
        slo: slo.name.clone(),
        service: slo.service.clone(),
        description: slo.description.clone(),
        scope: scope.clone(),
        target_percent: slo.target.percent(),
        window: slo.window.to_string(),
        kind: kind(&slo.sli).to_owned(),
        at_us: now_us,
        from_us: extent.from_us,
        until_us: extent.until_us,
        begins_us: view.begins_us(),
        events,
        error_ratio: events.error_ratio(),
        coverage: coverage(&view, extent.from_us, now_us),
        budget,
        burns: burns(slo, &view, extent, now_us),
        exhausts_at_us: project.exhausts_at_us(),
        refunds: project.refunds(),
        alerts: Vec::new(),
        few_events: events.total() < slo.minimum_events,
        data_loss: slo.data_loss,
    }
}

/// How the budget went down over the window, and how it would go on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BurnDown {
    /// What the window's bad events up to a moment left of its whole budget so far, 1 to below 0, at
    /// moments of the window up to now: it ends at the budget left. Absent where the time since the
    /// point before is not covered at all.
    pub past: Vec<Point>,
    /// What would be left if it were used evenly, at the same moments and on to the window's end.
    pub ideal: Vec<Point>,
    /// Budget left at the burn of the last hour, refunds counted in, up to one window ahead (a
    /// calendar window: up to its end).
    pub forecast: Vec<Point>,
}

/// `points` moments of the window.
#[must_use]
pub fn burn_down(
    slo: &Slo,
    scope: &Scope,
    history: &History,
    now_us: i64,
    points: u32,
) -> BurnDown {
    let view = history.view(&series(slo, scope));
    let extent = Extent::of(slo.window, now_us);
    let whole = view.counts(extent.from_us, now_us);
    let mut before = extent.from_us;
    let moments = moments(extent.from_us, now_us, points);
    let past = moments.iter().map(|at_us| {
        let bad = view.counts(extent.from_us, *at_us).bad;
        let known = *at_us == before || view.covered_us(before, *at_us) > 0;
        before = *at_us;
        let value =
            if known { left(slo.budget(), Counts { bad, ..whole }, whole.total()) } else { None };
        Point { at_us: *at_us, value }
    });
    let past: Vec<Point> = past.collect();
    let ahead =
        if extent.rolls { Vec::new() } else { self::moments(now_us, extent.until_us, points) };
    let length = float_us(extent.length_us());
    let evenly = |at_us: &i64| Point {
        at_us: *at_us,
        value: (length > 0.0).then(|| 1.0 - float_us(at_us - extent.from_us) / length),
    };
    let ideal = moments.iter().chain(ahead.iter().skip(1)).map(evenly).collect();
    let project = project::Projection::new(slo, &view, extent, now_us);
    let forecast = self::moments(now_us, project.end_us(), points);
    let forecast =
        forecast.into_iter().map(|at_us| Point { at_us, value: project.left_at(at_us) }).collect();
    BurnDown { past, ideal, forecast }
}

/// The burn rate over `window` at `points` moments from `from_us` to `to_us`. Absent: no events, or
/// nothing of the window is covered.
#[must_use]
pub fn burn_series(
    slo: &Slo,
    scope: &Scope,
    history: &History,
    window: Duration,
    (from_us, to_us): (i64, i64),
    points: u32,
) -> Vec<Point> {
    let view = history.view(&series(slo, scope));
    let window_us = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
    let point = |at_us: i64| {
        let from = at_us.saturating_sub(window_us);
        let known = view.covered_us(from, at_us) > 0;
        let ratio = view.counts(from, at_us).error_ratio().filter(|_| known);
        Point { at_us, value: rate(slo.budget(), ratio) }
    };
    moments(from_us, to_us, points).into_iter().map(point).collect()
}

fn series(slo: &Slo, scope: &Scope) -> Series {
    Series { slo: slo.name.clone(), revision: slo.revision, scope: scope.clone() }
}

fn kind(sli: &Sli) -> &'static str {
    match sli {
        Sli::Availability { .. } => "availability",
        Sli::Latency { .. } => "latency",
        Sli::Freshness { .. } => "freshness",
        Sli::Ratio { .. } => "ratio",
        Sli::Probe { .. } => "probe",
    }
}

fn budget(slo: &Slo, extent: Extent, events: Counts) -> Budget {
    let share = slo.budget();
    let left = left(share, events, events.total());
    let allowed = share.as_f64() * float(events.total());
    let minutes = share.as_f64() * float_us(extent.length_us()) / 60e6;
    Budget {
        left,
        events: allowed,
        events_left: allowed - float(events.bad),
        minutes,
        minutes_left: minutes * left.unwrap_or(1.0),
    }
}

/// `1 − bad / (budget × total)`. Exact up to one rounding: the product is a whole number of
/// billionths.
fn left(budget: Share, events: Counts, total: u64) -> Option<f64> {
    let allowed = u128::from(budget.billionths()) * u128::from(total);
    (allowed > 0)
        .then(|| 1.0 - float_wide(u128::from(events.bad) * 1_000_000_000) / float_wide(allowed))
}

fn rate(budget: Share, error_ratio: Option<f64>) -> Option<f64> {
    error_ratio.filter(|_| budget.billionths() > 0).map(|ratio| ratio / budget.as_f64())
}

fn burns(slo: &Slo, view: &View<'_>, extent: Extent, now_us: i64) -> Vec<Burn> {
    let burn = |from_us: i64| {
        let events = view.counts(from_us, now_us);
        let error_ratio = events.error_ratio();
        Burn {
            window_s: u64::try_from((now_us - from_us) / 1_000_000).unwrap_or(0),
            events,
            error_ratio,
            rate: rate(slo.budget(), error_ratio),
            coverage: coverage(view, from_us, now_us),
        }
    };
    let pairs = slo.alerting.pairs.iter();
    let mut windows = BURN_WINDOWS_S.to_vec();
    windows.extend(pairs.flat_map(|pair| [pair.long.as_secs(), pair.short.as_secs()]));
    windows.sort_unstable();
    windows.dedup();
    let ago = |seconds: u64| {
        now_us.saturating_sub(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000))
    };
    windows.into_iter().map(ago).chain([extent.from_us]).map(burn).collect()
}

fn coverage(view: &View<'_>, from_us: i64, to_us: i64) -> f64 {
    if to_us <= from_us {
        return 0.0;
    }
    float_us(view.covered_us(from_us, to_us)) / float_us(to_us - from_us)
}

/// So many moments (two at least) from the first to the last, both included.
fn moments(from_us: i64, to_us: i64, points: u32) -> Vec<i64> {
    let steps = i128::from(points.clamp(2, POINTS_MAX)) - 1;
    let (from, length) = (i128::from(from_us), i128::from(to_us) - i128::from(from_us));
    let moment = |step: i128| i64::try_from(from + length * step / steps).unwrap_or(to_us);
    (0..=steps).map(moment).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53, else a digit is lost")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "one rounding of an exact product")]
fn float_wide(count: u128) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
fn float_us(us: i64) -> f64 {
    us as f64
}
