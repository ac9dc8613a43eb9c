//! Samples in, counts out, held against a model that keeps everything.

use std::time::Duration;

use super::{
    BACKFILL, Backfilled, GONE, HOUR_MS, History, INSTANCES_MAX, KEEP_MS, Sample, Series, Span,
};
use crate::spec::SloName;
use crate::status::{Counts, Scope};
use crate::testing::Random;

const S: i64 = 1_000_000;
const DAY: i64 = 86_400 * S;
/// 2026-01-01.
const T0: i64 = 1_767_225_600 * S;

fn series(scope: Scope) -> Series {
    Series { slo: SloName::try_from("door".to_owned()).unwrap(), revision: 1, scope }
}

fn all() -> Series {
    series(Scope::All)
}

fn counts(good: u64, bad: u64) -> Counts {
    Counts { good, bad, excluded: 0 }
}

fn sample(instance: &str, epoch: i64, at_us: i64, good: u64, bad: u64) -> Sample {
    let series = vec![(all(), counts(good, bad))];
    Sample { instance: instance.to_owned(), epoch, at_us, series }
}

#[track_caller]
fn check(history: &History, from_us: i64, to_us: i64, expect: Counts, covered_s: i64) {
    let found = history.counts(&all(), from_us, to_us);
    assert_eq!((found.counts, found.covered_us), (expect, covered_s * S));
}

#[test]
fn counts_are_differences_of_samples() {
    let mut history = History::default();
    assert!(history.add(&sample("a", T0, T0 + 10 * S, 5, 1)));
    assert!(history.add(&sample("a", T0, T0 + 20 * S, 9, 1)));
    check(&history, T0, T0 + 20 * S, counts(9, 1), 20);
    check(&history, T0 + 10 * S, T0 + 20 * S, counts(4, 0), 10);
    check(&history, T0 + 20 * S, T0 + 10 * S, counts(0, 0), 0);
    assert_eq!(history.begins_us(), Some(T0));
    assert_eq!(history.scopes(&all().slo, 1), [Scope::All]);
    assert_eq!(history.scopes(&all().slo, 2), []);
}

#[test]
fn a_sample_again_or_out_of_order_changes_nothing() {
    let mut history = History::default();
    history.add(&sample("a", T0, T0 + 10 * S, 5, 1));
    history.add(&sample("a", T0, T0 + 20 * S, 9, 1));
    let before = history.snapshot();
    assert!(!history.add(&sample("a", T0, T0 + 20 * S, 9, 1)));
    assert!(!history.add(&sample("a", T0, T0 + 10 * S, 5, 1)));
    assert_eq!(history.snapshot(), before);
    assert_eq!(history.thrown().late_samples, 2);
}

#[test]
fn a_restart_is_no_reset_and_the_time_of_a_crash_is_not_covered() {
    let mut history = History::default();
    history.add(&sample("a", T0, T0 + 10 * S, 100, 0));
    // Killed somewhere after; the next process starts at 60 s and counts from nought.
    history.add(&sample("a", T0 + 60 * S, T0 + 70 * S, 3, 2));
    check(&history, T0, T0 + 70 * S, counts(103, 2), 20);
    check(&history, T0 + 10 * S, T0 + 60 * S, counts(0, 0), 0);
    // A sample of the first process that arrives late belongs nowhere any more.
    assert!(!history.add(&sample("a", T0, T0 + 20 * S, 150, 0)));
    check(&history, T0, T0 + 70 * S, counts(103, 2), 20);
}

#[test]
fn a_first_sample_that_comes_late_counts_but_does_not_cover() {
    let mut history = History::default();
    history.add(&sample("a", T0, T0 + 600 * S, 100, 0));
    history.add(&sample("a", T0, T0 + 610 * S, 101, 0));
    check(&history, T0, T0 + 610 * S, counts(101, 0), 10);
}

#[test]
fn a_gap_is_not_covered_and_its_events_are_seen_at_its_end() {
    let mut history = History::default();
    history.add(&sample("a", T0, T0 + 10 * S, 10, 0));
    history.add(&sample("a", T0, T0 + 35 * S, 20, 0));
    check(&history, T0, T0 + 35 * S, counts(20, 0), 35);
    history.add(&sample("a", T0, T0 + 61 * S, 30, 0));
    check(&history, T0 + 35 * S, T0 + 60 * S, counts(0, 0), 0);
    check(&history, T0 + 35 * S, T0 + 61 * S, counts(10, 0), 0);
}

#[test]
fn a_clock_that_goes_back_loses_nothing() {
    let mut history = History::default();
    history.add(&sample("a", T0, T0 + 100 * S, 10, 0));
    assert!(history.add(&sample("a", T0, T0 + 50 * S, 15, 0)), "newer by its counts");
    assert!(!history.add(&sample("a", T0, T0 + 60 * S, 15, 0)), "no news");
    assert!(history.add(&sample("a", T0, T0 + 110 * S, 20, 0)));
    check(&history, T0, T0 + 110 * S, counts(20, 0), 10);
    // Even over a restart, whose start is then before the one before.
    assert!(history.add(&sample("a", T0 - 900 * S, T0 + 20 * S, 7, 0)));
    check(&history, T0, T0 + 120 * S, counts(27, 0), 10);
}

#[test]
fn counts_that_go_back_are_taken_as_unchanged() {
    let mut history = History::default();
    history.add(&sample("a", T0, T0 + 10 * S, 10, 3));
    history.add(&sample("a", T0, T0 + 20 * S, 12, 1));
    check(&history, T0, T0 + 20 * S, counts(12, 3), 20);
    assert_eq!(history.thrown().counts_back, 1);
    assert!(!history.add(&sample("a", T0, T0 + 30 * S, u64::MAX, 3)));
    assert_eq!(history.thrown().garbled_samples, 1);
}

#[test]
fn replicas_are_summed_and_cover_for_each_other() {
    let mut history = History::default();
    for step in 1..=6 {
        history.add(&sample("a", T0, T0 + step * 10 * S, step.unsigned_abs() * 10, 0));
        if step <= 3 {
            history.add(&sample("b", T0, T0 + step * 10 * S, 0, step.unsigned_abs()));
        }
    }
    check(&history, T0, T0 + 60 * S, counts(60, 3), 60);
    check(&history, T0 + 30 * S, T0 + 60 * S, counts(30, 0), 30);
}

#[test]
fn an_objective_is_covered_from_when_it_is_counted() {
    let mut history = History::default();
    let other = Series { revision: 2, ..all() };
    history.add(&sample("a", T0, T0 + 10 * S, 10, 0));
    // The next process has another revision of it.
    let mut second = sample("a", T0 + 20 * S, T0 + 30 * S, 4, 0);
    second.series[0].0 = other.clone();
    history.add(&second);
    check(&history, T0, T0 + 30 * S, counts(10, 0), 10);
    let found = history.counts(&other, T0, T0 + 30 * S);
    assert_eq!((found.counts, found.covered_us), (counts(4, 0), 10 * S));
}

#[test]
fn a_series_that_is_left_out_has_not_changed() {
    let mut history = History::default();
    history.add(&sample("a", T0, T0 + 10 * S, 10, 0));
    history.add(&Sample { series: Vec::new(), ..sample("a", T0, T0 + 20 * S, 0, 0) });
    check(&history, T0, T0 + 20 * S, counts(10, 0), 20);
    check(&history, T0 + 10 * S, T0 + 20 * S, counts(0, 0), 10);
}

#[test]
fn instances_that_are_gone_are_summed_up() {
    let mut history = History::default();
    let pods = 3 * i64::try_from(INSTANCES_MAX).unwrap();
    for pod in 0..pods {
        let start = T0 + pod * 2 * 3600 * S;
        history.add(&sample(&format!("pod-{pod}"), start, start + 10 * S, 10, 1));
    }
    let pods = u64::try_from(pods).unwrap();
    check(&history, T0, T0 + 30 * DAY, counts(10 * pods, pods), i64::try_from(10 * pods).unwrap());
    assert!(history.instances.len() <= INSTANCES_MAX);
    assert!(history.instances.iter().any(|instance| instance.name == GONE));
    // All that live at once: the one too many is refused, and said.
    let mut history = History::default();
    for pod in 0..=INSTANCES_MAX {
        history.add(&sample(&format!("pod-{pod}"), T0, T0 + 10 * S, 1, 0));
    }
    assert_eq!(history.thrown().lines_refused, 1);
    check(&history, T0, T0 + 10 * S, counts(INSTANCES_MAX as u64, 0), 10);
}

#[test]
fn backfill_goes_where_nobody_counted() {
    let mut history = History::default();
    history.add(&sample("a", T0, T0 + 10 * S, 10, 0));
    let span = |from: i64, to: i64, good| Span {
        from_us: T0 + from * S,
        to_us: T0 + to * S,
        counts: counts(good, 0),
    };
    let spans = [span(-60, 0, 7), span(-120, -60, 5), span(0, 60, 99), span(-90, -30, 1)];
    let done = history.backfill(&all(), &spans);
    assert_eq!(done, Backfilled { taken: 2, overlapping: 2, refused: 0 });
    check(&history, T0 - 120 * S, T0 + 10 * S, counts(22, 0), 130);
    check(&history, T0 - 60 * S, T0 + 10 * S, counts(17, 0), 70);
    let done = history.backfill(&all(), &spans[..2]);
    assert_eq!(done, Backfilled { taken: 0, overlapping: 2, refused: 0 });
    // Views as well, after the sum.
    let tenant = series(Scope::Tenant("acme".to_owned()));
    assert_eq!(history.backfill(&tenant, &spans[..2]).taken, 2);
    assert_eq!(history.counts(&tenant, T0 - DAY, T0).counts, counts(12, 0));
    let restored = History::restore(&history.snapshot()).unwrap();
    assert_eq!(restored.snapshot(), history.snapshot());
    // Nobody takes that name by a sample.
    assert!(!history.add(&sample(BACKFILL, T0, T0 + 20 * S, 1, 0)));
}

/// Everything, as it came: cumulative over all epochs, in milliseconds.
struct Model(Vec<(i64, Counts)>);

impl Model {
    fn at(&self, at_us: i64) -> Counts {
        let after = self.0.partition_point(|point| point.0 <= at_us);
        after.checked_sub(1).map_or(Counts::default(), |index| self.0[index].1)
    }
}

/// Weeks of traffic with pauses and restarts: any window at any moment is what the model says.
#[test]
fn windows_are_exact_for_thirty_five_days() {
    let mut random = Random::new(7);
    let (mut history, mut model) = (History::default(), Model(Vec::new()));
    let (mut ever, mut here) = (Counts::default(), Counts::default());
    let (mut epoch, mut at) = (T0, T0);
    while at < T0 + 45 * DAY {
        at += 10 * S;
        match random.below(20_000) {
            0 => at += 3_600 * S,
            1 => (epoch, here) = (at - 5 * S, Counts::default()),
            _ => {}
        }
        if random.below(3) > 0 {
            let more = counts(random.below(5_000), random.below(100) / 98);
            let more = Counts { excluded: random.below(4) / 3, ..more };
            (ever, here) = (ever.plus(more), here.plus(more));
        }
        let series = vec![(all(), here)];
        history.add(&Sample { instance: "a".to_owned(), epoch, at_us: at, series });
        model.0.push((at, ever));
    }
    let restored = History::restore(&history.snapshot()).unwrap();
    for _ in 0..2_000 {
        let to = at - i64::try_from(random.below(34 * 86_400)).unwrap() * S;
        let from = (to - i64::try_from(random.below(34 * 86_400)).unwrap() * S).max(at - 35 * DAY);
        let expect = model.at(to).minus(model.at(from));
        assert_eq!(history.counts(&all(), from, to).counts, expect);
        assert_eq!(restored.counts(&all(), from, to), history.counts(&all(), from, to));
    }
    // Before that, at the steps of its tier.
    let step = 300 * S;
    for _ in 0..500 {
        let from = T0 + i64::try_from(random.below(9 * 288)).unwrap() * step;
        let expect = model.at(at).minus(model.at(from));
        assert_eq!(history.counts(&all(), from, at).counts, expect);
    }
}

#[test]
fn a_year_and_more_takes_little_and_is_forgotten_in_time() {
    let mut history = History::new(Duration::from_secs(300));
    let mut total = 0;
    for step in 1..=(500 * 288_i64) {
        total += 1_000;
        history.add(&sample("a", T0, T0 + step * 300 * S, total, total / 2_000));
    }
    let now = T0 + 500 * DAY;
    let kept = history.begins_us().unwrap();
    assert!((now - kept - KEEP_MS * 1000).abs() <= HOUR_MS * 1000 * 2, "{}", (now - kept) / DAY);
    // 100 days of 288 points and 300 of 24.
    let points = 100 * 288 + 300 * 24;
    assert!(history.size_bytes() < points * 8, "{}", history.size_bytes());
    let hour = history.counts(&all(), now - 200 * DAY, now - 200 * DAY + 3600 * S);
    assert_eq!(hour.counts.total(), 12_006);
    check(&history, now - DAY, now, counts(288_000, 144), 86_400);
}

#[test]
fn a_clock_that_was_ahead_for_a_moment_forgets_nothing() {
    let mut history = History::default();
    for step in 1..=5_000 {
        history.add(&sample("a", T0, T0 + step * 10 * S, step.unsigned_abs(), 0));
    }
    history.add(&sample("b", T0, T0 + 3_000 * DAY, 1, 0));
    check(&history, T0, T0 + 50_000 * S, counts(5_000, 0), 50_000);
}

#[test]
fn samples_come_back_from_bytes() {
    let mut one = sample("node-1", T0, T0 + 10 * S, 1 << 59, 3);
    one.series.push((series(Scope::Tenant("größe".to_owned())), counts(0, 0)));
    one.series.push((series(Scope::RouteGroup("sessions".to_owned())), counts(1, 2)));
    let mut bytes = Vec::new();
    one.encode(&mut bytes);
    assert_eq!(Sample::decode(&bytes), Ok(one));
    for cut in 0..bytes.len() {
        assert!(Sample::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    bytes.push(0);
    assert!(Sample::decode(&bytes).is_err());
}

/// Damage of any kind is refused, or is a history that can be read, fed and written again.
#[test]
fn damaged_bytes_never_panic() {
    let mut random = Random::new(11);
    let mut history = History::default();
    for step in 1..=700_u64 {
        let at = T0 + i64::try_from(step).unwrap() * 10 * S;
        let mut one = sample("a", T0, at, step * random.below(3), step / 9);
        one.series.push((series(Scope::Tenant("t".to_owned())), counts(step, 0)));
        history.add(&one);
        history.add(&sample("b", T0, at, step * 1_000, 0));
    }
    let snapshot = history.snapshot();
    let mut record = Vec::new();
    sample("a", T0, T0, 5, 6).encode(&mut record);
    let (mut refused, mut read) = (0, 0);
    for _ in 0..4_000 {
        let mut bytes = snapshot.clone();
        for _ in 0..=random.below(3) {
            let at = random.index(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.byte(),
                1 => bytes[at] ^= 1 << random.below(8),
                2 => bytes.truncate(at),
                _ => bytes.insert(at, random.byte()),
            }
            if bytes.is_empty() {
                break;
            }
        }
        match History::restore(&bytes) {
            Err(_) => refused += 1,
            Ok(mut back) => {
                read += 1;
                assert_eq!(History::restore(&back.snapshot()).as_ref(), Ok(&back));
                back.add(&sample("a", T0, T0 + DAY, 9_000, 900));
                let _ = back.counts(&all(), i64::MIN / 4, i64::MAX / 4);
            }
        }
        let mut bytes = record.clone();
        let at = random.index(bytes.len());
        bytes[at] = random.byte();
        let _ = Sample::decode(&bytes);
        let noise: Vec<u8> = (0..random.below(60)).map(|_| random.byte()).collect();
        let _ = Sample::decode(&noise);
        let _ = History::restore(&[b"SHXHIST1", noise.as_slice()].concat());
    }
    assert!(refused > 100 && read > 10, "{refused} refused, {read} read");
}
