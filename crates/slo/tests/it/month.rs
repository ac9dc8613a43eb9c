//! A month of three objectives as their processes counted it and as a scraper saw it: busy and
//! diurnal with bursts of errors; sparse; and one with gaps, crashes and a replica that is scraped at
//! another phase. The same each time.

use std::fmt::Write as _;

use slo::Slo;
use slo::history::{History, Sample, Series};
use slo::status::{Counts, Scope};

/// 2025-06-01, milliseconds.
pub(crate) const T0: i64 = 1_748_736_000_000;
pub(crate) const STEP: i64 = 30_000;
pub(crate) const DAYS: i64 = 31;
pub(crate) const END: i64 = T0 + DAYS * 86_400_000;

/// What one process of one objective looked like to whoever scraped it.
pub(crate) struct Target {
    pub(crate) slo: &'static str,
    instance: &'static str,
    pub(crate) scrapes: Vec<Scrape>,
}

#[derive(Clone, Copy)]
pub(crate) struct Scrape {
    pub(crate) at: i64,
    /// When the process started, microseconds.
    epoch: i64,
    pub(crate) counts: Counts,
    /// Of all processes up to here: what the scrapes tell.
    pub(crate) ever: Counts,
    /// Of that, what Prometheus cannot see: a restart after which a counter was not lower.
    pub(crate) hidden: Counts,
    pub(crate) restarts: usize,
}

impl Scrape {
    /// The next one, of the same process or of another.
    fn next(&self, at: i64, epoch: i64, counts: Counts) -> Self {
        let restarted = epoch != self.epoch;
        let hidden = |now: u64, before: u64| if restarted && now >= before { before } else { 0 };
        let base = if restarted { Counts::default() } else { self.counts };
        Self {
            at,
            epoch,
            counts,
            ever: self.ever.plus(counts.minus(base)),
            hidden: self.hidden.plus(Counts {
                good: hidden(counts.good, self.counts.good),
                bad: hidden(counts.bad, self.counts.bad),
                excluded: hidden(counts.excluded, self.counts.excluded),
            }),
            restarts: self.restarts + usize::from(restarted),
        }
    }
}

/// How a target behaves; chances are one in so many scrapes.
struct Nature {
    phase: i64,
    crash: u64,
    gap: u64,
    traffic: fn(&mut Random, i64) -> u64,
    burst: u64,
}

pub(crate) fn targets() -> Vec<Target> {
    let door = || Nature { phase: 0, crash: 9_000, gap: u64::MAX, traffic: diurnal, burst: 2_500 };
    let sparse = Nature { phase: 0, crash: 2_000, gap: u64::MAX, traffic: rare, burst: 400 };
    let gappy = |phase| Nature { phase, crash: 3_000, gap: 1_500, traffic: diurnal, burst: 1_500 };
    vec![
        target("door", "a", 1, &door()),
        target("door", "b", 2, &door()),
        target("sparse", "a", 3, &sparse),
        target("gappy", "a", 4, &gappy(0)),
        target("gappy", "b", 5, &gappy(7_331)),
    ]
}

/// A wave over the day (a parabola does), never still.
fn diurnal(random: &mut Random, at: i64) -> u64 {
    let minute = u64::try_from((at - T0) / 60_000 % 1_440).unwrap_or(0);
    let wave = minute * (1_440 - minute) / 2_600;
    random.below(2 * wave + 6)
}

fn rare(random: &mut Random, _at: i64) -> u64 {
    u64::from(random.below(40) == 0)
}

fn target(slo: &'static str, instance: &'static str, seed: u64, nature: &Nature) -> Target {
    let mut random = Random::new(seed);
    let mut at = T0 + nature.phase;
    // Counters begin at nought, and the first scrape sees them so.
    let none = Counts::default();
    let (mut epoch, mut counts) = (at * 1000, none);
    let mut last = Scrape { at, epoch, counts, ever: none, hidden: none, restarts: 0 };
    let mut scrapes = vec![last];
    let (mut burst, mut per_mille, mut missing) = (0, 0, 0);
    loop {
        at += STEP;
        if at > END {
            return Target { slo, instance, scrapes };
        }
        if random.below(nature.burst) == 0 {
            (burst, per_mille) = (random.below(120), random.below(900));
        }
        burst = u64::saturating_sub(burst, 1);
        let events = (nature.traffic)(&mut random, at);
        let bad_of = if burst > 0 { per_mille } else { 2 };
        let bad = (0..events).filter(|_| random.below(1_000) < bad_of).count() as u64;
        if random.below(nature.crash) == 0 {
            // What it had counted since the last scrape nobody knows.
            (epoch, counts) = ((at - 12_000) * 1000, none);
            missing = random.below(3);
        }
        if random.below(nature.gap) == 0 {
            missing = random.below(80);
        }
        counts = counts.plus(Counts { good: events - bad, bad, excluded: events / 50 });
        if missing == 0 {
            last = last.next(at, epoch, counts);
            scrapes.push(last);
        }
        missing = u64::saturating_sub(missing, 1);
    }
}

/// As promtool reads it.
pub(crate) fn openmetrics(targets: &[Target]) -> String {
    let mut text = String::from("# TYPE shieldx_slo_events counter\n");
    for Target { slo, instance, scrapes } in targets {
        for outcome in ["good", "bad", "excluded"] {
            for Scrape { at, counts, .. } in scrapes {
                let value = match outcome {
                    "good" => counts.good,
                    "bad" => counts.bad,
                    _ => counts.excluded,
                };
                let _ = writeln!(
                    text,
                    "shieldx_slo_events_total{{slo=\"{slo}\",outcome=\"{outcome}\",\
                     instance=\"{instance}\"}} {value} {}.{:03}",
                    at / 1000,
                    at % 1000
                );
            }
        }
    }
    text.push_str("# EOF\n");
    text
}

/// The same, fed to a history.
pub(crate) fn feed(history: &mut History, slo: &Slo, target: &Target) {
    let series = Series { slo: slo.name.clone(), revision: slo.revision, scope: Scope::All };
    for Scrape { at, epoch, counts, .. } in &target.scrapes {
        let sample = Sample {
            instance: format!("{}-{}", target.slo, target.instance),
            epoch: *epoch,
            at_us: at * 1000,
            series: vec![(series.clone(), *counts)],
        };
        assert!(history.add(&sample), "{} at {at} is taken", sample.instance);
    }
}

/// Xorshift (Marsaglia 2003), 64 bits.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound.max(1)
    }
}
