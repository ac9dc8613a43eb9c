//! Nothing is declared that no flow emits: every metric of every service moves, every span is seen.
#![expect(clippy::unwrap_used, reason = "what fails here should fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use super::{Stack, until};

/// What only a fault, an abuse or a bound moves; each is moved by a test of its own room. They have to
/// be there, at nought.
const ONLY_BY_FAULT: &[&str] = &[
    // Bounds that were reached, and what was lost by them.
    "folded",
    "dropped",
    "evicted",
    "unmatched",
    "rejected",
    "refused",
    "uncached",
    "full",
    "truncated",
    "cut",
    // Things that went wrong.
    "fail",
    "error",
    "panicked",
    "panics",
    "timeouts",
    "retries",
    "expired",
    "lost",
    "blocked",
    "stale",
    "broken",
    "abandoned",
    "corrupt",
    "malformed",
    "skipped",
];

/// An application that answers everything, and never ends before the test.
fn application() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    url
}

fn answer(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 {
            return;
        }
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn every_metric_moves_and_every_span_is_seen() {
    let upstream = application();
    let settings = format!(
        "[ledger]\ninterval_ms = 1000\n{}[[gateway.routes]]\nname = \"app\"\npath_prefix = \"/app\"\nupstream = \"{upstream}\"\n",
        Stack::GATEWAY
    );
    // It takes traces as well as anything else.
    let stack = Stack::with(&settings, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &upstream)]);
    let loaded = stack.shieldx(&["load", "--for", "12s", "--rate", "30"]);
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stdout));
    for _ in 0..10 {
        assert_eq!(stack.get(&stack.key, "/app").status, 200);
        assert_eq!(stack.get(&stack.key, "/app/.env").status, 403);
    }
    let many = b"#!/bin/sh\nuname -a\ndd if=/dev/zero of=/tmp/x bs=1 count=5000\n";
    let id = stack.submit(&stack.key, "many.sh", many)["id"].as_str().unwrap().to_owned();
    stack.finished(&stack.key, &id);
    assert!(stack.shieldx(&["slo", "mark", "--service", "gateway", "v1"]).status.success());
    assert!(stack.shieldx(&["slo", "status"]).status.success());
    let gone = stack.delete(&stack.key, "/v1/subjects/load-1/profile");
    assert_eq!(gone.status, 204, "{}", gone.text());
    let page = stack.get("", &stack.internal["console"]);
    assert_eq!(page.status, 200, "{}", page.text());

    let mut still = BTreeMap::new();
    for (service, url) in &stack.internal {
        still.insert(service.clone(), unmoved(&stack, url));
    }
    still.retain(|_, families| !families.is_empty());
    assert!(still.is_empty(), "declared and never moved: {still:#?}");
    every_span_is_seen(&stack);
    let console = &stack.internal["console"];
    let reference = stack.get("", &format!("{console}/api/metrics"));
    assert_eq!(reference.status, 200, "{}", reference.text());
    crate::documents::ensure("docs/generated/metrics.md", &reference.text());
}

/// Families without a sample, or with nothing but noughts where a flow should have moved them.
fn unmoved(stack: &Stack, url: &str) -> Vec<String> {
    let accept = [("accept", "application/openmetrics-text;version=1.0.0")];
    let text = stack.get_with("", &format!("{url}/metrics"), &accept).text();
    assert!(text.ends_with("# EOF\n"), "{url}: not whole");
    let mut families: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    let mut family = "";
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            family = declared.split(' ').next().unwrap();
            families.entry(family).or_default();
        } else if !line.starts_with('#') {
            assert!(line.starts_with(family), "{line} is not of {family}");
            // Labels may have blanks; what follows the last brace is the value, then an exemplar.
            let sample = line.split(" # ").next().unwrap();
            let value = sample.rsplit_once(['}', ' ']).unwrap().1.trim();
            let found = families.entry(family).or_default();
            found.0 = true;
            found.1 |= value.parse::<f64>().is_ok_and(|value| value != 0.0);
        }
    }
    let by_fault = |name: &str| ONLY_BY_FAULT.iter().any(|word| name.contains(word));
    let bad = families.into_iter().filter(|(name, (there, moved))| {
        let elsewhere = MOVED_ELSEWHERE.iter().any(|(known, _)| known == name);
        !there || (!moved && !by_fault(name) && !at_rest(name) && !elsewhere)
    });
    bad.map(|(name, _)| name.to_owned()).collect()
}

/// Gauges of what goes on now: nothing does when they are read.
fn at_rest(name: &str) -> bool {
    let now = [
        "active",
        "in_flight",
        "queue",
        "busy",
        "waiting",
        "tarpitted",
        "oldest",
        "running",
        "subscribers",
    ];
    now.iter().any(|word| name.contains(word))
}

/// What this test would take too long to move, and who moves it.
const MOVED_ELSEWHERE: &[(&str, &str)] = &[
    ("shieldx_console_event_streams", "a gauge: no page is open"),
    ("shieldx_ledger_deliveries", "objectives::a_fault_pages_a_real_alertmanager_…"),
    ("shieldx_ledger_overrides", "objectives::the_gate_says_each_of_its_answers_…"),
    ("shieldx_ledger_snapshots", "hourly; crates/ledger/tests"),
    ("shieldx_ledger_thrown", "a bound; crates/slo/src/history"),
    (
        "shieldx_ingress_http_connections_ended",
        "ends before their time; crates/runtime/tests/it/http",
    ),
    ("shieldx_gateway_data_connections_ended", "the same"),
    ("shieldx_ml_service_rebuild_rows", "a start with rows; stack::crash"),
    ("shieldx_ml_service_reference_runs_forgotten", "a bound; crates/ml-service/tests"),
    ("shieldx_sandbox_throttled", "a flood; crates/sandbox/tests"),
    ("shieldx_sandbox_traffic_bytes", "runs here have no network; crates/sandbox/tests"),
    ("shieldx_slo_alert_firing", "objectives::a_fault_pages_a_real_alertmanager_…"),
    ("shieldx_slo_burn_rate", "nothing was bad"),
    ("shieldx_verifier_pool_events_missed", "a slow reader; crates/verifier-pool/tests"),
    ("shieldx_verifier_pool_lease_renewals", "a run of ten seconds; crates/verifier-pool/tests"),
];

fn every_span_is_seen(stack: &Stack) {
    let declared: BTreeSet<&str> = [
        contauth::SPANS,
        gateway::SPANS,
        ingress::SPANS,
        ml_service::SPANS,
        policy::SPANS,
        verifier_pool::SPANS,
    ]
    .into_iter()
    .flatten()
    .copied()
    .collect();
    let mut missing = declared;
    let console = &stack.internal["console"];
    let mut seen = BTreeSet::new();
    // Sessions are looked through for old ones once a minute.
    until("every declared span is seen", || {
        for service in ["ingress", "gateway", "contauth", "verifier-pool", "ml-service"] {
            let list = stack.get("", &format!("{console}/api/traces?service={service}")).json();
            for trace in list["traces"].as_array().unwrap() {
                let id = trace["trace_id"].as_str().unwrap().to_owned();
                if !seen.insert(id.clone()) {
                    continue;
                }
                let trace = stack.get("", &format!("{console}/api/traces/{id}")).json();
                for span in trace["spans"].as_array().into_iter().flatten() {
                    missing.remove(span["name"].as_str().unwrap());
                }
            }
        }
        if !missing.is_empty() {
            eprintln!("not seen yet: {missing:?}");
            stack.get(&stack.key, "/app/.env");
            std::thread::sleep(std::time::Duration::from_secs(2));
        }
        missing.is_empty()
    });
}
