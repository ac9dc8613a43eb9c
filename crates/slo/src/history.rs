//! The counts of every objective over time.
//!
//! What is kept is *cumulative*: how many good, bad and excluded events an instance had counted at
//! each sample. The counts of any span are two reads and a subtraction; a restart begins another
//! epoch and is no reset; instances are merged by summing counts, never ratios.
//!
//! What is known, and what is not:
//! - A count read at a moment is that of the newest sample at or before it. Nothing is interpolated:
//!   at the moment of a sample a read is exact, between two it is at most one sample old.
//! - The first sample of an epoch counts from nought at the epoch's start, for a process begins with
//!   empty counters; it names all its series, those at nought too. Its start is as good as a sample:
//!   the time from there to the first sample is covered if it is no gap.
//! - A gap is more than [`GAP_SAMPLES`] sample intervals without a sample. It is not covered; the
//!   events counted in it are not lost, they are seen at the sample that ends it.
//! - From the last sample before a crash to the next epoch nothing is covered, and what was counted
//!   there is lost: it is neither good nor bad.
//! - A clock that goes back changes neither order nor counts: samples that bring news are put a
//!   millisecond after the newest, until the clock has caught up. (A clock that was a year ahead
//!   therefore hides its instance for that year; coverage shows it.)
//! - Time is kept in milliseconds. Points are thinned with age ([`TIERS`], [`VIEW_TIERS`]): reads of
//!   older times are exact at the steps of their tier.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::spec::{RETENTION_DAYS, SloName};
use crate::status::{Counts, Scope};
use cover::Cover;
use objectives::{Objective, Objectives, Presence, Track};

mod backfill;
mod bytes;
mod codec;
mod cover;
mod fold;
mod line;
mod objectives;
#[cfg(test)]
mod tests;
mod view;

pub use backfill::{Backfilled, Span};
pub use codec::Garbled;
pub use line::Tier;
pub use view::View;

/// Between samples, usually.
pub const SAMPLE_EVERY_S: u32 = 10;
/// Without a sample for more than so many intervals, time is not covered.
pub const GAP_SAMPLES: f64 = 2.5;
/// The instance that counts from elsewhere (another Prometheus) are kept under.
pub const BACKFILL: &str = "backfill";
/// The instance that those are folded into which have been gone the longest.
pub const GONE: &str = "gone";
/// Instances that are told apart.
pub const INSTANCES_MAX: usize = 64;
/// Lines (objective, view, instance); a view beyond is not kept, an objective's sum still is.
pub const LINES_MAX: usize = 20_000;
/// Starts that are remembered per instance, to know old samples from a new start.
const EPOCHS_MAX: usize = 256;
/// A count beyond is no count, but damage.
pub(crate) const COUNT_MAX: u64 = 1 << 60;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const KEEP_MS: i64 = RETENTION_DAYS as i64 * DAY_MS;

/// Of an objective's sum: every sample for 6 hours, 10 seconds for 35 days (so that windows of 30
/// days begin exactly where they should), 5 minutes for 100 days, then an hour.
pub const TIERS: [Tier; 3] = [
    Tier { age_ms: 6 * HOUR_MS, step_ms: 10_000 },
    Tier { age_ms: 35 * DAY_MS, step_ms: 300_000 },
    Tier { age_ms: 100 * DAY_MS, step_ms: HOUR_MS },
];
/// Of its views by tenant and route group, of which there are many: every sample for 6 hours, 5
/// minutes for 35 days, then an hour.
pub const VIEW_TIERS: [Tier; 2] = [
    Tier { age_ms: 6 * HOUR_MS, step_ms: 300_000 },
    Tier { age_ms: 35 * DAY_MS, step_ms: HOUR_MS },
];

/// What an instance has counted so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Which replica; the same over its restarts.
    pub instance: String,
    /// When its process started, microseconds since 1970: another one for each start.
    pub epoch: i64,
    pub at_us: i64,
    /// Cumulative in the epoch. A series that is left out has not changed; the first sample of an
    /// epoch names all.
    pub series: Vec<(Series, Counts)>,
}

/// One line of counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Series {
    pub slo: SloName,
    pub revision: u32,
    pub scope: Scope,
}

/// The counts of a span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Covered {
    pub counts: Counts,
    /// Microseconds of the span in which at least one instance was counting.
    pub covered_us: i64,
}

/// What was not kept, since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Thrown {
    /// Samples older than what is known, or known already.
    pub late_samples: u64,
    /// Counts that went back within an epoch, and were taken as unchanged.
    pub counts_back: u64,
    /// Samples with counts beyond reason, refused.
    pub garbled_samples: u64,
    /// Counts of views beyond [`LINES_MAX`], and samples of instances beyond [`INSTANCES_MAX`].
    pub lines_refused: u64,
    /// Instances that are no longer told apart.
    pub instances_folded: u64,
    /// Spans of coverage beyond their bound, uncovered since.
    pub spans_forgotten: u64,
    /// Points that were thinned out or are older than the retention.
    pub points_thinned: u64,
}

/// Counts of 400 days.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    every_ms: i64,
    instances: Vec<Instance>,
    objectives: Objectives,
    lines: usize,
    /// Up to when points have been thinned. It follows the samples, an hour with each at most: a
    /// clock that is ahead for a moment does not make everything old.
    aged_ms: Option<i64>,
    thrown: Thrown,
}

#[derive(Debug, Clone, PartialEq)]
struct Instance {
    name: String,
    epoch: i64,
    /// The newest ones, ascending.
    epochs: Vec<i64>,
    last_at: i64,
}

/// Where a sample belongs.
#[derive(Debug, Clone, Copy)]
struct Place {
    instance: usize,
    epoch: i64,
    at: i64,
    covered_from: i64,
}

impl Default for History {
    fn default() -> Self {
        Self::new(Duration::from_secs(u64::from(SAMPLE_EVERY_S)))
    }
}

impl History {
    /// Of samples every so often.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        Self {
            every_ms: i64::try_from(every.as_millis()).unwrap_or(DAY_MS).clamp(1, DAY_MS),
            instances: Vec::new(),
            objectives: Objectives::default(),
            lines: 0,
            aged_ms: None,
            thrown: Thrown::default(),
        }
    }

    /// How often samples come.
    #[must_use]
    pub fn sampled_every(&self) -> Duration {
        Duration::from_millis(self.every_ms.unsigned_abs())
    }

    /// From now on samples come every so often, whatever they did before.
    pub fn sample_every(&mut self, every: Duration) {
        self.every_ms = Self::new(every).every_ms;
    }

    /// Takes a sample. One that is older than what is known of its epoch, or the same again, changes
    /// nothing and gives `false`.
    pub fn add(&mut self, sample: &Sample) -> bool {
        let beyond = |count: u64| count > COUNT_MAX;
        let garbled =
            |counts: &Counts| beyond(counts.good) || beyond(counts.bad) || beyond(counts.excluded);
        if sample.series.iter().any(|(_, counts)| garbled(counts)) {
            self.thrown.garbled_samples += 1;
            return false;
        }
        let Some(place) = self.place(sample) else {
            self.thrown.late_samples += 1;
            return false;
        };
        for (series, counts) in &sample.series {
            self.count(place, series, *counts);
        }
        self.cover(place);
        self.age(place.at);
        true
    }

    /// The counts of `from_us < t <= to_us`.
    #[must_use]
    pub fn counts(&self, series: &Series, from_us: i64, to_us: i64) -> Covered {
        let view = self.view(series);
        Covered { counts: view.counts(from_us, to_us), covered_us: view.covered_us(from_us, to_us) }
    }

    /// The first covered moment.
    #[must_use]
    pub fn begins_us(&self) -> Option<i64> {
        let presences = self.objectives.values().flat_map(|objective| &objective.presences);
        presences.filter_map(|presence| presence.cover.begins()).min().map(|ms| ms * 1000)
    }

    /// The views there are counts of.
    #[must_use]
    pub fn scopes(&self, slo: &SloName, revision: u32) -> Vec<Scope> {
        let objective = self.objectives.get(slo, revision);
        objective.map(|found| found.scopes.keys().cloned().collect()).unwrap_or_default()
    }

    /// What was not kept.
    #[must_use]
    pub fn thrown(&self) -> Thrown {
        self.thrown
    }

    /// The memory it takes, without the maps' own.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.objectives.values().map(Objective::size_bytes).sum()
    }

    fn gap_ms(&self) -> i64 {
        self.every_ms.saturating_mul(5) / 2
    }

    /// Where in the history a sample belongs; `None` if it brings nothing new.
    fn place(&mut self, sample: &Sample) -> Option<Place> {
        if sample.instance == BACKFILL || sample.instance == GONE {
            return None;
        }
        let at = sample.at_us.div_euclid(1000);
        let gap = self.gap_ms();
        let known = self.instances.iter().position(|known| known.name == sample.instance);
        let index = known.or_else(|| self.enter(&sample.instance, at))?;
        let instance = self.instances.get(index)?;
        let place =
            |at, covered_from| Place { instance: index, epoch: sample.epoch, at, covered_from };
        let last = instance.last_at;
        let placed = if instance.epochs.is_empty() {
            let began = sample.epoch.div_euclid(1000);
            place(at, if at - began <= gap { began.min(at) } else { at })
        } else if instance.epoch == sample.epoch {
            match at > last {
                true => place(at, if at - last <= gap { last } else { at }),
                false if self.brings_news(index, sample) => place(last + 1, last),
                false => return None,
            }
        } else if instance.is_late(sample.epoch) {
            return None;
        } else {
            let began = sample.epoch.div_euclid(1000).max(last);
            match at > last {
                true => place(at, if at - began <= gap { began.min(at) } else { at }),
                false => place(last + 1, last + 1),
            }
        };
        if let Some(instance) = self.instances.get_mut(index) {
            instance.last_at = placed.at;
            instance.begin(sample.epoch);
        }
        Some(placed)
    }

    /// Whether anything was counted that is not known: the same instance's counts only grow, so that
    /// they tell what is newer even where the clock does not.
    fn brings_news(&self, instance: usize, sample: &Sample) -> bool {
        sample.series.iter().any(|(series, counts)| {
            let known = self.track(series, instance).filter(|track| track.epoch == sample.epoch);
            let known =
                known.map_or(Counts::default(), |track| track.line.total().minus(track.base));
            counts.minus(known) != Counts::default()
        })
    }

    fn track(&self, series: &Series, instance: usize) -> Option<&Track> {
        let objective = self.objectives.get(&series.slo, series.revision)?;
        objective.scopes.get(&series.scope)?.iter().find(|track| track.instance == instance)
    }

    fn count(&mut self, place: Place, series: &Series, counts: Counts) {
        let Place { instance, epoch, at, covered_from } = place;
        let objective = self.objectives.get_or_new(series);
        match objective.presences.iter_mut().find(|presence| presence.instance == instance) {
            Some(presence) if presence.epoch == epoch => {}
            Some(presence) => {
                presence.epoch = epoch;
                self.thrown.spans_forgotten += presence.cover.push(covered_from, at);
            }
            None => {
                let mut cover = Cover::default();
                cover.push(covered_from, at);
                objective.presences.push(Presence { instance, epoch, cover });
            }
        }
        if !objective.scopes.contains_key(&series.scope) {
            if self.lines >= LINES_MAX && series.scope != Scope::All {
                self.thrown.lines_refused += 1;
                return;
            }
            objective.scopes.insert(series.scope.clone(), Vec::new());
        }
        let Some(tracks) = objective.scopes.get_mut(&series.scope) else { return };
        let index = tracks.iter().position(|track| track.instance == instance);
        let index = index.unwrap_or_else(|| {
            self.lines += 1;
            tracks.push(Track::new(instance, epoch));
            tracks.len() - 1
        });
        if let Some(track) = tracks.get_mut(index) {
            self.thrown.counts_back += u64::from(track.count(epoch, at, counts));
        }
    }

    /// The instance was counting: whatever of this epoch it counts.
    fn cover(&mut self, place: Place) {
        for objective in self.objectives.values_mut() {
            for presence in &mut objective.presences {
                if presence.instance == place.instance && presence.epoch == place.epoch {
                    let forgotten = presence.cover.push(place.covered_from, place.at);
                    self.thrown.spans_forgotten += forgotten;
                }
            }
        }
    }

    fn age(&mut self, at: i64) {
        let aged = *self.aged_ms.get_or_insert(at);
        if at < aged.saturating_add(HOUR_MS) {
            return;
        }
        let now = aged + HOUR_MS;
        self.aged_ms = Some(now);
        for objective in self.objectives.values_mut() {
            for presence in &mut objective.presences {
                presence.cover.forget(now - KEEP_MS);
            }
            for (scope, tracks) in &mut objective.scopes {
                let tiers = tiers(scope);
                for track in tracks {
                    self.thrown.points_thinned += track.line.thin(now, tiers, KEEP_MS);
                }
            }
        }
        self.forget_objectives(now - KEEP_MS);
    }

    /// An objective that nobody has counted for the whole retention is forgotten: also what it was
    /// under another revision.
    fn forget_objectives(&mut self, before: i64) {
        self.objectives.retain(|objective| {
            objective
                .presences
                .iter()
                .any(|presence| presence.cover.ends().is_some_and(|end| end > before))
        });
        let scopes = self.objectives.values().flat_map(|objective| objective.scopes.values());
        self.lines = scopes.map(Vec::len).sum();
    }
}

fn tiers(scope: &Scope) -> &'static [Tier] {
    if *scope == Scope::All { &TIERS } else { &VIEW_TIERS }
}

impl Instance {
    /// Of an epoch that is over, or one so old that it is not remembered.
    fn is_late(&self, epoch: i64) -> bool {
        let forgotten = self.epochs.len() >= EPOCHS_MAX
            && self.epochs.first().is_some_and(|oldest| epoch < *oldest);
        forgotten || self.epochs.binary_search(&epoch).is_ok()
    }

    fn begin(&mut self, epoch: i64) {
        self.epoch = epoch;
        if let Err(index) = self.epochs.binary_search(&epoch) {
            self.epochs.insert(index, epoch);
            let over = self.epochs.len().saturating_sub(EPOCHS_MAX);
            self.epochs.drain(..over);
        }
    }
}
