//! Whatever a caller controls is text: names of tenants and routes, paths, attributes, queries.

use std::collections::BTreeMap;

use ledger::Mark;
use runtime::telemetry::{KeptBecause, Kind, SpanEvent, Trace};
use slo::status::{Counts, Scope};

use crate::client;
use crate::document::Document;
use crate::fixture::traces::span;
use crate::{NOW_US, Served};

const CANARY: &str =
    "\"'></title></script><script>alert(1)</script><img src=x onerror=alert(2)>\u{202e}{{7*7}}";

/// The page's own script is its last element and the only one; nothing else came from the canary.
fn harmless(path: &str, page: &str) {
    let document = Document::read(page);
    let scripts = document.all("script").count();
    assert!(scripts <= 1, "{path}: {scripts} scripts");
    assert_eq!(document.all("img").count(), 0, "{path}");
    for element in &document.elements {
        for (name, value) in &element.attributes {
            assert!(!name.starts_with("on"), "{path}: {element:?}");
            assert!(!value.trim().to_lowercase().starts_with("javascript:"), "{path}: {element:?}");
        }
    }
    assert!(!page.contains('\u{202e}'), "{path}: text that runs backwards");
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn hostile() -> Trace {
    let mut root = span((1, 0), (CANARY, CANARY, Kind::Server), (NOW_US - 5_000_000, 1000));
    root.message = Some(CANARY.to_owned());
    root.error = true;
    root.attributes.insert(CANARY.to_owned(), CANARY.into());
    root.attributes.insert("list".to_owned(), vec![CANARY, CANARY].into());
    root.events.push(SpanEvent {
        name: CANARY.to_owned(),
        time_us: NOW_US,
        attributes: BTreeMap::from([(CANARY.to_owned(), CANARY.into())]),
    });
    Trace {
        trace_id: "0123456789abcdef0123456789abcdef".to_owned(),
        tenant: Some(CANARY.to_owned()),
        kept_because: KeptBecause::Error,
        root: Some(root.span_id.clone()),
        duration_us: 1000,
        spans: vec![root],
        spans_dropped: 1,
    }
}

#[tokio::test]
async fn what_callers_choose_is_text_on_every_page() {
    let served = Served::open().await;
    let made = &served.scene.made;
    let counts = Counts { good: 90_000_000, bad: 10_000_000, excluded: 0 };
    made.count("gateway-latency", Scope::Tenant(CANARY.to_owned()), counts);
    made.count("gateway-latency", Scope::RouteGroup(CANARY.to_owned()), counts);
    made.mark(Mark { at_us: NOW_US - 60_000_000, service: None, text: CANARY.to_owned() });
    served.scene.traces.add(hostile());
    let text = format!(
        "http_server_request_duration_seconds_bucket{{le=\"+Inf\"}} 5 # {{trace_id=\"{}\",span_id=\"b\"}} 0.3\n",
        CANARY.replace('"', "\\\"")
    );
    for ago in [20_000_000, 10_000_000] {
        served.scene.console.signals().take("gateway", NOW_US - ago, &text);
    }
    let canary = encoded(CANARY);
    let paths = [
        "/".to_owned(),
        "/slo/gateway-latency".to_owned(),
        format!("/slo/gateway-latency?tenant={canary}"),
        format!("/slo/gateway-latency?route_group={canary}"),
        format!("/slo/gateway-latency?range={canary}"),
        format!("/slo/{canary}"),
        "/traces".to_owned(),
        format!("/traces?service={canary}&only={canary}&slower_ms={canary}"),
        "/traces/0123456789abcdef0123456789abcdef".to_owned(),
        format!("/traces/{canary}"),
        format!("/runbooks/{canary}"),
        format!("/login?next={canary}"),
        format!("/{canary}"),
        "/services".to_owned(),
    ];
    for path in &paths {
        let answer = served.get(path).await;
        assert!(answer.status < 500, "{path}: {}", answer.status);
        harmless(path, &answer.body);
    }
    // It is there, as text.
    let shown = Document::read(&served.get("/slo/gateway-latency").await.body).text();
    assert!(shown.contains("<script>alert(1)</script>") && shown.contains("\\u{202e}"));
    let shown =
        Document::read(&served.get("/traces/0123456789abcdef0123456789abcdef").await.body).text();
    assert!(shown.matches("<script>alert(1)</script>").count() >= 8, "{shown}");
    let of_tenant = served.get(&format!("/slo/gateway-latency?tenant={canary}")).await;
    assert_eq!(of_tenant.status, 200);
}

#[tokio::test]
async fn a_login_form_and_problems_repeat_nothing_that_runs() {
    let config = console::Config::default();
    let served = Served::with(&config, Some("a token of many letters"), axum::Router::new()).await;
    let body = format!("token={0}&next={0}", encoded(CANARY));
    let answer = client::ask(served.address, "POST", "/login", &[], &body).await;
    assert_eq!(answer.status, 401);
    harmless("/login", &answer.body);
    let host = [("Host", "<script>alert(1)</script>")];
    let answer = client::ask(served.address, "GET", "/", &host, "").await;
    assert!(answer.status >= 400 && !answer.header("content-type").starts_with("text/html"));
}
