//! What happens in a unit test: events in phases, and what has to come of them, computed from the
//! phases and never from the rules.

use std::fmt::Write as _;
use std::time::Duration;

use crate::generate::names::{self, AlertKind, pairs};
use crate::generate::promql::Guards;
use crate::spec::{Severity, Slo, Window};

/// So many steps with so many events in each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phase {
    pub(super) steps: u64,
    pub(super) good: u64,
    pub(super) bad: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Traffic {
    /// Between samples.
    pub(super) step: Duration,
    pub(super) phases: Vec<Phase>,
}

impl Traffic {
    pub(super) fn new(slo: &Slo) -> Self {
        Self { step: step(slo), phases: Vec::new() }
    }

    pub(super) fn steps(&self, time: Duration) -> u64 {
        u64::try_from(time.as_millis() / self.step.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn add(&mut self, time: Duration, good: u64, bad: u64) -> &mut Self {
        let steps = self.steps(time);
        self.phases.push(Phase { steps, good, bad });
        self
    }

    /// How long it is.
    pub(super) fn end(&self) -> Duration {
        let steps: u64 = self.phases.iter().map(|phase| phase.steps).sum();
        Duration::from_secs(steps * self.step.as_secs())
    }

    /// Good and bad events in the window before a moment.
    pub(super) fn events(&self, window: Duration, at: Duration) -> (u64, u64) {
        let until = self.so_far(at);
        let from = self.so_far(at.saturating_sub(window));
        (until.0 - from.0, until.1 - from.1)
    }

    fn so_far(&self, at: Duration) -> (u64, u64) {
        let mut left = self.steps(at);
        let mut sum = (0, 0);
        for phase in &self.phases {
            let steps = left.min(phase.steps);
            sum = (sum.0 + steps * phase.good, sum.1 + steps * phase.bad);
            left -= steps;
        }
        sum
    }

    /// The error ratio; `None` without events.
    pub(super) fn ratio(&self, window: Duration, at: Duration) -> Option<f64> {
        let (good, bad) = self.events(window, at);
        (good + bad > 0).then(|| float(bad) / float(good + bad))
    }

    /// The error ratio over the long window of the first pair that fires.
    pub(super) fn fires(&self, slo: &Slo, severity: Severity, at: Duration) -> Option<f64> {
        let guards = Guards::of(slo);
        pairs(slo, severity).find_map(|pair| {
            let (good, bad) = self.events(pair.long, at);
            let enough = bad >= guards.bad_min && good + bad >= guards.total_min;
            let burns = [pair.long, pair.short].iter().all(|window| {
                let (good, bad) = self.events(*window, at);
                exceeds(bad, good + bad, slo.budget().billionths(), pair.factor_tenths)
            });
            (enough && burns).then(|| self.ratio(pair.long, at)).flatten()
        })
    }

    /// What is left of the budget of a rolling window.
    pub(super) fn budget_left(&self, slo: &Slo, at: Duration) -> Option<f64> {
        let Window::Rolling { days } = slo.window else { return None };
        let ratio = self.ratio(names::days_of(days), at)?;
        Some(1.0 - ratio / slo.budget().as_f64())
    }

    /// promtool's notation: `0+5x10 52+2x9`.
    pub(super) fn values(&self, of: fn(&Phase) -> u64) -> String {
        let mut text = "0".to_owned();
        let mut sum = 0;
        for phase in self.phases.iter().filter(|phase| phase.steps > 0) {
            let each = of(phase);
            let _ = write!(text, " {}+{each}x{}", sum + each, phase.steps - 1);
            sum += each * phase.steps;
        }
        text
    }
}

/// `bad / total > budget × factor`, in whole numbers.
fn exceeds(bad: u64, total: u64, billionths: u32, tenths: u32) -> bool {
    u128::from(bad) * 10_000_000_000
        > u128::from(total) * u128::from(billionths) * u128::from(tenths)
}

#[expect(clippy::cast_precision_loss, reason = "events of a test stay far below 2^53")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// The greatest step, a minute at most, of which every window is a multiple.
pub(super) fn step(slo: &Slo) -> Duration {
    let windows = slo.alerting.pairs.iter().flat_map(|pair| [pair.long, pair.short]);
    let seconds = windows.fold(60, |step, window| greatest_divisor(step, window.as_secs()));
    Duration::from_secs(seconds.max(1))
}

fn greatest_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

/// The alerts about burning budgets that an objective has.
pub(super) fn burn_alerts(slo: &Slo) -> impl Iterator<Item = (AlertKind, Severity)> {
    names::alerts(slo).into_iter().filter_map(|kind| match kind {
        AlertKind::Burn(severity) => Some((kind, severity)),
        AlertKind::NoData => None,
    })
}
