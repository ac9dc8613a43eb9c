//! What is measured, and what every router answers besides its routes.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use runtime::http::forward::{Config, Upstream};
use runtime::http::observe::{Route, observed};
use runtime::http::server::Limits;
use runtime::http::{Auth, Facts, HttpMetrics, Json, fallbacks, limit_body, observe};
use runtime::metrics::Metrics;
use runtime::sli::{Objective, Plan, Rule, Sli, View};
use runtime::telemetry;
use tower::ServiceExt as _;
use types::ports::{AuthError, Authenticator};
use types::{Caller, Role};

use super::support::{self, Recorder, Reply, Server, Traced};

fn router(metrics: &Metrics) -> Router {
    let router = Router::new()
        .route("/things/{id}", get(async || "thing"))
        .route("/bytes", post(async |body: Bytes| body.len().to_string()))
        .route("/json", post(async |Json(value): Json<serde_json::Value>| Json(value)))
        .route("/panic", get(async || if true { panic!("the handler's own words") } else { "" }))
        .route("/fails", get(async || StatusCode::SERVICE_UNAVAILABLE));
    observe(fallbacks(limit_body(router, 10)), HttpMetrics::new(metrics, Sli::default()))
}

async fn ask(router: &Router, request: Request<Body>) -> (http::response::Parts, String) {
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts, String::from_utf8(body.to_vec()).unwrap())
}

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder().method(method).uri(path).body(body.into()).unwrap()
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_what_a_caller_says() {
    let metrics = Metrics::new("test");
    let router = router(&metrics);
    for n in 0..50 {
        ask(&router, request("GET", &format!("/things/{n}"), Body::empty())).await;
        ask(&router, request("GET", &format!("/nowhere/{n}"), Body::empty())).await;
        ask(&router, request(&format!("VERB{n}"), "/things/1", Body::empty())).await;
    }
    ask(&router, request("GET", "/fails", Body::empty())).await;
    let text = metrics.text();
    let count = |labels: &str| {
        let line = format!("http_server_request_duration_seconds_count{{{labels}}} ");
        text.lines().find_map(|each| each.strip_prefix(&line)).map(str::to_owned)
    };
    let labels = |method: &str, route: &str, status: &str| {
        format!(
            "http_request_method=\"{method}\",http_route=\"{route}\",\
             http_response_status_code=\"{status}\",url_scheme=\"http\",error_type=\"{}\"",
            if status.starts_with('5') { status } else { "" }
        )
    };
    assert_eq!(count(&labels("GET", "/things/{id}", "200")).as_deref(), Some("50"), "{text}");
    assert_eq!(count(&labels("GET", "_unmatched", "404")).as_deref(), Some("50"), "{text}");
    assert_eq!(count(&labels("_OTHER", "/things/{id}", "405")).as_deref(), Some("50"), "{text}");
    assert_eq!(count(&labels("GET", "/fails", "503")).as_deref(), Some("1"), "{text}");
    assert!(
        text.contains(
            "\nhttp_server_active_requests{http_request_method=\"GET\",url_scheme=\"http\"} 0\n"
        ),
        "{text}"
    );
    assert_eq!(text.matches("duration_seconds_count{").count(), 4, "{text}");
}

#[tokio::test]
async fn a_request_is_active_until_its_response_has_ended() {
    let metrics = Metrics::new("test");
    let http = HttpMetrics::new(&metrics, Sli::default());
    let active = || {
        metrics.text().contains(
            "\nhttp_server_active_requests{http_request_method=\"GET\",url_scheme=\"http\"} 1\n",
        )
    };
    let get = request("GET", "/", Body::empty());
    let handle = async |_| http::Response::new(Body::from("something"));
    let response = observed(&http, Some("/"), get, handle).await;
    assert!(active());
    drop(response);
    assert!(!active());
}

#[tokio::test]
async fn a_service_that_routes_itself_says_its_route_afterwards() {
    let metrics = Metrics::new("test");
    let http = HttpMetrics::new(&metrics, Sli::default());
    let handle = async |_| {
        let mut response = http::Response::new(Body::empty());
        response.extensions_mut().insert(Route("/shop/*".into()));
        *response.status_mut() = StatusCode::from_u16(799).unwrap();
        response
    };
    observed(&http, None, request("GET", "/shop/1", Body::empty()), handle).await;
    let text = metrics.text();
    assert!(text.contains("http_route=\"/shop/*\",http_response_status_code=\"_OTHER\""), "{text}");
}

#[tokio::test]
async fn unknown_routes_other_methods_and_panics_are_problems() {
    let router = router(&Metrics::new("test"));
    for (method, path, status, kind) in [
        ("GET", "/nowhere", 404, "not-found"),
        ("PUT", "/things/1", 405, "method-not-allowed"),
        ("GET", "/panic", 500, "internal"),
    ] {
        let (parts, body) = ask(&router, request(method, path, Body::empty())).await;
        assert_eq!(parts.status, status, "{body}");
        assert_eq!(parts.headers["content-type"], "application/problem+json");
        assert!(body.contains(&format!("urn:shieldx:problem:{kind}")), "{body}");
        assert!(!body.contains("the handler's own words"), "{body}");
        if status == 405 {
            assert_eq!(parts.headers["allow"], "GET,HEAD");
        }
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_a_413_whether_its_length_is_said_or_not() {
    let server = Server::serve(router(&Metrics::new("test")), Limits::default()).await;
    let check = async |path: &str, lines: &str, body: &str, expect: &str| {
        let request =
            format!("POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}\r\n{body}");
        let answer = server.connect().await.ask(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expect}")), "{path} {lines}: {answer}");
        if expect == "413" {
            assert!(answer.contains("urn:shieldx:problem:too-large"), "{answer}");
        }
    };
    check("/bytes", "content-length: 10\r\n", "0123456789", "200").await;
    check("/bytes", "content-length: 11\r\n", "01234567890", "413").await;
    // It is not even asked for.
    check("/bytes", "content-length: 99999999999\r\nexpect: 100-continue\r\n", "", "413").await;
    let chunked = "transfer-encoding: chunked\r\n";
    check("/bytes", chunked, "a\r\n0123456789\r\n0\r\n\r\n", "200").await;
    check("/bytes", chunked, "b\r\n01234567890\r\n0\r\n\r\n", "413").await;
    let json = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
    check("/json", json, "d\r\n[1,2,3,4,5,6]\r\n0\r\n\r\n", "413").await;
    check("/json", json, "7\r\n[1,2,3]\r\n0\r\n\r\n", "200").await;
}

/// An availability objective of the service `test`, by tenant.
fn sli(metrics: &Metrics) -> Sli {
    counting(metrics, Rule::Availability)
}

fn counting(metrics: &Metrics, rule: Rule) -> Sli {
    let up = Objective {
        slo: "up".to_owned(),
        service: "test".to_owned(),
        rule,
        only: Vec::new(),
        except: Vec::new(),
        by_tenant: true,
        by_route_group: false,
    };
    Sli::new(Arc::new(Plan { objectives: vec![up], ..Plan::default() }), metrics)
}

/// Good, bad and excluded events of a tenant.
fn events(sli: &Sli, tenant: &str) -> [u64; 3] {
    let totals = sli.totals();
    let total = totals.iter().find(|total| total.view == View::Tenant(tenant.to_owned()));
    total.map_or([0; 3], |total| [total.good, total.bad, total.excluded])
}

/// Everybody is `acme`.
#[derive(Debug)]
struct Acme;

#[async_trait::async_trait]
impl Authenticator for Acme {
    async fn authenticate(&self, _: &str) -> Result<Caller, AuthError> {
        let (tenant, role) = ("acme".parse().unwrap(), Role::Reader);
        Ok(Caller { tenant, role, key_id: "k".to_owned() })
    }
}

#[tokio::test]
async fn requests_are_counted_for_the_objectives_of_their_tenant() {
    let metrics = Metrics::new("test");
    let sli = sli(&metrics);
    let keys: Arc<dyn Authenticator> = Arc::new(Acme);
    let router = Router::new()
        .route("/mine", get(async |_: Auth| "mine"))
        .route("/fails", get(async |_: Auth| StatusCode::SERVICE_UNAVAILABLE))
        .route("/panic", get(async || if true { panic!("on purpose") } else { "" }))
        .layer(Extension(keys));
    let router = observe(fallbacks(router), HttpMetrics::new(&metrics, sli.clone()));
    let keyed = |path: &str| {
        let request = Request::get(path).header("x-api-key", "sx_any");
        request.body(Body::empty()).unwrap()
    };
    ask(&router, keyed("/mine")).await;
    ask(&router, keyed("/fails")).await;
    assert_eq!(events(&sli, "acme"), [1, 1, 0]);
    ask(&router, request("GET", "/mine", Body::empty())).await;
    ask(&router, keyed("/nowhere")).await;
    ask(&router, request("GET", "/panic", Body::empty())).await;
    assert_eq!(events(&sli, "__none__"), [2, 1, 0], "401, 404, and a panic");
}

#[tokio::test]
async fn what_a_client_takes_to_send_its_body_is_no_latency_of_ours() {
    let metrics = Metrics::new("test");
    // Ours is next to nothing: only a machine that stands still for a second fails this.
    let threshold = Duration::from_secs(1);
    let sli = counting(&metrics, Rule::Latency { threshold, le: true });
    let http = HttpMetrics::new(&metrics, sli.clone());
    let drip = || {
        let pieces = futures_util::stream::unfold(0, async |piece| {
            tokio::time::sleep(Duration::from_millis(300)).await;
            (piece < 4).then_some((Ok::<_, std::io::Error>("piece"), piece + 1))
        });
        request("POST", "/", Body::from_stream(pieces))
    };
    let answer = |work: Duration| {
        async move |request: Request<Body>| {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            tokio::time::sleep(work).await;
            http::Response::new(Body::from(body))
        }
    };
    observed(&http, Some("/"), drip(), answer(Duration::ZERO)).await;
    assert_eq!(events(&sli, "__none__"), [1, 0, 0], "the time was the client's");
    observed(&http, Some("/"), drip(), answer(threshold * 2)).await;
    assert_eq!(events(&sli, "__none__"), [1, 1, 0], "what came after it was ours");
    let text = metrics.text();
    let sum =
        text.lines().find(|line| line.starts_with("http_server_request_duration_seconds_sum"));
    let sum: f64 = sum.and_then(|line| line.rsplit(' ').next()).unwrap().parse().unwrap();
    assert!(sum > 5.0, "the histogram has all of it: {sum}");
}

#[tokio::test]
async fn a_request_whose_client_leaves_is_excluded_once() {
    let metrics = Metrics::new("test");
    let sli = sli(&metrics);
    let http = HttpMetrics::new(&metrics, sli.clone());
    let tenant = "acme".parse().unwrap();
    let handle = |request: Request<Body>| {
        Facts::tell_tenant(request.extensions(), &tenant);
        std::future::pending::<http::Response<Body>>()
    };
    let get = request("GET", "/", Body::empty());
    let mut left = Box::pin(observed(&http, Some("/"), get, handle));
    let waker = std::task::Waker::noop();
    assert!(left.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    assert_eq!(events(&sli, "acme"), [0, 0, 0]);
    drop(left);
    assert_eq!(events(&sli, "acme"), [0, 0, 1]);
    assert_eq!(events(&sli, "__none__"), [0, 0, 0]);
}

#[tokio::test]
async fn bodies_are_counted_as_they_stream() {
    let metrics = Metrics::new("test");
    let router = router(&metrics);
    ask(&router, request("POST", "/bytes", "12345")).await;
    // The handler takes nothing of it, and nothing of the answer is taken.
    drop(router.clone().oneshot(request("GET", "/things/1", "12345")).await.unwrap());
    let text = metrics.text();
    let sum = |which: &str, route: &str| {
        let start = format!("http_server_{which}_body_size_bytes_sum{{");
        let mut lines = text.lines().filter(|line| line.starts_with(&start));
        let line = lines.find(|line| line.contains(&format!("http_route=\"{route}\"")));
        line.and_then(|line| line.rsplit(' ').next()).unwrap().parse::<f64>().unwrap()
    };
    assert_eq!((sum("request", "/bytes"), sum("response", "/bytes")), (5.0, 1.0));
    assert_eq!((sum("request", "/things/{id}"), sum("response", "/things/{id}")), (0.0, 0.0));
}

#[tokio::test]
async fn a_span_says_its_route_group_its_tenant_and_whether_it_was_bad() {
    let traced = Traced::here();
    let metrics = Metrics::new("test");
    let http = HttpMetrics::new(&metrics, sli(&metrics));
    for (status, bad) in [(200, false), (500, true)] {
        let mut id = None;
        let handle = async |request: Request<Body>| {
            Facts::tell_tenant(request.extensions(), &"acme".parse().unwrap());
            id = telemetry::current_trace_id();
            let mut response = http::Response::new(Body::empty());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        };
        let get = request("GET", "/", Body::empty());
        drop(observed(&http, Some("/"), get, handle).await);
        let kept = format!("{:?}", traced.telemetry.traces().get(&id.unwrap()).unwrap());
        for name in ["shieldx.slo.route_group", "shieldx.tenant"] {
            assert!(kept.contains(name), "{name}: {kept}");
        }
        assert_eq!(kept.contains("shieldx.slo.bad"), bad, "{kept}");
    }
}

#[tokio::test]
async fn upstreams_are_timed_under_their_configured_name() {
    let metrics = Metrics::new("test");
    let up = Recorder::start(Reply::Always(support::OK)).await;
    let client = support::client(Config::default()).measured(&metrics);
    let to = up.upstream();
    let send = |to: Upstream| {
        let client = client.clone();
        async move {
            let get = Request::get("/").header("host", "chosen.by.caller").body(Body::empty());
            client.forward(get.unwrap(), &to).await.map(drop)
        }
    };
    send(to.clone()).await.unwrap();
    up.stop();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    send(support::upstream(gone)).await.unwrap_err();
    let text = metrics.text();
    for labels in [
        format!("server_port=\"{}\",http_response_status_code=\"200\",error_type=\"\"", to.port()),
        format!(
            "server_port=\"{}\",http_response_status_code=\"\",error_type=\"connect\"",
            gone.port()
        ),
    ] {
        let line = format!(
            "http_client_request_duration_seconds_count{{http_request_method=\"GET\",\
             server_address=\"127.0.0.1\",{labels}}} 1\n"
        );
        assert!(text.contains(&line), "{line}{text}");
    }
    assert!(!text.contains("chosen"), "{text}");
}
