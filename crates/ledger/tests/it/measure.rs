//! What no service counts: ratios, ages, and whether somebody answers.

use std::time::Duration;

use ledger::Config;
use prometheus_client::metrics::gauge::Gauge;
use slo::status::{Counts, Scope};

use crate::door::Door;
use crate::support::{BEGIN_US, Process, clock};

const MEASURED: &str = "
version: 1
slos:
  - name: verdicts
    service: verifier-pool
    description: Accepted artifacts end with a verdict.
    target: 99
    window: 30d
    ratio:
      bad: 'runs_total{verdict=\"failed\"}'
      total: runs_total
  - name: backups
    service: ml-service
    description: Backups are made.
    target: 99
    window: 30d
    freshness:
      timestamp: backup_timestamp_seconds
      max_age: 1h
";

const PROBED: &str = "
version: 1
slos:
  - name: reachable
    service: ingress
    description: The front door answers.
    target: 99
    window: 30d
    probe:
      target: URL
      interval: 1s
      timeout: 500ms
";

fn events(process: &Process, slo: &str) -> Counts {
    process.ledger.status(slo, &Scope::All).unwrap().events
}

#[tokio::test]
async fn two_counters_are_a_ratio_and_a_timestamp_is_as_old_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), MEASURED, &clock());
    let [good, failed] =
        process.metrics.counter_family("runs", "Runs.", "verdict", ["benign", "failed"]);
    let backup: Gauge =
        process.metrics.register("backup_timestamp_seconds", "Made.", Gauge::default());
    process.tick(10).await;
    assert_eq!(events(&process, "verdicts"), Counts::default());
    good.inc_by(95);
    failed.inc_by(5);
    process.tick(10).await;
    assert_eq!(events(&process, "verdicts"), Counts { good: 95, bad: 5, excluded: 0 });
    process.tick(10).await;
    assert_eq!(events(&process, "verdicts").total(), 100, "nothing twice");
    // Never made: as old as the process.
    assert_eq!(events(&process, "backups"), Counts { good: 3, bad: 0, excluded: 0 });
    process.tick(3600).await;
    assert_eq!(events(&process, "backups"), Counts { good: 3, bad: 1, excluded: 0 });
    backup.set(BEGIN_US / 1_000_000 + 3630);
    process.tick(10).await;
    process.tick(3580).await;
    assert_eq!(events(&process, "backups"), Counts { good: 5, bad: 1, excluded: 0 });
    process.tick(20).await;
    assert_eq!(events(&process, "backups"), Counts { good: 5, bad: 2, excluded: 0 });
}

/// Probes until there are so many, of either kind.
async fn probed(process: &Process, good: u64, bad: u64) -> Counts {
    loop {
        process.tick(1).await;
        let events = events(process, "reachable");
        if events.good >= good && events.bad >= bad {
            return events;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_door_is_knocked_at_over_a_connection_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(302);
    let text = PROBED.replace("URL", &format!("{}/ready?x=1", door.url()));
    let process = Process::with(folder.path(), &text, &clock(), Config::default()).unwrap();
    process.ledger.probe();
    assert_eq!(probed(&process, 2, 0).await.bad, 0);
    assert!(door.asked().iter().all(|asked| asked.what == "GET /ready?x=1"));
    assert_eq!(process.ledger.probes()[0].last_error, None);
    door.answer(503);
    probed(&process, 2, 1).await;
    let told = process.ledger.probes()[0].last_error.clone().unwrap();
    assert!(told.contains("503"), "{told}");
    // Takes the connection and says nothing.
    door.answer(0);
    let before = events(&process, "reachable").bad;
    probed(&process, 2, before + 1).await;
    let closed = door.url();
    drop(door);
    let before = events(&process, "reachable").bad;
    probed(&process, 2, before + 1).await;
    assert_eq!(process.ledger.probes()[0].url, format!("{closed}/ready?x=1"));
    let text = process.metrics.text();
    assert!(text.contains("shieldx_ledger_probes_total{outcome=\"bad\"}"), "{text}");
}
