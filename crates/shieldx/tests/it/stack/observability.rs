//! What watches from outside: a real Prometheus and a real Alertmanager beside a whole server.
#![expect(clippy::unwrap_used, reason = "what fails here should fail the test")]

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{Stack, until};
use crate::lab::have;

/// Names of services whose `/metrics` are scraped.
const SERVICES: [&str; 6] =
    ["ingress", "gateway", "contauth", "verifier-pool", "ml-service", "console"];

/// A program that listens on a port of its own and ends with the test.
pub(super) struct Beside {
    child: Child,
    pub(super) url: String,
    _folder: TempDir,
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Beside {
    /// `arguments` gets the folder for its state and the address to listen on.
    pub(super) fn start(program: &str, arguments: impl Fn(&Path, &str) -> Vec<String>) -> Self {
        let folder = tempfile::Builder::new().prefix("beside-").tempdir().unwrap();
        // A free port may be taken by another test meanwhile: then another one is tried.
        loop {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let address = format!("127.0.0.1:{port}");
            let log = fs::File::create(folder.path().join("log")).unwrap();
            let mut child = Command::new(program)
                .args(arguments(folder.path(), &address))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .unwrap();
            let mut ended = false;
            until("it listens or has ended", || {
                ended = child.try_wait().unwrap().is_some();
                ended || TcpStream::connect(&address).is_ok()
            });
            if !ended {
                return Self { child, url: format!("http://{address}"), _folder: folder };
            }
            let log = fs::read_to_string(folder.path().join("log")).unwrap();
            assert!(log.contains("address already in use"), "{program} ended: {log}");
        }
    }

    pub(super) fn prometheus(files: &Path) -> Self {
        let configuration = files.join("prometheus/prometheus.yml").display().to_string();
        Self::start("prometheus", |folder, address| {
            vec![
                format!("--config.file={configuration}"),
                format!("--storage.tsdb.path={}", folder.join("tsdb").display()),
                format!("--web.listen-address={address}"),
                "--enable-feature=exemplar-storage".to_owned(),
                "--log.level=warn".to_owned(),
            ]
        })
    }

    pub(super) fn alertmanager(configuration: &Path) -> Self {
        let configuration = configuration.display().to_string();
        Self::start("prometheus-alertmanager", |folder, address| {
            vec![
                format!("--config.file={configuration}"),
                format!("--storage.path={}", folder.join("state").display()),
                format!("--web.listen-address={address}"),
                "--cluster.listen-address=".to_owned(),
                "--log.level=warn".to_owned(),
            ]
        })
    }
}

/// What `shieldx slo generate` writes for a running server.
pub(super) fn generated(stack: &Stack, more: &[&str]) -> PathBuf {
    let out = stack.path("observability");
    let shown = out.display().to_string();
    let targets = SERVICES.map(|service| {
        let address = stack.internal[service].trim_start_matches("http://");
        format!("{service}={address}")
    });
    let console = stack.internal["console"].as_str();
    let mut arguments = vec!["slo", "generate", "--out", &shown, "--console", console];
    for target in &targets {
        arguments.extend(["--target", target]);
    }
    arguments.extend(more);
    let made = stack.shieldx(&arguments);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    out
}

fn query(stack: &Stack, prometheus: &Beside, expression: &str) -> Value {
    let encoded: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let url = format!("{}/api/v1/query?query={encoded}", prometheus.url);
    let answer = stack.get("", &url);
    assert_eq!(answer.status, 200, "{expression}: {}", answer.text());
    answer.json()["data"]["result"].clone()
}

/// All of the ids that Prometheus has exemplars with.
fn exemplars(stack: &Stack, prometheus: &Beside, series: &str) -> BTreeSet<String> {
    let url =
        format!("{}/api/v1/query_exemplars?query={series}&start=0&end=99999999999", prometheus.url);
    let answer = stack.get("", &url).json();
    let series = answer["data"].as_array().unwrap().clone();
    let exemplars = series.iter().flat_map(|series| series["exemplars"].as_array().unwrap());
    let ids = exemplars.map(|one| one["labels"]["trace_id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[test]
fn a_real_prometheus_sees_everything_and_its_exemplars_open_traces() {
    if !have("Prometheus beside a server", &["prometheus"]) {
        return;
    }
    let stack = Stack::with("[ledger]\ninterval_ms = 1000\n", &[]);
    let files = generated(&stack, &["--scrape-interval", "2"]);
    let prometheus = Beside::prometheus(&files);
    let loaded = stack.shieldx(&["load", "--for", "25s", "--rate", "20", "--json"]);
    let seen = String::from_utf8_lossy(&loaded.stdout);
    assert!(loaded.status.success(), "{seen} {}", String::from_utf8_lossy(&loaded.stderr));

    until("every service is scraped", || {
        let answer = stack.get("", &format!("{}/api/v1/targets?state=active", prometheus.url));
        let answer = answer.json();
        let targets = answer["data"]["activeTargets"].as_array().unwrap();
        let up = |service: &&str| {
            let url = format!("{}/metrics", stack.internal[*service]);
            targets.iter().any(|target| target["scrapeUrl"] == url && target["health"] == "up")
        };
        SERVICES.iter().all(up)
    });

    let ids = exemplars(&stack, &prometheus, "http_server_request_duration_seconds_bucket");
    assert!(ids.len() >= 5, "{ids:?}");
    let of_slos = exemplars(&stack, &prometheus, "shieldx_slo_events_total");
    assert!(!of_slos.is_empty());
    let console = &stack.internal["console"];
    for id in ids.union(&of_slos) {
        let page = stack.get("", &format!("{console}/traces/{id}"));
        assert_eq!(page.status, 200, "{id}: {}", page.text());
        assert!(page.text().contains("<svg"), "a waterfall of {id}");
        let trace = stack.get("", &format!("{console}/api/traces/{id}")).json();
        assert_eq!(trace["trace_id"], id.as_str());
    }
    let gone = stack.get("", &format!("{console}/traces/4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_eq!(gone.status, 404);
    assert!(gone.text().contains("expired"), "{}", gone.text());

    every_panel_has_data(&stack, &prometheus, &files);
    let url = prometheus.url.as_str();
    let health = stack.shieldx(&["health", "--prometheus", url]);
    let text = String::from_utf8_lossy(&health.stdout);
    assert_eq!(health.status.code(), Some(0), "{text}");
    assert!(text.contains("6 services"), "{text}");
}

fn every_panel_has_data(stack: &Stack, prometheus: &Beside, files: &Path) {
    let mut dashboards = Vec::new();
    for entry in fs::read_dir(files.join("grafana/dashboards")).unwrap().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap();
        let path = entry.path().strip_prefix(files).unwrap().display().to_string();
        dashboards.push(slo::generate::File { path, text });
    }
    let queries = slo::generate::panel_queries(&dashboards);
    assert!(queries.len() > 50, "{} queries", queries.len());
    let mut empty: Vec<_> = queries.iter().collect();
    // Recorded series come one evaluation after the scrape they stand on.
    for _ in 0..30 {
        empty.retain(|panel| {
            query(stack, prometheus, &panel.expr).as_array().is_none_or(Vec::is_empty)
        });
        if empty.is_empty() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    panic!("panels without data: {empty:#?}");
}
