//! One view of an objective, over all instances, ready to be read many times.

use std::borrow::Cow;

use super::cover::Cover;
use super::objectives::Track;
use super::{History, Series};
use crate::status::Counts;

/// Times are microseconds since 1970 and read in milliseconds.
#[derive(Debug, Clone)]
pub struct View<'a> {
    tracks: &'a [Track],
    cover: Cow<'a, Cover>,
}

impl History {
    /// What is known of a view; empty where nothing is.
    #[must_use]
    pub fn view(&self, series: &Series) -> View<'_> {
        let objective = self.objectives.get(&series.slo, series.revision);
        let tracks = objective.and_then(|objective| objective.scopes.get(&series.scope));
        let cover = match objective.map(|objective| objective.presences.as_slice()) {
            None | Some([]) => Cow::Owned(Cover::default()),
            Some([one]) => Cow::Borrowed(&one.cover),
            Some(many) => Cow::Owned(Cover::union(many.iter().map(|presence| &presence.cover))),
        };
        View { tracks: tracks.map_or(&[], Vec::as_slice), cover }
    }
}

impl View<'_> {
    /// The counts of `from_us < t <= to_us`.
    #[must_use]
    pub fn counts(&self, from_us: i64, to_us: i64) -> Counts {
        if to_us <= from_us {
            return Counts::default();
        }
        self.total(to_us).minus(self.total(from_us))
    }

    /// Everything up to a moment. Only differences mean something.
    #[must_use]
    pub fn total(&self, at_us: i64) -> Counts {
        let at = at_us.div_euclid(1000);
        self.tracks
            .iter()
            .map(|track| track.line.value_at(at))
            .fold(Counts::default(), Counts::plus)
    }

    /// How much of the span was covered.
    #[must_use]
    pub fn covered_us(&self, from_us: i64, to_us: i64) -> i64 {
        let covered = self.cover.within(from_us.div_euclid(1000), to_us.div_euclid(1000));
        (covered * 1000).clamp(0, (to_us - from_us).max(0))
    }

    /// The covered parts of a span.
    pub fn covered(&self, from_us: i64, to_us: i64) -> impl Iterator<Item = (i64, i64)> {
        let parts = self.cover.parts(from_us.div_euclid(1000), to_us.div_euclid(1000));
        parts.map(|(from, to)| (from * 1000, to * 1000))
    }

    /// The first moment at which somebody counted.
    #[must_use]
    pub fn begins_us(&self) -> Option<i64> {
        self.cover.begins().map(|ms| ms * 1000)
    }

    /// The first moment of `from_us < t <= to_us` by which the total of bad events is at least
    /// `bad`, and what it is then.
    #[must_use]
    pub fn bad_reached(&self, from_us: i64, to_us: i64, bad: u64) -> Option<(i64, u64)> {
        if let [one] = self.tracks {
            let found = one.line.bad_reached(bad).map(|(ms, bad)| (ms * 1000, bad));
            return found.filter(|(at_us, _)| *at_us <= to_us);
        }
        let (mut low, mut high) = (from_us.div_euclid(1000), to_us.div_euclid(1000));
        let mut found = self.total(high * 1000).bad;
        if found < bad {
            return None;
        }
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            let total = self.total(middle * 1000).bad;
            if total >= bad {
                (high, found) = (middle, total);
            } else {
                low = middle;
            }
        }
        Some((high * 1000, found))
    }
}
