//! The HTTP metrics of a service, by OpenTelemetry's semantic conventions
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>) as Prometheus writes their names.
//!
//! Labels come from closed sets: known methods, known status codes, route templates; the number of
//! label sets has a bound all the same.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::metrics::gauge::Gauge;

use crate::http::server::Transport;
use crate::metrics::{DURATION_BUCKETS_S, Described, Family, Metrics, TracedHistogram};
use crate::sli::Sli;

/// Label sets of each metric.
const SERIES_MAX: usize = 1_000;
/// Upper bounds of bodies in bytes: the conventions name none.
pub(in crate::http) const SIZE_BUCKETS_BYTES: [f64; 9] = [
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    8_388_608.0,
    67_108_864.0,
];
const LABELS: [&str; 5] =
    ["http_request_method", "http_route", "http_response_status_code", "url_scheme", "error_type"];

/// The HTTP metrics of one service. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct HttpMetrics {
    pub(super) service: &'static str,
    pub(super) sli: Sli,
    durations: Family<5, TracedHistogram>,
    request_sizes: Family<5, TracedHistogram>,
    response_sizes: Family<5, TracedHistogram>,
    active: Family<2, Gauge>,
}

impl fmt::Debug for HttpMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpMetrics").field("service", &self.service).finish_non_exhaustive()
    }
}

/// Where the sizes of a request's two bodies go.
#[derive(Debug)]
pub(super) struct Sizes {
    pub(super) request: TracedHistogram,
    pub(super) response: TracedHistogram,
}

impl HttpMetrics {
    /// `sli` is the service's, or the default, which counts nothing.
    #[must_use]
    pub fn new(metrics: &Metrics, sli: Sli) -> Self {
        let what = |name, help| Described { name, help, labels: LABELS, series_max: SERIES_MAX };
        let durations = what(
            "http_server_request_duration_seconds",
            "Seconds from a request's header to its response's header.",
        );
        let request_sizes = what(
            "http_server_request_body_size_bytes",
            "Bytes that were read of requests' bodies.",
        );
        let response_sizes = what(
            "http_server_response_body_size_bytes",
            "Bytes that were taken of responses' bodies.",
        );
        let active = Described {
            name: "http_server_active_requests",
            help: "Requests whose response has not ended.",
            labels: ["http_request_method", "url_scheme"],
            series_max: SERIES_MAX,
        };
        Self {
            service: metrics.service(),
            sli,
            durations: metrics.histograms(durations, &DURATION_BUCKETS_S),
            request_sizes: metrics.histograms(request_sizes, &SIZE_BUCKETS_BYTES),
            response_sizes: metrics.histograms(response_sizes, &SIZE_BUCKETS_BYTES),
            active: metrics.family(active),
        }
    }

    pub(super) fn active(&self, method: &str, scheme: &str) -> Gauge {
        self.active.get([method, scheme])
    }

    /// Within the request's span.
    pub(super) fn observe(
        &self,
        method: &str,
        route: &str,
        status: StatusCode,
        scheme: &str,
        took: Duration,
    ) -> Sizes {
        let code = code(status);
        let error = if status.is_server_error() { code } else { "" };
        let labels = [method, route, code, scheme, error];
        self.durations.observe(labels, took.as_secs_f64());
        Sizes { request: self.request_sizes.get(labels), response: self.response_sizes.get(labels) }
    }
}

/// A status code that has a name; others, which an upstream could make up, are one value.
pub(in crate::http) fn code(status: StatusCode) -> &'static str {
    /// Those that are answered all the time, as text.
    macro_rules! known {
        ($($code:literal)*) => {
            match status.as_u16() {
                $($code => stringify!($code),)*
                _ => "_OTHER",
            }
        };
    }
    known!(
        100 101 102 103 200 201 202 203 204 205 206 207 208 226 300 301 302 303 304 305 307 308
        400 401 402 403 404 405 406 407 408 409 410 411 412 413 414 415 416 417 418 421 422 423
        424 425 426 428 429 431 451 500 501 502 503 504 505 506 507 508 510 511
    )
}

pub(super) fn scheme(transport: Option<&Transport>) -> &'static str {
    match transport {
        Some(Transport::Tls) => "https",
        Some(Transport::Plain) | None => "http",
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::code;

    #[test]
    fn every_code_that_has_a_name_is_itself_and_no_other() {
        for number in 100..1_000 {
            let status = StatusCode::from_u16(number).unwrap();
            let expect = match status.canonical_reason() {
                Some(_) => number.to_string(),
                None => "_OTHER".to_owned(),
            };
            assert_eq!(code(status), expect);
        }
    }
}
