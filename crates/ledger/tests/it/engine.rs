//! From counters to statuses, over restarts and disks that are full.

use slo::status::{Counts, Scope};

use ledger::Config;
use runtime::clock::Clock as _;

use crate::support::{ONE, Process, clock};

const SLO: &str = "gateway-availability";

#[tokio::test]
async fn what_is_counted_is_evaluated_and_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let first = Process::start(folder.path(), ONE, &clock);
    first.tick(1).await;
    first.count(SLO, 990, 10);
    first.tick(10).await;
    let status = first.ledger.status(SLO, &Scope::All).unwrap();
    assert_eq!(status.events, Counts { good: 990, bad: 10, excluded: 0 });
    let tenant = first.ledger.status(SLO, &Scope::Tenant("acme".to_owned())).unwrap();
    assert_eq!(tenant.events, status.events);
    drop(first);
    // Down for a minute.
    clock.advance_us(60_000_000);
    let second = Process::start(folder.path(), ONE, &clock);
    second.tick(1).await;
    second.count(SLO, 10, 0);
    second.tick(10).await;
    let status = second.ledger.status(SLO, &Scope::All).unwrap();
    assert_eq!(status.events, Counts { good: 1000, bad: 10, excluded: 0 }, "nothing twice");
    let covered = second.ledger.with_history(|history| {
        let slo = second.ledger.catalog().get(SLO).unwrap();
        let series = slo::history::Series {
            slo: slo.name.clone(),
            revision: slo.revision,
            scope: Scope::All,
        };
        history.counts(&series, 0, i64::MAX / 2).covered_us
    });
    assert_eq!(covered, 22_000_000, "the minute without anybody is not covered");
}

#[tokio::test]
async fn a_longer_interval_is_covered_after_a_crash_too() {
    let covered = |history: &slo::history::History, catalog: &slo::Catalog| {
        let slo = catalog.get(SLO).unwrap();
        let scope = Scope::All;
        let series = slo::history::Series { slo: slo.name.clone(), revision: slo.revision, scope };
        history.counts(&series, 0, i64::MAX / 2).covered_us
    };
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let config = || Config { interval_ms: 60_000, ..Config::default() };
    let first = Process::with(folder.path(), ONE, &clock, config()).unwrap();
    for _ in 0..10 {
        first.tick(60).await;
    }
    let catalog = first.ledger.catalog().clone();
    assert_eq!(first.ledger.with_history(|history| covered(history, &catalog)), 600_000_000);
    drop(first);
    let read = ledger::read(folder.path(), &catalog, clock.now_us()).unwrap();
    assert_eq!(covered(&read.history, &catalog), 600_000_000, "whoever reads only the folder");
    // And with a shorter one from now on: what was, was every minute.
    for interval_ms in [60_000, 10_000, 10_000] {
        let config = Config { interval_ms, ..Config::default() };
        let again = Process::with(folder.path(), ONE, &clock, config).unwrap();
        assert_eq!(again.ledger.with_history(|history| covered(history, &catalog)), 600_000_000);
    }
}

#[tokio::test]
async fn everything_is_written_anew_once_an_hour_and_is_the_same_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let process = Process::start(folder.path(), ONE, &clock);
    for _ in 0..400 {
        process.count(SLO, 9, 1);
        process.tick(10).await;
    }
    let text = process.metrics.text();
    assert!(text.contains("shieldx_ledger_snapshots_total 1\n"), "{text}");
    let mut expected = process.ledger.statuses().borrow().as_ref().clone();
    let now_us = process.ledger.health().evaluated_us.unwrap();
    let read = ledger::read(folder.path(), process.ledger.catalog(), now_us).unwrap();
    assert_eq!(read.statuses, expected);
    assert_eq!(expected[0].events, Counts { good: 3600, bad: 400, excluded: 0 });
    let kept = process.ledger.health().journal_bytes;
    drop(process);
    let again = Process::start(folder.path(), ONE, &clock);
    expected[0].at_us = now_us;
    assert_eq!(*again.ledger.statuses().borrow().as_ref(), expected);
    assert!(kept < 64 << 10, "an hour of one objective is {kept} bytes");
}

#[tokio::test]
async fn it_tells_of_every_objective_and_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), ONE, &clock());
    process.tick(10).await;
    process.count(SLO, 0, 1000);
    process.tick(10).await;
    let text = process.metrics.text();
    for line in [
        "shieldx_slo_budget_left_ratio{slo=\"gateway-availability\"} -999.",
        "shieldx_slo_burn_rate{slo=\"gateway-availability\",window=\"1h\"} 1000.0",
        "shieldx_slo_burn_rate{slo=\"gateway-availability\",window=\"5m\"} 1000.0",
        "shieldx_slo_alert_firing{slo=\"gateway-availability\",severity=\"page\"} 1",
        "shieldx_ledger_samples_total{outcome=\"kept\"} 2",
        "shieldx_ledger_evaluation_seconds_count 2",
        "shieldx_ledger_deliveries_total{receiver=\"webhook\",outcome=\"failed\"} 0",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line}\n{text}");
    }
}

#[tokio::test]
async fn it_runs_by_itself_until_shutdown_and_keeps_the_last_counts() {
    let folder = tempfile::tempdir().unwrap();
    let config = ledger::Config { interval_ms: 60_000, ..ledger::Config::default() };
    let process = Process::with(folder.path(), ONE, &clock(), config).unwrap();
    let mut statuses = process.ledger.statuses();
    process.ledger.start();
    statuses.changed().await.unwrap();
    process.count(SLO, 5, 0);
    process.clock.advance_us(1_000_000);
    process.tasks.shutdown().begin();
    assert!(process.tasks.shutdown().drained(std::time::Duration::from_secs(60)).await);
    let now_us = process.ledger.health().evaluated_us.unwrap();
    let read = ledger::read(folder.path(), process.ledger.catalog(), now_us).unwrap();
    assert_eq!(read.statuses[0].events.good, 5, "an orderly end leaves nothing behind");
}

#[tokio::test]
async fn whoever_reads_a_damaged_folder_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), ONE, &clock());
    for _ in 0..370 {
        process.tick(10).await;
    }
    let (catalog, now_us) = (process.ledger.catalog().clone(), process.clock.now_us());
    drop(process);
    assert!(ledger::read(folder.path(), &catalog, now_us).unwrap().damaged.is_empty());
    let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    let snapshot = files.into_iter().find(|path| path.extension().is_some_and(|e| e == "snapshot"));
    let snapshot = snapshot.unwrap();
    let mut bytes = std::fs::read(&snapshot).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&snapshot, bytes).unwrap();
    assert_eq!(ledger::read(folder.path(), &catalog, now_us).unwrap().damaged, [snapshot]);
}
