//! From counters to statuses, over restarts and disks that are full.

use slo::status::{Counts, Scope};

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
