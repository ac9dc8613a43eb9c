//! Traces that are worth keeping, on their way from memory to an archive, and back.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex};

use runtime::metrics::{Metrics, TracedCounter};
use runtime::telemetry::{
    self, Archive, ArchiveError, Keeping, KeptBecause, Lookup, Telemetry, TraceFilter, TraceKey,
    TraceLimits,
};
use tracing::{error, info_span};

use super::{settings, within};

/// Nothing is kept only because it is there, and nothing waits.
const NONE: Keeping = Keeping {
    quiet_ms: 0,
    sampled_ratio: 0.0,
    sampled_per_minute_max: 0,
    exemplars_per_minute_max: 100,
};

/// An archive in memory, of which a test decides what it can do.
#[derive(Debug, Default)]
struct Shelf {
    kept: Mutex<BTreeMap<TraceKey, Kept>>,
    state: Mutex<State>,
    changed: Condvar,
}

/// A summary and a trace.
type Kept = (Vec<u8>, Vec<u8>);

#[derive(Debug, Default)]
struct State {
    full: bool,
    hangs: bool,
    /// Somebody hangs now.
    hanging: bool,
}

impl Shelf {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn wait(&self, until: impl Fn(&State) -> bool) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| !until(state)).unwrap());
    }
}

impl Archive for Shelf {
    fn put(&self, key: TraceKey, summary: &[u8], trace: &[u8]) -> Result<(), ArchiveError> {
        self.set(|state| state.hanging = state.hangs);
        self.wait(|state| !state.hangs);
        if self.state.lock().unwrap().full {
            return Err(ArchiveError::Write { source: io::ErrorKind::StorageFull.into() });
        }
        self.kept.lock().unwrap().insert(key, (summary.to_vec(), trace.to_vec()));
        Ok(())
    }

    fn get(&self, key: TraceKey) -> Result<Option<Vec<u8>>, ArchiveError> {
        Ok(self.kept.lock().unwrap().get(&key).map(|(_, trace)| trace.clone()))
    }

    fn contains(&self, key: TraceKey) -> bool {
        self.kept.lock().unwrap().contains_key(&key)
    }

    fn newest(&self, limit: usize) -> Vec<Vec<u8>> {
        let kept = self.kept.lock().unwrap();
        kept.values().rev().take(limit).map(|(summary, _)| summary.clone()).collect()
    }

    fn bytes(&self) -> u64 {
        let kept = self.kept.lock().unwrap();
        kept.values().map(|(_, trace)| trace.len() as u64).sum()
    }

    fn len(&self) -> usize {
        self.kept.lock().unwrap().len()
    }
}

fn id() -> String {
    telemetry::current_trace_id().unwrap()
}

fn plain() -> String {
    info_span!(target: "gateway", "plain").in_scope(id)
}

fn failing() -> String {
    info_span!(target: "gateway", "failing", shieldx.tenant = "acme").in_scope(|| {
        error!("it broke");
        id()
    })
}

fn bad() -> String {
    info_span!(target: "gateway", "bad", shieldx.slo.bad = true).in_scope(id)
}

fn slow(route: &str) -> String {
    info_span!(target: "ingress", "slow", otel.kind = "server", http.route = route).in_scope(id)
}

/// Waits until a trace is in the archive.
fn archived(shelf: &Shelf, id: &str) {
    let key = u128::from_str_radix(id, 16).unwrap().to_be_bytes();
    while !shelf.contains(key) {
        std::thread::yield_now();
    }
}

fn why(telemetry: &Telemetry, id: &str) -> KeptBecause {
    telemetry.traces().get(id).unwrap().kept_because
}

#[test]
fn what_is_worth_keeping_is_kept_with_its_reason_and_counted_and_the_next_process_finds_it() {
    let shelf = Arc::new(Shelf::default());
    let metrics = Metrics::new("test");
    let (telemetry, ids) = within(settings(&[]), |telemetry| {
        telemetry.register(&metrics);
        telemetry.archive(shelf.clone(), NONE).unwrap();
        assert!(telemetry.archive(shelf.clone(), NONE).is_err(), "one is enough");
        let ids = [failing(), bad(), slow("/x"), slow("/y"), plain()];
        archived(&shelf, &ids[1]);
        assert_eq!(why(telemetry, &ids[1]), KeptBecause::SloBad);
        assert_eq!(why(telemetry, &ids[4]), KeptBecause::Recent);
        ids
    });
    let _ = telemetry.shutdown();
    let text = metrics.text();
    for (decision, count) in [
        ("error", 1),
        ("slo_bad", 1),
        ("slowest", 2),
        ("sampled", 0),
        ("dropped", 1),
        ("overflow", 0),
    ] {
        let line =
            format!("shieldx_telemetry_traces_decided_total{{decision=\"{decision}\"}} {count}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
    let bytes = format!("shieldx_telemetry_archive_bytes {}\n", shelf.bytes());
    assert!(
        text.contains(&bytes) && text.contains("shieldx_telemetry_archive_traces 4\n"),
        "{text}"
    );

    let (telemetry, ()) = within(settings(&[]), |telemetry| {
        telemetry.archive(shelf.clone(), NONE).unwrap();
        let traces = telemetry.traces();
        assert!(traces.is_empty(), "of memory nothing is left");
        assert_eq!(traces.lookup(&ids[4]), Lookup::Expired);
        assert_eq!(traces.lookup("nonsense"), Lookup::NoId);
        assert!(traces.of_tenant("acme", &ids[0]).is_some());
        assert!(traces.of_tenant("other", &ids[0]).is_none());
        let errors = TraceFilter { errors: true, ..TraceFilter::default() };
        let found = traces.recent(10, &errors);
        assert_eq!((found.len(), &*found[0].trace_id), (1, &*ids[0]));
        assert_eq!(
            (&*found[0].name, &*found[0].service, found[0].error),
            ("failing", "gateway", true)
        );
        assert_eq!(traces.recent(10, &TraceFilter::default()).len(), 4);
        assert_eq!(traces.recent(2, &TraceFilter::default()).len(), 2);
    });
    let trace = telemetry.traces().get(&ids[0]).unwrap();
    assert_eq!(trace.kept_because, KeptBecause::Error);
    assert_eq!(trace.root.as_ref(), Some(&trace.spans[0].span_id));
    assert_eq!(trace.duration_us, trace.spans[0].duration_us);
}

#[test]
fn lists_have_memory_and_archive_in_them_each_trace_once_and_the_newest_first() {
    let shelf = Arc::new(Shelf::default());
    let (_telemetry, ()) = within(settings(&[]), |telemetry| {
        telemetry.archive(shelf.clone(), NONE).unwrap();
        let ids = [plain(), failing(), bad()];
        archived(&shelf, &ids[1]);
        archived(&shelf, &ids[2]);
        let traces = telemetry.traces();
        let listed = |filter: TraceFilter| {
            let found = traces.recent(10, &filter).into_iter();
            found.map(|found| (found.trace_id, found.kept_because)).collect::<Vec<_>>()
        };
        let all = listed(TraceFilter::default());
        let expected = [
            (ids[2].clone(), KeptBecause::SloBad),
            (ids[1].clone(), KeptBecause::Error),
            (ids[0].clone(), KeptBecause::Recent),
        ];
        assert_eq!(all, expected);
        let bad = TraceFilter { bad: true, ..TraceFilter::default() };
        let tenant = TraceFilter { tenant: Some("acme".into()), ..TraceFilter::default() };
        let name = TraceFilter { name: Some("lai".into()), ..TraceFilter::default() };
        let why = Some(KeptBecause::Error);
        let why = TraceFilter { kept_because: why, ..TraceFilter::default() };
        let service = TraceFilter { service: Some("ingress".into()), ..TraceFilter::default() };
        let slow = TraceFilter { duration_us_min: i64::MAX, ..TraceFilter::default() };
        for (filter, expected) in [
            (bad, &expected[..1]),
            (tenant, &expected[1..2]),
            (name, &expected[2..]),
            (why, &expected[1..2]),
            (service, &[]),
            (slow, &[]),
        ] {
            assert_eq!(listed(filter.clone()), expected, "{filter:?}");
        }
    });
}

#[test]
fn a_trace_that_goes_on_after_it_was_kept_is_one_trace_and_nobody_elses() {
    let shelf = Arc::new(Shelf::default());
    let small = telemetry::Settings {
        traces: TraceLimits { traces_max: 1, ..TraceLimits::default() },
        ..settings(&[])
    };
    let (telemetry, (first, second)) = within(small, |telemetry| {
        telemetry.archive(shelf.clone(), NONE).unwrap();
        let mut traceparent = String::new();
        let first = info_span!("submit", shieldx.tenant = "acme").in_scope(|| {
            error!("it broke");
            traceparent = telemetry::current_traceparent().unwrap();
            id()
        });
        archived(&shelf, &first);
        // It leaves memory; the queued job comes much later.
        let second = plain();
        let job = info_span!("run");
        telemetry::continue_trace(&job, &traceparent);
        job.in_scope(|| {});
        // Of this one nothing is known but that it says to be another's.
        let stranger = info_span!("run", shieldx.tenant = "other");
        telemetry::continue_trace(&stranger, &traceparent);
        stranger.in_scope(|| {});
        (first, second)
    });
    let traces = telemetry.traces();
    let _ = telemetry.shutdown();
    let trace = traces.get(&first).unwrap();
    let names: Vec<&str> = trace.spans.iter().map(|span| &*span.name).collect();
    assert_eq!((names, trace.kept_because), (vec!["submit", "run", "run"], KeptBecause::Error));
    assert_eq!(trace.tenant, None, "two say it is theirs");
    assert_eq!(trace.root.as_ref(), Some(&trace.spans[0].span_id));
    assert_eq!(traces.lookup(&second), Lookup::Expired);
}

#[test]
fn what_an_exemplar_points_to_is_kept_once_a_metric_that_names_it_was_read() {
    let shelf = Arc::new(Shelf::default());
    let metrics = Metrics::new("test");
    let events: TracedCounter = metrics.own("events", "Events.");
    let (_telemetry, ()) = within(settings(&[]), |telemetry| {
        telemetry.archive(shelf.clone(), NONE).unwrap();
        let counted = || {
            info_span!("request").in_scope(|| {
                events.add_here(1);
                id()
            })
        };
        let (first, second) = (counted(), counted());
        let text = metrics.text();
        assert!(text.contains(&second) && !text.contains(&first), "the newest is named: {text}");
        archived(&shelf, &second);
        assert_eq!(why(telemetry, &second), KeptBecause::Exemplar);
        assert_eq!(why(telemetry, &first), KeptBecause::Recent);
    });
}

#[test]
fn traces_that_leave_memory_before_they_are_quiet_are_decided_on_all_the_same() {
    let shelf = Arc::new(Shelf::default());
    let small = telemetry::Settings {
        traces: TraceLimits { traces_max: 8, ..TraceLimits::default() },
        ..settings(&[])
    };
    let keeping = Keeping { quiet_ms: 3_600_000, ..NONE };
    let (telemetry, ids) = within(small, |telemetry| {
        telemetry.archive(shelf.clone(), keeping).unwrap();
        let ids: Vec<String> = (0..200).map(|_| failing()).collect();
        (0..200).for_each(|_| drop(plain()));
        archived(&shelf, &ids[0]);
        ids
    });
    let traces = telemetry.traces();
    let _ = telemetry.shutdown();
    assert!(ids.iter().all(|id| traces.get(id).is_some()));
    assert_eq!(shelf.len(), 200);
}

#[test]
fn an_archive_that_hangs_holds_up_neither_spans_nor_readers_nor_shutdown() {
    let shelf = Arc::new(Shelf::default());
    let metrics = Metrics::new("test");
    let small = telemetry::Settings {
        traces: TraceLimits { traces_max: 16, ..TraceLimits::default() },
        ..settings(&[])
    };
    let (telemetry, ()) = within(small, |telemetry| {
        telemetry.register(&metrics);
        telemetry.archive(shelf.clone(), NONE).unwrap();
        shelf.set(|state| state.hangs = true);
        let first = failing();
        shelf.wait(|state| state.hanging);
        // It hangs now, and more traces come than wait for it.
        let last = (0..5_000).fold(String::new(), |_, _| failing());
        assert!(telemetry.traces().get(&last).is_some());
        assert!(telemetry.traces().get(&first).is_none(), "it is neither here nor there");
        assert_eq!(telemetry.traces().recent(5, &TraceFilter::default()).len(), 5);
    });
    let _ = telemetry.shutdown();
    assert!(shelf.state.lock().unwrap().hangs, "shutdown is over, and it hangs yet");
    let text = metrics.text();
    let name = "shieldx_telemetry_traces_decided_total{decision=\"overflow\"} ";
    let lost = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    assert!(lost.parse::<u64>().unwrap() > 3_000, "what nobody decides on is counted: {lost}");
    shelf.set(|state| state.hangs = false);
}

#[test]
fn a_full_disk_is_counted_and_traces_are_archived_again_when_there_is_room() {
    let shelf = Arc::new(Shelf::default());
    let metrics = Metrics::new("test");
    let errors = |count: u64| {
        let line = format!("shieldx_telemetry_archive_write_errors_total {count}\n");
        metrics.text().contains(&line)
    };
    let (_telemetry, ()) = within(settings(&[]), |telemetry| {
        telemetry.register(&metrics);
        telemetry.archive(shelf.clone(), NONE).unwrap();
        assert!(errors(0));
        shelf.set(|state| state.full = true);
        let lost = failing();
        while !errors(1) {
            std::thread::yield_now();
        }
        assert_eq!(why(telemetry, &lost), KeptBecause::Recent);
        shelf.set(|state| state.full = false);
        archived(&shelf, &failing());
        assert!(errors(1));
    });
}
