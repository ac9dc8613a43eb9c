//! When a freeze is over, if nothing more goes wrong: failures leave a rolling window, a calendar
//! window ends, and a page ends once its short window is past them.

use super::Answer;
use super::judge::{Judged, below};
use crate::spec::{GatePolicy, Severity, Slo, Window};
use crate::status::{AlertState, Status};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opens {
    Now,
    AtUs(i64),
    NotKnown,
}

/// All that freeze have to have opened.
pub(super) fn of_all(answer: Answer, judged: &[Judged]) -> Option<i64> {
    if answer != Answer::Freeze {
        return None;
    }
    let freezes = judged.iter().filter(|judged| judged.reason.answer == Answer::Freeze);
    let moments = freezes.map(|judged| match judged.opens {
        Opens::AtUs(at_us) => Some(at_us),
        Opens::Now => Some(i64::MIN),
        Opens::NotKnown => None,
    });
    moments.collect::<Option<Vec<i64>>>()?.into_iter().max()
}

/// When as much is left as reopens it.
pub(super) fn after_refunds(policy: &GatePolicy, slo: &Slo, status: &Status, left: f64) -> Opens {
    if !below(left, policy.reopen_at) {
        return Opens::Now;
    }
    if let Window::Calendar(_) = slo.window {
        return Opens::AtUs(status.until_us);
    }
    let mut left = left;
    for refund in &status.refunds {
        left += refund.budget;
        if !below(left, policy.reopen_at) {
            return Opens::AtUs(refund.at_us);
        }
    }
    Opens::NotKnown
}

/// A page ends when its short window holds no failures any more, and then the budget has to be well,
/// too.
pub(super) fn after_page(policy: &GatePolicy, slo: &Slo, status: &Status, now_us: i64) -> Opens {
    let pages = status
        .alerts
        .iter()
        .filter(|alert| alert.severity == Severity::Page && alert.state != AlertState::Inactive);
    let mut ends_us = now_us;
    for page in pages {
        if page.state == AlertState::Frozen {
            return Opens::NotKnown;
        }
        let short_us = i64::try_from(page.short_s).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        ends_us = ends_us.max(now_us.saturating_add(short_us));
    }
    let Some(left) = status.budget.left else { return Opens::NotKnown };
    match after_refunds(policy, slo, status, left) {
        Opens::Now => Opens::AtUs(ends_us),
        Opens::AtUs(at_us) => Opens::AtUs(at_us.max(ends_us)),
        Opens::NotKnown => Opens::NotKnown,
    }
}
