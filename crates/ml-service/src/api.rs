//! ml-service over HTTP. Every operation asks for the caller itself and looks only at the caller's
//! tenant: what belongs to another is answered like what is not there.

mod params;
mod query;
mod respond;
mod schema;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::HttpBody as _;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::{Extension, Router};
use runtime::clock::rfc3339;
use runtime::http::document::Keys;
use runtime::http::{Auth, Json, Path, Problem, ProblemDocument, Query, fallbacks};
use serde::Deserialize;
use types::Role;
use types::ports::Authenticator;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::params::{HistoryParams, LatestParams, ViewParam};
use self::query::Pairs;
use self::respond::{Common, OfHistory, OfIngest, OfView};
use self::schema::{
    Column, EntityFeatures, Feature, HistoryAnswer, HistoryEntry, IngestAnswer, IngestRequest,
    LatestAnswer, Status, ViewSummary, ViewsAnswer,
};
use crate::error::MlError;
use crate::history::Question;
use crate::index::Latest;
use crate::metrics::Reason;
use crate::pipeline::validate::{Row, is_name};
use crate::service::MlService;
use crate::value::Value;

/// Largest body of a batch: ten thousand rows of sixty numbers fit.
pub const INGEST_BODY_MAX_BYTES: usize = 16 << 20;

type Service = State<Arc<MlService>>;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "ShieldX ml-service",
        description = "Feature store: rows by view, entity and event time; latest values and history."
    ),
    modifiers(&Keys),
    security(("bearer" = []), ("api_key" = [])),
    components(schemas(ProblemDocument)),
)]
struct Document;

/// The API and its description. The caller adds `/openapi.json` and the routes every service has.
pub fn router(service: Arc<MlService>, keys: Arc<dyn Authenticator>) -> (Router, OpenApi) {
    let (router, api) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(views))
        .routes(routes!(ingest))
        .routes(routes!(latest))
        .routes(routes!(history))
        .split_for_parts();
    let router = fallbacks(router.with_state(service))
        .layer(DefaultBodyLimit::max(INGEST_BODY_MAX_BYTES))
        .layer(Extension(keys));
    (router, api)
}

/// List views
///
/// The tenant's views that have rows, by name, with their columns. `runs` is written by ShieldX: one
/// row per verification.
#[utoipa::path(
    get,
    path = "/v1/features",
    operation_id = "list_views",
    tag = "features",
    responses((status = 200, description = "The views", body = ViewsAnswer), Common),
)]
async fn views(
    State(service): Service,
    auth: Auth,
    Query(pairs): Query<Pairs>,
) -> Result<Json<ViewsAnswer>, Problem> {
    let caller = auth.need(Role::Reader)?;
    pairs.only(&[])?;
    let views = service.views(&caller.tenant);
    let views = views.iter().map(|view| summary(&view.name, &view.read())).collect();
    Ok(Json(ViewsAnswer { views }))
}

fn summary(name: &str, latest: &Latest) -> ViewSummary {
    let columns = latest.columns().map(|(name, kind)| Column { name: name.to_owned(), kind });
    ViewSummary {
        view: name.to_owned(),
        rows: latest.rows(),
        entities: latest.entities() as u64,
        columns: columns.collect(),
        newest_event_time: rfc3339(latest.newest_us().unwrap_or(0)),
    }
}

/// Write rows
///
/// The whole batch or nothing; durable and readable when it is answered. A column's type (number,
/// string, bool) is fixed by its first value that is not null. Rows may come late and in any order:
/// the latest value of a feature is the one with the greatest event time, then the one told last.
/// A number that is a 64-bit signed integer keeps every digit, any other is a double; of a time's
/// fraction six digits are kept.
#[utoipa::path(
    post,
    path = "/v1/features/{view}",
    operation_id = "write_features",
    tag = "features",
    params(ViewParam),
    request_body = IngestRequest,
    responses((status = 200, description = "Kept", body = IngestAnswer), OfIngest, Common),
)]
async fn ingest(
    State(service): Service,
    auth: Auth,
    Path(view): Path<String>,
    request: Request,
) -> Result<Json<IngestAnswer>, Problem> {
    // The role before the body: who may not write is not read.
    let caller = auth.need(Role::Member)?;
    known_name(&view)?;
    let room = service.room_for_body(&caller.tenant, announced_bytes(&request));
    let _room = room.map_err(|error| refuse(&service, error))?;
    let rows = rows(request).await.inspect_err(|_| service.rejected(Reason::Malformed))?;
    let ingested = service.ingest(&caller.tenant, &view, rows).await;
    let accepted = ingested.map_err(|error| refuse(&service, error))?;
    Ok(Json(IngestAnswer { accepted: accepted.rows, position: accepted.position }))
}

/// What the body may take: its length where it is known, else as much as is allowed.
fn announced_bytes(request: &Request) -> u64 {
    let max = INGEST_BODY_MAX_BYTES as u64;
    request.body().size_hint().upper().unwrap_or(max).min(max)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    rows: Vec<Row>,
}

async fn rows(request: Request) -> Result<Vec<Row>, Problem> {
    Json::<Body>::from_request(request, &()).await.map(|Json(body)| body.rows)
}

/// Read the latest values
///
/// Of each entity, each feature's value with the greatest event time. Statuses are Feast's:
/// `PRESENT`; `NULL_VALUE`: the latest value is null; `NOT_FOUND`: nothing was ever told;
/// `OUTSIDE_MAX_AGE`: the latest value is older than `max_age_ms`, and is not given.
#[utoipa::path(
    get,
    path = "/v1/features/{view}/latest",
    operation_id = "latest_features",
    tag = "features",
    params(ViewParam, LatestParams),
    responses((status = 200, description = "The values", body = LatestAnswer), OfView, Common),
)]
async fn latest(
    State(service): Service,
    auth: Auth,
    Path(view): Path<String>,
    Query(pairs): Query<Pairs>,
) -> Result<Json<LatestAnswer>, Problem> {
    let caller = auth.need(Role::Reader)?;
    known_name(&view)?;
    let asked = pairs.latest()?;
    let found = service.view(&caller.tenant, &view).map_err(|error| refuse(&service, error))?;
    let latest = found.read();
    let names: Vec<String> = if asked.features.is_empty() {
        latest.columns().map(|(name, _)| name.to_owned()).collect()
    } else {
        asked.features
    };
    let oldest_us = asked.max_age_us.map(|age| service.now_us().saturating_sub(age));
    let of = |entity: String| {
        let feature = |name: &String| (name.clone(), feature(&latest, &entity, name, oldest_us));
        let features: BTreeMap<_, _> = names.iter().map(feature).collect();
        EntityFeatures { entity, features }
    };
    Ok(Json(LatestAnswer { view, entities: asked.entities.into_iter().map(of).collect() }))
}

fn feature(latest: &Latest, entity: &str, name: &str, oldest_us: Option<i64>) -> Feature {
    let Some(reading) = latest.reading(entity, name) else {
        return Feature { status: Status::NotFound, value: Value::Null, event_time: None };
    };
    // As old as the age allows is not too old: both ends belong to the range.
    let aged = oldest_us.is_some_and(|oldest| reading.stamp.event_us < oldest);
    let (status, value) = match &reading.value {
        _ if aged => (Status::OutsideMaxAge, Value::Null),
        Value::Null => (Status::NullValue, Value::Null),
        value => (Status::Present, value.clone()),
    };
    Feature { status, value, event_time: Some(rfc3339(reading.stamp.event_us)) }
}

/// Read an entity's history
///
/// Its rows, ordered by event time, then by when they were told. `from` and `to` both belong to the
/// range. `next` of a page is the `cursor` of the next one.
#[utoipa::path(
    get,
    path = "/v1/features/{view}/history",
    operation_id = "feature_history",
    tag = "features",
    params(ViewParam, HistoryParams),
    responses((status = 200, description = "A page", body = HistoryAnswer), OfHistory, OfView, Common),
)]
async fn history(
    State(service): Service,
    auth: Auth,
    Path(view): Path<String>,
    Query(pairs): Query<Pairs>,
) -> Result<Json<HistoryAnswer>, Problem> {
    let caller = auth.need(Role::Reader)?;
    known_name(&view)?;
    let question: Question = pairs.history()?;
    let page = service.history(&caller.tenant, &view, &question).await;
    let page = page.map_err(|error| refuse(&service, error))?;
    let rows = page.rows.into_iter().map(|row| HistoryEntry {
        event_time: rfc3339(row.place.event_us),
        created: rfc3339(row.place.created_us),
        values: row.values,
    });
    let next = page.next.map(|place| place.to_string());
    Ok(Json(HistoryAnswer { view, entity: question.entity, rows: rows.collect(), next }))
}

fn known_name(view: &str) -> Result<(), Problem> {
    if is_name(view) {
        return Ok(());
    }
    let detail = "a view's name is 1 to 63 of a-z, 0-9 and _, and no digit first";
    Err(Problem::bad_request("bad-view-name", detail))
}

/// Counts the refusal and words it.
fn refuse(service: &MlService, error: MlError) -> Problem {
    if let Some(reason) = respond::reason(&error) {
        service.rejected(reason);
    }
    respond::problem(&error)
}
