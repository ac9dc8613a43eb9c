//! The model: how far a run's features lie from the middle of its bag, in robust deviations, and
//! full conformal prediction over that.
//!
//! The bag is the earlier runs and the new one, n + 1 in all. Every run of the bag is measured
//! against the whole bag, itself included, so the score does not depend on which run is the new
//! one; that symmetry is all that conformal prediction asks for.
//!
//! Per feature: value x, or ln(1 + x) where every value in the bag is a whole number ≥ 0 (counts and
//! bytes grow by factors); m the low median; MAD the low median of |x − m|;
//! z = (x − m) / (1.4826·MAD + floor), cut at ±1,000. The floor is 0.1 for logarithms (a tenth more
//! or less of what never changed is one deviation) and 0.05·|m| + 0.01 otherwise, so a history that
//! never changes gives a large z and not an infinite one. A feature that fewer than half of the bag
//! have says nothing; a run without a feature has z = 0 there. The score is the mean of the three
//! greatest |z|: one strange number counts, three count thrice, and thirty ordinary ones do not
//! drown them.
//!
//! p = (runs of the bag with a score at least the new one's) / (n + 1).
//!
//! All that is compared is whole thousandths, so that the answer is the same on every machine.

use super::logarithm::ln_1p;

/// 1/Φ⁻¹(3/4): makes the MAD of a normal distribution its standard deviation.
const MAD_SIGMA: f64 = 1.4826;
const FLOOR_LOG: f64 = 0.1;
const FLOOR_RELATIVE: f64 = 0.05;
const FLOOR_ABSOLUTE: f64 = 0.01;
const Z_MAX: f64 = 1_000.0;
/// Features the score is the mean of.
const TOP: usize = 3;
/// Deviations told, and how strange one must be.
const DEVIATIONS_MAX: usize = 8;
const DEVIATION_MIN_MILLI: i64 = 3_000;

/// A run's features by number, ascending.
pub type Vector = [(u16, f64)];

/// What the model says of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// Earlier runs.
    pub history: u32,
    /// Of these, at least as strange.
    pub at_least: u32,
    /// Rounded up, so that rounding never makes a run stranger.
    pub p_ppm: u32,
    /// Strongest first, then by feature number.
    pub deviations: Vec<FeatureDeviation>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureDeviation {
    pub feature: u16,
    pub value_milli: i64,
    /// Of the whole bag.
    pub median_milli: i64,
    pub robust_z_milli: i64,
}

/// Scores `run` against the earlier runs.
#[must_use]
pub fn score(history: &[&Vector], run: &Vector) -> Score {
    let bag: Vec<&Vector> = history.iter().copied().chain([run]).collect();
    let mut features: Vec<u16> = bag.iter().flat_map(|run| run.iter().map(|(f, _)| *f)).collect();
    features.sort_unstable();
    features.dedup();

    let mut tops = vec![[0i64; TOP]; bag.len()];
    let mut deviations = Vec::new();
    for feature in features {
        let values: Vec<Option<f64>> = bag.iter().map(|run| value(run, feature)).collect();
        let Some((median, z)) = deviations_of(&values) else { continue };
        for (top, z) in tops.iter_mut().zip(&z) {
            keep_greatest(top, z.abs());
        }
        if let (Some(Some(value)), Some(z)) = (values.last(), z.last())
            && z.abs() >= DEVIATION_MIN_MILLI
        {
            let (value_milli, median_milli) = (milli(*value), milli(median));
            let robust_z_milli = *z;
            deviations.push(FeatureDeviation {
                feature,
                value_milli,
                median_milli,
                robust_z_milli,
            });
        }
    }
    deviations.sort_by_key(|one| (-one.robust_z_milli.abs(), one.feature));
    deviations.truncate(DEVIATIONS_MAX);

    let scores: Vec<i64> = tops.iter().map(|top| top.iter().sum()).collect();
    let own = scores.last().copied().unwrap_or(0);
    let at_least_with_own = scores.iter().filter(|score| **score >= own).count();
    let p = (at_least_with_own * 1_000_000).div_ceil(scores.len());
    let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Score {
        history: small(history.len()),
        at_least: small(at_least_with_own - 1),
        p_ppm: small(p),
        deviations,
    }
}

fn value(run: &Vector, feature: u16) -> Option<f64> {
    let at = run.binary_search_by_key(&feature, |(feature, _)| *feature).ok()?;
    run.get(at).map(|(_, value)| *value)
}

/// The median in the feature's own unit and every run's z in thousandths; `None` when fewer than
/// half of the bag have the feature.
fn deviations_of(values: &[Option<f64>]) -> Option<(f64, Vec<i64>)> {
    let mut present: Vec<f64> = values.iter().flatten().copied().collect();
    if present.is_empty() || present.len() * 2 < values.len() {
        return None;
    }
    let counts = present.iter().all(|value| *value >= 0.0 && value.fract() == 0.0);
    let scaled = |value: f64| if counts { ln_1p(value) } else { value };
    let median = low_median(&mut present);
    let middle = scaled(median);
    let mut apart: Vec<f64> = present.iter().map(|value| (scaled(*value) - middle).abs()).collect();
    let floor = if counts { FLOOR_LOG } else { FLOOR_RELATIVE * middle.abs() + FLOOR_ABSOLUTE };
    let scale = MAD_SIGMA * low_median(&mut apart) + floor;
    let z = |value: &Option<f64>| {
        let value = (*value)?;
        Some(milli(((scaled(value) - middle) / scale).clamp(-Z_MAX, Z_MAX)))
    };
    Some((median, values.iter().map(|value| z(value).unwrap_or(0)).collect()))
}

/// The middle value, of an even number the lower of the two: always one that occurs, and the same
/// before and after a logarithm.
fn low_median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let at = (values.len() - 1) / 2;
    *values.select_nth_unstable_by(at, f64::total_cmp).1
}

/// `top` is ascending.
fn keep_greatest(top: &mut [i64; TOP], z: i64) {
    if z > top[0] {
        top[0] = z;
        top.sort_unstable();
    }
}

/// Whole thousandths, ends at the range of the type.
fn milli(value: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
    let milli = (value * 1_000.0).round() as i64;
    milli
}

#[cfg(test)]
mod tests;
