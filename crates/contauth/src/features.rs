//! From timings to numbers that describe how somebody types and moves. Knows no person and no key:
//! what was typed is not among its inputs.

pub(crate) mod pointer;
pub(crate) mod typing;

/// A quantile by linear interpolation between order statistics (Hyndman & Fan's type 7); 0 of
/// nothing.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let position = share.clamp(0.0, 1.0) * count(last);
    let below = (0..=last).rev().find(|index| count(*index) <= position).unwrap_or(0);
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (position - count(below))
}

/// Median of the absolute differences from `center`.
pub(crate) fn median_deviation(values: &[f64], center: f64) -> f64 {
    quantile(&sorted(values.iter().map(|value| (value - center).abs())), 0.5)
}

pub(crate) fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// How many of the values hold, 0–1.
pub(crate) fn share<T>(values: &[T], holds: impl Fn(&T) -> bool) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    count(values.iter().filter(|value| holds(value)).count()) / count(values.len())
}

/// A count as a number; counts here are below 2³².
pub(crate) fn count(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::{median_deviation, quantile, share};

    #[test]
    fn quantiles_are_those_of_r_and_numpy() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        let cases = [(0.0, 1.0), (0.5, 3.0), (0.25, 1.75), (0.9, 6.8), (1.0, 8.0)];
        for (at, expect) in cases {
            assert!((quantile(&sorted, at) - expect).abs() < 1e-12, "{at}");
        }
        assert_eq!(quantile(&[], 0.5), 0.0);
        assert_eq!(median_deviation(&[1.0, 2.0, 3.0, 100.0], 2.0), 1.0);
        assert_eq!(share(&[1, 2, 3, 4], |n| *n > 3), 0.25);
    }
}
