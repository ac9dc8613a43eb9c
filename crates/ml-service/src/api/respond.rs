//! Errors as problems, in one place.

use std::collections::BTreeMap;

use http::StatusCode;
use runtime::http::Problem;
use runtime::http::document::problems;
use store::StoreError;
use utoipa::openapi::{RefOr, Response};

use crate::error::MlError;
use crate::metrics::Reason;

/// How a refusal is counted; a view that is not there is none.
pub(super) fn reason(error: &MlError) -> Option<Reason> {
    Some(match error {
        MlError::NoView { .. } => return None,
        MlError::NoRows
        | MlError::TooManyRows { .. }
        | MlError::Row { .. }
        | MlError::Run { .. } => Reason::Invalid,
        MlError::TypeConflict { .. } => Reason::TypeConflict,
        MlError::Reserved { .. } => Reason::Reserved,
        MlError::TooManyColumns { .. }
        | MlError::TooManyViews { .. }
        | MlError::TooManyEntities { .. }
        | MlError::TooManyValues { .. }
        | MlError::RangeTooWide { .. } => Reason::Limit,
        MlError::Busy { .. } => Reason::Busy,
        MlError::Store { source: StoreError::Full { .. } } => Reason::StoreFull,
        MlError::Store { .. }
        | MlError::Damaged { .. }
        | MlError::Stopped
        | MlError::Setting { .. } => Reason::StoreUnavailable,
    })
}

pub(super) fn problem(error: &MlError) -> Problem {
    let detail = error.to_string();
    match error {
        MlError::NoRows
        | MlError::TooManyRows { .. }
        | MlError::Row { .. }
        | MlError::Run { .. } => {
            let title = "The body says something that cannot be";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", title, detail)
        }
        MlError::TypeConflict { .. } => {
            conflict("type-conflict", "A column has another type", detail)
        }
        MlError::TooManyColumns { .. } => {
            conflict("too-many-columns", "The view has its fill of columns", detail)
        }
        MlError::TooManyViews { .. } => {
            conflict("too-many-views", "The tenant has its fill of views", detail)
        }
        MlError::RangeTooWide { .. } => {
            conflict("range-too-wide", "The range holds too much for one answer", detail)
        }
        MlError::Reserved { .. } => {
            let title = "The view is ShieldX's own";
            Problem::new(StatusCode::FORBIDDEN, "reserved-view", title, detail)
        }
        MlError::NoView { .. } => Problem::not_found(detail),
        MlError::TooManyEntities { .. } => {
            let title = "There are too many entities";
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "too-many-entities", title, detail)
                .because("a bound of the configuration is reached")
        }
        MlError::TooManyValues { .. } => {
            let title = "The latest values take too much memory";
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "too-many-values", title, detail)
                .because("a bound of the configuration is reached")
        }
        MlError::Busy { .. } => {
            let status = StatusCode::TOO_MANY_REQUESTS;
            let mut problem = Problem::new(status, "busy", "Too much at once", detail);
            problem.retry_after_s = Some(1);
            problem
        }
        MlError::Store { source: source @ StoreError::Full { .. } } => Problem::disk_full(source),
        MlError::Store { source } => Problem::unavailable(
            "the store does not answer now; nothing was kept, try again",
            source,
        ),
        MlError::Damaged { source, .. } => Problem::unavailable(detail, source),
        MlError::Stopped | MlError::Setting { .. } => {
            Problem::unavailable("the service is stopping; try again", error)
        }
    }
}

fn conflict(kind: &'static str, title: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::CONFLICT, kind, title, detail)
}

/// What every operation can answer.
pub(super) struct Common;

impl utoipa::IntoResponses for Common {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            (400, "The path, the query or the body is malformed"),
            (401, "The API key is missing, unknown, expired or revoked"),
            (403, "The API key's role does not allow this, or the view is ShieldX's own"),
            (503, "A part of ShieldX is not available; try again"),
        ])
    }
}

/// What operations that read one view can answer.
pub(super) struct OfView;

impl utoipa::IntoResponses for OfView {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[(404, "The tenant has no such view")])
    }
}

/// What reading history can answer.
pub(super) struct OfHistory;

impl utoipa::IntoResponses for OfHistory {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            (409, "The range holds too much for one answer; narrow it with from and to"),
            (429, "Too many histories are being read"),
            (507, "The disk is full"),
        ])
    }
}

/// What writing can answer.
pub(super) struct OfIngest;

impl utoipa::IntoResponses for OfIngest {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            (
                409,
                "A column has another type, or the view or tenant has its fill of columns or views",
            ),
            (413, "The body is too large"),
            (415, "The body is not called JSON"),
            (422, "A row says something that cannot be; the problem names the first one"),
            (429, "Too many rows are being written"),
            (507, "The disk is full, or there are too many entities or values"),
        ])
    }
}
