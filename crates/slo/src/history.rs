//! The counts of every objective over time.
//!
//! What is kept is *cumulative*: at each sample how many good, bad and excluded events an instance
//! has counted since its epoch (its start) began. The counts of any span are two reads and a
//! subtraction; a restart begins another epoch and is no reset; instances are merged by summing
//! counts, never ratios. Time in which no instance was there to count is not covered.

use serde::{Deserialize, Serialize};

use crate::spec::SloName;
use crate::status::{Counts, Scope};

/// Between samples, usually.
pub const SAMPLE_EVERY_S: u32 = 10;

/// What an instance has counted so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Which replica; the same over its restarts.
    pub instance: String,
    /// When its process started, microseconds since 1970: another one for each start.
    pub epoch: i64,
    pub at_us: i64,
    /// Cumulative in the epoch. A series that is left out has not changed.
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

/// Counts of 400 days.
#[derive(Debug, Default)]
pub struct History {}

impl History {
    /// Takes a sample. One that is older than what is known of its epoch, or the same again, changes
    /// nothing and gives `false`.
    pub fn add(&mut self, sample: &Sample) -> bool {
        let _ = sample;
        false
    }

    /// The counts of `from_us < t <= to_us`.
    #[must_use]
    pub fn counts(&self, series: &Series, from_us: i64, to_us: i64) -> Covered {
        let _ = (series, from_us, to_us);
        Covered { counts: Counts::default(), covered_us: 0 }
    }

    /// The first covered moment.
    #[must_use]
    pub fn begins_us(&self) -> Option<i64> {
        None
    }

    /// The views there are counts of.
    #[must_use]
    pub fn scopes(&self, slo: &SloName, revision: u32) -> Vec<Scope> {
        let _ = (slo, revision);
        Vec::new()
    }
}
