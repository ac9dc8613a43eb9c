//! What becomes of a budget if it goes on as in the last hour.
//!
//! Let `W` be the window's length, `e` the error ratio of the last hour (nought if nothing happened in
//! it), and `λ` the window's mean traffic: its events over its covered time. At `now + τ`:
//!
//! ```text
//! bad(τ)   = bad   − bad_gone(τ)   + e·λ·τ
//! total(τ) = total − total_gone(τ) + λ·τ
//! left(τ)  = 1 − bad(τ) / ((1 − t) · total(τ))
//! ```
//!
//! where `…_gone(τ)` are the events of the window's first `τ`, which have left a rolling window by
//! then; nothing leaves a calendar window. The budget is exhausted at the first whole minute `τ ≤ W`
//! with `left(τ) ≤ 0`. The traffic is the window's and not the last hour's: an hour at noon is not
//! taken for a month.

use super::span::Extent;
use super::{float, float_us};
use crate::decimal::Share;
use crate::history::View;
use crate::spec::Slo;
use crate::status::{Counts, Refund};

pub(super) const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
/// Steps that refunds are given in.
const REFUNDS_MAX: u64 = 32;

#[derive(Debug)]
pub(super) struct Projection<'a> {
    view: &'a View<'a>,
    extent: Extent,
    now_us: i64,
    budget: Share,
    /// The totals when the window begins, and the window's events.
    begin: Counts,
    events: Counts,
    /// Events a microsecond.
    traffic: f64,
    /// Of the last hour.
    error_ratio: f64,
}

impl<'a> Projection<'a> {
    pub(super) fn new(slo: &Slo, view: &'a View<'a>, extent: Extent, now_us: i64) -> Self {
        let (begin, now) = (view.total(extent.from_us), view.total(now_us));
        let events = now.minus(begin);
        let covered = view.covered_us(extent.from_us, now_us);
        let traffic = if covered > 0 { float(events.total()) / float_us(covered) } else { 0.0 };
        let hour = now.minus(view.total(now_us - HOUR_US));
        let error_ratio = hour.error_ratio().unwrap_or(0.0);
        Self { view, extent, now_us, budget: slo.budget(), begin, events, traffic, error_ratio }
    }

    /// The last moment that is projected to.
    pub(super) fn end_us(&self) -> i64 {
        if self.extent.rolls { self.now_us + self.extent.length_us() } else { self.extent.until_us }
    }

    /// Bad events a microsecond, and all.
    pub(super) fn flow(&self) -> (f64, f64) {
        (self.error_ratio * self.traffic, self.traffic)
    }

    /// Events that have left the window by then.
    fn gone(&self, at_us: i64) -> Counts {
        if !self.extent.rolls {
            return Counts::default();
        }
        let to = (self.extent.from_us + (at_us - self.now_us)).min(self.now_us);
        self.view.total(to).minus(self.begin)
    }

    /// Bad events and all that are in the window then.
    fn at(&self, at_us: i64, gone: Counts) -> (f64, f64) {
        let kept = self.events.minus(gone);
        let (bad, all) = self.flow();
        let after = float_us(at_us - self.now_us);
        (float(kept.bad) + bad * after, float(kept.total()) + all * after)
    }

    fn left(&self, at_us: i64, gone: Counts) -> Option<f64> {
        let (bad, total) = self.at(at_us, gone);
        let allowed = self.budget.as_f64() * total;
        (allowed > 0.0).then(|| 1.0 - bad / allowed)
    }

    pub(super) fn left_at(&self, at_us: i64) -> Option<f64> {
        self.left(at_us, self.gone(at_us))
    }

    /// When the budget is used up; `None` if it is already, or would not be by the end.
    pub(super) fn exhausts_at_us(&self) -> Option<i64> {
        if self.left_at(self.now_us).is_none_or(|left| left <= 0.0) {
            return None;
        }
        let last = (self.end_us() - self.now_us) / MINUTE_US;
        let gone = self.gone(self.minute_us(last));
        let minute = self.first_exhausted((0, Counts::default()), (last, gone));
        minute.map(|minute| self.minute_us(minute))
    }

    fn minute_us(&self, minute: i64) -> i64 {
        self.now_us + minute * MINUTE_US
    }

    /// The first minute of `after < m <= last` with nothing left; both come with what is gone by then.
    /// A span in which it cannot happen is left out as a whole: in it at most all its new bad events
    /// come and all its leaving events shrink the budget, and no bad one leaves.
    fn first_exhausted(&self, after: (i64, Counts), last: (i64, Counts)) -> Option<i64> {
        if last.0 <= after.0 {
            return None;
        }
        let (from, to) = (self.minute_us(after.0), self.minute_us(last.0));
        let (bad, total) = self.at(from, after.1);
        let leaving = last.1.minus(after.1);
        let coming = self.flow().0 * float_us(to - from);
        let worst_allowed = self.budget.as_f64() * (total - float(leaving.total()));
        // A hair of slack: sums in another order round differently.
        if bad + coming < worst_allowed * (1.0 - 1e-9) {
            return None;
        }
        if last.0 == after.0 + 1 {
            return self.left(to, last.1).is_some_and(|left| left <= 0.0).then_some(last.0);
        }
        let minute = after.0 + (last.0 - after.0) / 2;
        let middle = (minute, self.gone(self.minute_us(minute)));
        self.first_exhausted(after, middle).or_else(|| self.first_exhausted(middle, last))
    }

    /// Old failures leaving the window, in steps of about as many each.
    pub(super) fn refunds(&self) -> Vec<Refund> {
        let bad = self.events.bad;
        let allowed = self.budget.as_f64() * float(self.events.total());
        if !self.extent.rolls || bad == 0 || allowed <= 0.0 {
            return Vec::new();
        }
        let (from, length) = (self.extent.from_us, self.extent.length_us());
        let steps = bad.min(REFUNDS_MAX);
        let mut refunds: Vec<Refund> = Vec::new();
        let mut gone = 0;
        for step in 1..=steps {
            let wanted = u64::try_from(u128::from(bad) * u128::from(step) / u128::from(steps));
            let Some(wanted) = wanted.ok().filter(|wanted| *wanted > gone) else { continue };
            let wanted = self.begin.bad.saturating_add(wanted);
            // All that happened by that moment, which may be more.
            let Some((at_us, total)) = self.view.bad_reached(from, self.now_us, wanted) else {
                break;
            };
            let left = total - self.begin.bad;
            let by = left - gone;
            refunds.push(Refund { at_us: at_us + length, bad: by, budget: float(by) / allowed });
            gone = left;
        }
        refunds
    }
}
