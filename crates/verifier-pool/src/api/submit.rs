//! `POST /v1/verifications`.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use runtime::http::{Auth, Json, Problem};
use runtime::telemetry;
use serde::Deserialize;
use types::{Role, Tenant};
use utoipa::ToSchema;

use super::document::{VerificationDocument, location};
use super::receive;
use super::respond::{Common, OfSubmission};
use crate::error::PoolError;
use crate::order::{self, Parameters};
use crate::pool::{Accepted, Pool};

/// The bytes of an artifact.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, format = Binary, min_length = 1)]
#[expect(dead_code, reason = "documents the body; it is streamed")]
pub(super) struct Artifact(Vec<u8>);

/// A submission as a form.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SubmissionForm)]
#[expect(dead_code, reason = "documents the form; it is read part by part")]
pub(super) struct Form {
    /// The artifact. Its file name is taken where `file_name` is not given.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    artifact: Vec<u8>,
    #[schema(max_length = 255, pattern = r"^[^/\x00-\x1f\x7f-\x9f]+$", nullable = false)]
    file_name: Option<String>,
    #[schema(max_items = 64, nullable = false)]
    argument: Option<Vec<String>>,
    #[schema(pattern = "^[a-z0-9-]{1,32}$", nullable = false)]
    runner: Option<String>,
    #[schema(minimum = 1, nullable = false)]
    timeout_ms: Option<u64>,
    #[schema(pattern = "^(python3|node|sh|bash)$", nullable = false)]
    interpreter: Option<String>,
}

/// Submit an artifact to be run and judged.
///
/// The body is the artifact, or a form with it. What it is and how it is run is told by its content:
/// ELF programs of this host, scripts with an interpreter line, Python, Node and shell. It is kept
/// and queued when this answers with 202; the same request again, with the same `Idempotency-Key`,
/// answers with 200 and the same verification.
///
/// A full queue is answered with 429 when the tenant's own unfinished verifications are at their
/// limit, and with 503 when those of all tenants together are; `Retry-After` says when to try again.
#[utoipa::path(
    post,
    path = "/v1/verifications",
    tag = "verifications",
    params(
        ("file_name" = Option<String>, Query, min_length = 1, max_length = 255,
            description = "What it is called inside, at most 255 bytes, without / and control characters",
            pattern = r"^[^/\x00-\x1f\x7f-\x9f]+$"),
        ("argument" = Option<Vec<String>>, Query, max_items = 64,
            description = "Arguments of the program, in their order; each at most 4096 bytes"),
        ("runner" = Option<String>, Query, pattern = "^[a-z0-9-]{1,32}$",
            description = "Which kind of sandbox; without it the configured one"),
        ("timeout_ms" = Option<u64>, Query, minimum = 1,
            description = "How long it may run, in milliseconds"),
        ("interpreter" = Option<String>, Query, pattern = "^(python3|node|sh|bash)$",
            description = "Run text with this program, whatever it looks like"),
        ("Idempotency-Key" = Option<String>, Header, nullable = false,
            pattern = r"^[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?$",
            description = "The caller's name for this request, unique in the tenant"),
    ),
    request_body(
        description = "The artifact (any media type but multipart/form-data), or a form",
        content(
            (Artifact = "application/octet-stream"),
            (Form = "multipart/form-data"),
        ),
    ),
    responses(
        (status = 202, description = "Accepted and queued", body = VerificationDocument,
            headers(("Location" = String, description = "The verification's path")),
            links(
                ("verification" = (operation_id = "get", parameters(("id" = "$response.body#/id")))),
                ("report" = (operation_id = "report", parameters(("id" = "$response.body#/id")))),
                ("events" = (operation_id = "events", parameters(("id" = "$response.body#/id")))),
                ("deletion" = (operation_id = "delete", parameters(("id" = "$response.body#/id")))),
            )),
        (status = 200, description = "It was accepted before, under the same Idempotency-Key",
            body = VerificationDocument,
            headers(("Location" = String, description = "The verification's path"))),
        OfSubmission,
        Common,
    ),
)]
pub(super) async fn submit(
    State(pool): State<Arc<Pool>>,
    auth: Auth,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let tenant = auth.need(Role::Member)?.tenant.clone();
    let result = accept(&pool, tenant, query.as_deref().unwrap_or_default(), request).await;
    pool.count_submission(result.as_ref());
    let Accepted { verification, repeated } = result?;
    let status = if repeated { StatusCode::OK } else { StatusCode::ACCEPTED };
    let location = [(header::LOCATION, location(&verification.id))];
    Ok((status, location, Json(VerificationDocument::from(verification))).into_response())
}

#[tracing::instrument(skip_all, name = "submit")]
async fn accept(
    pool: &Arc<Pool>,
    tenant: Tenant,
    query: &str,
    request: Request,
) -> Result<Accepted, PoolError> {
    let parameters = Parameters::from_query(query)?;
    let key = idempotency_key(request.headers())?;
    // What the query says wrong is told before the body is waited for.
    check(pool, &parameters)?;
    let _place = pool.uploads.take(&tenant)?;
    let mut received = receive::receive(pool, &tenant, parameters, request).await?;
    let identified = received.identify()?;
    received.parameters.settle(identified.kind, &pool.config)?;
    check(pool, &received.parameters)?;
    let traceparent = telemetry::current_traceparent();
    let order = received.parameters.order(&pool.config, identified, traceparent)?;
    pool.accept(tenant, received.upload, order, key).await
}

/// Whether the run that is asked for can be had.
fn check(pool: &Pool, parameters: &Parameters) -> Result<(), PoolError> {
    parameters.timeout_ms(&pool.config)?;
    let runner = parameters.runner(&pool.config);
    let runners = pool.parts.executor.runners();
    let reason = match runners.iter().find(|(name, _)| name == runner) {
        Some((_, None)) => return Ok(()),
        Some((_, Some(reason))) => reason.clone(),
        None => {
            let names: Vec<_> = runners.iter().map(|(name, _)| name.as_str()).collect();
            format!("this host has no such runner; it has: {}", names.join(", "))
        }
    };
    Err(PoolError::Runner { runner: runner.to_owned(), reason })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, PoolError> {
    let mut values = headers.get_all("idempotency-key").iter();
    let first = values.next();
    if values.next().is_some() {
        let reason = "it is given twice".to_owned();
        return Err(PoolError::Parameter { name: "Idempotency-Key", reason });
    }
    first.map(|value| order::idempotency_key(value.as_bytes())).transpose()
}
