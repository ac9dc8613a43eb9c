//! HTTP in front of the pool. Every operation asks for the caller itself and finds what it is about
//! by tenant and id; what belongs to another tenant is answered like what is not there.

mod document;
mod events;
mod receive;
mod report;
mod respond;
mod submit;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::{Extension, Router};
use http::StatusCode;
use runtime::http::document::Keys;
use runtime::http::{Auth, Json, Path, Problem, ProblemDocument, Query, fallbacks};
use serde::Deserialize;
use types::Role;
use types::ports::Authenticator;
use utoipa::OpenApi as _;
use utoipa::openapi::{OpenApi, RefOr, Schema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use self::document::{PageDocument, VerificationDocument, VerificationState};
use self::respond::{Common, OfOne};
use crate::error::PoolError;
use crate::pool::Pool;

/// Items of a page, unless the caller says.
const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 1000;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "ShieldX verifier pool",
        description = "Submit artifacts, follow their runs, get verdicts and reports."
    ),
    modifiers(&Keys),
    security(("bearer" = []), ("api_key" = [])),
    components(schemas(ProblemDocument)),
)]
struct Document;

/// The routes, and what they are in OpenAPI.
pub fn router(pool: Arc<Pool>, keys: Arc<dyn Authenticator>) -> (Router, OpenApi) {
    let (router, mut openapi) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(submit::submit, list))
        .routes(routes!(get, delete))
        .routes(routes!(report::report))
        .routes(routes!(events::events))
        .split_for_parts();
    limit_timeout(&mut openapi, pool.config.timeout_max_ms);
    let router = fallbacks(router.with_state(pool))
        // Artifacts have a bound of their own and are never in memory as a whole.
        .layer(DefaultBodyLimit::disable())
        .layer(Extension(keys));
    (router, openapi)
}

/// Puts the configured longest time of a run into the document: in the query and in the form.
fn limit_timeout(openapi: &mut OpenApi, timeout_max_ms: u64) {
    let operation = openapi.paths.paths.get_mut("/v1/verifications").and_then(|p| p.post.as_mut());
    let parameters = operation.and_then(|operation| operation.parameters.as_mut());
    let in_query = parameters.into_iter().flatten().find_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.name == "timeout_ms" => parameter.schema.as_mut(),
        _ => None,
    });
    let components = openapi.components.as_mut();
    let form = components.and_then(|components| components.schemas.get_mut("SubmissionForm"));
    let in_form = match form {
        Some(RefOr::T(Schema::Object(form))) => form.properties.get_mut("timeout_ms"),
        _ => None,
    };
    for schema in in_query.into_iter().chain(in_form) {
        if let RefOr::T(Schema::Object(number)) = schema {
            number.maximum = Some(timeout_max_ms.into());
        }
    }
}

/// What is listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Selection {
    limit: Option<u32>,
    before: Option<String>,
    state: Option<VerificationState>,
}

/// The tenant's verifications, newest first.
#[utoipa::path(
    get,
    path = "/v1/verifications",
    tag = "verifications",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000,
            description = "How many, 50 without it"),
        ("before" = Option<String>, Query, format = "uuid",
            description = "Only those with a smaller id: `next` of the page before"),
        ("state" = Option<VerificationState>, Query, description = "Only those in this state"),
    ),
    responses(
        (status = 200, description = "One page", body = PageDocument),
        (status = 400, description = "A parameter is malformed",
            body = ProblemDocument, content_type = "application/problem+json"),
        Common,
    ),
)]
async fn list(
    State(pool): State<Arc<Pool>>,
    auth: Auth,
    Query(selection): Query<Selection>,
) -> Result<Json<PageDocument>, Problem> {
    let tenant = &auth.need(Role::Reader)?.tenant;
    let limit = selection.limit.unwrap_or(LIMIT_DEFAULT);
    let bad = |name, reason: String| PoolError::Parameter { name, reason };
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(bad("limit", format!("{limit} is not between 1 and {LIMIT_MAX}")).into());
    }
    let before = selection
        .before
        .as_deref()
        .map(|before| known_id(before).map_err(|_| bad("before", format!("{before:?} is no id"))));
    let before = before.transpose()?;
    let state = selection.state.map(Into::into);
    Ok(Json(pool.page(tenant, before.as_deref(), state, limit).await?.into()))
}

/// One verification.
#[utoipa::path(
    get,
    path = "/v1/verifications/{id}",
    tag = "verifications",
    params(("id" = String, Path, format = "uuid", description = "Id of the verification")),
    responses(
        (status = 200, description = "The verification", body = VerificationDocument),
        OfOne,
        Common,
    ),
)]
async fn get(
    State(pool): State<Arc<Pool>>,
    auth: Auth,
    Path(id): Path<String>,
) -> Result<Json<VerificationDocument>, Problem> {
    let tenant = &auth.need(Role::Reader)?.tenant;
    Ok(Json(pool.verification(tenant, &known_id(&id)?).await?.into()))
}

/// Delete a verification with its report, and its artifact where nothing else names it.
#[utoipa::path(
    delete,
    path = "/v1/verifications/{id}",
    tag = "verifications",
    params(("id" = String, Path, format = "uuid", description = "Id of the verification")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 409, description = "It runs",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 507, description = "The disk is full",
            body = ProblemDocument, content_type = "application/problem+json"),
        OfOne,
        Common,
    ),
)]
async fn delete(
    State(pool): State<Arc<Pool>>,
    auth: Auth,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let tenant = &auth.need(Role::Member)?.tenant;
    pool.delete(tenant, &known_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An id as the store has it. What is no id names nothing.
fn known_id(text: &str) -> Result<String, PoolError> {
    let id = Uuid::try_parse(text).map_err(|_| PoolError::NotFound)?;
    Ok(id.hyphenated().to_string())
}
