//! Real tools read what a server gives at `/metrics`: Debian's Prometheus and promtool.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use runtime::http::ops::{self, Ops};
use runtime::http::server::Limits;
use runtime::http::{HttpMetrics, fallbacks, observe};
use runtime::metrics::{Described, Family, Metrics};
use runtime::sli::{Group, GroupRoute, Objective, Plan, Rule, Sli};
use runtime::telemetry::Telemetry;
use serde_json::Value;

use super::support::{FOREVER, Raw, Server, Traced};

/// A service with every kind of metric.
async fn service() -> Server {
    let metrics = Metrics::new("test");
    metrics.register_process();
    let objective = |slo: &str, rule| Objective {
        slo: slo.to_owned(),
        service: "test".to_owned(),
        rule,
        only: Vec::new(),
        except: Vec::new(),
        by_tenant: true,
        by_route_group: true,
    };
    let latency = Rule::Latency { threshold: Duration::from_secs(3_600), le: true };
    let things = GroupRoute { service: None, methods: Vec::new(), route: "/things*".to_owned() };
    let plan = Plan {
        objectives: vec![objective("up", Rule::Availability), objective("fast", latency)],
        groups: vec![Group { name: "things".to_owned(), routes: vec![things] }],
        ..Plan::default()
    };
    let sli = Sli::new(Arc::new(plan), &metrics);
    let what = Described {
        name: "shieldx_test_odd_values",
        help: "Label values that have to be escaped.",
        labels: ["value"],
        series_max: 2,
    };
    let odd: Family<1, Counter> = metrics.family(what);
    odd.add(["a\"b\\c\nd"], 3);
    odd.add(["\\"], 1);
    odd.add(["one too many"], 1 << 40);
    let api = Router::new()
        .route("/things/{id}", get(async || "thing"))
        .route("/echo", post(async |body: String| body))
        .route("/fails", get(async || StatusCode::INTERNAL_SERVER_ERROR));
    let observed = observe(fallbacks(api), HttpMetrics::new(&metrics, sli));
    let ops = Ops { metrics, dependencies: Arc::default() };
    Server::serve(ops::routes(ops).fallback_service(observed), Limits::default()).await
}

async fn ask(address: SocketAddr, request: &str, lines: &str) -> (String, String) {
    let text = format!("{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}\r\n");
    let answer = Raw::to(address).await.ask(text).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

async fn use_it(server: &Server) {
    for n in 0..20 {
        ask(server.address, &format!("GET /things/{n}"), "").await;
    }
    ask(server.address, "GET /fails", "").await;
    let echo =
        "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
    Raw::to(server.address).await.ask(echo).await;
}

/// Whether a program is there; where it is not, says so.
fn there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIP {program} is not installed");
    }
    found
}

#[tokio::test]
async fn promtool_finds_nothing_to_say_against_the_plain_text() {
    if !there("promtool") {
        return;
    }
    let server = service().await;
    use_it(&server).await;
    let (head, text) = ask(server.address, "GET /metrics", "").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(!text.contains("# EOF") && text.contains("\\nd\"} 3\n"), "{text}");
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut promtool = promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[tokio::test]
async fn the_format_is_the_one_that_is_asked_for() {
    let server = service().await;
    let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    for (accept, kind) in [
        (
            "application/openmetrics-text;version=1.0.0",
            "application/openmetrics-text; version=1.0.0",
        ),
        (protobuf, "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily"),
        ("*/*", "text/plain; version=0.0.4"),
    ] {
        let (head, _) = ask(server.address, "GET /metrics", &format!("accept: {accept}\r\n")).await;
        assert!(head.contains(&format!("content-type: {kind}")), "{accept}: {head}");
        assert!(head.contains("vary: accept"), "{head}");
    }
}

/// A Prometheus that scrapes one server, and ends with the test.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn start(target: SocketAddr, features: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s}}\n\
             scrape_configs: [{{job_name: test, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        std::fs::write(&config, text).unwrap();
        let path = |name: &str, path: &Path| format!("--{name}={}", path.display());
        // Another test may take a port that was free: then there is another one.
        for _ in 0..10 {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let mut child = Command::new("prometheus")
                .arg(path("config.file", &config))
                .arg(path("storage.tsdb.path", &folder.path().join("data")))
                .arg(format!("--web.listen-address={address}"))
                .arg(format!("--enable-feature={features}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            while TcpStream::connect(address).is_err() {
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            if child.try_wait().unwrap().is_none() {
                return Self { child, address, _folder: folder };
            }
        }
        panic!("Prometheus ends as soon as it has started");
    }

    /// What an API answers once it answers something that is wanted.
    async fn until<T>(&self, target: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        let mut last = String::new();
        let asking = async {
            loop {
                if let Ok(stream) = tokio::net::TcpStream::connect(self.address).await {
                    let request =
                        format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
                    last = Raw(stream).ask(request).await;
                    let json = last.find('{').zip(last.rfind('}'));
                    let json =
                        json.and_then(|(from, to)| serde_json::from_str(&last[from..=to]).ok());
                    if let Some(found) = json.as_ref().and_then(&wanted) {
                        return found;
                    }
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let found = tokio::time::timeout(FOREVER, asking).await;
        found.unwrap_or_else(|_| panic!("{target}: {last}"))
    }

    /// The value of the one series a query gives, once it is there.
    async fn value(&self, query: &str) -> f64 {
        let target = format!("/api/v1/query?query={}", encoded(query));
        let one = |json: &Value| -> Option<f64> {
            json["data"]["result"][0]["value"][1].as_str()?.parse().ok()
        };
        self.until(&target, one).await
    }

    /// The trace and span ids of all exemplars of a metric.
    async fn exemplars(&self, query: &str) -> Vec<(String, String)> {
        let target =
            format!("/api/v1/query_exemplars?query={}&start=0&end=99999999999", encoded(query));
        let ids = |json: &Value| {
            let series = json["data"].as_array()?.iter();
            let all = series.filter_map(|series| series["exemplars"].as_array()).flatten();
            let ids: Vec<(String, String)> = all
                .map(|each| &each["labels"])
                .filter_map(|labels| {
                    let id = |name: &str| labels[name].as_str().map(str::to_owned);
                    id("trace_id").zip(id("span_id"))
                })
                .collect();
            (!ids.is_empty()).then_some(ids)
        };
        self.until(&target, ids).await
    }
}

fn encoded(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn scraped(features: &str) -> Option<(Server, Prometheus)> {
    if !there("prometheus") {
        return None;
    }
    let server = service().await;
    use_it(&server).await;
    let prometheus = Prometheus::start(server.address, features);
    Some((server, prometheus))
}

const COUNTED: [(&str, f64); 6] = [
    ("shieldx_slo_events_total{slo=\"up\",outcome=\"good\",tenant=\"__none__\"}", 21.0),
    ("shieldx_slo_events_total{slo=\"up\",outcome=\"bad\",tenant=\"__none__\"}", 1.0),
    ("shieldx_slo_events_total{slo=\"fast\",outcome=\"excluded\",tenant=\"__none__\"}", 1.0),
    (
        "shieldx_slo_route_group_events_total{slo=\"up\",outcome=\"good\",route_group=\"things\"}",
        20.0,
    ),
    ("shieldx_test_odd_values_total{value=\"a\\\"b\\\\c\\nd\"}", 3.0),
    ("shieldx_metrics_folded_total{metric=\"shieldx_test_odd_values\"}", 1_099_511_627_776.0),
];

/// Exemplars name traces and spans that are kept.
async fn check_exemplars(prometheus: &Prometheus, telemetry: &Telemetry, query: &str) {
    for (trace, span) in prometheus.exemplars(query).await {
        let kept = telemetry.traces().get(&trace).unwrap_or_else(|| panic!("{trace} is not kept"));
        assert!(format!("{kept:?}").contains(&span), "{span} is not in {kept:?}");
    }
}

#[tokio::test]
async fn prometheus_scrapes_open_metrics_with_exemplars() {
    let traced = Traced::here();
    let Some((_server, prometheus)) = scraped("exemplar-storage").await else {
        return;
    };
    for (query, expect) in COUNTED {
        assert_eq!(prometheus.value(query).await, expect, "{query}");
    }
    let buckets =
        "http_server_request_duration_seconds_bucket{le=\"+Inf\",http_route=\"/things/{id}\"}";
    assert_eq!(prometheus.value(buckets).await, 20.0);
    let sizes = "http_server_request_body_size_bytes_sum{http_route=\"/echo\"}";
    assert_eq!(prometheus.value(sizes).await, 5.0);
    check_exemplars(&prometheus, &traced.telemetry, "http_server_request_duration_seconds_bucket")
        .await;
    check_exemplars(&prometheus, &traced.telemetry, "shieldx_slo_events_total{outcome=\"bad\"}")
        .await;
}

#[tokio::test]
async fn prometheus_scrapes_protobuf_with_native_histograms_and_exemplars() {
    let traced = Traced::here();
    let Some((_server, prometheus)) = scraped("native-histograms,exemplar-storage").await else {
        return;
    };
    for (query, expect) in COUNTED {
        assert_eq!(prometheus.value(query).await, expect, "{query}");
    }
    let things = "http_server_request_duration_seconds{http_route=\"/things/{id}\"}";
    assert_eq!(prometheus.value(&format!("histogram_count({things})")).await, 20.0);
    let all = prometheus.value(&format!("histogram_fraction(0, 3600, {things})")).await;
    assert!((all - 1.0).abs() < 1e-9, "{all}");
    let median = prometheus.value(&format!("histogram_quantile(0.5, {things})")).await;
    assert!(median > 0.0 && median < 30.0, "{median}");
    let mean =
        prometheus.value(&format!("histogram_sum({things}) / histogram_count({things})")).await;
    assert!(mean > 0.0 && mean < 30.0, "{mean}");
    check_exemplars(&prometheus, &traced.telemetry, "http_server_request_duration_seconds").await;
    check_exemplars(&prometheus, &traced.telemetry, "shieldx_slo_events_total{outcome=\"bad\"}")
        .await;
}
