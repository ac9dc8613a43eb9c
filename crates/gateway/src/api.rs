//! What the gateway answers itself: traces, and the description of all APIs.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Router};
use bytes::Bytes;
use http::header;
use runtime::http::document::Keys;
use runtime::http::{Auth, Json, Path, Problem, ProblemDocument, fallbacks};
use runtime::telemetry::{Trace, Traces};
use types::Role;
use types::ports::Authenticator;
use utoipa::Modify as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::ConfigError;
use crate::document;

/// Hexadecimal digits of a trace's id.
const TRACE_ID_CHARS: usize = 32;

#[derive(Debug, Clone)]
struct Own {
    traces: Arc<Traces>,
    document: Bytes,
}

/// The router. The gateway's own description, joined with the services', is part of it.
pub(crate) fn router(
    traces: Arc<Traces>,
    keys: Arc<dyn Authenticator>,
    services: &[OpenApi],
) -> Result<Router, ConfigError> {
    let router = OpenApiRouter::new().routes(routes!(trace)).routes(routes!(openapi));
    let (router, mut own) = router.split_for_parts();
    own.info.title = "ShieldX".to_owned();
    own.info.description = Some(
        "All of ShieldX's APIs, as they are reached through the gateway. Every request is decided \
         on by the policy before it goes on."
            .to_owned(),
    );
    Keys.modify(&mut own);
    let document = document::join(&own, services)?;
    Ok(fallbacks(router.with_state(Own { traces, document }).layer(Extension(keys))))
}

/// Look at a trace
///
/// The spans of one request that have ended, from the door to the last service. Only the newest
/// traces are kept. For admins of the tenant whose request it was; a trace of nobody's is nobody's
/// to see.
#[utoipa::path(
    get,
    path = "/v1/traces/{id}",
    operation_id = "trace",
    params(("id" = String, Path, description = "The trace's id", pattern = "^[0-9a-f]{32}$")),
    responses(
        (status = 200, description = "The trace as far as it is known", body = Trace),
        (status = 400, description = "No trace id", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "No good API key", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The key's role is less than admin, or the policy refuses", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "No such trace of this tenant, or not any more", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Keys cannot be checked now", body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = [])),
)]
async fn trace(
    State(own): State<Own>,
    auth: Auth,
    Path(id): Path<String>,
) -> Result<Json<Trace>, Problem> {
    let caller = auth.need(Role::Admin)?;
    let digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    if id.len() != TRACE_ID_CHARS || !id.bytes().all(digit) {
        let detail = format!("a trace's id is {TRACE_ID_CHARS} of 0-9 and a-f");
        return Err(Problem::bad_request("bad-trace-id", detail));
    }
    own.traces
        .get(&id)
        .filter(|trace| trace.tenant.as_deref() == Some(caller.tenant.as_str()))
        .map(Json)
        .ok_or_else(|| Problem::not_found("there is no such trace, or not any more"))
}

/// Describe all APIs
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value, content_type = "application/json")),
)]
async fn openapi(State(own): State<Own>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], own.document).into_response()
}
