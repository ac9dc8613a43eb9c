//! A real Alertmanager hears of a page within two evaluations, and of its end.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ledger::Config;
use runtime::clock::{Clock as _, System};
use serde_json::Value;

use crate::support::{ONE, Process};

const SLO: &str = "gateway-availability";

struct Alertmanager {
    child: Child,
    url: String,
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Alertmanager {
    /// `None`, said aloud, where there is none.
    fn start(folder: &Path) -> Option<Self> {
        let config = folder.join("alertmanager.yml");
        std::fs::write(&config, "route:\n  receiver: none\nreceivers:\n  - name: none\n").unwrap();
        // A port that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let started = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match started {
            Ok(child) => Some(Self { child, url: format!("http://{address}") }),
            Err(error) => {
                eprintln!("SKIP prometheus-alertmanager cannot be started: {error}");
                None
            }
        }
    }

    async fn wait_ready(&mut self) {
        while ureq::get(format!("{}/-/ready", self.url)).call().is_err() {
            assert!(self.child.try_wait().unwrap().is_none(), "Alertmanager has ended");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What it knows to fire.
    fn active(&self) -> Vec<Value> {
        let mut answer = ureq::get(format!("{}/api/v2/alerts", self.url)).call().unwrap();
        answer.body_mut().read_json::<Vec<Value>>().unwrap()
    }
}

/// Evaluates until `done`; gives how many evaluations that took.
async fn evaluations_until(process: &Process<System>, mut done: impl FnMut() -> bool) -> u32 {
    let mut statuses = process.ledger.statuses();
    statuses.mark_unchanged();
    for evaluations in 0..600 {
        if done() {
            return evaluations;
        }
        statuses.changed().await.unwrap();
    }
    panic!("not within 600 evaluations");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_alertmanager_hears_of_a_page_within_two_evaluations_and_of_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut alertmanager) = Alertmanager::start(folder.path()) else { return };
    alertmanager.wait_ready().await;
    let config = Config {
        interval_ms: 2_000,
        alertmanagers: vec![alertmanager.url.clone()],
        ..Config::default()
    };
    // Its times are compared with Alertmanager's own clock.
    let clock = crate::support::machine_clock();
    let process = Process::on(&folder.path().join("ledger"), ONE, clock, config).unwrap();
    process.ledger.start();
    process.count(SLO, 1_000, 0);
    evaluations_until(&process, || {
        process.ledger.status(SLO, &slo::status::Scope::All).unwrap().events.good == 1_000
    })
    .await;
    assert!(alertmanager.active().is_empty());
    process.count(SLO, 0, 500);
    let page = |alerts: &[Value]| {
        alerts.iter().find(|alert| alert["labels"]["severity"] == "page").cloned()
    };
    let mut found = None;
    let evaluations = evaluations_until(&process, || {
        found = page(&alertmanager.active());
        found.is_some()
    })
    .await;
    println!("the page was there after {evaluations} evaluations");
    assert!(evaluations <= 2, "{evaluations} evaluations after the fault");
    let found = found.unwrap();
    assert_eq!(found["labels"]["alertname"], "SloBurnsFast");
    assert_eq!(found["labels"]["slo"], SLO);
    assert_eq!(found["labels"]["service"], "gateway");
    assert_eq!(found["labels"].get("instance"), None, "replicas say the same");
    assert_eq!(found["generatorURL"], "http://127.0.0.1:8088/slo/gateway-availability");
    let since = found["startsAt"].as_str().unwrap();
    assert!(since <= runtime::clock::rfc3339(System.now_us()).as_str(), "{since}");
    // So many good ones that nothing burns any more: both windows are of the same minutes here.
    process.count(SLO, 100_000_000, 0);
    let evaluations = evaluations_until(&process, || page(&alertmanager.active()).is_none()).await;
    println!("it was over after {evaluations} evaluations");
    assert!(evaluations <= 2, "{evaluations} evaluations after the end");
    process.tasks.shutdown().begin();
    assert!(process.tasks.shutdown().drained(Duration::from_secs(60)).await);
}
