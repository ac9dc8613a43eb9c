//! What it costs to count: our counters beside prometheus-client's own and the `metrics` crate's, each
//! with a kept handle and looked up by two labels. The cases take turns, and each figure is the median
//! of its rounds, so that what else the machine does meets all alike. Run by hand, prints one line each.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "the figures are the purpose")]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use http::StatusCode;
use metrics::{CounterFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family as Library;
use prometheus_client::metrics::histogram::Histogram;
use runtime::metrics::{
    DURATION_BUCKETS_S, Described, Family, Format, Metrics, TracedCounter, TracedHistogram,
};
use runtime::sli::{Note, Objective, Plan, Request, Rule, Sli};

const ROUNDS: usize = 31;
const CALLS: u32 = 200_000;

type Case = (&'static str, Box<dyn Fn()>);

fn main() {
    let metrics = Metrics::new("bench");
    let bare = AtomicU64::new(0);
    let bare = move || {
        black_box(bare.fetch_add(black_box(1), Ordering::Relaxed));
    };
    let mut cases: Vec<Case> = vec![("atomic, bare", Box::new(bare))];
    cases.extend(ours(&metrics));
    cases.extend(library());
    cases.extend(facade());
    cases.extend(histograms());
    cases.push(("a request of three objectives", request(&metrics)));
    measure(&cases);
    formats();
}

fn described(name: &'static str) -> Described<'static, 2> {
    Described { name, help: "Benchmark.", labels: ["method", "status"], series_max: 1_000 }
}

fn ours(metrics: &Metrics) -> Vec<Case> {
    let family: Family<2, Counter> = metrics.family(described("bench_ours"));
    let (kept, looked_up) = (family.get(["GET", "200"]), family);
    let traced: TracedCounter = metrics.own("bench_traced", "Benchmark.");
    vec![
        (
            "ours, kept handle",
            Box::new(move || {
                kept.inc_by(black_box(1));
            }),
        ),
        ("ours, kept handle that can name a trace", Box::new(move || traced.add(black_box(1)))),
        (
            "ours, looked up (bounded)",
            Box::new(move || looked_up.add(black_box(["GET", "200"]), black_box(1))),
        ),
    ]
}

fn library() -> Vec<Case> {
    let family = Library::<Vec<(String, String)>, Counter>::default();
    let labels = [("method", "GET"), ("status", "200")];
    let owned = move || labels.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let kept = family.get_or_create_owned(&owned());
    let closed = Library::<[(&'static str, &'static str); 2], Counter>::default();
    vec![
        (
            "prometheus-client, kept handle",
            Box::new(move || {
                kept.inc_by(black_box(1));
            }),
        ),
        (
            "prometheus-client, looked up by static labels",
            Box::new(move || {
                closed.get_or_create(black_box(&labels)).inc_by(black_box(1));
            }),
        ),
        (
            "prometheus-client, looked up by owned labels",
            Box::new(move || {
                family.get_or_create(&owned()).inc_by(black_box(1));
            }),
        ),
    ]
}

/// A recorder as simple as one can be: a map from keys to atomics, behind a lock that readers share.
#[derive(Debug, Default)]
struct Known(RwLock<HashMap<Key, Arc<AtomicU64>>>);

impl Recorder for Known {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> metrics::Counter {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(key) {
            return metrics::Counter::from_arc(Arc::clone(found));
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let made = known.entry(key.clone()).or_default();
        made.increment(0);
        metrics::Counter::from_arc(Arc::clone(made))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

fn facade() -> Vec<Case> {
    metrics::set_global_recorder(Known::default()).unwrap();
    let kept = metrics::counter!("bench", "method" => "GET", "status" => "200");
    vec![
        ("metrics, kept handle", Box::new(move || kept.increment(black_box(1)))),
        (
            "metrics, looked up by static labels",
            Box::new(|| {
                metrics::counter!("bench", "method" => "GET", "status" => "200")
                    .increment(black_box(1));
            }),
        ),
        (
            "metrics, looked up by owned labels",
            Box::new(|| {
                let (method, status) = (black_box("GET").to_owned(), black_box("200").to_owned());
                metrics::counter!("bench", "method" => method, "status" => status)
                    .increment(black_box(1));
            }),
        ),
    ]
}

fn histograms() -> Vec<Case> {
    let (ours, library) = (TracedHistogram::default(), Histogram::new(DURATION_BUCKETS_S));
    vec![
        ("ours, histogram, classic and native", Box::new(move || ours.observe(black_box(0.02)))),
        (
            "prometheus-client, histogram, classic",
            Box::new(move || library.observe(black_box(0.02))),
        ),
    ]
}

fn request(metrics: &Metrics) -> Box<dyn Fn()> {
    let objective = |slo: &str, rule| Objective {
        slo: slo.to_owned(),
        service: "bench".to_owned(),
        rule,
        only: Vec::new(),
        except: Vec::new(),
        by_tenant: true,
        by_route_group: true,
    };
    let within = |ms| Rule::Latency { threshold: Duration::from_millis(ms), le: true };
    let objectives = vec![
        objective("up", Rule::Availability),
        objective("fast", within(250)),
        objective("faster", within(100)),
    ];
    let sli = Sli::new(Arc::new(Plan { objectives, ..Plan::default() }), metrics);
    Box::new(move || {
        let request = Request {
            method: "GET",
            route: "/v1/verifications/{id}",
            status: Some(StatusCode::OK),
            duration: Duration::from_millis(20),
            tenant: Some("acme"),
            note: Note::default(),
        };
        black_box(sli.request(black_box(request)));
    })
}

fn measure(cases: &[Case]) {
    let mut nanoseconds: Vec<Vec<f64>> = vec![Vec::new(); cases.len()];
    for _ in 0..ROUNDS {
        for ((_, call), taken) in cases.iter().zip(&mut nanoseconds) {
            let since = Instant::now();
            for _ in 0..CALLS {
                call();
            }
            taken.push(since.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
        }
    }
    for ((name, _), taken) in cases.iter().zip(&mut nanoseconds) {
        taken.sort_by(f64::total_cmp);
        println!("{name}: {:.1} ns (fastest round {:.1})", taken[ROUNDS / 2], taken[0]);
    }
}

/// Writes 1,000 counters and 100 histograms in each format.
fn formats() {
    let metrics = Metrics::new("formats");
    let counters: Family<2, Counter> = metrics.family(described("bench_counters"));
    let histograms = metrics.histograms(described("bench_histograms"), &DURATION_BUCKETS_S);
    for n in 0..1_000_u32 {
        counters.add([&n.to_string(), "200"], u64::from(n));
        for value in 0..20 {
            histograms.observe([&(n % 100).to_string(), "200"], f64::from(value) / 50.0);
        }
    }
    for format in [Format::OpenMetrics, Format::Text, Format::Protobuf] {
        let mut taken = Vec::new();
        let mut bytes = 0;
        for _ in 0..ROUNDS {
            let since = Instant::now();
            bytes = format.write(&metrics.families()).len();
            taken.push(since.elapsed().as_secs_f64() * 1e3);
        }
        taken.sort_by(f64::total_cmp);
        let middle = taken[ROUNDS / 2];
        println!("1,000 counters and 100 histograms, {format:?}: {middle:.2} ms, {bytes} bytes");
    }
}
