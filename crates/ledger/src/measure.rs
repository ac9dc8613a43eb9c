//! Counts what no service counts: ratios of other counters, ages, and whether somebody answers.
//! **Invariant:** what is counted here goes into the same counters as everything else, so that a
//! scraper sees what the ledger evaluates.

use std::collections::{BTreeMap, BTreeSet};

use runtime::metrics::Metrics;
use runtime::metrics::exposition::Format;
use runtime::sli::{Outcome, Sli as Counters};
use slo::Catalog;
use slo::spec::{RatioEvents, Selector, Sli};

mod exposition;
pub(crate) mod probe;

use exposition::{Line, lines};

/// Objectives of a catalog that are measured once per evaluation.
#[derive(Debug)]
pub(crate) struct Measurer {
    own: Counters,
    services: Vec<Metrics>,
    /// Good and bad of ratios, as they have been counted on.
    ratios: BTreeMap<String, (u64, u64)>,
    /// When the process began to count, seconds since 1970.
    began_s: f64,
}

impl Measurer {
    pub(crate) fn new(own: Counters, services: Vec<Metrics>, now_us: i64) -> Self {
        Self { own, services, ratios: BTreeMap::new(), began_s: seconds(now_us) }
    }

    /// Reads the services' metrics once, and counts.
    pub(crate) fn measure(&mut self, catalog: &Catalog, now_us: i64) {
        let mut wanted: BTreeSet<&str> = BTreeSet::new();
        for slo in &catalog.slos {
            match &slo.sli {
                Sli::Freshness { timestamp, .. } => _ = wanted.insert(&timestamp.metric),
                Sli::Ratio { events: RatioEvents::Good(of) | RatioEvents::Bad(of), total } => {
                    wanted.extend([of.metric.as_str(), &total.metric]);
                }
                Sli::Availability { .. } | Sli::Latency { .. } | Sli::Probe { .. } => {}
            }
        }
        if wanted.is_empty() {
            return;
        }
        let text = |metrics: &Metrics| {
            let bytes = Format::OpenMetrics.write(&metrics.look());
            (metrics.service(), String::from_utf8_lossy(&bytes).into_owned())
        };
        let texts: Vec<(&'static str, String)> = self.services.iter().map(text).collect();
        let read = texts.iter().flat_map(|(service, text)| lines(service, text, &wanted));
        let read: Vec<Line<'_>> = read.collect();
        for slo in &catalog.slos {
            let name = slo.name.as_str();
            match &slo.sli {
                Sli::Freshness { timestamp, max_age } => {
                    let fresh = self.fresh(&read, timestamp, max_age.as_secs_f64(), now_us);
                    let outcome = if fresh { Outcome::Good } else { Outcome::Bad };
                    self.own.add(name, outcome, None, 1);
                }
                Sli::Ratio { events, total } => self.ratio(name, &read, events, total),
                Sli::Availability { .. } | Sli::Latency { .. } | Sli::Probe { .. } => {}
            }
        }
    }

    /// The newest of the timestamps counts. One that was never set is as old as the process.
    fn fresh(&self, read: &[Line<'_>], selector: &Selector, max_age_s: f64, now_us: i64) -> bool {
        let set = chosen(read, selector).filter(|value| *value > 0.0);
        let newest = set.fold(self.began_s, f64::max);
        seconds(now_us) - newest <= max_age_s
    }

    /// The two counters are not read at one moment: a total that was seen before its part counts as
    /// the other part, once, and is made good by the next that is.
    fn ratio(&mut self, name: &str, read: &[Line<'_>], events: &RatioEvents, total: &Selector) {
        let sum = |selector| whole(chosen(read, selector).sum());
        let total = sum(total);
        let (good, bad) = match events {
            RatioEvents::Good(selector) => {
                let good = sum(selector);
                (good, total.saturating_sub(good))
            }
            RatioEvents::Bad(selector) => {
                let bad = sum(selector);
                (total.saturating_sub(bad), bad)
            }
        };
        let (good_before, bad_before) = self.ratios.entry(name.to_owned()).or_default();
        for (outcome, now, before) in
            [(Outcome::Good, good, good_before), (Outcome::Bad, bad, bad_before)]
        {
            self.own.add(name, outcome, None, now.saturating_sub(*before));
            *before = now.max(*before);
        }
    }
}

/// The values that a selector selects.
fn chosen<'a>(read: &'a [Line<'_>], selector: &'a Selector) -> impl Iterator<Item = f64> + 'a {
    let of = |line: &&Line<'_>| {
        line.name == selector.metric && selector.matches(|label| line.label(label))
    };
    read.iter().filter(of).map(|line| line.value)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds since 1970 stay below 2^53 until the year 2255"
)]
fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

/// Whole events; what is no count is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what fits, and a part of an event is none"
)]
fn whole(value: f64) -> u64 {
    if value.is_finite() { value.clamp(0.0, 9e15) as u64 } else { 0 }
}

#[cfg(test)]
mod tests;
