//! What is let in, and what goes on with it.

use ingress::{Config, Ingress, Rate, Traceparents};
use runtime::clock::System;
use runtime::http::forward::{self, Client};
use runtime::http::ops::{Dependency as _, Reachable};
use runtime::metrics::Metrics;
use runtime::shutdown::Shutdown;
use runtime::sli::Sli;
use runtime::tasks::Tasks;
use runtime::telemetry::{self, LogSettings, Service, Services, Settings};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Stack, get, value};

#[tokio::test]
async fn a_request_goes_on_with_an_id_and_the_word_of_where_it_came_from() {
    let stack = Stack::start(Config::default()).await;
    let lines = "x-forwarded-for: 6.6.6.6\r\nx-forwarded-proto: https\r\nx-custom: 1\r\n";
    let answer = stack.ask_from([127, 0, 0, 9], &get("/a/..%2Fb?c=%20", lines)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\norigin 127.0.0.9 Plain\nGET /a/..%2Fb?c=%20\n"), "{answer}");
    assert!(
        answer.contains("\nhost: app.test\n") && answer.contains("\nx-custom: 1\n"),
        "{answer}"
    );
    let ids: Vec<_> = answer.lines().filter(|line| line.starts_with("x-request-id: ")).collect();
    assert_eq!(ids.len(), 2, "in the answer and at the gateway: {answer}");
    assert_eq!(ids[0], ids[1]);
    assert_eq!(stack.counted("forwarded"), 1);
}

#[tokio::test]
async fn a_callers_own_id_comes_back() {
    let stack = Stack::start(Config::default()).await;
    let answer = stack.ask(&get("/", "x-request-id: build-7\r\n")).await;
    assert_eq!(answer.matches("x-request-id: build-7").count(), 2, "{answer}");
    let answer = stack.ask(&get("/", "x-request-id: <script>\r\n")).await;
    assert!(!answer.contains("script"), "{answer}");
    // Refused requests have one, too.
    let refused = stack.ask("GET / HTTP/1.1\r\nx-request-id: r-1\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    assert_eq!(value(&refused, "x-request-id"), Some("r-1"));
}

#[tokio::test]
async fn what_only_shieldx_says_is_not_believed_from_outside() {
    let stack = Stack::start(Config::default()).await;
    for lines in [
        "x-shieldx-edge: guess\r\nx-forwarded-for: 192.0.2.1\r\n",
        "x-shieldx-tenant: acme\r\nX-ShieldX-Role: admin\r\n",
        "connection: x-shieldx-edge, x-forwarded-for\r\n",
    ] {
        let answer = stack.ask(&get("/", lines)).await;
        assert!(answer.contains("\norigin 127.0.0.1 Plain\n"), "{lines}: {answer}");
        assert!(!answer.contains("shieldx-"), "{lines}: {answer}");
    }
    // Who goes round the ingress is taken for what its connection is.
    let mut stream = TcpStream::connect(stack.gateway).await.unwrap();
    let request = get("/", "x-shieldx-edge: guess\r\nx-forwarded-for: 192.0.2.1\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("\norigin 127.0.0.1 Plain\n"), "{answer}");
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn a_trace_goes_on_where_it_is_well_formed_and_believed() {
    let stack = Stack::start(Config::default()).await;
    let lines = format!("traceparent: {PARENT}\r\ntracestate: a=1\r\n");
    let answer = stack.ask(&get("/", &lines)).await;
    assert!(value(&answer, "traceparent").unwrap().contains("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(value(&answer, "tracestate"), Some("a=1"));
    for lines in [
        format!("traceparent: {PARENT}\r\ntraceparent: {PARENT}\r\ntracestate: a=1\r\n"),
        format!("traceparent: {}\r\ntracestate: a=1\r\n", PARENT.to_uppercase()),
        "tracestate: a=1\r\n".to_owned(),
    ] {
        let answer = stack.ask(&get("/", &lines)).await;
        assert!(!answer.contains("0af7") && !answer.contains("tracestate"), "{answer}");
    }
    let config = Config { accept_traceparent: Traceparents::Never, ..Config::default() };
    let stack = Stack::start(config).await;
    let answer = stack.ask(&get("/", &lines)).await;
    assert!(!answer.contains("0af7") && !answer.contains("tracestate"), "{answer}");
    let text = stack.metrics.text();
    assert!(
        text.contains("shieldx_ingress_traceparents_total{admission=\"refused\"} 1\n"),
        "{text}"
    );
}

const SERVICES: Services = &[Service { name: "ingress", crates: &["ingress"] }];

#[tokio::test]
async fn one_trace_runs_from_the_caller_through_the_ingress_to_the_gateway() {
    let log = LogSettings { filter: "off".to_owned(), json: true, color: false };
    let (telemetry, subscriber) =
        telemetry::subscriber(Settings::default(), log, SERVICES, std::io::sink).unwrap();
    let _guard = tracing::subscriber::set_default(subscriber);
    let stack = Stack::start(Config::default()).await;
    let answer = stack.ask(&get("/a", &format!("traceparent: {PARENT}\r\n"))).await;
    let trace = telemetry.traces().get("0af7651916cd43dd8448eb211c80319c").unwrap();
    let named = |name: &str| {
        let found = trace.spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no {name:?} in {:?}", trace.spans))
    };
    let (server, admit, forward) = (named("GET /{*path}"), named("admit"), named("forward"));
    assert_eq!(server.parent_id.as_deref(), Some("b7ad6b7169203331"));
    assert_eq!(admit.parent_id.as_ref(), Some(&server.span_id));
    assert_eq!(forward.parent_id.as_ref(), Some(&server.span_id));
    assert_eq!(server.service, "ingress");
    // The gateway is told the span it hangs under.
    let told = format!("00-{}-{}-01", trace.trace_id, forward.span_id);
    assert_eq!(value(&answer, "traceparent"), Some(&*told));
    // A refusal names its trace.
    let refused = stack.ask("GET / HTTP/1.1\r\n\r\n").await;
    let (_, id) = refused.split_once("\"trace_id\":\"").unwrap();
    assert!(telemetry.traces().get(&id[..32]).is_some(), "{refused}");
}

#[tokio::test]
async fn malformed_requests_are_refused_by_name_and_counted() {
    let stack = Stack::start(Config::default()).await;
    for (request, status, outcome) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, "no_host"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(), 400, "many_hosts"),
        ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n".to_owned(), 400, "bad_host"),
        ("GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 400, "other_host"),
        (get("/a%00b", ""), 400, "control_character"),
        (get("*", ""), 400, "target"),
        (get("/", "transfer-encoding: gzip, chunked\r\n") + "0\r\n\r\n", 400, "framing"),
        (
            get("/", "connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 1\r\n") + "x",
            400,
            "upgrade",
        ),
        ("TRACE / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 405, "method"),
        (get("/", "expect: miracle\r\n"), 417, "expectation"),
    ] {
        let answer = stack.ask(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
        assert_eq!(stack.counted(outcome), 1, "{request}");
    }
    assert_eq!(stack.heard(), 0);
}

#[tokio::test]
async fn too_many_requests_of_an_address_are_told_when_to_come_again() {
    let rate_per_address = Rate { per_second: 1, burst: 2 };
    let stack = Stack::start(Config { rate_per_address, ..Config::default() }).await;
    for _ in 0..2 {
        assert!(stack.ask(&get("/", "")).await.starts_with("HTTP/1.1 200"));
    }
    let answer = stack.ask(&get("/", "")).await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    assert_eq!(value(&answer, "retry-after"), Some("1"), "{answer}");
    assert_eq!(value(&answer, "ratelimit"), Some("\"address\";r=0;t=1"), "{answer}");
    assert_eq!(value(&answer, "ratelimit-policy"), Some("\"address\";q=2;w=2"), "{answer}");
    assert!(answer.contains("urn:shieldx:problem:rate-limited"), "{answer}");
    // Saying to come from elsewhere is not coming from elsewhere.
    let answer = stack.ask(&get("/", "x-forwarded-for: 192.0.2.77\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    assert!(stack.ask_from([127, 0, 0, 2], &get("/", "")).await.starts_with("HTTP/1.1 200"));
    stack.clock.advance_us(1_000_000);
    assert!(stack.ask(&get("/", "")).await.starts_with("HTTP/1.1 200"));
    assert_eq!(stack.counted("limited_address"), 2);
    assert_eq!(stack.heard(), 4);
}

#[tokio::test]
async fn a_key_is_limited_from_wherever_it_is_used() {
    let rate_per_key = Rate { per_second: 1, burst: 1 };
    let stack = Stack::start(Config { rate_per_key, ..Config::default() }).await;
    let with_key = get("/", "x-api-key: sx_1\r\n");
    assert!(stack.ask(&with_key).await.starts_with("HTTP/1.1 200"));
    let bearer = get("/", "authorization: Bearer sx_1\r\n");
    let answer = stack.ask_from([127, 0, 0, 5], &bearer).await;
    assert!(answer.starts_with("HTTP/1.1 429") && answer.contains("this API key"), "{answer}");
    assert!(stack.ask(&get("/", "x-api-key: sx_2\r\n")).await.starts_with("HTTP/1.1 200"));
    assert_eq!(stack.counted("limited_key"), 1);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_a_413() {
    let stack = Stack::start(Config { body_max_bytes: 10, ..Config::default() }).await;
    let post = |lines: &str, body: &str| get("/", lines).replacen("GET", "POST", 1) + body;
    let answer = stack.ask(&post("content-length: 10\r\n", "0123456789")).await;
    assert!(answer.ends_with("body 10\n"), "{answer}");
    let answer = stack.ask(&post("content-length: 11\r\n", "0123456789a")).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let chunks = "b\r\n0123456789a\r\n0\r\n\r\n";
    let answer = stack.ask(&post("transfer-encoding: chunked\r\n", chunks)).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(stack.counted("body"), 2);
}

#[tokio::test]
async fn a_gateway_that_is_gone_is_a_503_and_not_ready() {
    let address = {
        let listener = tokio::net::TcpListener::bind(crate::harness::loopback()).await.unwrap();
        listener.local_addr().unwrap()
    };
    let gateway = || format!("http://{address}").parse::<forward::Upstream>().unwrap();
    let tasks = Tasks::new(Shutdown::new());
    let client = Client::new(forward::Config::default(), tasks);
    let metrics = Metrics::new("ingress");
    let (clock, secret) = (Arc::new(System), crate::harness::SECRET);
    let ingress = Ingress::new(
        Config::default(),
        gateway(),
        client.clone(),
        clock.clone(),
        &metrics,
        Sli::default(),
        secret,
    );
    let request = http::Request::get("/").header("host", "a").body(axum::body::Body::empty());
    let answer = tower::ServiceExt::oneshot(ingress.unwrap(), request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert!(metrics.text().contains("shieldx_ingress_requests_total{outcome=\"failed\"} 1\n"));
    let reason = Reachable::new("gateway", gateway()).check().await.unwrap_err();
    assert!(reason.contains(&address.to_string()), "{reason}");
    let _listener = tokio::net::TcpListener::bind(address).await.unwrap();
    Reachable::new("gateway", gateway()).check().await.unwrap();
    let error = Ingress::new(
        Config::default(),
        gateway(),
        client,
        clock,
        &metrics,
        Sli::default(),
        "short",
    )
    .unwrap_err();
    assert!(error.to_string().contains("prove itself"), "{error}");
}

#[tokio::test]
async fn requests_in_flight_are_answered_when_the_process_ends() {
    let stack = Stack::start(Config::default()).await;
    let mut stream = stack.connect_from([127, 0, 0, 1]).await;
    let half = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nha";
    stream.write_all(half.as_bytes()).await.unwrap();
    while stack.heard() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stack.tasks.shutdown().begin();
    stream.write_all(b"lf").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("body 4\n"), "{answer}");
    assert!(stack.tasks.shutdown().drained(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_websocket_passes_the_front_door() {
    let listener = tokio::net::TcpListener::bind(crate::harness::loopback()).await.unwrap();
    let stack = Stack::before(listener.local_addr().unwrap(), Config::default()).await;
    let mut browser = stack.connect_from([127, 0, 0, 1]).await;
    let ask = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    browser.write_all(ask.as_bytes()).await.unwrap();
    let (mut gateway, _) = listener.accept().await.unwrap();
    let asked = until(&mut gateway, "\r\n\r\n").await;
    assert!(
        asked.contains("upgrade: websocket\r\n") && asked.contains("x-shieldx-edge: "),
        "{asked}"
    );
    let agree =
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    gateway.write_all(agree.as_bytes()).await.unwrap();
    let agreed = until(&mut browser, "\r\n\r\n").await;
    assert!(agreed.starts_with("HTTP/1.1 101") && agreed.contains("x-request-id: "), "{agreed}");
    browser.write_all(b"ping;").await.unwrap();
    until(&mut gateway, "ping;").await;
    gateway.write_all(b"pong;").await.unwrap();
    until(&mut browser, "pong;").await;
    assert_eq!(stack.counted("forwarded"), 1);
}

async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut heard = String::new();
    while !heard.contains(text) {
        let mut buffer = [0; 1024];
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length > 0, "no {text:?} in {heard:?}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    heard
}

#[test]
fn settings_have_defaults_and_no_unknown_keys() {
    let config: Config = serde_json::from_str("{}").unwrap();
    assert_eq!(config, Config::default());
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    assert!(
        serde_json::from_str::<Config>("{\"pubic\":1}").unwrap_err().to_string().contains("pubic")
    );
    let tls = "{\"tls\":{\"certificate\":\"c.pem\",\"key\":\"k.pem\"}}";
    let config: Config = serde_json::from_str(tls).unwrap();
    assert_eq!(config.tls.unwrap().address.port(), 8443);
}
