//! From weights to points: capped per technique, scaled, and handed out so that they add up.
//!
//! Integer arithmetic only: a score must not depend on how a machine rounds.

use crate::detector::Finding;

/// Points that one deciban of evidence is worth, as a fraction.
///
/// It follows from the thresholds (see `assess`): 30 decibans must be 70 points.
const POINTS_PER_DECIBAN: (u64, u64) = (7, 3);

/// Decibans of each finding after the cap per technique, in the order of the input.
///
/// Weights of one technique are not independent: a second sign of the same thing says less than
/// the first. The strongest counts in full, the others together at most half as much again.
pub(crate) fn capped(findings: &[(&'static str, &Finding)]) -> Vec<u32> {
    let mut counted = vec![0; findings.len()];
    for (index, (technique, finding)) in findings.iter().enumerate() {
        let same = |other: &(&str, &Finding)| other.0 == *technique;
        let strongest = findings.iter().filter(|f| same(f)).map(|f| f.1.weight).max().unwrap_or(0);
        let first = findings.iter().position(|f| same(f) && f.1.weight == strongest);
        if first == Some(index) {
            counted[index] = strongest;
            continue;
        }
        let before: u32 = (0..index)
            .filter(|&i| same(&findings[i]) && Some(i) != first)
            .map(|i| counted[i])
            .sum();
        counted[index] = finding.weight.min((strongest / 2).saturating_sub(before));
    }
    counted
}

/// The score for a sum of decibans.
pub(crate) fn points(decibans: &[u32], max: u32) -> u32 {
    let total: u64 = decibans.iter().map(|&d| u64::from(d)).sum();
    let scaled = total * POINTS_PER_DECIBAN.0 / POINTS_PER_DECIBAN.1;
    u32::try_from(scaled.min(u64::from(max))).unwrap_or(max)
}

/// Splits `score` in proportion to `decibans` so that the parts sum exactly to it: everyone gets
/// the whole points of their share, the rest goes to the largest remainders, earlier first.
pub(crate) fn split(score: u32, decibans: &[u32]) -> Vec<u32> {
    let total: u64 = decibans.iter().map(|&d| u64::from(d)).sum();
    if total == 0 {
        return vec![0; decibans.len()];
    }
    let share = |&d: &u32| u64::from(d) * u64::from(score);
    let mut parts: Vec<u32> =
        decibans.iter().map(|d| u32::try_from(share(d) / total).unwrap_or(score)).collect();
    let mut by_remainder: Vec<usize> = (0..decibans.len()).collect();
    by_remainder.sort_by_key(|&i| (std::cmp::Reverse(share(&decibans[i]) % total), i));
    let left = score - parts.iter().sum::<u32>();
    for &index in by_remainder.iter().take(left as usize) {
        parts[index] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::{capped, points, split};
    use crate::detector::Finding;

    fn finding(weight: u32) -> Finding {
        Finding::new(weight, String::new(), vec![0])
    }

    /// A small deterministic generator (SplitMix64): enough disorder for the properties.
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[test]
    fn parts_always_sum_to_the_score() {
        let mut state = 7;
        for _ in 0..2000 {
            let count = next(&mut state) % 12;
            let decibans: Vec<u32> =
                (0..count).map(|_| u32::try_from(next(&mut state) % 40).unwrap()).collect();
            let score = points(&decibans, 100);
            let parts = split(score, &decibans);
            assert_eq!(parts.iter().sum::<u32>(), score, "{decibans:?}");
            assert!(score <= 100);
        }
    }

    #[test]
    fn one_technique_is_worth_at_most_one_and_a_half_of_its_strongest() {
        let mut state = 11;
        for _ in 0..500 {
            let count = 1 + next(&mut state) % 6;
            let findings: Vec<Finding> = (0..count)
                .map(|_| finding(1 + u32::try_from(next(&mut state) % 40).unwrap()))
                .collect();
            let named: Vec<(&'static str, &Finding)> = findings.iter().map(|f| ("T1", f)).collect();
            let counted = capped(&named);
            let strongest = findings.iter().map(|f| f.weight).max().unwrap();
            assert!(counted.iter().sum::<u32>() <= strongest + strongest / 2);
            assert!(counted.iter().sum::<u32>() >= strongest);
            assert!(counted.iter().zip(&findings).all(|(c, f)| *c <= f.weight));
        }
    }

    #[test]
    fn techniques_do_not_cap_each_other() {
        let (a, b, c) = (finding(20), finding(20), finding(12));
        assert_eq!(capped(&[("T1", &a), ("T2", &b), ("T1", &c)]), [20, 20, 10]);
    }

    #[test]
    fn thresholds_in_decibans() {
        assert_eq!(points(&[30], 100), 70);
        assert_eq!(points(&[13], 100), 30);
        assert_eq!(points(&[12], 100), 28);
        assert_eq!(points(&[40, 40], 100), 100);
    }
}
