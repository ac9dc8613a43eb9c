//! What is seen of every request: one server span that continues the caller's trace, one duration,
//! one count of requests being worked on, and what it is for the objectives. Names are OpenTelemetry's
//! semantic conventions for HTTP.
//!
//! Labels come from closed sets: known methods, known status codes, route templates.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::middleware::{Next, from_fn};
use http::uri::Authority;
use http::{HeaderName, Method, Request, Response, StatusCode, Version, header};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use crate::sli::{self, Note};
use crate::telemetry::{self, TENANT};

use super::Facts;
use super::server::Transport;

mod body;
mod figures;

pub use figures::HttpMetrics;
pub(super) use figures::code;

use body::{Active, Observed, Taken};
use figures::Sizes;

/// The spans that are made here, by name: the server's, whose `otel.name` is the request's method and
/// route.
pub const SPANS: &[&str] = &["request"];
/// W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";
/// The label of a request that no route matched.
const UNMATCHED: &str = "_unmatched";
/// Bytes of a path that are kept in a span.
const SPAN_PATH_BYTES_MAX: usize = 512;
/// Bytes of a header that are kept in a span.
const SPAN_HEADER_BYTES_MAX: usize = 256;

/// The route of a request that is routed by the service itself and not by axum: put it into the
/// response's extensions. Only from a closed set: a configured prefix, a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route(pub Arc<str>);

/// Observes every request of a router, also those no route matches. Add it last, outside of
/// [`super::routes::fallbacks`].
pub fn observe(router: Router, http: HttpMetrics) -> Router {
    router.layer(from_fn(move |request: Request<Body>, next: Next| {
        let http = http.clone();
        async move {
            let matched = request.extensions().get::<MatchedPath>().cloned();
            let route = matched.as_ref().map(MatchedPath::as_str);
            observed(&http, route, request, |request| next.run(request)).await
        }
    }))
}

/// Observes one request of a service without axum's routes. Where the route is known only
/// afterwards, `route` is `None` and the response carries a [`Route`].
pub async fn observed<F>(
    http: &HttpMetrics,
    route: Option<&str>,
    mut request: Request<Body>,
    handle: impl FnOnce(Request<Body>) -> F,
) -> Response<Body>
where
    F: Future<Output = Response<Body>>,
{
    let facts = Facts::default();
    request.extensions_mut().insert(facts.clone());
    let method = known_method(request.method());
    let scheme = figures::scheme(request.extensions().get());
    let active = Active::enter(http.active(method, scheme));
    let taken = Taken::default();
    request = request.map(|body| taken.count(body));
    let span = span(http.service, method, route, &request);
    if let Some(traceparent) = request.headers().get(TRACEPARENT).and_then(|v| v.to_str().ok()) {
        telemetry::continue_trace(&span, traceparent);
    }
    let since = Instant::now();
    let mut handled = Handled { http, span, facts, method, scheme, route, since, answered: false };
    let response = handle(request).instrument(handled.span.clone()).await;
    let (response, sizes) = handled.answered(response, &taken);
    response.map(|inner| Observed::body(inner, taken, sizes, active))
}

/// A request that is being handled. Dropped before it is answered, its client left.
struct Handled<'a> {
    http: &'a HttpMetrics,
    span: Span,
    facts: Facts,
    method: &'static str,
    scheme: &'static str,
    route: Option<&'a str>,
    since: Instant,
    answered: bool,
}

impl Handled<'_> {
    fn answered(&mut self, mut response: Response<Body>, taken: &Taken) -> (Response<Body>, Sizes) {
        self.answered = true;
        let took = self.since.elapsed();
        let note = response.extensions_mut().remove::<Note>().unwrap_or_default();
        let later = response.extensions_mut().remove::<Route>();
        let Self { http, span, method, .. } = self;
        if let Some(Route(route)) = &later {
            span.record("http.route", &**route);
            span.record("otel.name", format!("{method} {route}"));
        }
        let route = later.as_ref().map(|Route(route)| &**route).or(self.route);
        let route = route.unwrap_or(UNMATCHED);
        let status = response.status();
        span.record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", status.as_str());
        }
        let sizes = span.in_scope(|| http.observe(method, route, status, self.scheme, took));
        // Whoever sends slowly makes nothing slow but itself.
        self.count(route, Some(status), took.saturating_sub(taken.waited()), note);
        (response, sizes)
    }

    /// Counts it for the objectives, and says so on the span.
    fn count(&self, route: &str, status: Option<StatusCode>, duration: Duration, note: Note) {
        let Self { http, span, facts, method, .. } = self;
        let tenant = facts.tenant();
        if let Some(tenant) = tenant {
            span.record(TENANT, tenant);
        }
        span.record("shieldx.slo.route_group", &*http.sli.group(method, route));
        let request = sli::Request { method, route, status, duration, tenant, note };
        if span.in_scope(|| http.sli.request(request)) {
            span.record("shieldx.slo.bad", true);
        }
    }
}

impl Drop for Handled<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let route = self.facts.route().or(self.route).unwrap_or(UNMATCHED);
        self.count(route, None, self.since.elapsed(), Note::default());
    }
}

fn span(service: &'static str, method: &str, route: Option<&str>, request: &Request<Body>) -> Span {
    let path = request.uri().path();
    let path = path.get(..path.floor_char_boundary(SPAN_PATH_BYTES_MAX)).unwrap_or(path);
    let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
    let tls = request.extensions().get::<Transport>() == Some(&Transport::Tls);
    let host = request.uri().authority().map(Authority::as_str);
    let host = host.or_else(|| text(request, header::HOST)).map(address);
    let user_agent = text(request, header::USER_AGENT);
    // It has no parent here: what accepted the connection is no part of the request's trace. Its
    // service is named, since this file serves all of them.
    tracing::info_span!(
        parent: None,
        "request",
        service.name = service,
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        url.path = path,
        url.scheme = if tls { "https" } else { "http" },
        network.protocol.version = version(request),
        server.address = host.map(|(name, _)| name),
        server.port = host.and_then(|(_, port)| port),
        user_agent.original = user_agent,
        error.type = Empty,
        shieldx.slo.route_group = Empty,
        shieldx.slo.bad = Empty,
        shieldx.tenant = Empty,
    )
}

/// A header as text, as much of it as is kept in a span.
fn text(request: &Request<Body>, name: HeaderName) -> Option<&str> {
    let text = request.headers().get(name)?.to_str().ok()?;
    text.get(..text.floor_char_boundary(SPAN_HEADER_BYTES_MAX))
}

/// Name and port of `example.org:8443`.
fn address(host: &str) -> (&str, Option<u16>) {
    let port = host.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
    port.map_or((host, None), |(name, port)| (name, Some(port)))
}

/// As OpenTelemetry writes the version of a protocol.
fn version(request: &Request<Body>) -> &'static str {
    match request.version() {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

/// OpenTelemetry's names for methods: an unknown one is `_OTHER`.
pub(super) fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "CONNECT" => "CONNECT",
        "DELETE" => "DELETE",
        "GET" => "GET",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        "POST" => "POST",
        "PUT" => "PUT",
        "QUERY" => "QUERY",
        "TRACE" => "TRACE",
        _ => "_OTHER",
    }
}
