//! Errors as RFC 9457 problem details: what helps the caller goes out, the cause is logged once.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::telemetry;

/// What is wrong with a request, or with us.
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: StatusCode,
    /// Names the problem in `type`: `urn:shieldx:problem:<kind>`.
    pub kind: &'static str,
    pub title: &'static str,
    /// What is wrong in this case and the way out. Goes to the caller.
    pub detail: String,
    /// Goes to the log only.
    pub internal: Option<String>,
    pub retry_after_s: Option<u32>,
    /// Further response headers (`WWW-Authenticate` …).
    pub headers: Vec<(header::HeaderName, HeaderValue)>,
}

/// The body of a problem, `application/problem+json`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProblemDocument {
    /// `urn:shieldx:problem:<kind>`; stable, for programs.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short, the same for every problem of this type.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What is wrong in this case and the way out.
    pub detail: String,
    /// To find the request in traces and logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl Problem {
    #[must_use]
    pub fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let detail = detail.into();
        let (internal, retry_after_s, headers) = (None, None, Vec::new());
        Self { status, kind, title, detail, internal, retry_after_s, headers }
    }

    /// 400
    #[must_use]
    pub fn bad_request(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, "The request is malformed", detail)
    }

    /// 404, the same for what is not there and for what belongs to somebody else.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Nothing is here", detail)
    }

    /// 500; the cause goes to the log.
    #[must_use]
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        let detail = "the request could not be handled; the trace id finds it in the logs";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "ShieldX failed", detail)
            .because(cause)
    }

    /// 503; the cause goes to the log.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        let title = "A part of ShieldX is not available";
        let mut problem =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", title, detail).because(cause);
        problem.retry_after_s = Some(1);
        problem
    }

    /// 507: whatever keeps something says so alike; the cause goes to the log.
    #[must_use]
    pub fn disk_full(cause: impl std::fmt::Display) -> Self {
        let title = "The disk is full";
        let detail = "nothing more can be kept now; what was accepted stays accepted";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk-full", title, detail).because(cause)
    }

    #[must_use]
    pub fn because(mut self, cause: impl std::fmt::Display) -> Self {
        self.internal = Some(cause.to_string());
        self
    }

    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            let cause = self.internal.as_deref().unwrap_or("");
            tracing::error!(problem = self.kind, detail = self.detail, cause, "request failed");
        } else {
            tracing::debug!(problem = self.kind, detail = self.detail, "request refused");
        }
        let document = ProblemDocument {
            kind: format!("urn:shieldx:problem:{}", self.kind),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            trace_id: telemetry::current_trace_id(),
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}
