//! What a Prometheus knows, turned into spans of counts.

use super::*;

fn found(outcome: &str, points: &[(i64, u64)]) -> Found {
    let labels = [("tenant", "a"), ("outcome", outcome)];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Found { labels: labels.into(), points: points.to_vec() }
}

#[test]
fn counters_that_begin_anew_and_gaps_are_neither_counted_twice_nor_made_up() {
    let good = found("good", &[(60, 1000), (120, 1005), (180, 3), (360, 9), (420, 9)]);
    let bad = found("bad", &[(60, 1), (120, 2), (180, 0)]);
    let minutes = increases(&[good, bad], |_| Some(Scope::All));
    let of = |at| minutes.get(&at).map(|scopes| scopes[&Scope::All]);
    assert_eq!(of(60), None, "what was before is not known");
    assert_eq!(of(120), Some(Counts { good: 5, bad: 1, excluded: 0 }));
    assert_eq!(of(180), Some(Counts { good: 3, bad: 0, excluded: 0 }), "began anew");
    assert_eq!(of(360), None, "not there a minute before");
    assert_eq!(of(420), Some(Counts::default()), "there, and idle");
}

#[test]
fn times_are_whole_minutes_within_what_is_kept() {
    assert_eq!(whole_steps(61_000_000, 299_000_000).unwrap(), (120, 240));
    let days = |days: i64| days * DAY_S * 1_000_000;
    assert_eq!(whole_steps(0, days(1000)).unwrap(), (600 * DAY_S, 1000 * DAY_S));
    assert!(matches!(whole_steps(61_000_000, 119_000_000), Err(BackfillError::NoTime { .. })));
}
