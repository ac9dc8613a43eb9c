//! What the span of a request says of it, by OpenTelemetry's semantic conventions for HTTP.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Version};
use runtime::http::server::Transport;
use runtime::http::{HttpMetrics, observe};
use runtime::metrics::Metrics;
use runtime::sli::Sli;
use runtime::telemetry::{self, Kind, Span};
use tower::ServiceExt as _;

use super::{SERVICES, log, settings};

/// The span of one request.
async fn span(request: Request<Body>) -> Span {
    let (telemetry, subscriber) =
        telemetry::subscriber(settings(&[]), log(true), SERVICES, std::io::sink).unwrap();
    let _guard = tracing::subscriber::set_default(subscriber);
    let http = HttpMetrics::new(&Metrics::new("gateway"), Sli::default());
    let fails = async || http::StatusCode::SERVICE_UNAVAILABLE;
    let router =
        Router::new().route("/things/{id}", get(async || "thing")).route("/fails", get(fails));
    let response = observe(router, http).oneshot(request).await.unwrap();
    drop(response);
    let found = telemetry.traces().recent(2, &telemetry::TraceFilter::default());
    let [found] = &found[..] else { panic!("{found:?}") };
    telemetry.traces().get(&found.trace_id).unwrap().spans.remove(0)
}

#[tokio::test]
async fn a_request_says_what_it_was_by_the_conventions() {
    let request = Request::get("/things/7?secret=1")
        .version(Version::HTTP_11)
        .header("host", "shop.example:8443")
        .header("user-agent", format!("curl/8 {}", "é".repeat(500)))
        .extension(Transport::Tls);
    let span = span(request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (&*span.name, &*span.service, span.kind),
        ("GET /things/{id}", "gateway", Kind::Server)
    );
    for (name, value) in [
        ("http.request.method", "GET".into()),
        ("http.route", "/things/{id}".into()),
        ("http.response.status_code", 200.into()),
        ("url.path", "/things/7".into()),
        ("url.scheme", "https".into()),
        ("network.protocol.version", "1.1".into()),
        ("server.address", "shop.example".into()),
        ("server.port", serde_json::Value::from(8443)),
    ] {
        assert_eq!(span.attributes[name], value, "{name}: {:?}", span.attributes);
    }
    assert!(!span.attributes.contains_key("error.type"));
    assert!(!format!("{span:?}").contains("secret"), "a query may hold anything");
    // A header that is no ASCII text is not told at all.
    assert!(!span.attributes.contains_key("user_agent.original"));
}

#[tokio::test]
async fn what_a_client_says_is_kept_within_a_bound_and_a_failure_is_one() {
    let request = Request::get("http://[::1]:80/fails")
        .version(Version::HTTP_2)
        .header("user-agent", "x".repeat(5_000));
    let span = span(request.body(Body::empty()).unwrap()).await;
    assert_eq!(span.attributes["user_agent.original"].as_str().map(str::len), Some(256));
    assert_eq!(span.attributes["network.protocol.version"], "2");
    assert_eq!(span.attributes["url.scheme"], "http");
    assert_eq!(
        (&span.attributes["server.address"], &span.attributes["server.port"]),
        (&"[::1]".into(), &80.into())
    );
    assert!(span.error);
    assert_eq!(span.attributes["error.type"], "503");
}
