//! contauth over HTTP. The only place where its errors become responses.

mod schema;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::{Extension, Router};
use http::StatusCode;
use runtime::http::{Auth, Json, Path, Problem, ProblemDocument, Query, document, fallbacks};
use store::StoreError;
use types::Role;
use types::cause::chain;
use types::identity::{SESSION_ID_IS, is_session_id};
use types::ports::{Authenticator, Surroundings};
use utoipa::Modify as _;
use utoipa::openapi::{OpenApi, RefOr, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::schema::{ReportAnswer, Requester, RiskAnswer};
use crate::error::Error;
use crate::service::Contauth;
use crate::telemetry::{TELEMETRY_BODY_MAX_BYTES, Telemetry, check_subject};

const NO_KEYS: &str = "a keystroke is {\"down_ms\": …, \"up_ms\": …}, two numbers: values of keys are \
                       never accepted";

type Service = State<Arc<Contauth>>;

/// The API and its description. The caller adds `/openapi.json` and the routes every service has.
pub fn router(service: Arc<Contauth>, keys: Arc<dyn Authenticator>) -> (Router, OpenApi) {
    let (router, mut api) = OpenApiRouter::new()
        .routes(routes!(report))
        .routes(routes!(risk))
        .routes(routes!(forget))
        .split_for_parts();
    api.info.title = "ShieldX contauth".to_owned();
    api.info.description = Some("Session risk from behaviour, device and network.".to_owned());
    document::Keys.modify(&mut api);
    let router = fallbacks(router.with_state(service))
        .layer(DefaultBodyLimit::max(TELEMETRY_BODY_MAX_BYTES))
        .layer(Extension(keys));
    (router, api)
}

/// Report what happened in a session
///
/// Keystroke timings without keys, pointer movement, device, address; everything is optional but
/// the subject of a session's first report. Durable when it is answered. The answer is the session's
/// risk now.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/telemetry",
    operation_id = "report_telemetry",
    params(("id" = String, Path, description = "The session, in the application's words",
        min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._~-]+$")),
    request_body = Telemetry,
    responses(
        (status = 200, description = "Counted, or counted before", body = ReportAnswer),
        (status = 400, description = "No JSON, or no session id", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The session belongs to another subject", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "The body is not called JSON", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "A field is unknown, out of its limits or out of order, or the first report has no subject", body = ProblemDocument, content_type = "application/problem+json"),
        Common,
    ),
    security(("bearer" = []), ("api_key" = [])),
)]
async fn report(
    State(service): Service,
    auth: Auth,
    Path(id): Path<String>,
    body: Result<Json<Telemetry>, Problem>,
) -> Result<Json<ReportAnswer>, Problem> {
    let caller = auth.need(Role::Member)?;
    check_id(&id)?;
    let Json(telemetry) = body.map_err(explain)?;
    let report = telemetry.check().map_err(respond)?;
    let reported = service.report(&caller.tenant, &id, report).await.map_err(respond)?;
    Ok(Json(reported.into()))
}

/// Tell a session's risk
///
/// With what is known of the request it is asked for, where something is.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/risk",
    operation_id = "session_risk",
    params(
        ("id" = String, Path, description = "The session, in the application's words",
            min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._~-]+$"),
        Requester,
    ),
    responses(
        (status = 200, description = "The risk now", body = RiskAnswer),
        (status = 400, description = "No session id, or a bad query", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "Nobody reported on such a session", body = ProblemDocument, content_type = "application/problem+json"),
        Common,
    ),
    security(("bearer" = []), ("api_key" = [])),
)]
async fn risk(
    State(service): Service,
    auth: Auth,
    Path(id): Path<String>,
    Query(requester): Query<Requester>,
) -> Result<Json<RiskAnswer>, Problem> {
    let caller = auth.need(Role::Reader)?;
    check_id(&id)?;
    let surroundings = surroundings(requester)?;
    let risk = service.session_risk(&caller.tenant, &id, &surroundings).await.map_err(respond)?;
    let missing = || Problem::not_found("nobody reported on such a session, or not for long");
    risk.map(|risk| Json(risk.into())).ok_or_else(missing)
}

/// Forget a subject's profile
///
/// How they type and move, their devices and networks. The subject is unknown again afterwards;
/// sessions that are open keep their evidence until they end.
#[utoipa::path(
    delete,
    path = "/v1/subjects/{subject}/profile",
    operation_id = "forget_profile",
    params(("subject" = String, Path, description = "Whom sessions belong to, in the application's words",
        min_length = 1, max_length = 256, pattern = r"^[^\u0000-\u001f\u007f]+$")),
    responses(
        (status = 204, description = "Forgotten"),
        (status = 400, description = "No name of a subject", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "Nothing is known of such a subject", body = ProblemDocument, content_type = "application/problem+json"),
        Common,
    ),
    security(("bearer" = []), ("api_key" = [])),
)]
async fn forget(
    State(service): Service,
    auth: Auth,
    Path(subject): Path<String>,
) -> Result<StatusCode, Problem> {
    let caller = auth.need(Role::Member)?;
    check_subject(&subject)
        .map_err(|error| Problem::bad_request("bad-subject", error.to_string()))?;
    let forgotten = service.forget(&caller.tenant, &subject).await.map_err(respond)?;
    let missing = || Problem::not_found("nothing is known of such a subject");
    forgotten.then_some(StatusCode::NO_CONTENT).ok_or_else(missing)
}

/// What every operation can answer.
struct Common;

impl utoipa::IntoResponses for Common {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        document::problems(&[
            (401, "No good API key"),
            (403, "The key's role does not allow this"),
            (503, "The store is not available; nothing was kept"),
            (507, "The disk is full; nothing was kept"),
        ])
    }
}

fn check_id(id: &str) -> Result<(), Problem> {
    let bad = || Problem::bad_request("bad-session-id", SESSION_ID_IS);
    is_session_id(id.as_bytes()).then_some(()).ok_or_else(bad)
}

fn surroundings(requester: Requester) -> Result<Surroundings, Problem> {
    let Requester { address, user_agent } = requester;
    let good = address.as_ref().is_none_or(|text| text.parse::<IpAddr>().is_ok());
    let short = user_agent.as_ref().is_none_or(|text| text.chars().count() <= 1_024);
    if !good || !short {
        let detail = "address is an IPv4 or IPv6 address, user_agent at most 1024 characters";
        return Err(Problem::bad_request("malformed-query", detail));
    }
    Ok(Surroundings { address, user_agent })
}

/// A body that is no telemetry. What is wrong with a keystroke is told without what it said: it may
/// have been a key.
fn explain(mut problem: Problem) -> Problem {
    if problem.status != StatusCode::UNPROCESSABLE_ENTITY {
        return problem;
    }
    // "Failed to …: path: what is wrong": axum's words and serde's.
    let told = problem.detail.split_once(": ").map_or("", |(_, told)| told);
    let unknown = told.contains("unknown field");
    if !told.starts_with("keystrokes") {
        let more = if unknown { format!("; {NO_KEYS}") } else { String::new() };
        problem.detail = format!("{told}{more}");
        return problem;
    }
    let part_of_path = |c: &char| c.is_ascii_alphanumeric() || "[]._".contains(*c);
    let place: String = told.chars().take_while(part_of_path).collect();
    let what = if unknown { "is not a field of a keystroke" } else { "is not as it should be" };
    problem.detail = format!("{place} {what}; {NO_KEYS}");
    problem
}

fn respond(error: Error) -> Problem {
    let unprocessable = |kind, title| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, kind, title, error.to_string())
    };
    match &error {
        Error::Invalid { .. } => unprocessable("invalid", "The body says something that cannot be"),
        Error::SubjectMissing => {
            unprocessable("subject-missing", "The session's subject is not known")
        }
        Error::SubjectDiffers => {
            let title = "The session has another subject";
            Problem::new(StatusCode::CONFLICT, "subject-differs", title, error.to_string())
        }
        Error::Store { source: StoreError::Full { .. } } => Problem::disk_full(chain(&error)),
        Error::Store { .. } | Error::Random { .. } | Error::Damaged { .. } => {
            let detail = "sessions cannot be read or kept now; nothing was counted, try again";
            Problem::unavailable(detail, chain(&error))
        }
    }
}
