//! The p-value keeps its promise, and says the right feature.

use super::{Score, Vector, score};
use crate::testing::Random;

fn score_of(history: &[Vec<(u16, f64)>], run: &Vector) -> Score {
    score(&history.iter().map(Vec::as_slice).collect::<Vec<_>>(), run)
}

/// Twelve-fold sum of uniforms: close to normal.
fn normal(random: &mut Random) -> f64 {
    (0..12).map(|_| random.unit()).sum::<f64>() - 6.0
}

/// A run of a made-up workload: counts with heavy tails, a ratio, a constant.
fn ordinary(random: &mut Random) -> Vec<(u16, f64)> {
    let mut run: Vec<(u16, f64)> =
        (0..8).map(|f| (f, (normal(random) * 0.7 + f64::from(f)).exp().floor())).collect();
    run.extend((8..14).map(|f| (f, normal(random) * 0.1 + 0.5)));
    run.push((14, 1.0));
    run
}

#[test]
fn p_is_uniform_while_runs_are_exchangeable() {
    let mut random = Random::new(7);
    let (rounds, n) = (2_000u32, 99);
    let mut ps = Vec::new();
    for _ in 0..rounds {
        let history: Vec<_> = (0..n).map(|_| ordinary(&mut random)).collect();
        ps.push(score_of(&history, &ordinary(&mut random)).p_ppm);
    }
    for alpha in [0.01, 0.05, 0.1, 0.25, 0.5] {
        let below = ps.iter().filter(|p| f64::from(**p) <= alpha * 1e6).count();
        let expected = alpha * f64::from(rounds);
        // Four standard deviations of a binomial; ties only ever make p larger.
        let error = 4.0 * (expected * (1.0 - alpha)).sqrt();
        let below = f64::from(u32::try_from(below).unwrap());
        assert!((below - expected).abs() <= error, "α {alpha}: {below} of {expected} ± {error}");
    }
}

#[test]
fn p_never_promises_too_much_for_small_histories_and_many_ties() {
    let mut random = Random::new(8);
    let (rounds, n) = (4_000u32, 20);
    let mut draw = || vec![(0, f64::from(u32::try_from(random.below(3)).unwrap())), (1, 5.0)];
    let mut below = 0;
    for _ in 0..rounds {
        let history: Vec<_> = (0..n).map(|_| draw()).collect();
        below += u32::from(score_of(&history, &draw()).p_ppm <= 100_000);
    }
    let expected = 0.1 * f64::from(rounds);
    assert!(f64::from(below) <= expected + 4.0 * (expected * 0.9).sqrt(), "{below}");
}

#[test]
fn the_order_of_the_history_does_not_matter() {
    let mut random = Random::new(9);
    let mut history: Vec<_> = (0..50).map(|_| ordinary(&mut random)).collect();
    let run = ordinary(&mut random);
    let before = score_of(&history, &run);
    history.reverse();
    history.swap(3, 40);
    assert_eq!(score_of(&history, &run), before);
}

#[test]
fn a_constant_history_gives_a_documented_scale_and_not_infinity() {
    let history = vec![vec![(0, 0.0), (1, 3.0), (2, 0.5)]; 20];
    let same = score_of(&history, &[(0, 0.0), (1, 3.0), (2, 0.5)]);
    assert_eq!((same.p_ppm, same.at_least, same.deviations.len()), (1_000_000, 20, 0));

    let other = score_of(&history, &[(0, 1.0), (1, 3.0), (2, 0.9)]);
    assert_eq!((other.p_ppm, other.at_least), (47_620, 0), "1/21, rounded up");
    // 0.4 / (0.05·0.5 + 0.01), and ln 2 / 0.1.
    let told: Vec<_> =
        other.deviations.iter().map(|one| (one.feature, one.robust_z_milli)).collect();
    assert_eq!(told, [(2, 11_429), (0, 6_931)]);
    assert_eq!((other.deviations[0].value_milli, other.deviations[0].median_milli), (900, 500));
}

#[test]
fn what_a_run_does_less_is_a_negative_deviation() {
    let history: Vec<_> = (0..40).map(|i| vec![(0, 1_000.0 + f64::from(i))]).collect();
    let less = score_of(&history, &[(0, 1.0)]);
    assert!(less.deviations[0].robust_z_milli < -DEVIATION);
    assert_eq!(less.at_least, 0);
}

const DEVIATION: i64 = 3_000;

#[test]
fn one_strange_feature_among_thirty_is_found_and_named() {
    let mut random = Random::new(10);
    let run = |random: &mut Random| -> Vec<(u16, f64)> {
        (0..30).map(|f| (f, (100.0 + 10.0 * normal(random)).floor())).collect()
    };
    let history: Vec<_> = (0..500).map(|_| run(&mut random)).collect();
    let mut strange = run(&mut random);
    strange[17].1 = 5_000.0;
    let score = score_of(&history, &strange);
    assert_eq!((score.p_ppm, score.at_least), (1_997, 0), "1/501");
    assert_eq!(score.deviations[0].feature, 17);
}

#[test]
fn features_that_came_or_went_with_a_version_do_not_make_a_run_strange() {
    let history = vec![vec![(0, 5.0), (1, 7.0)]; 30];
    let without = score_of(&history, &[(0, 5.0)]);
    assert_eq!(without.p_ppm, 1_000_000);
    let new = score_of(&history, &[(0, 5.0), (1, 7.0), (2, 999.0)]);
    assert_eq!((new.p_ppm, new.deviations.len()), (1_000_000, 0));
}

#[test]
fn extreme_numbers_stay_numbers() {
    let mut history = vec![vec![(0, f64::MAX), (1, f64::MIN), (2, f64::MIN_POSITIVE)]; 25];
    history.extend(vec![vec![(0, 0.0), (1, 0.0), (2, 0.0)]; 20]);
    let score = score_of(&history, &[(0, f64::MIN), (1, f64::MAX), (2, 1e-300)]);
    assert!(score.p_ppm <= 1_000_000 && score.p_ppm > 0);
    assert!(score_of(&[], &[]).p_ppm == 1_000_000);
}
