//! axum's extractors, with problems instead of plain text when a request does not fit.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use super::Problem;

/// A JSON body, in or out.
#[derive(Debug, Clone, Copy, FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The query string.
#[derive(Debug, Clone, Copy, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub struct Query<T>(pub T);

/// Parameters in the path.
#[derive(Debug, Clone, Copy, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub struct Path<T>(pub T);

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let detail = rejection.body_text();
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let title = "The body is too large";
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", title, detail)
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                let title = "The body has another type than this takes";
                Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", title, detail)
            }
            StatusCode::UNPROCESSABLE_ENTITY => {
                let title = "The body says something that cannot be";
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", title, detail)
            }
            _ => Problem::bad_request("malformed-json", detail),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Problem::bad_request("malformed-query", rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Problem::bad_request("malformed-path", rejection.body_text())
    }
}
