//! The windows a subject is known by, and how unusual another one is beside them.
//!
//! Distance: scaled Manhattan (the best detector in Killourhy & Maxion, DSN 2009), with the median in
//! place of the mean. It becomes a conformal p-value (Vovk, Gammerman & Shafer, "Algorithmic Learning
//! in a Random World", 2005): the rank of the window's distance among the distances of the subject's
//! own windows. Such a rank needs no assumption about how distances are distributed.
//!
//! Windows of one session resemble each other, since mood, chair and task are the same; what can be
//! exchanged is sessions. So each own window is measured against the windows of *other* sessions, and
//! a rank alone is never taken for rarer than 1 / (sessions + 1). What says more is how far beyond
//! all own windows a distance lies; there the tail is extrapolated.

use serde::{Deserialize, Serialize};

use crate::features::{count, quantile, sorted};
use crate::vector::Vector;

/// A single feature counts at most this many deviations, so that one broken figure is not a person.
const FEATURE_DEVIATIONS_MAX: f64 = 8.0;
/// Groups of sessions that are left out in turn.
const FOLDS_MAX: usize = 16;
/// The tail is the strangest 1 in this many own windows.
const TAIL_PART: usize = 5;
/// Least scale of the tail, in mean absolute deviations: a few windows that happen to lie close are
/// no reason to be sure.
const TAIL_SCALE_MIN: f64 = 0.05;
/// Extrapolation ends here.
const P_MIN: f64 = 0.001;

/// Windows learned, oldest first, each with the number of the session it came from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reference {
    windows: Vec<Vector>,
    sessions: Vec<u32>,
}

impl Reference {
    pub(crate) fn len(&self) -> usize {
        self.windows.len()
    }

    /// Learns a window; the oldest goes when there are more than `max`.
    pub(crate) fn learn(&mut self, window: Vector, session: u32, max: usize) {
        if self.windows.first().is_some_and(|first| first.len() != window.len())
            || self.windows.len() != self.sessions.len()
        {
            *self = Self::default();
        }
        self.windows.push(window);
        self.sessions.push(session);
        let extra = self.windows.len().saturating_sub(max.max(1));
        self.windows.drain(..extra);
        self.sessions.drain(..extra);
    }

    /// Whether exactly this window was learned before. Nobody types fifteen figures twice the same
    /// to a thousandth: who does so plays a recording.
    pub(crate) fn has(&self, window: &Vector) -> bool {
        self.windows.contains(window)
    }

    /// `None` below two windows.
    pub(crate) fn calibrate(&self, floors: &[f64]) -> Option<Calibration> {
        (self.windows.len() >= 2).then(|| Calibration::of(&self.windows, &self.folds(), floors))
    }

    /// Which windows are left out together: those of one session, or of neighbouring ones when there
    /// are many. A single session is taken apart into halves.
    fn folds(&self) -> Vec<usize> {
        let mut names: Vec<u32> = self.sessions.clone();
        names.sort_unstable();
        names.dedup();
        if names.len() < 2 {
            return (0..self.windows.len()).map(|at| at * 2 / self.windows.len()).collect();
        }
        let folds = names.len().min(FOLDS_MAX);
        let rank = |session: &u32| names.binary_search(session).unwrap_or(0);
        self.sessions.iter().map(|session| rank(session) * folds / names.len()).collect()
    }
}

/// What a reference says about a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    /// [`P_MIN`] … 1; small is strange.
    pub(crate) p: f64,
    /// The feature that differs most, as an index, and whether it is larger than usual.
    pub(crate) odd: (usize, bool),
}

/// A reference prepared for scoring. Derived, never stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Calibration {
    center: Center,
    /// Distances of the subject's own windows, each against all windows of *other* sessions;
    /// ascending.
    own: Vec<f64>,
    /// Sessions, or groups of them, the windows come from.
    folds: usize,
}

impl Calibration {
    fn of(windows: &[Vector], folds: &[usize], floors: &[f64]) -> Self {
        let center = Center::of(windows.iter(), floors);
        let mut own = Vec::with_capacity(windows.len());
        let count = folds.iter().max().map_or(0, |last| last + 1);
        for fold in 0..count {
            let pairs = || windows.iter().zip(folds);
            let others = pairs().filter(|(_, of)| **of != fold).map(|(window, _)| window);
            let others = Center::of(others, floors);
            let left_out = pairs().filter(|(_, of)| **of == fold).map(|(window, _)| window);
            own.extend(left_out.map(|window| others.distance(window).0));
        }
        own.sort_by(f64::total_cmp);
        Self { center, own, folds: count }
    }

    pub(crate) fn windows(&self) -> usize {
        self.own.len()
    }

    pub(crate) fn score(&self, window: &Vector) -> Score {
        let (distance, odd) = self.center.distance(window);
        let stranger = self.own.len() - self.own.partition_point(|own| *own < distance);
        let rank = count(1 + stranger) / count(1 + self.own.len());
        let p = rank.max(1.0 / count(1 + self.folds)) * self.beyond(distance);
        Score { p: p.clamp(P_MIN, 1.0), odd }
    }

    /// How much rarer than the strangest own window a distance is: peaks over the threshold fall off
    /// exponentially (Pickands, Ann. Statist. 1975, with shape 0), with the scale of the strangest fifth of the own windows.
    fn beyond(&self, distance: f64) -> f64 {
        let Some(max) = self.own.last() else { return 1.0 };
        let tail = (self.own.len() / TAIL_PART).max(1);
        let from = self.own.len() - tail - 1;
        let threshold = self.own[from];
        let scale = self.own[from + 1..].iter().map(|own| own - threshold).sum::<f64>();
        let scale = (scale / count(tail)).max(TAIL_SCALE_MIN);
        (-(distance - max).max(0.0) / scale).exp()
    }
}

/// Median and mean absolute deviation of each feature.
#[derive(Debug, Clone, PartialEq)]
struct Center {
    median: Vec<f64>,
    spread: Vec<f64>,
}

impl Center {
    fn of<'a>(windows: impl Iterator<Item = &'a Vector> + Clone, floors: &[f64]) -> Self {
        let column = |(feature, floor): (usize, &f64)| {
            let values = sorted(windows.clone().map(|window| window.at(feature)));
            let median = quantile(&values, 0.5);
            let deviations: f64 = values.iter().map(|value| (value - median).abs()).sum();
            (median, (deviations / count(values.len().max(1))).max(*floor))
        };
        let (median, spread) = floors.iter().enumerate().map(column).unzip();
        Self { median, spread }
    }

    /// Mean deviation of the features, and the one that deviates most.
    fn distance(&self, window: &Vector) -> (f64, (usize, bool)) {
        let mut odd = (0, 0.0);
        let mut sum = 0.0;
        for (feature, (median, spread)) in self.median.iter().zip(&self.spread).enumerate() {
            let deviation = deviation(window.at(feature), *median, *spread);
            sum += deviation.abs();
            if deviation.abs() > f64::abs(odd.1) {
                odd = (feature, deviation);
            }
        }
        (sum / count(self.median.len().max(1)), (odd.0, odd.1 > 0.0))
    }
}

fn deviation(value: f64, median: f64, spread: f64) -> f64 {
    ((value - median) / spread).clamp(-FEATURE_DEVIATIONS_MAX, FEATURE_DEVIATIONS_MAX)
}

#[cfg(test)]
mod tests {
    use super::{Reference, deviation};
    use crate::vector::Vector;

    #[test]
    fn own_windows_have_every_p_value_alike_and_a_stranger_has_the_smallest() {
        let mut reference = Reference::default();
        for n in 0..99u32 {
            let wobble = f64::from((n * 37) % 99) / 99.0;
            reference.learn(Vector::of(&[wobble, 1.0 - wobble * 0.5]), n % 3, 200);
        }
        let calibration = reference.calibrate(&[0.01, 0.01]).unwrap();
        assert_eq!(calibration.windows(), 99);
        assert_eq!(calibration.score(&Vector::of(&[9.0, 9.0])).p, 0.001);
        let edge = calibration.score(&Vector::of(&[1.0, 0.5])).p;
        assert!((0.2..=0.3).contains(&edge), "three sessions say no more than 1 in 4: {edge}");
        assert!(calibration.score(&Vector::of(&[0.5, 0.75])).p > 0.95);
        let odd = calibration.score(&Vector::of(&[0.5, -3.0])).odd;
        assert_eq!(odd, (1, false));
    }

    #[test]
    fn old_windows_make_room_and_a_window_learned_is_recognised() {
        let mut reference = Reference::default();
        for n in 0..10u8 {
            reference.learn(Vector::of(&[f64::from(n)]), 1, 4);
        }
        assert_eq!(reference.len(), 4);
        assert!(reference.has(&Vector::of(&[9.0])) && !reference.has(&Vector::of(&[5.0])));
    }

    #[test]
    fn one_window_is_no_reference_and_a_broken_feature_is_bounded() {
        let mut reference = Reference::default();
        reference.learn(Vector::of(&[1.0]), 1, 4);
        assert_eq!(reference.calibrate(&[0.1]), None);
        assert_eq!(deviation(1e9, 0.0, 0.1), 8.0);
    }
}
