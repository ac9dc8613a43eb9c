//! What is counted of what happens inside sandboxes.

use std::collections::BTreeMap;

use types::evidence::TypeCounters;
use types::ports::ExecuteError;
use types::{Activity, CallDurations, Calls, Durations, Tier, Traffic};
use verifier_pool::Config;

use crate::lab::{Lab, Site, until};
use crate::played::recording;

/// The value of a series by its name and labels.
fn series(site: &Site, line: &str) -> f64 {
    let text = site.metrics.text();
    let full = format!("shieldx_sandbox_{line} ");
    let found = text.lines().find_map(|known| known.strip_prefix(&full));
    found.unwrap_or_else(|| panic!("{line} is not there")).parse().unwrap()
}

/// So many calls in the buckets of these numbers.
fn sampled(sum_ns: u64, counts: &[(usize, u64)]) -> CallDurations {
    let mut durations = CallDurations { sum_ns, ..CallDurations::default() };
    for (bucket, count) in counts {
        durations.buckets[*bucket] = *count;
    }
    durations
}

fn busy(id: &str) -> types::Recording {
    let mut recording = recording(id);
    let calls = |made, blocked| Calls { made, blocked };
    recording.activity = Activity {
        calls: BTreeMap::from([
            ("read".to_owned(), calls(400_000, 0)),
            ("ptrace".to_owned(), calls(3, 2)),
            ("other".to_owned(), calls(1, 0)),
            ("\"}\nshieldx_forged 1".to_owned(), calls(5, 5)),
        ]),
        traffic: BTreeMap::from([
            ("udp".to_owned(), Traffic { received_bytes: 30, sent_bytes: 40 }),
            ("carrier pigeon".to_owned(), Traffic { received_bytes: 1, sent_bytes: 0 }),
        ]),
        durations: Durations {
            calls: BTreeMap::from([
                ("read".to_owned(), sampled(500_000_000, &[(0, 3), (11, 5)])),
                ("ptrace".to_owned(), sampled(2_000, &[(3, 1)])),
                ("\"}\nshieldx_forged 2".to_owned(), sampled(1_000, &[(2, 1)])),
                ("write".to_owned(), sampled(u64::MAX, &[(0, u64::MAX), (14, u64::MAX)])),
            ]),
            entered: 12,
            unmatched: 2,
            untracked: 1,
            threads_left: 0,
        },
        phases_us: BTreeMap::from([("build".to_owned(), 20_000), ("lunch".to_owned(), 1)]),
    };
    let account = |seen, aggregated, dropped| TypeCounters {
        seen,
        aggregated,
        dropped,
        sent: seen - aggregated - dropped,
        received: seen - aggregated - dropped,
        truncated: 1,
    };
    recording.counters.by_type = BTreeMap::from([
        ("write".to_owned(), account(10, 7, 1)),
        ("exec".to_owned(), account(4, 0, 0)),
        ("made_up".to_owned(), account(6, 0, 0)),
    ]);
    recording.counters.throttled = 9;
    recording
}

#[tokio::test]
async fn a_recording_is_counted_by_closed_lists_and_what_it_makes_up_is_other() {
    let lab = Lab::new();
    lab.sandbox.play(|execution, _| async move { Ok(busy(&execution.id)) });
    let site = lab.site(Config::default());
    // Everything is there before anything happened, so that the first time is an increase.
    assert_eq!(series(&site, "blocked_calls_total{runner=\"process\",call=\"ptrace\"}"), 0.0);
    let before = site.metrics.text().lines().count();
    site.pool.start();
    for _ in 0..2 {
        let id = site.accepted("").await;
        site.ended(&id).await;
    }
    let judged = "runs_total{runner=\"process\",tier=\"b\",verdict=\"suspicious\"}";
    until(judged, || series(&site, judged) == 2.0).await;
    for (line, value) in [
        ("syscalls_total{runner=\"process\",call=\"read\"}", 800_000.0),
        ("syscalls_total{runner=\"process\",call=\"ptrace\"}", 6.0),
        ("syscalls_total{runner=\"process\",call=\"other\"}", 12.0),
        ("blocked_calls_total{runner=\"process\",call=\"ptrace\"}", 4.0),
        ("blocked_calls_total{runner=\"process\",call=\"other\"}", 10.0),
        ("blocked_calls_total{runner=\"process\",call=\"read\"}", 0.0),
        ("file_operations_total{runner=\"process\",operation=\"write\"}", 20.0),
        ("file_operations_total{runner=\"process\",operation=\"unlink\"}", 0.0),
        ("events_seen_total{runner=\"process\",type=\"write\"}", 20.0),
        ("events_aggregated_total{runner=\"process\",type=\"write\"}", 14.0),
        ("events_dropped_total{runner=\"process\",type=\"write\"}", 2.0),
        ("events_received_total{runner=\"process\",type=\"write\"}", 4.0),
        ("events_sent_total{runner=\"process\",type=\"exec\"}", 8.0),
        ("events_truncated_total{runner=\"process\",type=\"exec\"}", 2.0),
        ("events_seen_total{runner=\"process\",type=\"other\"}", 12.0),
        ("traffic_bytes_total{runner=\"process\",direction=\"in\",protocol=\"udp\"}", 60.0),
        ("traffic_bytes_total{runner=\"process\",direction=\"out\",protocol=\"udp\"}", 80.0),
        ("traffic_bytes_total{runner=\"process\",direction=\"in\",protocol=\"other\"}", 2.0),
        ("traffic_bytes_total{runner=\"process\",direction=\"out\",protocol=\"tcp\"}", 0.0),
        ("call_duration_seconds_count{runner=\"process\",call=\"read\"}", 16.0),
        ("call_duration_seconds_sum{runner=\"process\",call=\"read\"}", 1.0),
        ("call_duration_seconds_bucket{le=\"2.5e-7\",runner=\"process\",call=\"read\"}", 6.0),
        ("call_duration_seconds_bucket{le=\"0.01\",runner=\"process\",call=\"read\"}", 6.0),
        ("call_duration_seconds_bucket{le=\"0.1\",runner=\"process\",call=\"read\"}", 16.0),
        ("call_duration_seconds_bucket{le=\"+Inf\",runner=\"process\",call=\"read\"}", 16.0),
        ("call_duration_seconds_count{runner=\"process\",call=\"other\"}", 4.0),
        ("call_duration_seconds_count{runner=\"process\",call=\"futex\"}", 0.0),
        ("call_duration_unmatched_total{runner=\"process\"}", 6.0),
        ("throttled_total{runner=\"process\"}", 18.0),
        ("phase_duration_seconds_count{runner=\"process\",phase=\"build\"}", 2.0),
        ("phase_duration_seconds_sum{runner=\"process\",phase=\"build\"}", 0.04),
        ("phase_duration_seconds_count{runner=\"process\",phase=\"run\"}", 0.0),
    ] {
        assert_eq!(series(&site, line), value, "{line}");
    }
    assert!(series(&site, "cpu_seconds_total{runner=\"process\"}") > 0.001);
    let text = site.metrics.text();
    assert_eq!(text.lines().count(), before, "a run makes no series");
    assert!(!text.contains("forged"));
    site.stop().await;
}

#[tokio::test]
async fn a_run_is_counted_once_however_it_ends() {
    let lab = Lab::new();
    lab.sandbox.play(|execution, _| async move {
        let reason = "it was told to".to_owned();
        match execution.timeout_ms {
            1_001 => Err(ExecuteError::Unrunnable { reason }),
            1_002 => {
                let mut recording = recording(&execution.id);
                recording.run.tier = Tier::C;
                recording.run.runner = "made up".to_owned();
                Ok(recording)
            }
            _ => std::future::pending().await,
        }
    });
    let site = lab.site(Config { workers: 1, ..Config::default() });
    site.pool.start();
    for timeout in ["1001", "1002"] {
        let id = site.accepted(&format!("timeout_ms={timeout}")).await;
        site.ended(&id).await;
    }
    let none = "runs_total{runner=\"process\",tier=\"none\",verdict=\"none\"}";
    let judged = "runs_total{runner=\"process\",tier=\"c\",verdict=\"suspicious\"}";
    until(judged, || series(&site, judged) == 1.0).await;
    assert_eq!(series(&site, none), 1.0, "one could not be run");
    site.accepted("").await;
    until("it runs", || site.metric("running") == 1.0).await;
    site.stop().await;
    assert_eq!(series(&site, none), 2.0, "one was cut off");
    let all: f64 = site
        .metrics
        .text()
        .lines()
        .filter(|line| line.starts_with("shieldx_sandbox_runs_total"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!(all, 3.0);
}
