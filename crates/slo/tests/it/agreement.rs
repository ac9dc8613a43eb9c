//! A month of data in a real Prometheus and in the embedded history: error ratios, burn rates and
//! budgets by the generated rules are those of `slo::evaluate`, but for what scraping explains.
//!
//! What it explains is computed for each series, window and moment, from the samples alone. With
//! `f` and `l` the first and the last sample in Prometheus' window `[t − w, t]` (2.42: both ends are
//! in), of `n`:
//!
//! - *unseen*: what was counted in the step over the window's beginning, or before the first sample
//!   ever. We count it (it became known in the window), Prometheus sees only what is between samples.
//!   Also a restart that no drop of the counter shows.
//! - *extrapolated*: Prometheus stretches the increase to the window's ends, by at most 1.1 mean steps
//!   at either, to the counter's zero at the earliest: `increase × (start + end) / (l − f)`.
//!
//! So Prometheus' increase lies between ours less the unseen and ours and the extrapolated, and the
//! error ratio between what the ends of those make of it. Where samples lie exactly on both ends of
//! the window nothing is unseen nor extrapolated, and the two agree to rounding.

use std::collections::BTreeMap;
use std::thread;

use serde_json::Value;
use slo::decimal::Share;
use slo::evaluate::status;
use slo::generate::{Settings, generate};
use slo::history::History;
use slo::status::{Counts, Scope, Status};
use slo::{Catalog, Slo, spec};
use ureq::Agent;

use crate::month::{self, DAYS, END, Random, STEP, Scrape, T0, Target};
use crate::programs::has;
use crate::prometheus::Prometheus;

const INSTANTS: usize = 1_000;
/// Of these so many are moments of scrapes, the others any.
const ALIGNED: usize = 300;
/// Rounding of sums of floating-point numbers, in the error ratio.
const ROUNDING: f64 = 1e-9;

fn catalog() -> Catalog {
    let slo = |name: &str, target: &str| {
        format!(
            "  - name: {name}\n    service: ingress\n    description: Answers.\n    target: {target}\n    \
             window: 30d\n    availability: {{}}\n"
        )
    };
    let slos = [slo("door", "99.9"), slo("sparse", "95"), slo("gappy", "99")].concat();
    spec::read(&format!("version: 1\nslos:\n{slos}")).expect("objectives")
}

#[test]
fn promql_over_the_generated_rules_agrees() {
    if !has("prometheus") || !has("promtool") {
        return;
    }
    let (catalog, targets) = (catalog(), month::targets());
    let prometheus = Prometheus::serving(&month::openmetrics(&targets));
    let mut history = History::new(std::time::Duration::from_secs(30));
    for target in &targets {
        month::feed(&mut history, catalog.get(target.slo).expect("known"), target);
    }
    let rules = Rules::generated(&catalog);
    let instants = instants();
    let (one, other) = instants.split_at(INSTANTS / 2);
    let compare = |instants: &[i64]| {
        let (agent, mut seen) = (Agent::new_with_defaults(), Seen::default());
        for at in instants {
            let answers = rules.ask(&prometheus, &agent, *at);
            for slo in &catalog.slos {
                let status = status(slo, &Scope::All, &history, at * 1000);
                let targets: Vec<_> =
                    targets.iter().filter(|target| target.slo == slo.name.as_str()).collect();
                compare(slo, &status, &targets, &answers, &mut seen);
            }
        }
        seen
    };
    let seen = thread::scope(|scope| {
        let other = scope.spawn(|| compare(other));
        compare(one).and(&other.join().expect("compared"))
    });
    println!("{seen:?}");
    // The month is one that could have shown a difference.
    assert!(seen.exact > 3_000, "windows whose ends are samples: {}", seen.exact);
    assert!(seen.compared > 20_000 && seen.idle > 100, "{} and {} idle", seen.compared, seen.idle);
    assert!(seen.restarts > 50 && seen.apart > 1_000, "{} and {}", seen.restarts, seen.apart);
}

fn instants() -> Vec<i64> {
    let mut random = Random::new(42);
    let mut instant = |index| {
        let from = T0 + 2 * 86_400_000;
        let span = u64::try_from(END - from).expect("positive");
        let at = from + i64::try_from(random.below(span)).expect("small");
        if index % INSTANTS < ALIGNED { at - at.rem_euclid(STEP) } else { at }
    };
    // Spread the aligned ones over both halves.
    (0..INSTANTS).map(|index| instant(index * 7 % INSTANTS)).collect()
}

/// What was compared, so that a test that compares nothing fails.
#[derive(Debug, Default)]
struct Seen {
    compared: usize,
    /// Windows with a sample on both ends, in all series.
    exact: usize,
    /// Windows in which nothing happened, for both.
    idle: usize,
    /// Restarts in the windows of five minutes to three days.
    restarts: usize,
    /// Differences above rounding.
    apart: usize,
    /// The largest, and how much of its bound was used at most.
    apart_max: f64,
    /// The same for the busy objective's windows of an hour and more.
    busy_apart_max: f64,
    exact_max: f64,
    bound_max: f64,
    bound_used_max: f64,
}

impl Seen {
    fn and(self, other: &Self) -> Self {
        Self {
            compared: self.compared + other.compared,
            exact: self.exact + other.exact,
            idle: self.idle + other.idle,
            restarts: self.restarts + other.restarts,
            apart: self.apart + other.apart,
            apart_max: self.apart_max.max(other.apart_max),
            busy_apart_max: self.busy_apart_max.max(other.busy_apart_max),
            exact_max: self.exact_max.max(other.exact_max),
            bound_max: self.bound_max.max(other.bound_max),
            bound_used_max: self.bound_used_max.max(other.bound_used_max),
        }
    }
}

/// The rules of the generated files that record error ratios and budgets.
struct Rules {
    /// All of them in one question, each answer labelled `id`.
    question: String,
    budgets: String,
}

impl Rules {
    fn generated(catalog: &Catalog) -> Self {
        let files = generate(catalog, &Settings::default());
        let rules = files.iter().filter(|file| file.path.starts_with("prometheus/rules/"));
        let (mut ratios, mut budgets) = (Vec::new(), Vec::new());
        for file in rules {
            let file: Value = yaml_serde::from_str(&file.text).expect("YAML");
            let groups = file["groups"].as_array().expect("groups");
            for rule in groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")) {
                let Some(record) = rule["record"].as_str() else { continue };
                let text = |value: &Value| value.as_str().expect("a text").to_owned();
                let (slo, expr) = (text(&rule["labels"]["sloth_id"]), text(&rule["expr"]));
                let labelled =
                    |id: &str| format!("label_replace({expr}, \"id\", \"{id}\", \"\", \"\")");
                if let Some(window) = record.strip_prefix("slo:sli_error:ratio_rate") {
                    ratios.push(labelled(&format!("{slo}/{window}")));
                } else if record == "slo:error_budget:ratio" {
                    budgets.push(labelled(&format!("{slo}/budget")));
                }
            }
        }
        assert_eq!(
            (ratios.len(), budgets.len()),
            (3 * 8, 3),
            "of eight windows and three objectives"
        );
        Self { question: ratios.join("\nor\n"), budgets: budgets.join("\nor\n") }
    }

    fn ask(&self, prometheus: &Prometheus, agent: &Agent, at: i64) -> BTreeMap<String, f64> {
        let mut answers = prometheus.ask(agent, &self.question, at);
        answers.extend(prometheus.ask(agent, &self.budgets, at));
        let id = |labels: &Value| labels["id"].as_str().expect("an id").to_owned();
        answers.into_iter().map(|(labels, value)| (id(&labels), value)).collect()
    }
}

fn compare(
    slo: &Slo,
    status: &Status,
    targets: &[&Target],
    answers: &BTreeMap<String, f64>,
    seen: &mut Seen,
) {
    let budget = answers[&format!("{}/budget", slo.name)];
    for (burn, window) in
        status.burns.iter().zip(["5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d"])
    {
        let to = status.at_us / 1000;
        let from = to - i64::try_from(burn.window_s).expect("small") * 1000;
        let sum = Bounds::of(targets, from, to, seen);
        let place = format!("{} over {window} at {to}", slo.name);
        assert_eq!(burn.events, sum.ours, "{place}: the counts are those of the samples");
        let id = format!("{}/{window}", slo.name);
        match (answers.get(&id), burn.error_ratio) {
            (Some(theirs), Some(ours)) => {
                let (low, high) = sum.ratio();
                let slack = ROUNDING * (1.0 + high);
                let inside = *theirs >= low - slack && *theirs <= high + slack;
                assert!(inside, "{place}: {theirs}, ours {ours}, explained {low} to {high}");
                // Burn rates and budget by the formulas of the generated rules.
                let rate = burn.rate.expect("a rate");
                let apart = (theirs - ours).abs();
                assert!((theirs / budget - rate).abs() <= apart / budget * (1.0 + 1e-9) + 1e-9);
                if window == "30d" {
                    let left = status.budget.left.expect("a budget");
                    let theirs = 1.0 - theirs / budget;
                    assert!(
                        (theirs - left).abs() <= apart / budget * (1.0 + 1e-9) + 1e-9,
                        "{place}"
                    );
                }
                seen.note(apart, (low, high), ours, sum.exact, &place);
            }
            (None, None) => seen.idle += 1,
            // Half-seen events: Prometheus has no increase, or we have no sample in the window.
            (None, Some(_)) => assert!(sum.least_total() <= 0.0, "{place}: {sum:?} and no answer"),
            (Some(theirs), None) => panic!("{place}: {theirs} of nothing"),
        }
    }
    assert_eq!(Share::from_ratio(&budget.to_string()), Some(slo.budget()));
}

impl Seen {
    fn note(&mut self, apart: f64, (low, high): (f64, f64), ours: f64, exact: bool, place: &str) {
        self.compared += 1;
        if exact {
            assert!(apart <= 1e-6, "{place}: {apart} apart where samples are on both ends");
            self.exact += 1;
            self.exact_max = self.exact_max.max(apart);
        }
        let bound = (high - ours).max(ours - low);
        if apart > ROUNDING {
            self.apart += 1;
            self.bound_used_max = self.bound_used_max.max(apart / bound);
        }
        self.apart_max = self.apart_max.max(apart);
        if place.starts_with("door") && !place.contains("m at ") {
            self.busy_apart_max = self.busy_apart_max.max(apart);
        }
        self.bound_max = self.bound_max.max(bound);
    }
}

/// Our counts of a window, and between what Prometheus' may lie.
#[derive(Debug)]
struct Bounds {
    ours: Counts,
    good: (f64, f64),
    bad: (f64, f64),
    /// Every series has a sample on both ends.
    exact: bool,
}

impl Bounds {
    fn of(targets: &[&Target], from: i64, to: i64, seen: &mut Seen) -> Self {
        let mut sum =
            Self { ours: Counts::default(), good: (0.0, 0.0), bad: (0.0, 0.0), exact: true };
        for target in targets {
            let scrapes = target.scrapes.as_slice();
            let first = scrapes.partition_point(|scrape| scrape.at < from);
            let inside = &scrapes[first..scrapes.partition_point(|scrape| scrape.at <= to)];
            let on_ends = inside.first().is_some_and(|scrape| scrape.at == from)
                && inside.last().is_some_and(|scrape| scrape.at == to);
            // Before the first sample ever nothing was counted, so that there is no end to be on.
            let born = first == 0 && inside.last().is_some_and(|scrape| scrape.at == to);
            sum.exact &= on_ends || born;
            if to - from < DAYS * 86_400_000 / 2 {
                let ends = inside.first().zip(inside.last());
                seen.restarts += ends.map_or(0, |(first, last)| last.restarts - first.restarts);
            }
            let before = first.checked_sub(1).map(|index| scrapes[index]);
            let series = |value: fn(&Counts) -> u64| series(before, inside, (from, to), value);
            let (good, bad) = (series(|counts| counts.good), series(|counts| counts.bad));
            let excluded = series(|counts| counts.excluded);
            let ours = Counts { good: good.0, bad: bad.0, excluded: excluded.0 };
            sum.ours = sum.ours.plus(ours);
            sum.good = (sum.good.0 + good.1, sum.good.1 + good.2);
            sum.bad = (sum.bad.0 + bad.1, sum.bad.1 + bad.2);
        }
        sum
    }

    fn least_total(&self) -> f64 {
        self.good.0 + self.bad.0
    }

    /// The least and the largest error ratio.
    fn ratio(&self) -> (f64, f64) {
        let of = |bad: f64, good: f64| if bad + good > 0.0 { bad / (bad + good) } else { 0.0 };
        let most = if self.bad.1 + self.good.0 > 0.0 { of(self.bad.1, self.good.0) } else { 1.0 };
        (of(self.bad.0, self.good.1), most)
    }
}

/// Of one series: our increase, and the least and the most that Prometheus may find.
fn series(
    before: Option<Scrape>,
    inside: &[Scrape],
    (from, to): (i64, i64),
    value: fn(&Counts) -> u64,
) -> (u64, f64, f64) {
    let Some((first, last)) = inside.first().zip(inside.last()) else { return (0, 0.0, 0.0) };
    // A sample on the beginning is not after it.
    let begin = if first.at == from { Some(*first) } else { before };
    let ours = value(&last.ever) - begin.map_or(0, |scrape| value(&scrape.ever));
    if inside.len() < 2 {
        return (ours, 0.0, 0.0);
    }
    let within = value(&last.ever) - value(&first.ever);
    let seen = float(within - (value(&last.hidden) - value(&first.hidden)));
    let sampled = float(u64::try_from(last.at - first.at).expect("in order"));
    let mean = sampled / float(inside.len() as u64 - 1);
    let reach = |distance: i64| float(u64::try_from(distance).expect("inside")).min(mean * 1.1);
    let zero = if seen > 0.0 { sampled * float(value(&first.counts)) / seen } else { f64::MAX };
    let stretch = (reach(first.at - from).min(zero) + reach(to - last.at)) / sampled;
    (ours, seen, seen * (1.0 + stretch))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}
