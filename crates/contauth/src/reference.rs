//! The windows a subject is known by, and how unusual another one is beside them.
//!
//! Distance: scaled Manhattan (the best detector in Killourhy & Maxion, DSN 2009), with the median in
//! place of the mean. It becomes a conformal p-value (Vovk, Gammerman & Shafer, "Algorithmic Learning
//! in a Random World", 2005): the rank of the window's distance among the distances of the subject's
//! own windows, each measured against all the *others*. Such a p-value needs no assumption about how
//! distances are distributed, and is never smaller than 1 / (windows + 1).

use serde::{Deserialize, Serialize};

use crate::features::count;
use crate::vector::Vector;

/// A single feature counts at most this many deviations, so that one broken figure is not a person.
const FEATURE_DEVIATIONS_MAX: f64 = 8.0;

/// Windows learned, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Reference {
    windows: Vec<Vector>,
}

impl Reference {
    pub(crate) fn len(&self) -> usize {
        self.windows.len()
    }

    /// Learns a window; the oldest goes when there are more than `max`.
    pub(crate) fn learn(&mut self, window: Vector, max: usize) {
        if self.windows.first().is_some_and(|first| first.len() != window.len()) {
            self.windows.clear();
        }
        self.windows.push(window);
        let extra = self.windows.len().saturating_sub(max.max(1));
        self.windows.drain(..extra);
    }

    /// Whether exactly this window was learned before. Nobody types fifteen figures twice the same
    /// to a thousandth: who does so plays a recording.
    pub(crate) fn has(&self, window: &Vector) -> bool {
        self.windows.contains(window)
    }

    /// `None` below two windows.
    pub(crate) fn calibrate(&self, floors: &[f64]) -> Option<Calibration> {
        Calibration::of(&self.windows, floors)
    }
}

/// What a reference says about a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    /// Conformal p-value, 1/(n+1) … 1.
    pub(crate) p: f64,
    /// The feature that differs most, as an index, and whether it is larger than usual.
    pub(crate) odd: (usize, bool),
}

/// A reference prepared for scoring. Derived, never stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Calibration {
    median: Vec<f64>,
    spread: Vec<f64>,
    /// Distances of the subject's own windows, each against all the others; ascending.
    own: Vec<f64>,
}

impl Calibration {
    fn of(windows: &[Vector], floors: &[f64]) -> Option<Self> {
        if windows.len() < 2 {
            return None;
        }
        let columns: Vec<Column> = (0..floors.len())
            .map(|feature| Column::of(windows.iter().map(|window| window.at(feature))))
            .collect();
        let own = windows.iter().map(|window| {
            let terms = columns.iter().zip(floors).enumerate().map(|(feature, (column, floor))| {
                let value = window.at(feature);
                let (median, spread) = column.without(value);
                deviation(value, median, spread.max(*floor)).abs()
            });
            terms.sum::<f64>() / count(floors.len())
        });
        let own = crate::features::sorted(own);
        let median = columns.iter().map(Column::median).collect();
        let spread = columns.iter().zip(floors).map(|(c, floor)| c.spread().max(*floor)).collect();
        Some(Self { median, spread, own })
    }

    pub(crate) fn windows(&self) -> usize {
        self.own.len()
    }

    pub(crate) fn score(&self, window: &Vector) -> Score {
        let mut odd = (0, 0.0);
        let mut sum = 0.0;
        for (feature, (median, spread)) in self.median.iter().zip(&self.spread).enumerate() {
            let deviation = deviation(window.at(feature), *median, *spread);
            sum += deviation.abs();
            if deviation.abs() > f64::abs(odd.1) {
                odd = (feature, deviation);
            }
        }
        let distance = sum / count(self.median.len());
        let stranger = self.own.len() - self.own.partition_point(|own| *own < distance);
        let p = count(1 + stranger) / count(1 + self.own.len());
        Score { p, odd: (odd.0, odd.1 > 0.0) }
    }
}

fn deviation(value: f64, median: f64, spread: f64) -> f64 {
    ((value - median) / spread).clamp(-FEATURE_DEVIATIONS_MAX, FEATURE_DEVIATIONS_MAX)
}

/// One feature over all windows, sorted, with running sums: median and mean absolute deviation of
/// all values, or of all but one, without going through them again.
struct Column {
    sorted: Vec<f64>,
    /// `sums[k]`: of the `k` smallest.
    sums: Vec<f64>,
}

impl Column {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let sorted = crate::features::sorted(values);
        let mut sums = vec![0.0];
        for value in &sorted {
            sums.push(sums[sums.len() - 1] + value);
        }
        Self { sorted, sums }
    }

    fn median(&self) -> f64 {
        middle(self.sorted.len(), |index| self.sorted[index])
    }

    fn spread(&self) -> f64 {
        self.deviations(self.median()) / count(self.sorted.len())
    }

    /// Median and mean absolute deviation when one occurrence of `value`, which is in the column, is
    /// left out.
    fn without(&self, value: f64) -> (f64, f64) {
        let out = self.sorted.partition_point(|other| *other < value);
        let kept = |index: usize| self.sorted[if index < out { index } else { index + 1 }];
        let rest = self.sorted.len() - 1;
        let median = middle(rest, kept);
        (median, (self.deviations(median) - (value - median).abs()) / count(rest))
    }

    /// Sum of absolute differences from `center`.
    fn deviations(&self, center: f64) -> f64 {
        let below = self.sorted.partition_point(|value| *value < center);
        let (low, all) = (self.sums[below], self.sums[self.sorted.len()]);
        center * count(below) - low + (all - low) - center * count(self.sorted.len() - below)
    }
}

fn middle(len: usize, at: impl Fn(usize) -> f64) -> f64 {
    if len % 2 == 1 { at(len / 2) } else { f64::midpoint(at(len / 2 - 1), at(len / 2)) }
}

#[cfg(test)]
mod tests {
    use super::{Calibration, Column, Reference, deviation};
    use crate::features::{count, quantile, sorted};
    use crate::vector::Vector;

    #[test]
    fn leaving_one_out_by_rank_is_leaving_one_out() {
        let values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
        for len in [2, 3, 7, 8] {
            let column = Column::of(values[..len].iter().copied());
            for out in 0..len {
                let rest: Vec<f64> =
                    (0..len).filter(|at| *at != out).map(|at| values[at]).collect();
                let median = quantile(&sorted(rest.iter().copied()), 0.5);
                let spread =
                    rest.iter().map(|v| (v - median).abs()).sum::<f64>() / count(rest.len());
                let (fast_median, fast_spread) = column.without(values[out]);
                assert!((fast_median - median).abs() < 1e-12);
                assert!((fast_spread - spread).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn own_windows_have_every_p_value_alike_and_a_stranger_has_the_smallest() {
        let mut reference = Reference::default();
        for n in 0..99 {
            let wobble = f64::from((n * 37) % 99) / 99.0;
            reference.learn(Vector::of(&[wobble, 1.0 - wobble * 0.5]), 200);
        }
        let calibration = reference.calibrate(&[0.01, 0.01]).unwrap();
        assert_eq!(calibration.windows(), 99);
        assert_eq!(calibration.score(&Vector::of(&[9.0, 9.0])).p, 0.01);
        assert!(calibration.score(&Vector::of(&[0.5, 0.75])).p > 0.95);
        let odd = calibration.score(&Vector::of(&[0.5, -3.0])).odd;
        assert_eq!(odd, (1, false));
    }

    #[test]
    fn old_windows_make_room_and_a_window_learned_is_recognised() {
        let mut reference = Reference::default();
        for n in 0..10 {
            reference.learn(Vector::of(&[f64::from(n)]), 4);
        }
        assert_eq!(reference.len(), 4);
        assert!(reference.has(&Vector::of(&[9.0])) && !reference.has(&Vector::of(&[5.0])));
    }

    #[test]
    fn one_window_is_no_reference_and_a_broken_feature_is_bounded() {
        assert_eq!(Calibration::of(&[Vector::of(&[1.0])], &[0.1]), None);
        assert_eq!(deviation(1e9, 0.0, 0.1), 8.0);
    }
}
