//! The stories that unit tests tell of an objective's alerts.

use std::time::Duration;

use super::traffic::Traffic;
use crate::generate::names::duration;
use crate::generate::promql::Guards;
use crate::spec::{Pair, Severity, Slo};

/// Events of a step in a story about burning.
const EVENTS: u64 = 1_000_000_000;
/// What came before had so many times the events of the story, all good, so that windows that are
/// longer than the pair's long one hardly notice what is going on.
const BEFORE: u64 = 10;

/// Between evaluations of the stories of a severity, whose windows are as much longer. No `for` counts
/// in them; what is recorded is read in the same evaluation.
pub(super) fn evaluate_every(severity: Severity) -> Duration {
    match severity {
        Severity::Page => Duration::from_secs(1800),
        Severity::Ticket => Duration::from_secs(7200),
    }
}

pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) traffic: Traffic,
    /// When to look at all alerts.
    pub(super) looks: Vec<Duration>,
    /// When to compare all recorded ratios, if at all.
    pub(super) recorded: Option<Duration>,
}

/// The stories of an objective: for each pair that it fires just above its factor and resolves, and
/// that it does not with either window just below; then those about little traffic.
pub(super) fn all(slo: &Slo, severity: Severity) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for pair in crate::generate::names::pairs(slo, severity) {
        scenarios.push(fires(slo, pair));
        scenarios.push(below(slo, pair, "long", 999, 1001));
        scenarios.push(below(slo, pair, "short", 1001, 999));
        scenarios.push(few_events(slo, pair));
        scenarios.extend(few_bad(slo, pair));
    }
    scenarios
}

fn name(pair: &Pair, what: &str) -> String {
    let factor = crate::generate::burn::factor(pair.factor_tenths);
    let (long, short) = (duration(pair.long), duration(pair.short));
    format!("{} at {factor} x over {long} and {short}: {what}", pair.severity.as_str())
}

/// Bad events of a step that burn `thousandths` of what the pair asks for: more than asked is
/// rounded up, less is rounded down.
fn bad_events(slo: &Slo, pair: &Pair, thousandths: u64) -> u64 {
    let exact = u64::from(slo.budget().billionths()) * u64::from(pair.factor_tenths) * thousandths;
    let bad = if thousandths > 1000 { exact.div_ceil(10_000) } else { exact / 10_000 };
    bad.min(EVENTS)
}

/// What comes before a pair's long window, such that its end is looked at in an evaluation.
fn before(slo: &Slo, pair: &Pair) -> Traffic {
    let mut traffic = Traffic::new(slo);
    let every = evaluate_every(pair.severity);
    let time = align(pair.long + every, every) - pair.long;
    let good = EVENTS * BEFORE * traffic.steps(pair.long).div_ceil(traffic.steps(time));
    traffic.add(time, good, 0);
    traffic
}

fn align(time: Duration, every: Duration) -> Duration {
    let every = every.as_secs();
    Duration::from_secs(time.as_secs().div_ceil(every) * every)
}

fn fires(slo: &Slo, pair: &Pair) -> Scenario {
    let mut traffic = before(slo, pair);
    let bad = bad_events(slo, pair, 1001);
    traffic.add(pair.long, EVENTS - bad, bad);
    let end = traffic.end();
    // Until every short window has seen nothing bad for a while.
    let longest_short = slo.alerting.pairs.iter().map(|pair| pair.short).max();
    let every = evaluate_every(pair.severity);
    let over = align(end + longest_short.unwrap_or(pair.short), every) + every;
    traffic.add(over - end, EVENTS, 0);
    let looks = vec![end - pair.long, end, over];
    Scenario {
        name: name(pair, "fires just above, and resolves"),
        traffic,
        looks,
        recorded: Some(end),
    }
}

/// Both windows are close to the factor, one of them on the side where nothing fires.
fn below(slo: &Slo, pair: &Pair, which: &str, long: u64, short: u64) -> Scenario {
    let mut traffic = before(slo, pair);
    let (long_steps, short_steps) = (traffic.steps(pair.long), traffic.steps(pair.short));
    let bad_at_end = bad_events(slo, pair, short);
    let bad_of_long = bad_events(slo, pair, long) * long_steps;
    let rest = long_steps.saturating_sub(short_steps).max(1);
    let left = bad_of_long.saturating_sub(bad_at_end * short_steps);
    let bad = if long > 1000 { left.div_ceil(rest) } else { left / rest }.min(EVENTS);
    traffic.add(pair.long - pair.short, EVENTS - bad, bad).add(
        pair.short,
        EVENTS - bad_at_end,
        bad_at_end,
    );
    let looks = vec![traffic.end()];
    let what = format!("does not fire with the {which} window just below");
    Scenario { name: name(pair, &what), traffic, looks, recorded: None }
}

/// Nothing but failures, one too few to tell anything; then the one that was missing.
fn few_events(slo: &Slo, pair: &Pair) -> Scenario {
    let guards = Guards::of(slo);
    let least = guards.total_min.max(guards.bad_min);
    burst(slo, pair, 0, least, "does not fire on too few events")
}

/// Enough events, but too few bad ones. Where the factor asks for as many anyway there is no such story.
fn few_bad(slo: &Slo, pair: &Pair) -> Option<Scenario> {
    let guards = Guards::of(slo);
    let good = guards.total_min.checked_sub(guards.bad_min)?;
    let telling = guards.bad_min > 1
        && u128::from(guards.bad_min - 1) * 10_000_000_000
            > u128::from(guards.total_min)
                * u128::from(slo.budget().billionths())
                * u128::from(pair.factor_tenths);
    telling
        .then(|| burst(slo, pair, good + 1, guards.bad_min, "does not fire on too few bad events"))
}

/// A quiet service in which, at the end, one bad event fewer happens than is needed; then that one.
fn burst(slo: &Slo, pair: &Pair, good: u64, bad: u64, what: &str) -> Scenario {
    let mut traffic = Traffic::new(slo);
    let (step, every) = (traffic.step, evaluate_every(pair.severity));
    traffic.add(every - step, 0, 0).add(step, good, bad.saturating_sub(1));
    let end = traffic.end();
    traffic.add(every - step, 0, 0).add(step, 0, 1);
    // The short window may have forgotten the others by then.
    let looks = vec![end, traffic.end()];
    Scenario { name: name(pair, what), traffic, looks, recorded: None }
}
