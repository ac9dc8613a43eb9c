//! From counts to a [`Status`]: error ratio, burn rates, budget, exhaustion, refunds, forecast.

use std::time::Duration;

use serde::Serialize;

use crate::history::History;
use crate::spec::Slo;
use crate::status::{Point, Scope, Status};

/// An objective now. `alerts` is empty: [`crate::alerts`] fills it.
#[must_use]
pub fn status(slo: &Slo, scope: &Scope, history: &History, now_us: i64) -> Status {
    let _ = (slo, scope, history, now_us);
    unimplemented!("being written")
}

/// How the budget went down over the window, and how it would go on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BurnDown {
    /// Budget left, 1 to below 0, at moments of the window up to now.
    pub past: Vec<Point>,
    /// What would be left if it were used evenly, at the same moments and on to the window's end.
    pub ideal: Vec<Point>,
    /// At the burn of the last hour, refunds counted in, up to one window ahead.
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
    let _ = (slo, scope, history, now_us, points);
    unimplemented!("being written")
}

/// The burn rate over `window` at `points` moments from `from_us` to `to_us`.
#[must_use]
pub fn burn_series(
    slo: &Slo,
    scope: &Scope,
    history: &History,
    window: Duration,
    (from_us, to_us): (i64, i64),
    points: u32,
) -> Vec<Point> {
    let _ = (slo, scope, history, window, from_us, to_us, points);
    Vec::new()
}

/// A line of the computation behind a budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    let _ = (slo, scope, history, now_us);
    Vec::new()
}
