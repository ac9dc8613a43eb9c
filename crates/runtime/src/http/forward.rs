//! Forwards a request to an upstream and its response back, streaming both ways.
//!
//! The target that came is the target that goes, byte for byte: whoever decided on it decided on
//! what the upstream sees. It knows no routes and no policy; whom a request may reach was settled
//! before.

mod body;
mod connector;
mod error;
mod headers;
mod timings;
mod tunnel;
mod upstream;

use std::time::Duration;

use axum::body::Body;
use http::request::Parts;
use http::{
    Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

pub use error::ForwardError;
pub use upstream::{BadUpstream, IN_FLIGHT_MAX, Upstream};

use body::{Broken, Moved, Receiving, Sending};
use connector::{Connector, Used};
use timings::Timings;
use tunnel::Tunnel;

use super::admission;
use super::edge::Origin;
use crate::metrics::Metrics;
use crate::tasks::Tasks;

/// How connections to upstreams are made and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Milliseconds to connect; then 504.
    pub connect_timeout_ms: u64,
    /// Milliseconds from when the upstream last took something of the request to the header of its
    /// response; then 504.
    pub response_timeout_ms: u64,
    /// Milliseconds a response's body may pause; 0 for ever.
    pub body_idle_timeout_ms: u64,
    /// Milliseconds nothing may pass through a WebSocket; 0 for ever.
    pub tunnel_idle_timeout_ms: u64,
    /// Milliseconds an unused connection is kept. Less than the upstreams keep theirs.
    pub idle_timeout_ms: u64,
    /// Unused connections kept for each upstream.
    pub idle_per_upstream_max: usize,
    /// Header fields of a response; more are answered with 502.
    pub response_headers_max_count: usize,
    /// Bytes of a response's header; more are answered with 502. At least 8192.
    pub response_headers_max_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 5_000,
            response_timeout_ms: 60_000,
            body_idle_timeout_ms: 300_000,
            tunnel_idle_timeout_ms: 3_600_000,
            idle_timeout_ms: 60_000,
            idle_per_upstream_max: 256,
            response_headers_max_count: 128,
            response_headers_max_bytes: 128 * 1024,
        }
    }
}

/// Connections to upstreams, one pool per process. Cloning gives another handle to the same.
#[derive(Debug, Clone)]
pub struct Client {
    pool: legacy::Client<Connector, Body>,
    config: Config,
    tasks: Tasks,
    timings: Option<Timings>,
}

impl Client {
    #[must_use]
    pub fn new(config: Config, tasks: Tasks) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_millis(config.connect_timeout_ms)));
        // Connections that are kept for later are no work that shutdown waits for, so they are not
        // tasks of the process; they end with this client.
        let pool = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_millis(config.idle_timeout_ms))
            .pool_max_idle_per_host(config.idle_per_upstream_max)
            .http1_max_headers(config.response_headers_max_count)
            .http1_max_buf_size(config.response_headers_max_bytes.max(8 * 1024))
            .set_host(false)
            .build(Connector(connector));
        Self { pool, config, tasks, timings: None }
    }

    /// The same, with what upstreams take in a service's metrics. Once per service.
    #[must_use]
    pub fn measured(self, metrics: &Metrics) -> Self {
        Self { timings: Some(Timings::new(metrics)), ..self }
    }

    /// Forwards a request and gives the upstream's response. The host stays the client's; where the
    /// request came from ([`Origin`]) is announced in `X-Forwarded-*`, whatever stood there before.
    /// A WebSocket that the upstream agrees to becomes a task of the process.
    ///
    /// # Errors
    /// When there is no response; [`ForwardError::problem`] tells the client.
    pub async fn forward(
        &self,
        mut request: Request<Body>,
        to: &Upstream,
    ) -> Result<Response<Body>, ForwardError> {
        let host =
            admission::admit(&request).map_err(|source| ForwardError::Malformed { source })?;
        let permit = to.enter().ok_or_else(|| ForwardError::Busy { upstream: to.to_string() })?;
        let origin = Origin::of(&request);
        let upgrade =
            admission::upgrades(request.headers()).then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        headers::strip_request(&mut parts.headers);
        headers::join_cookies(&mut parts.headers);
        origin.announce(&mut parts.headers);
        // hyper answered it when the body was asked for.
        parts.headers.remove(header::EXPECT);
        if let Ok(host) = HeaderValue::try_from(host.as_str()) {
            parts.headers.insert(header::HOST, host);
        }
        if upgrade.is_some() {
            headers::switch_to_websocket(&mut parts.headers);
        }
        parts.extensions = Extensions::new();
        parts.version = Version::HTTP_11;
        let target = parts.uri.into_parts().path_and_query;
        parts.uri = to
            .url(target)
            .map_err(|_| ForwardError::Malformed { source: admission::Malformed::Target })?;
        let (method, since) = (parts.method.clone(), Instant::now());
        let sent = self.send(parts, body, to).await;
        if let Some(timings) = &self.timings {
            let ended = sent.as_ref().map(Response::status);
            timings.observe(&method, to, ended, since.elapsed());
        }
        self.returned(sent?, upgrade, permit, to)
    }

    /// Sends a request, and once more if the connection it was sent on had been closed by the
    /// upstream meanwhile and doing it twice is the same as doing it once (RFC 9110 §9.2.2).
    async fn send(
        &self,
        parts: Parts,
        body: Body,
        to: &Upstream,
    ) -> Result<Response<Incoming>, ForwardError> {
        let repeatable = idempotent(&parts.method) && http_body::Body::is_end_stream(&body);
        let again = repeatable.then(|| parts.clone());
        let broken = Broken::default();
        let error = match self.attempt(parts, body, to, &broken).await? {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let error = match again {
            Some(parts) if !error.is_connect() && Used::before(error.connect_info()) => {
                tracing::debug!("sent again: a kept connection had been closed");
                match self.attempt(parts, Body::empty(), to, &broken).await? {
                    Ok(response) => return Ok(response),
                    Err(error) => error,
                }
            }
            _ => error,
        };
        let broken = broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        Err(ForwardError::of(to.to_string(), error, broken))
    }

    async fn attempt(
        &self,
        parts: Parts,
        body: Body,
        to: &Upstream,
        broken: &Broken,
    ) -> Result<Result<Response<Incoming>, legacy::Error>, ForwardError> {
        let moved = Moved::now();
        let body = if http_body::Body::is_end_stream(&body) {
            body
        } else {
            Body::new(Sending { inner: body, moved: moved.clone(), broken: broken.clone() })
        };
        let sending = self.pool.request(Request::from_parts(parts, body));
        let patience = Duration::from_millis(self.config.response_timeout_ms);
        tokio::select! {
            biased;
            sent = sending => {
                if let Ok(response) = &sent {
                    Used::mark(response.extensions());
                }
                Ok(sent)
            }
            () = moved.stopped(patience) => {
                Err(ForwardError::ResponseTimeout { upstream: to.to_string() })
            }
        }
    }

    fn returned(
        &self,
        mut response: Response<Incoming>,
        upgrade: Option<OnUpgrade>,
        permit: OwnedSemaphorePermit,
        to: &Upstream,
    ) -> Result<Response<Body>, ForwardError> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client) = upgrade.filter(|_| to_websocket(response.headers())) else {
                return Err(ForwardError::Switched { upstream: to.to_string() });
            };
            let upstream = hyper::upgrade::on(&mut response);
            let patience = Duration::from_millis(self.config.tunnel_idle_timeout_ms);
            let tunnel = Tunnel { client, upstream, patience, permit };
            self.tasks.spawn("tunnel", tunnel.run(self.tasks.shutdown().clone()));
            let (mut parts, _) = response.into_parts();
            headers::strip(&mut parts.headers);
            headers::switch_to_websocket(&mut parts.headers);
            parts.extensions = Extensions::new();
            return Ok(Response::from_parts(parts, Body::empty()));
        }
        let (mut parts, body) = response.into_parts();
        headers::strip(&mut parts.headers);
        parts.extensions = Extensions::new();
        // The next hop's version is its own.
        parts.version = Version::HTTP_11;
        let patience = Duration::from_millis(self.config.body_idle_timeout_ms);
        Ok(Response::from_parts(parts, Receiving::body(body, patience, permit)))
    }
}

fn to_websocket(headers: &HeaderMap) -> bool {
    admission::sole(headers, &header::UPGRADE).is_ok_and(|value| {
        value.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
    })
}

/// RFC 9110 §9.2.2.
fn idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE].contains(method)
}
