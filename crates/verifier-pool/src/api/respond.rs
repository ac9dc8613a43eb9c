//! Errors as problems, in one place: what went wrong, in words for the caller, and the way out.

use std::collections::BTreeMap;

use http::{HeaderValue, StatusCode, header};
use runtime::http::Problem;
use runtime::http::document::problems;
use store::StoreError;
use utoipa::openapi::{RefOr, Response};

use crate::error::PoolError;

/// When to come again after the queue was full: runs take seconds.
const QUEUE_RETRY_S: u32 = 5;
const RETRY_S: u32 = 1;

impl From<PoolError> for Problem {
    fn from(error: PoolError) -> Self {
        let detail = error.to_string();
        match error {
            PoolError::Parameter { .. } => Problem::bad_request("invalid-parameter", detail),
            PoolError::Form { .. } => Problem::bad_request("malformed-form", detail),
            PoolError::Truncated { .. } => {
                Problem::bad_request("truncated", format!("{detail}; nothing of it was kept"))
            }
            PoolError::Idle { .. } => {
                let detail = format!("{detail}; nothing was kept, send it again without pauses");
                Problem::new(StatusCode::REQUEST_TIMEOUT, "idle", "The upload stopped", detail)
                    .header(header::CONNECTION, HeaderValue::from_static("close"))
            }
            PoolError::TooLarge { .. } => {
                let title = "The body is too large";
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", title, detail)
            }
            PoolError::NotExecutable { source } => {
                let title = "The artifact cannot be executed";
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Problem::new(status, "not-executable", title, source.to_string())
            }
            PoolError::Runner { .. } => {
                conflict("runner-unavailable", "The runner is not available", detail)
            }
            PoolError::Conflict { id } => conflict(
                "idempotency-conflict",
                "The idempotency key was used for something else",
                format!(
                    "verification {id} was submitted with this key and is another request; use a new key"
                ),
            ),
            PoolError::QueueFull { own, .. } => queue_full(own, &detail),
            PoolError::Busy { own, .. } => {
                let detail = format!("{detail} ({}); try again", whose(own));
                let title = "Too much at once";
                retry(Problem::new(full(own), "busy", title, detail), RETRY_S)
            }
            PoolError::NotFound => Problem::not_found("there is no such verification"),
            PoolError::Running => retry(
                conflict(
                    "running",
                    "The verification runs",
                    "it cannot be deleted while it runs; try again when it has ended",
                ),
                RETRY_S,
            ),
            PoolError::Unfinished { .. } => retry(
                conflict(
                    "unfinished",
                    "There is no report yet",
                    format!("{detail}; /events of the verification tells when it has ended"),
                ),
                RETRY_S,
            ),
            PoolError::NoReport { .. } => conflict("failed", "There will be no report", detail),
            PoolError::Unshowable { reason } => Problem::internal(reason),
            PoolError::Store { source: source @ StoreError::Full { .. } } => {
                Problem::disk_full(source)
            }
            PoolError::Store { source } => {
                Problem::unavailable("the store does not answer now; try again", source)
            }
        }
    }
}

fn conflict(kind: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::CONFLICT, kind, title, detail)
}

fn retry(mut problem: Problem, seconds: u32) -> Problem {
    problem.retry_after_s = Some(seconds);
    problem
}

/// The tenant's own fill is the caller's doing (429), everybody's is ours (503).
fn full(own: bool) -> StatusCode {
    if own { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn whose(own: bool) -> &'static str {
    if own { "of this tenant" } else { "of all tenants" }
}

fn queue_full(own: bool, detail: &str) -> Problem {
    let whose = whose(own);
    let detail = format!("{detail} ({whose}); nothing was kept, try again when some have ended");
    retry(Problem::new(full(own), "queue-full", "The queue is full", detail), QUEUE_RETRY_S)
}

/// What every operation can answer.
pub(super) struct Common;

impl utoipa::IntoResponses for Common {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            (401, "The API key is missing, unknown, expired or revoked"),
            (403, "The API key's role does not allow this"),
            (503, "A part of ShieldX is not available, or too much is open at once; try again"),
        ])
    }
}

/// What every operation on one verification can answer.
pub(super) struct OfOne;

impl utoipa::IntoResponses for OfOne {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[(400, "The path is no UTF-8"), (404, "The tenant has no such verification")])
    }
}

/// What a submission can answer.
pub(super) struct OfSubmission;

impl utoipa::IntoResponses for OfSubmission {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            (400, "A parameter or the form is malformed, or the upload broke off"),
            (408, "The upload stopped"),
            (
                409,
                "The runner is not available, or the idempotency key was used for another request",
            ),
            (413, "The artifact is too large"),
            (422, "The artifact is nothing that can be executed here"),
            (429, "The tenant has its fill of unfinished verifications or of uploads"),
            (507, "The disk is full"),
        ])
    }
}
