//! Counts from elsewhere, for the time before this history began and for its gaps: an instance of its
//! own, never where somebody was counting already.

use serde::{Deserialize, Serialize};

use super::cover::Cover;
use super::line::{Line, Point};
use super::objectives::{Presence, Track};
use super::{BACKFILL, COUNT_MAX, History, Series};
use crate::status::Counts;

/// What happened in `from_us < t <= to_us`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub from_us: i64,
    pub to_us: i64,
    pub counts: Counts,
}

/// What became of spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfilled {
    pub taken: u64,
    /// Left out: somebody was counting in a part of them, or they have been filled already.
    pub overlapping: u64,
    /// Left out: no time, or counts beyond reason.
    pub refused: u64,
}

impl History {
    /// Takes spans of counts, in any order. Handing in the same again changes nothing. Costs as much
    /// as the line is long; take a snapshot afterwards, for it is not among the samples.
    pub fn backfill(&mut self, series: &Series, spans: &[Span]) -> Backfilled {
        let mut done = Backfilled::default();
        let Some(instance) = self.backfill_instance() else {
            done.refused = spans.len() as u64;
            return done;
        };
        let counted = self.counted_by_others(series, instance);
        let known = self.track(series, instance).map(|track| &track.line);
        let is_there =
            |from, to| known.is_some_and(|line| line.value_at(from) != line.value_at(to));
        let mut steps: Vec<(i64, i64, Counts)> = Vec::new();
        for span in spans {
            let (from, to) = (span.from_us.div_euclid(1000), span.to_us.div_euclid(1000));
            let Counts { good, bad, excluded } = span.counts;
            if to <= from || good.max(bad).max(excluded) > COUNT_MAX {
                done.refused += 1;
            } else if counted.within(from, to) > 0 || is_there(from, to) {
                done.overlapping += 1;
            } else {
                steps.push((from, to, span.counts));
            }
        }
        steps.sort_unstable_by_key(|step| step.0);
        let all = steps.len();
        steps.dedup_by(|later, kept| later.0 < kept.1);
        done.overlapping += (all - steps.len()) as u64;
        done.taken = steps.len() as u64;
        let line = rebuilt(known, &steps);
        let spans: Vec<_> = steps.iter().map(|step| (step.0, step.1)).collect();
        self.put_backfill(series, instance, line, &Cover::of(spans));
        done
    }

    fn backfill_instance(&mut self) -> Option<usize> {
        let known = self.instances.iter().position(|instance| instance.name == BACKFILL);
        let newest = self.instances.iter().map(|instance| instance.last_at).max();
        known.or_else(|| self.enter(BACKFILL, newest.unwrap_or(0)))
    }

    fn counted_by_others(&self, series: &Series, instance: usize) -> Cover {
        let objective = self.objectives.get(&series.slo, series.revision);
        let presences = objective.map_or(&[][..], |objective| &objective.presences);
        let others = presences.iter().filter(|presence| presence.instance != instance);
        Cover::union(others.map(|presence| &presence.cover))
    }

    fn put_backfill(&mut self, series: &Series, instance: usize, line: Line, cover: &Cover) {
        let objective = self.objectives.get_or_new(series);
        match objective.presences.iter_mut().find(|presence| presence.instance == instance) {
            Some(known) => known.cover = Cover::union([&known.cover, cover].into_iter()),
            None => {
                objective.presences.push(Presence { instance, epoch: 0, cover: cover.clone() });
            }
        }
        let tracks = objective.scopes.entry(series.scope.clone()).or_default();
        match tracks.iter_mut().find(|track| track.instance == instance) {
            Some(known) => known.line = line,
            None => {
                self.lines += 1;
                tracks.push(Track { line, ..Track::new(instance, 0) });
            }
        }
    }
}

/// The line with the steps, which lie where it does not change.
fn rebuilt(known: Option<&Line>, steps: &[(i64, i64, Counts)]) -> Line {
    let mut added = Line::default();
    for (_, to, counts) in steps {
        added.push(Point { at: *to, counts: added.total().plus(*counts) });
    }
    known.map_or(added.clone(), |known| known.plus(&added))
}
