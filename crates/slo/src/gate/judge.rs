//! One objective's answer. The order of the questions is the policy:
//!
//! 1. Does a page burn? Then freeze, whatever else is known.
//! 2. Is too little of the window covered? Then nobody knows; a freeze from before stays.
//! 3. Did too little happen? Then one failure would decide; a freeze from before ends.
//! 4. How much of the budget is left?

use super::opens::{self, Opens};
use super::{Answer, Reason};
use crate::decimal::Share;
use crate::spec::{GatePolicy, OnUnknown, Severity, Slo, span_text};
use crate::status::{AlertState, AlertStatus, Status};
use std::time::Duration;

/// An answer and when it is over.
pub(super) struct Judged {
    pub(super) reason: Reason,
    pub(super) opens: Opens,
}

/// What an objective's newest numbers say; the questions above.
enum Finding<'a> {
    Page(&'a AlertStatus),
    Uncovered,
    Few,
    Left(f64),
}

fn find<'a>(policy: &GatePolicy, slo: &Slo, status: &'a Status) -> Finding<'a> {
    let page = status
        .alerts
        .iter()
        .find(|alert| alert.severity == Severity::Page && alert.state != AlertState::Inactive);
    match (page.filter(|_| policy.freeze_on_page), status.budget.left) {
        (Some(page), _) => Finding::Page(page),
        _ if below(coverage(status), slo.coverage_min) => Finding::Uncovered,
        (None, Some(left)) if !status.few_events => Finding::Left(left),
        _ => Finding::Few,
    }
}

/// The covered share of the window since anybody counted in it: what was before is not missing.
#[expect(
    clippy::cast_precision_loss,
    reason = "a share of microseconds; a window has less than 2^53"
)]
fn coverage(status: &Status) -> f64 {
    let span_us = |from_us: i64| status.at_us.saturating_sub(from_us).max(0) as f64;
    let Some(begins_us) = status.begins_us else { return status.coverage };
    let covered_us = status.coverage * span_us(status.from_us);
    let span_us = span_us(status.from_us.max(begins_us));
    if span_us > 0.0 { (covered_us / span_us).min(1.0) } else { 0.0 }
}

/// When counting began, where that is within the window.
fn began(status: &Status) -> Option<String> {
    status.begins_us.filter(|begins_us| *begins_us > status.from_us).map(super::moment)
}

/// Whether it is frozen after this status: that is what hysteresis remembers.
pub(super) fn stays_frozen(
    policy: &GatePolicy,
    slo: &Slo,
    status: Option<&Status>,
    was: bool,
) -> bool {
    let Some(status) = status else { return was };
    match find(policy, slo, status) {
        Finding::Page(_) => true,
        Finding::Uncovered => was,
        Finding::Few => false,
        Finding::Left(left) => {
            below(left, policy.freeze_below) || (was && below(left, policy.reopen_at))
        }
    }
}

pub(super) fn judge(
    policy: &GatePolicy,
    slo: &Slo,
    status: Option<&Status>,
    frozen: bool,
    now_us: i64,
) -> Judged {
    let judged = |answer, text, opens| {
        let reason = Reason { slo: slo.name.clone(), answer, text };
        Judged { reason, opens }
    };
    let Some(status) = status else {
        let answer = if frozen { Answer::Freeze } else { answer_to(policy.on_unknown) };
        let text = "it has not been evaluated yet".to_owned();
        return judged(answer, text, Opens::NotKnown);
    };
    match find(policy, slo, status) {
        Finding::Page(page) => {
            judged(Answer::Freeze, burning(page), opens::after_page(policy, slo, status, now_us))
        }
        Finding::Uncovered => {
            let answer = uncovered_answer(policy, status, frozen);
            judged(answer, uncovered(slo, status, frozen, answer), Opens::NotKnown)
        }
        Finding::Few => {
            let answer = answer_to(policy.on_few_events);
            judged(answer, few(slo, status), Opens::NotKnown)
        }
        Finding::Left(left) => {
            let (answer, mut text) = of_budget(policy, left, frozen);
            if let Some(began) = began(status) {
                text.push_str(&format!(" (counted since {began})"));
            }
            let opens = match answer {
                Answer::Freeze => opens::after_refunds(policy, slo, status, left),
                _ => Opens::Now,
            };
            judged(answer, text, opens)
        }
    }
}

fn of_budget(policy: &GatePolicy, left: f64, frozen: bool) -> (Answer, String) {
    let GatePolicy { freeze_below, reopen_at, slow_below, .. } = policy;
    let left_text = percent(left);
    if below(left, *freeze_below) {
        let text = format!("{left_text} of its error budget is left: frozen below {freeze_below}");
        (Answer::Freeze, text)
    } else if frozen && below(left, *reopen_at) {
        let text = format!(
            "{left_text} of its error budget is left after a freeze: it opens again at {reopen_at}"
        );
        (Answer::Freeze, text)
    } else if below(left, *slow_below) {
        let text = format!("{left_text} of its error budget is left: slow below {slow_below}");
        (Answer::Slow, text)
    } else {
        (Answer::Allow, format!("{left_text} of its error budget is left"))
    }
}

/// What is known of a window that is hardly covered allows nothing, even where the policy would.
fn uncovered_answer(policy: &GatePolicy, status: &Status, frozen: bool) -> Answer {
    let overspent = status.budget.left.is_some_and(|left| below(left, policy.freeze_below));
    match answer_to(policy.on_unknown) {
        _ if frozen => Answer::Freeze,
        Answer::Allow if overspent => Answer::Unknown,
        answer => answer,
    }
}

fn uncovered(slo: &Slo, status: &Status, frozen: bool, answer: Answer) -> String {
    let (covered, least) = (percent(coverage(status)), slo.coverage_min);
    let since = began(status).map_or(String::new(), |began| format!(", since {began}"));
    let mut text = format!(
        "{covered} of its window ({}{since}) is covered, and it takes {least} to know the budget",
        status.window
    );
    if frozen {
        text.push_str("; it was frozen before and stays so");
    } else if answer == Answer::Unknown
        && let Some(left) = status.budget.left
    {
        text.push_str(&format!("; of what is known, {} is left", percent(left)));
    }
    text
}

fn few(slo: &Slo, status: &Status) -> String {
    let (total, least) = (status.events.total(), slo.minimum_events);
    let events = if total == 1 { "event" } else { "events" };
    format!("{total} {events} in its window, and it takes {least} for one failure not to decide")
}

fn burning(page: &AlertStatus) -> String {
    let span = |seconds| span_text(Duration::from_secs(seconds));
    let rate = |rate: Option<f64>| rate.map_or("?".to_owned(), |rate| format!("{rate:.1}"));
    let mut text = format!(
        "a page burns: {} × over {} and {} × over {} (page at {} ×)",
        rate(page.long_rate),
        span(page.long_s),
        rate(page.short_rate),
        span(page.short_s),
        page.factor,
    );
    if page.state == AlertState::Frozen {
        text.push_str(", and its data has gone missing since");
    }
    text
}

fn answer_to(setting: OnUnknown) -> Answer {
    match setting {
        OnUnknown::Unknown => Answer::Unknown,
        OnUnknown::Freeze => Answer::Freeze,
        OnUnknown::Allow => Answer::Allow,
    }
}

/// Compared in billionths, as shares are: a budget of exactly 10 % is not below 10 %, whatever the
/// last bit of a division says. A number that is none is below everything.
pub(super) fn below(value: f64, share: Share) -> bool {
    let billionths = (value * 1e9).round();
    billionths.is_nan() || billionths < f64::from(share.billionths())
}

/// Rounded down, so that 9.996 % does not look like the 10 % it is below.
fn percent(value: f64) -> String {
    let hundredths = ((value * 1e9).round() / 1e5).floor();
    let text = format!("{:.2}", hundredths / 100.0);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{}%", if text == "-0" { "0" } else { text })
}

#[cfg(test)]
mod tests {
    use super::{below, percent};
    use crate::decimal::Share;

    #[test]
    fn borders_are_exact_and_look_it() {
        let ten = Share::from_percent("10").unwrap();
        // 90 bad of 100 allowed: binary fractions make a little less than a tenth of it.
        let left = 1.0 - 90.0 / (0.001 * 100_000.0);
        assert!(left < 0.1 && !below(left, ten));
        assert_eq!(percent(left), "10%");
        assert!(below(0.099_96, ten) && below(f64::NAN, ten) && below(f64::NEG_INFINITY, ten));
        for (value, text) in [
            (0.099_96, "9.99%"),
            (0.0, "0%"),
            (-0.0, "0%"),
            (-1.5, "-150%"),
            (0.123, "12.3%"),
            (1.0, "100%"),
        ] {
            assert_eq!(percent(value), text);
        }
    }
}
