//! Statuses by hand, and projections against a simulation that replays every minute.

use std::time::Duration;

use super::project::MINUTE_US;
use super::{burn_down, burn_series, explain, series, status};
use crate::history::{History, Sample};
use crate::spec::{self, Calendar, Slo, Window};
use crate::status::{Counts, Point, Scope, Status};
use crate::testing::Random;

const S: i64 = 1_000_000;
const HOUR: i64 = 3_600 * S;
const DAY: i64 = 24 * HOUR;
/// 2026-01-01.
const T0: i64 = 1_767_225_600 * S;

fn slo(target: &str, window: Window) -> Slo {
    let yaml = format!(
        "version: 1\nslos:\n  - name: door\n    service: ingress\n    description: Answers.\n    \
         target: {target}\n    window: 30d\n    availability: {{}}\n    alerting: none\n"
    );
    Slo { window, ..spec::read(&yaml).unwrap().slos[0].clone() }
}

fn rolling(days: u32) -> Window {
    Window::Rolling { days }
}

/// A history of steps of so many microseconds with these good and bad events.
fn history(slo: &Slo, step_us: i64, steps: &[(u64, u64)]) -> (History, i64) {
    let mut history = History::new(Duration::from_micros(step_us.unsigned_abs()));
    let (mut counted, mut at_us) = (Counts::default(), T0);
    for (good, bad) in steps {
        at_us += step_us;
        counted = counted.plus(Counts { good: *good, bad: *bad, excluded: 0 });
        let series = vec![(series(slo, &Scope::All), counted)];
        history.add(&Sample { instance: "a".to_owned(), epoch: T0, at_us, series });
    }
    (history, at_us)
}

#[track_caller]
fn near(found: impl Into<Option<f64>>, expect: f64) {
    let found = found.into().unwrap();
    assert!((found - expect).abs() <= 1e-12 * expect.abs().max(1.0), "{found} is not {expect}");
}

#[test]
fn a_month_by_hand() {
    // 30 days of 100 a minute: an hour of outage on day 10, nothing else.
    let mut steps = vec![(100, 0); 30 * 1440];
    steps[10 * 1440..10 * 1440 + 60].fill((0, 100));
    let slo = slo("99.9", rolling(30));
    let (history, now) = history(&slo, MINUTE_US, &steps);
    let found = status(&slo, &Scope::All, &history, now);
    assert_eq!(found.events, Counts { good: 4_314_000, bad: 6_000, excluded: 0 });
    near(found.error_ratio, 6_000.0 / 4_320_000.0);
    near(found.coverage, 1.0);
    near(found.budget.events, 4_320.0);
    near(found.budget.events_left, -1_680.0);
    near(found.budget.left, 1.0 - 6_000.0 / 4_320.0);
    near(found.budget.minutes, 43.2);
    near(found.budget.minutes_left, 43.2 - 60.0);
    assert_eq!((found.from_us, found.until_us, found.begins_us), (T0, now, Some(T0)));
    let windows: Vec<u64> = found.burns.iter().map(|burn| burn.window_s).collect();
    assert_eq!(windows, [300, 1800, 3600, 7200, 21_600, 86_400, 259_200, 2_592_000]);
    near(found.burns[0].rate, 0.0);
    near(found.burns[7].rate, 1.0 / 0.72);
    assert_eq!(found.exhausts_at_us, None, "it is used up");
    // It comes back with the hour of day 10, minute by minute.
    assert_eq!(found.refunds.len(), 32);
    assert_eq!(found.refunds.last().unwrap().at_us, T0 + 40 * DAY + HOUR);
    assert!(found.refunds[0].at_us > T0 + 40 * DAY);
}

#[test]
fn nothing_counted_is_not_all_good() {
    let slo = slo("99.9", rolling(30));
    let found = status(&slo, &Scope::All, &History::default(), T0);
    assert_eq!((found.error_ratio, found.budget.left), (None, None));
    assert!(found.coverage == 0.0 && found.few_events && found.begins_us.is_none());
    near(found.budget.minutes_left, 43.2);
    assert!(found.burns.iter().all(|burn| burn.rate.is_none()));
    assert_eq!((found.exhausts_at_us, found.refunds), (None, Vec::new()));
    let chart = burn_down(&slo, &Scope::All, &History::default(), T0, 10);
    let no_value = |points: &[Point]| points.iter().all(|point| point.value.is_none());
    assert!(no_value(&chart.past) && no_value(&chart.forecast));
    assert!(!explain(&slo, &Scope::All, &History::default(), T0).is_empty());
}

#[test]
fn a_calendar_month_begins_anew_and_refunds_nothing() {
    let slo = slo("99", Window::Calendar(Calendar::Month));
    // From December: what was before the month does not count.
    let mut steps = vec![(100, 100); 10];
    steps.extend(vec![(1_000, 5); 24 * 9]);
    let (mut history, mut at) = (History::new(Duration::from_secs(3600)), T0 - 10 * HOUR);
    let mut counted = Counts::default();
    for (good, bad) in steps {
        at += HOUR;
        counted = counted.plus(Counts { good, bad, excluded: 0 });
        let series = vec![(series(&slo, &Scope::All), counted)];
        history.add(&Sample { instance: "a".to_owned(), epoch: T0 - 10 * HOUR, at_us: at, series });
    }
    let found = status(&slo, &Scope::All, &history, at);
    assert_eq!(found.events, Counts { good: 216_000, bad: 1_080, excluded: 0 });
    assert_eq!((found.from_us, found.until_us), (T0, T0 + 31 * DAY));
    near(found.budget.minutes, 446.4);
    near(found.coverage, 1.0);
    assert_eq!(found.burns.last().unwrap().window_s, 9 * 86_400);
    assert_eq!((found.refunds, found.exhausts_at_us), (Vec::new(), None));
    let chart = burn_down(&slo, &Scope::All, &history, at, 11);
    near(chart.past[0].value, 1.0);
    near(chart.past[10].value, found.budget.left.unwrap());
    near(chart.ideal[0].value, 1.0);
    near(chart.ideal[10].value, 1.0 - 9.0 / 31.0);
    near(chart.ideal[20].value, 0.0);
    assert_eq!(chart.ideal[20].at_us, T0 + 31 * DAY);
    near(chart.forecast[0].value, found.budget.left.unwrap());
    assert_eq!(chart.forecast[10].at_us, T0 + 31 * DAY);
}

#[test]
fn the_time_it_is_used_up() {
    // A constant 20 times the budget's burn for the last two hours; before, all was well.
    let mut steps = vec![(1_000, 0); 30 * 1440 - 120];
    steps.extend([(980, 20); 120]);
    let slo = slo("99.9", rolling(30));
    let (history, now) = history(&slo, MINUTE_US, &steps);
    let found = status(&slo, &Scope::All, &history, now);
    // 43,200 bad events are allowed, 2,400 are used, 20 come each minute and no bad one leaves.
    assert_eq!(found.exhausts_at_us, Some(now + (43_200 - 2_400) / 20 * MINUTE_US));
}

/// Bad and all events of every minute, as likely as not troubled.
fn troubled(random: &mut Random, minutes: usize) -> Vec<(u64, u64)> {
    let (mut trouble, mut busy) = (0, 1);
    let mut steps = Vec::with_capacity(minutes);
    for _ in 0..minutes {
        if random.below(400) == 0 {
            trouble = random.below(60);
        }
        if random.below(700) == 0 {
            busy = random.below(40);
        }
        if random.below(60) == 0 {
            trouble = 0;
        }
        let bad = if random.below(3) == 0 { busy * trouble / 50 } else { 0 };
        steps.push((busy * 2, bad));
    }
    steps
}

/// Every minute of the next window, by adding and taking away one minute at a time.
fn simulated(slo: &Slo, window: &[(u64, u64)], status: &Status) -> Vec<Option<f64>> {
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let float = |count: u64| count as f64;
    let sum = |steps: &[(u64, u64)]| {
        steps
            .iter()
            .fold((0.0, 0.0), |sum, step| (sum.0 + float(step.1), sum.1 + float(step.0 + step.1)))
    };
    let (mut bad, mut total) = sum(window);
    let covered = status.coverage * float(window.len() as u64);
    let traffic = if covered > 0.0 { total / covered } else { 0.0 };
    let hour = sum(&window[window.len() - 60..]);
    let ratio = if hour.1 > 0.0 { hour.0 / hour.1 } else { 0.0 };
    let ahead = window.iter().map(|step| {
        bad += ratio * traffic - float(step.1);
        total += traffic - float(step.0 + step.1);
        let allowed = slo.budget().as_f64() * total;
        (allowed > 1e-9).then(|| 1.0 - bad / allowed)
    });
    ahead.collect()
}

#[test]
fn the_forecast_is_what_a_simulation_gives() {
    let mut random = Random::new(3);
    let (mut used_up, mut never) = (0, 0);
    for round in 0..150 {
        let slo = slo(["95", "97", "99"][round % 3], rolling(2));
        let minutes = 2 * 1440;
        let before = random.index(1_000);
        let mut steps = troubled(&mut random, minutes + before);
        // Every other round ends in trouble.
        let lately = steps.len() - random.index(90) * (round % 2);
        for (good, bad) in &mut steps[lately..] {
            *bad += *good / 8;
        }
        let (history, now) = history(&slo, MINUTE_US, &steps);
        let found = status(&slo, &Scope::All, &history, now);
        let expect = simulated(&slo, &steps[before..], &found);
        let points = u32::try_from(minutes + 1).unwrap();
        let forecast = burn_down(&slo, &Scope::All, &history, now, points).forecast;
        for (point, expect) in forecast.iter().skip(1).zip(&expect) {
            match (point.value, expect) {
                (Some(found), Some(expect)) => {
                    assert!((found - expect).abs() <= 1e-6 * expect.abs().max(1.0));
                }
                (found, expect) => assert_eq!(found.is_some(), expect.is_some()),
            }
        }
        let left = found.budget.left.unwrap_or(0.0);
        let first = expect.iter().position(|left| left.is_some_and(|left| left <= 0.0));
        let first = first.filter(|_| left > 0.0);
        let first = first.map(|index| now + (i64::try_from(index).unwrap() + 1) * MINUTE_US);
        // A minute either way where it is nought but for rounding.
        let apart = match (found.exhausts_at_us, first) {
            (Some(found), Some(expect)) => (found - expect).abs(),
            (None, None) => 0,
            (found, expect) => panic!("{found:?} is not {expect:?} in round {round}"),
        };
        assert!(apart <= MINUTE_US, "{apart} µs apart in round {round}");
        if first.is_some() { used_up += 1 } else { never += 1 }
    }
    assert!(
        used_up > 15 && never > 15,
        "{used_up} used up, {never} not: the rounds show too little"
    );
}

#[test]
fn a_budget_adds_up() {
    let mut random = Random::new(5);
    for round in 0..100 {
        let slo = slo(["50", "99", "99.95"][round % 3], rolling(2));
        let steps = troubled(&mut random, 2 * 1440);
        let (history, now) = history(&slo, MINUTE_US, &steps);
        let found = status(&slo, &Scope::All, &history, now);
        let budget = found.budget;
        // What is left and what is used are all of it; minutes and events tell the same share.
        let used: f64 = found.refunds.iter().map(|refund| refund.budget).sum();
        near(used + budget.left.unwrap(), 1.0);
        assert_eq!(found.refunds.iter().map(|refund| refund.bad).sum::<u64>(), found.events.bad);
        near(budget.minutes_left / budget.minutes, budget.left.unwrap());
        near(budget.events_left / budget.events, budget.left.unwrap());
        near(found.burns.last().unwrap().rate, 1.0 - budget.left.unwrap());
        assert!(found.refunds.len() <= 32);
        assert!(found.refunds.is_sorted_by(|one, next| one.at_us < next.at_us));
        let within = |at_us: i64| at_us > now && at_us <= now + 2 * DAY;
        assert!(found.refunds.iter().all(|refund| within(refund.at_us)));
        // What is refunded by then has left the window by then.
        let first = found.refunds.first().map(|refund| (refund.at_us - 2 * DAY, refund.bad));
        if let Some((at_us, bad)) = first {
            let view = history.view(&super::series(&slo, &Scope::All));
            assert_eq!(view.counts(found.from_us, at_us).bad, bad);
        }
        // The past of the chart only goes down, from all to what is left.
        let past = burn_down(&slo, &Scope::All, &history, now, 200).past;
        near(past[0].value, 1.0);
        near(past[199].value, budget.left.unwrap());
        assert!(past.is_sorted_by(|one, next| one.value >= next.value));
    }
}

#[test]
fn more_failures_never_leave_more() {
    let mut random = Random::new(9);
    let slo = slo("99", rolling(2));
    for _ in 0..50 {
        let steps = troubled(&mut random, 2 * 1440);
        let mut worse = steps.clone();
        for _ in 0..20 {
            let index = random.index(worse.len());
            let (good, bad) = worse[index];
            worse[index] = (good.saturating_sub(1), bad + u64::from(good > 0));
        }
        let left = |steps: &[(u64, u64)]| {
            let (history, now) = history(&slo, MINUTE_US, steps);
            status(&slo, &Scope::All, &history, now).budget.left
        };
        assert!(left(&worse) <= left(&steps));
    }
}

#[test]
fn uncovered_time_is_a_hole_in_the_charts() {
    let slo = slo("99", rolling(2));
    let mut history = History::new(Duration::from_secs(60));
    let mut counted = 0;
    for minute in (1..=2 * 1440).filter(|minute| !(1_000..2_000).contains(minute)) {
        counted += 10;
        let counts = Counts { good: counted, bad: 0, excluded: 0 };
        let (at_us, epoch) = (T0 + minute * MINUTE_US, if minute < 1_000 { T0 } else { T0 + 1 });
        let series = vec![(series(&slo, &Scope::All), counts)];
        history.add(&Sample { instance: "a".to_owned(), epoch, at_us, series });
    }
    let now = T0 + 2 * DAY;
    let found = status(&slo, &Scope::All, &history, now);
    assert!((found.coverage - 1_879.0 / 2_880.0).abs() < 0.001, "{}", found.coverage);
    let past = burn_down(&slo, &Scope::All, &history, now, 289).past;
    let holes = past.iter().filter(|point| point.value.is_none()).count();
    assert!((98..=101).contains(&holes), "{holes} of 10 minutes");
    let hour = Duration::from_secs(3600);
    let burns = burn_series(&slo, &Scope::All, &history, hour, (T0, now), 289);
    let holes = burns.iter().filter(|point| point.value.is_none()).count();
    assert!((94..=97).contains(&holes), "{holes} of 10 minutes, and the first moment");
}

#[test]
fn an_explanation_can_be_checked_by_hand() {
    let slo = slo("99.95", rolling(30));
    let (history, now) = history(&slo, HOUR, &[(9_990, 10); 720]);
    let steps = explain(&slo, &Scope::All, &history, now);
    let line = |what: &str| {
        let step = steps.iter().find(|step| step.what == what).unwrap();
        format!("{} = {}", step.how, step.result)
    };
    assert_eq!(line("events"), "7192800 good + 7200 bad = 7200000");
    assert_eq!(line("error ratio"), "7200 / 7200000 = 0.001");
    assert_eq!(line("error budget"), "1 − 0.9995 = 0.0005");
    assert_eq!(line("bad events allowed"), "0.0005 × 7200000 = 3600");
    assert_eq!(line("bad events left"), "3600 − 7200 = -3600");
    assert_eq!(line("budget left"), "1 − 7200 / 3600 = -100 %");
    assert_eq!(line("minutes of outage allowed"), "0.0005 × 43200 min = 21.6");
    assert_eq!(line("minutes left"), "21.6 × -1 = -21.6");
    assert_eq!(line("burn rate over 1h"), "10 bad of 10000, over 0.0005 = 2");
    assert_eq!(line("burn rate over 30d"), "7200 bad of 7200000, over 0.0005 = 2");
}
