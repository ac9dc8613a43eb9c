//! What cannot work, with the arithmetic: each problem says the numbers it comes from and the ways
//! out.

use std::time::Duration;

use super::fields::Problems;
use super::{
    Alerting, GatePolicy, LATENCY_BOUNDS_MS, Pair, RETENTION_DAYS, Requests, Sli, Slo, Window, span,
};
use crate::decimal::Share;
use crate::history::SAMPLE_EVERY_S;

/// Pairs look at spans from a minute: ten seconds are between two looks.
const SHORT_WINDOW_MIN: Duration = Duration::from_secs(60);
const PROBE_INTERVAL_MIN: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
/// One, as a share times tenths of a factor is counted.
const ONE: u64 = 10_000_000_000;

pub(super) fn names(slos: &[Slo], problems: &mut Problems) {
    for (index, slo) in slos.iter().enumerate() {
        if slos.iter().take(index).any(|earlier| earlier.name == slo.name) {
            problems.note("slos", format_args!("two objectives are named {}", slo.name));
        }
    }
}

pub(super) fn target(target: Share, place: &str, problems: &mut Problems) -> bool {
    let why = match (target.billionths(), target.complement().billionths()) {
        (0, _) => "nothing has to be good, so nothing is promised; raise it above 0",
        (_, 0) => {
            "1 − 1 leaves no budget, so the first failure overspends it and burn rates divide by 0; \
             lower it below 100"
        }
        _ => return true,
    };
    problems.note(place, format_args!("target {target}: {why}"));
    false
}

/// As many as make one failure no more than the whole budget: 1 / (1 − target), rounded up.
pub(super) fn enough_events(target: Share) -> u64 {
    let budget = u64::from(target.complement().billionths()).max(1);
    1_000_000_000_u64.div_ceil(budget)
}

pub(super) fn slo(slo: &Slo, place: &str, problems: &mut Problems) {
    window(slo.window, place, problems);
    alerting(slo, place, problems);
    sli(slo, place, problems);
    if slo.coverage_min.complement().billionths() == 0 && slo.gated {
        let why = "a restart of a few seconds in the window would make the gate answer unknown; \
                   lower it below 100";
        problems.note(place, format_args!("coverage_min 100%: {why}"));
    }
}

fn window(window: Window, place: &str, problems: &mut Problems) {
    if let Window::Rolling { days } = window
        && days > RETENTION_DAYS
    {
        let text = format!(
            "window: {days} d is longer than counts are kept ({RETENTION_DAYS} d), so its budget \
             would never be known; take {RETENTION_DAYS}d or less"
        );
        problems.note(place, text);
    }
}

fn alerting(slo: &Slo, place: &str, problems: &mut Problems) {
    let Alerting { pairs, .. } = &slo.alerting;
    for (index, pair) in pairs.iter().enumerate() {
        if pairs
            .iter()
            .take(index)
            .any(|other| (other.long, other.short) == (pair.long, pair.short))
        {
            problems.note(place, format_args!("{}: another pair has these windows", named(*pair)));
        }
        shape(*pair, slo, place, problems);
        reach(*pair, slo, place, problems);
    }
}

/// A page's 14.4 × 1h/5m.
pub(super) fn named(pair: Pair) -> String {
    let (severity, factor) = (pair.severity.as_str(), pair.factor());
    format!("{severity} pair {}/{} × {factor}", span::text(pair.long), span::text(pair.short))
}

fn shape(pair: Pair, slo: &Slo, place: &str, problems: &mut Problems) {
    let (long, short) = (span::text(pair.long), span::text(pair.short));
    let name = named(pair);
    if pair.short >= pair.long {
        let why = "the short window ends the alert soon after the failures do; make it shorter, \
                   usually a twelfth of the long one";
        problems.note(place, format_args!("{name}: {short} is not shorter than {long}: {why}"));
    }
    if pair.short < SHORT_WINDOW_MIN || !pair.short.subsec_nanos().eq(&0) {
        let least = span::text(SHORT_WINDOW_MIN);
        let why = format!(
            "counts are kept every {SAMPLE_EVERY_S} s; take whole seconds, {least} or more"
        );
        problems.note(place, format_args!("{name}: {short} is too short: {why}"));
    }
    let days = slo.window.days_min();
    if pair.long > DAY.saturating_mul(days) {
        let window = slo.window;
        let text = format!(
            "{name}: {long} is longer than the objective's window ({window}, {days} d): it would \
             judge failures that the budget has forgotten; take {days}d or less"
        );
        problems.note(place, text);
    }
}

/// An error ratio is at most 1: a threshold of 1 or more is never exceeded.
fn reach(pair: Pair, slo: &Slo, place: &str, problems: &mut Problems) {
    let budget = u64::from(slo.budget().billionths());
    let tenths = u64::from(pair.factor_tenths);
    if budget == 0 || tenths == 0 || budget * tenths < ONE {
        return;
    }
    let product = slo.budget().times_tenths(pair.factor_tenths);
    let (factor, target) = (pair.factor(), slo.target.ratio());
    let most = u32::try_from((ONE - 1) / budget).unwrap_or(u32::MAX);
    let factor_most = super::alerting::factor_text(most);
    // The least target at which it could fire, rounded up to a hundredth of a percent.
    let least = (1_000_000_000 - (ONE - 1) / tenths).div_ceil(100_000) * 100_000;
    let least = u32::try_from(least).ok().and_then(Share::from_billionths);
    let raise = least.filter(|least| least.complement().billionths() > 0);
    let raise =
        raise.map_or(String::new(), |least| format!(", raise the target to {least} or more"));
    let text = format!(
        "{}: {factor} × (1 − {target}) = {product} ≥ 1, and no error ratio is above 1: it can never \
         fire; lower the factor to {factor_most} or less{raise}, or leave the pair out \
         (alerting: pairs)",
        named(pair)
    );
    problems.note(place, text);
}

fn sli(slo: &Slo, place: &str, problems: &mut Problems) {
    match &slo.sli {
        Sli::Availability { requests } => requests_of(requests, place, problems),
        Sli::Latency { requests, threshold, .. } => {
            requests_of(requests, place, problems);
            bound(*threshold, place, problems);
        }
        Sli::Freshness { max_age, .. } => {
            let interval = Duration::from_secs(u64::from(SAMPLE_EVERY_S));
            if *max_age < interval {
                let (age, every) = (span::text(*max_age), span::text(interval));
                let why = format!("it is looked at every {every}; take {every} or more");
                problems.note(place, format_args!("freshness: max_age {age}: {why}"));
            }
            counted_every(interval, slo, place, problems);
        }
        Sli::Ratio { .. } => {}
        Sli::Probe { interval, timeout, .. } => {
            probe(*interval, *timeout, slo, place, problems);
            counted_every(*interval, slo, place, problems);
        }
    }
}

fn requests_of(requests: &Requests, place: &str, problems: &mut Problems) {
    if !requests.only.is_empty() && !requests.except.is_empty() {
        let why = "except takes away from all groups; with only, leave it out";
        problems.note(place, format_args!("only and except are both given: {why}"));
    }
}

fn bound(threshold: Duration, place: &str, problems: &mut Problems) {
    let is = |bound: &u64| Duration::from_millis(*bound) == threshold;
    if LATENCY_BOUNDS_MS.iter().any(is) {
        return;
    }
    let below = LATENCY_BOUNDS_MS.iter().rev().find(|ms| Duration::from_millis(**ms) < threshold);
    let above = LATENCY_BOUNDS_MS.iter().find(|ms| Duration::from_millis(**ms) > threshold);
    let near: Vec<String> =
        below.into_iter().chain(above).map(|ms| span::text(Duration::from_millis(*ms))).collect();
    let text = format!(
        "latency: threshold {} is no bound of the histogram of durations, so no dashboard could \
         show it and it could only be guessed between two bounds; take {}",
        span::text(threshold),
        near.join(" or "),
    );
    problems.note(place, text);
}

fn probe(interval: Duration, timeout: Duration, slo: &Slo, place: &str, problems: &mut Problems) {
    let (every, after) = (span::text(interval), span::text(timeout));
    if interval < PROBE_INTERVAL_MIN || interval.subsec_nanos() > 0 {
        let why = "take whole seconds, 1s or more";
        problems.note(place, format_args!("probe: interval {every}: {why}"));
    }
    if timeout >= interval {
        let why = "a probe would still wait when the next one starts; make the timeout shorter";
        problems.note(place, format_args!("probe: timeout {after} ≥ interval {every}: {why}"));
    }
    let shortest = slo.alerting.pairs.iter().map(|pair| pair.short).min();
    if let Some(short) = shortest.filter(|short| interval > *short / 2) {
        let short_text = span::text(short);
        let why =
            format!("{short_text} has to hold two probes; take {} or less", span::text(short / 2));
        problems.note(place, format_args!("probe: interval {every}: the short window of {why}"));
    }
}

/// Events that come by the clock: there are never more than the window holds.
fn counted_every(interval: Duration, slo: &Slo, place: &str, problems: &mut Problems) {
    let interval_ms = interval.as_millis().max(1);
    let in_span =
        |span: Duration| u64::try_from(span.as_millis() / interval_ms).unwrap_or(u64::MAX);
    let days = slo.window.days_min();
    let most = in_span(DAY.saturating_mul(days));
    let every = span::text(interval);
    if slo.minimum_events > most {
        let wanted = slo.minimum_events;
        let text = format!(
            "minimum_events {wanted}: {days} d hold {most} events, one every {every}: the gate would \
             never know; take {most} or less, or look more often"
        );
        problems.note(place, text);
    }
    for pair in &slo.alerting.pairs {
        let (most, wanted) = (in_span(pair.long), slo.alerting.bad_events_min);
        if wanted > most {
            let (long, name) = (span::text(pair.long), named(*pair));
            let text = format!(
                "{name}: {long} holds {most} events, one every {every}, and bad_events_min is \
                 {wanted}: it can never fire; lower bad_events_min or look more often"
            );
            problems.note(place, text);
        }
    }
}

pub(super) fn gate(policy: &GatePolicy, problems: &mut Problems) {
    let GatePolicy { freeze_below, reopen_at, slow_below, .. } = policy;
    if freeze_below > reopen_at {
        let why = "it would open and freeze again at once; raise reopen_at";
        let text = format!("reopen_at {reopen_at} is less than freeze_below {freeze_below}: {why}");
        problems.note("gate", text);
    }
    if reopen_at > slow_below {
        let why = "what opens again opens slowly; raise slow_below or lower reopen_at";
        let text = format!("slow_below {slow_below} is less than reopen_at {reopen_at}: {why}");
        problems.note("gate", text);
    }
}
