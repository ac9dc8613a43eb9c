//! Everything that is kept, by objective and revision.

use std::collections::BTreeMap;

use super::Series;
use super::cover::Cover;
use super::line::{Line, Point};
use crate::spec::SloName;
use crate::status::{Counts, Scope};

/// In two steps, so that a look-up copies no name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Objectives {
    by_name: BTreeMap<SloName, BTreeMap<u32, Objective>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Objective {
    pub(super) presences: Vec<Presence>,
    pub(super) scopes: BTreeMap<Scope, Vec<Track>>,
}

/// When an instance was counting an objective.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Presence {
    pub(super) instance: usize,
    /// The last epoch in which it was.
    pub(super) epoch: i64,
    pub(super) cover: Cover,
}

/// What an instance counted in one view. The line goes on over its epochs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Track {
    pub(super) instance: usize,
    pub(super) epoch: i64,
    /// Where the line was when the epoch began.
    pub(super) base: Counts,
    pub(super) line: Line,
}

impl Objectives {
    pub(super) fn get(&self, slo: &SloName, revision: u32) -> Option<&Objective> {
        self.by_name.get(slo)?.get(&revision)
    }

    pub(super) fn get_or_new(&mut self, series: &Series) -> &mut Objective {
        if !self.by_name.contains_key(&series.slo) {
            self.by_name.insert(series.slo.clone(), BTreeMap::new());
        }
        let revisions = self
            .by_name
            .get_mut(&series.slo)
            .map(|revisions| revisions.entry(series.revision).or_default());
        revisions.unwrap_or_else(|| unreachable!("it has just been put there"))
    }

    /// `None` if there is one already.
    pub(super) fn insert(&mut self, slo: SloName, revision: u32, new: Objective) -> Option<()> {
        self.by_name.entry(slo).or_default().insert(revision, new).is_none().then_some(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SloName, u32, &Objective)> {
        let by_name = self.by_name.iter();
        by_name
            .flat_map(|(slo, revisions)| revisions.iter().map(move |(rev, one)| (slo, *rev, one)))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Objective> {
        self.by_name.values().flat_map(BTreeMap::values)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Objective> {
        self.by_name.values_mut().flat_map(BTreeMap::values_mut)
    }

    pub(super) fn retain(&mut self, kept: impl Fn(&Objective) -> bool) {
        self.by_name.retain(|_, revisions| {
            revisions.retain(|_, objective| kept(objective));
            !revisions.is_empty()
        });
    }
}

impl Objective {
    pub(super) fn size_bytes(&self) -> usize {
        let covers: usize = self.presences.iter().map(|presence| presence.cover.size_bytes()).sum();
        let tracks = self.scopes.values().flatten();
        let lines = tracks.map(|track| size_of::<Track>() + track.line.size_bytes());
        covers + lines.sum::<usize>()
    }
}

impl Track {
    pub(super) fn new(instance: usize, epoch: i64) -> Self {
        Self { instance, epoch, base: Counts::default(), line: Line::default() }
    }

    /// Takes the counts of an epoch; gives whether any went back.
    pub(super) fn count(&mut self, epoch: i64, at: i64, counts: Counts) -> bool {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.base = self.line.total();
        }
        let (now, before) = (self.base.plus(counts), self.line.total());
        let counts = Counts {
            good: now.good.max(before.good),
            bad: now.bad.max(before.bad),
            excluded: now.excluded.max(before.excluded),
        };
        self.line.push(Point { at, counts });
        counts != now
    }
}
