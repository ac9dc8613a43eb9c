//! Instances come and go, with every deployment another name; only so many are told apart. Those that
//! have been gone the longest, and for a day at least, are summed up as one. (One that came back after
//! that with the epoch it had would be counted twice; a process that was restarted has another.)

use super::cover::Cover;
use super::objectives::{Objective, Presence, Track};
use super::{BACKFILL, DAY_MS, GONE, History, INSTANCES_MAX, Instance};

impl History {
    /// A place for an instance that is not known yet; `None` if all places are taken by living ones.
    pub(super) fn enter(&mut self, name: &str, at: i64) -> Option<usize> {
        if self.instances.len() >= INSTANCES_MAX && !self.fold_oldest(at) {
            self.thrown.lines_refused += 1;
            return None;
        }
        self.instances.push(Instance {
            name: name.to_owned(),
            epoch: 0,
            epochs: Vec::new(),
            last_at: i64::MIN,
        });
        Some(self.instances.len() - 1)
    }

    fn fold_oldest(&mut self, now: i64) -> bool {
        let kept = |name: &str| name == GONE || name == BACKFILL;
        let living = self.instances.iter().enumerate().filter(|(_, one)| !kept(&one.name));
        let oldest = living.min_by_key(|(_, one)| one.last_at);
        let Some((from, last_at)) = oldest.map(|(index, one)| (index, one.last_at)) else {
            return false;
        };
        if last_at > now.saturating_sub(DAY_MS) {
            return false;
        }
        if let Some(into) = self.instances.iter().position(|one| one.name == GONE) {
            for objective in self.objectives.values_mut() {
                objective.fold(from, into);
                objective.renumber(from);
            }
            self.instances.remove(from);
        } else if let Some(first) = self.instances.get_mut(from) {
            GONE.clone_into(&mut first.name);
            // The first one only takes the name; the next makes room.
            return self.fold_oldest(now);
        }
        self.thrown.instances_folded += 1;
        true
    }
}

impl Objective {
    fn fold(&mut self, from: usize, into: usize) {
        let place = |presence: &Presence| presence.instance == from;
        if let Some(index) = self.presences.iter().position(place) {
            let folded = self.presences.swap_remove(index);
            match self.presences.iter_mut().find(|presence| presence.instance == into) {
                Some(kept) => kept.cover = Cover::union([&kept.cover, &folded.cover].into_iter()),
                None => self.presences.push(Presence { instance: into, ..folded }),
            }
        }
        for tracks in self.scopes.values_mut() {
            let Some(index) = tracks.iter().position(|track| track.instance == from) else {
                continue;
            };
            let folded = tracks.swap_remove(index);
            match tracks.iter_mut().find(|track| track.instance == into) {
                Some(kept) => kept.line = kept.line.plus(&folded.line),
                None => tracks.push(Track { instance: into, ..folded }),
            }
        }
    }

    /// An instance's place has been taken out of the list.
    fn renumber(&mut self, gone: usize) {
        let presences = self.presences.iter_mut().map(|presence| &mut presence.instance);
        let tracks = self.scopes.values_mut().flatten().map(|track| &mut track.instance);
        for instance in presences.chain(tracks).filter(|instance| **instance > gone) {
            *instance -= 1;
        }
    }
}
