//! Samples in, counts out.

use super::{History, Sample, Series};
use crate::spec::SloName;
use crate::status::{Counts, Scope};

const S: i64 = 1_000_000;
/// 2026-01-01.
const T0: i64 = 1_767_225_600 * S;

fn series(scope: Scope) -> Series {
    Series { slo: SloName::try_from("door".to_owned()).unwrap(), revision: 1, scope }
}

fn counts(good: u64, bad: u64) -> Counts {
    Counts { good, bad, excluded: 0 }
}

fn sample(instance: &str, epoch: i64, at_us: i64, good: u64, bad: u64) -> Sample {
    let series = vec![(series(Scope::All), counts(good, bad))];
    Sample { instance: instance.to_owned(), epoch, at_us, series }
}

#[test]
fn counts_are_differences_of_samples() {
    let mut history = History::default();
    assert!(history.add(&sample("a", T0, T0 + 10 * S, 5, 1)));
    assert!(history.add(&sample("a", T0, T0 + 20 * S, 9, 1)));
    let all = history.counts(&series(Scope::All), T0, T0 + 20 * S);
    assert_eq!((all.counts, all.covered_us), (counts(9, 1), 20 * S));
    let second = history.counts(&series(Scope::All), T0 + 10 * S, T0 + 20 * S);
    assert_eq!((second.counts, second.covered_us), (counts(4, 0), 10 * S));
    assert_eq!(history.begins_us(), Some(T0));
    assert_eq!(history.scopes(&series(Scope::All).slo, 1), [Scope::All]);
    assert!(!history.add(&sample("a", T0, T0 + 20 * S, 9, 1)));
    assert!(!history.add(&sample("a", T0, T0 + 10 * S, 5, 1)));
}
