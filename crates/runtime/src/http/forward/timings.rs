//! How long upstreams take: OpenTelemetry's `http.client.request.duration`.
//!
//! `server_address` is the upstream's as it is configured; no request chooses it.

use std::time::Duration;

use http::{Method, StatusCode};

use super::{ForwardError, Upstream};
use crate::http::observe::{code, known_method};
use crate::metrics::{DURATION_BUCKETS_S, Described, Family, Metrics, TracedHistogram};

/// Label sets: upstreams, times what they answer.
const SERIES_MAX: usize = 1_000;

#[derive(Debug, Clone)]
pub(super) struct Timings(Family<5, TracedHistogram>);

impl Timings {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let what = Described {
            name: "http_client_request_duration_seconds",
            help: "Seconds from sending a request to an upstream to its response's header.",
            labels: [
                "http_request_method",
                "server_address",
                "server_port",
                "http_response_status_code",
                "error_type",
            ],
            series_max: SERIES_MAX,
        };
        Self(metrics.histograms(what, &DURATION_BUCKETS_S))
    }

    /// Within the request's span.
    pub(super) fn observe(
        &self,
        method: &Method,
        to: &Upstream,
        ended: Result<StatusCode, &ForwardError>,
        took: Duration,
    ) {
        let (status, error) = match ended {
            Ok(status) if status.is_server_error() => (code(status), code(status)),
            Ok(status) => (code(status), ""),
            Err(error) => ("", error.kind()),
        };
        let (address, port) = (to.authority().host(), to.port().to_string());
        self.0.observe([known_method(method), address, &port, status, error], took.as_secs_f64());
    }
}
