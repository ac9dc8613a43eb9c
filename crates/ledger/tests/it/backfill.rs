//! A real Prometheus with a past that promtool made; its counts come into the history once.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ledger::backfill::{BackfillError, backfill};
use slo::history::Series;
use slo::status::{Counts, Scope};

use crate::support::{BEGIN_US, ONE, Process, SECOND_US, catalog, clock};

const SLO: &str = "gateway-availability";
/// 2026-01-01T00:00:00Z
const BEGIN_S: i64 = BEGIN_US / SECOND_US;

struct Prometheus {
    child: Child,
    url: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Two instances for the three hours before [`BEGIN_S`], one scrape every 30 s: one starts anew in
/// between, the other ends after an hour. Gives what they counted.
fn openmetrics() -> (String, Counts) {
    let mut text = String::from("# TYPE shieldx_slo_events counter\n");
    let mut counted = Counts::default();
    for (instance, from, until, per_scrape) in
        [("a", 10_800, 5_400, 3), ("a", 5_370, 0, 2), ("b", 10_800, 7_200, 5)]
    {
        for (outcome, times) in [("good", per_scrape), ("bad", 1_u64), ("excluded", 0)] {
            let mut value = 0;
            for scrape in (until..=from).rev().step_by(30) {
                let at = BEGIN_S - scrape;
                let labels = format!(
                    "slo=\"{SLO}\",outcome=\"{outcome}\",tenant=\"acme\",instance=\"{instance}\""
                );
                text.push_str(&format!("shieldx_slo_events_total{{{labels}}} {value} {at}\n"));
                // What was counted between its two lives, and after the last scrape, nobody knows.
                if scrape > until {
                    value += times;
                }
            }
            match outcome {
                "good" => counted.good += value,
                "bad" => counted.bad += value,
                _ => counted.excluded += value,
            }
        }
    }
    // The text is by series.
    text.push_str("# EOF\n");
    (text, counted)
}

async fn start(folder: &Path) -> Option<(Prometheus, Counts)> {
    let (text, counted) = openmetrics();
    std::fs::write(folder.join("past.txt"), text).unwrap();
    let data = folder.join("tsdb");
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([folder.join("past.txt"), data.clone()])
        .output();
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            eprintln!("SKIP promtool cannot be started: {error}");
            return None;
        }
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::write(folder.join("prometheus.yml"), "{}\n").unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg("--storage.tsdb.retention.time=100y")
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut prometheus = match child {
        Ok(child) => Prometheus { child, url },
        Err(error) => {
            eprintln!("SKIP prometheus cannot be started: {error}");
            return None;
        }
    };
    while ureq::get(format!("{}/-/ready", prometheus.url)).call().is_err() {
        assert!(prometheus.child.try_wait().unwrap().is_none(), "Prometheus has ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Some((prometheus, counted))
}

#[tokio::test]
async fn the_past_of_a_real_prometheus_is_taken_once_and_never_over_what_was_counted() {
    let folder = tempfile::tempdir().unwrap();
    let Some((prometheus, counted)) = start(folder.path()).await else { return };
    let data = folder.path().join("ledger");
    // The ledger begins before that past is over.
    let clock = clock();
    clock.advance_us(-1800 * SECOND_US);
    let process = Process::start(&data, ONE, &clock);
    for _ in 0..180 {
        process.tick(10).await;
        process.count(SLO, 7, 0);
    }
    let own = process.ledger.status(SLO, &Scope::All).unwrap().events;
    let catalog = catalog(ONE);
    let span = (BEGIN_US - 86_400 * SECOND_US, BEGIN_US);
    let running = backfill(&data, &catalog, &prometheus.url, span, &mut |_| {});
    assert!(matches!(running, Err(BackfillError::Ledger { .. })), "a server runs: {running:?}");
    drop(process);

    let slo = catalog.get(SLO).unwrap();
    let of = |scope| {
        let series = Series { slo: slo.name.clone(), revision: slo.revision, scope };
        let read = ledger::read(&data, &catalog, BEGIN_US).unwrap();
        read.history.counts(&series, 0, BEGIN_US)
    };
    let mut told = Vec::new();
    let done = backfill(&data, &catalog, &prometheus.url, span, &mut |name| {
        told.push(name.to_string());
    })
    .unwrap();
    assert_eq!(told, [SLO]);
    let [filled] = &done[..] else { panic!("one objective") };
    println!("{filled:?}");
    // The last half hour of it was counted by the ledger itself: 2 good and 1 bad twice a minute.
    let theirs = Counts { good: counted.good - 120, bad: counted.bad - 60, excluded: 0 };
    assert_eq!(filled.events, theirs);
    assert_eq!((filled.minutes.taken, filled.minutes.overlapping), (150, 30));
    let all = of(Scope::All);
    assert_eq!(all.counts, own.plus(theirs));
    assert_eq!(of(Scope::Tenant("acme".to_owned())).counts, own.plus(theirs));
    assert_eq!(all.covered_us, 3 * 3600 * SECOND_US, "without a gap and without an overlap");

    let again = backfill(&data, &catalog, &prometheus.url, span, &mut |_| {}).unwrap();
    assert_eq!(again[0].events, Counts::default(), "twice is once");
    assert_eq!(of(Scope::All), all);
}

#[test]
fn what_is_no_prometheus_changes_nothing_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let door = crate::door::Door::open(200);
    let catalog = catalog(ONE);
    let span = (BEGIN_US - 86_400 * SECOND_US, BEGIN_US);
    let answered = backfill(folder.path(), &catalog, &door.url(), span, &mut |_| {});
    let error = answered.unwrap_err().to_string();
    assert!(error.contains(&door.url()) && error.contains("as a Prometheus"), "{error}");
    let url = door.url();
    drop(door);
    let gone = backfill(folder.path(), &catalog, &url, span, &mut |_| {});
    assert!(matches!(gone, Err(BackfillError::Unreachable { .. })), "{gone:?}");
}
