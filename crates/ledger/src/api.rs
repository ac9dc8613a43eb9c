//! The ledger over HTTP. The only place where its errors become responses.
//!
//! A caller sees the totals of every objective and the view of its own tenant, never another's.

mod schema;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::{Extension, Router};
use http::{HeaderMap, StatusCode};
use runtime::http::{Auth, Json, Path, Problem, ProblemDocument, Query, document, fallbacks};
use slo::Status;
use slo::evaluate::Step;
use slo::gate::{Ask, Decision};
use slo::status::Scope;
use types::Role;
use types::cause::chain;
use types::identity::Caller;
use types::ports::Authenticator;
use utoipa::Modify as _;
use utoipa::openapi::{OpenApi, RefOr, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::schema::{Asked, Deploy, Items, Viewed};
use crate::config::TEXT_MAX_CHARS;
use crate::{Ledger, LedgerError, Mark, OverrideUse};

/// Where an override goes.
pub const OVERRIDE_HEADER: &str = "deploy-override";
const BODY_MAX_BYTES: usize = 16 << 10;
/// Of `change`, which is looked up among the exempt kinds.
const CHANGE_MAX_CHARS: usize = 63;

type Service = State<Arc<Ledger>>;

/// The API and its description. The caller adds `/openapi.json` and the routes every service has.
pub fn router(ledger: Arc<Ledger>, keys: Arc<dyn Authenticator>) -> (Router, OpenApi) {
    let (router, mut api) = OpenApiRouter::new()
        .routes(routes!(slos))
        .routes(routes!(one))
        .routes(routes!(explain))
        .routes(routes!(gate))
        .routes(routes!(overrides))
        .routes(routes!(deploys, deployed))
        .split_for_parts();
    api.info.title = "ShieldX ledger".to_owned();
    api.info.description = Some("Objectives, error budgets and the deploy gate.".to_owned());
    document::Keys.modify(&mut api);
    let router = fallbacks(router.with_state(ledger))
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .layer(Extension(keys));
    (router, api)
}

/// List objectives
///
/// How every objective is now, over all tenants, in the order of the file.
#[utoipa::path(
    get,
    path = "/v1/slos",
    operation_id = "list_slos",
    responses((status = 200, description = "All of them", body = schema::Statuses), Common),
    security(("bearer" = []), ("api_key" = [])),
)]
async fn slos(State(ledger): Service, auth: Auth) -> Result<Json<Items<Status>>, Problem> {
    auth.need(Role::Reader)?;
    let statuses = ledger.statuses().borrow().clone();
    Ok(Json(Items { items: statuses.to_vec() }))
}

/// Show an objective
///
/// Over all tenants, or as it is for the caller's own tenant or for a route group.
#[utoipa::path(
    get,
    path = "/v1/slos/{name}",
    operation_id = "show_slo",
    params(("name" = String, Path, description = "The objective",
        min_length = 1, max_length = 63, pattern = "^[a-z][a-z0-9-]*$"), Viewed),
    responses(
        (status = 200, description = "How it is now", body = schema::Status),
        (status = 400, description = "A bad query", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such objective or view", body = ProblemDocument, content_type = "application/problem+json"),
        Common,
    ),
    security(("bearer" = []), ("api_key" = [])),
)]
async fn one(
    State(ledger): Service,
    auth: Auth,
    Path(name): Path<String>,
    Query(viewed): Query<Viewed>,
) -> Result<Json<Status>, Problem> {
    let scope = scope(auth.need(Role::Reader)?, viewed)?;
    ledger.status(&name, &scope).map(Json).ok_or_else(missing)
}

/// Explain an objective's budget
///
/// The numbers behind the budget, step by step, such that each can be checked by hand.
#[utoipa::path(
    get,
    path = "/v1/slos/{name}/explain",
    operation_id = "explain_slo",
    params(("name" = String, Path, description = "The objective",
        min_length = 1, max_length = 63, pattern = "^[a-z][a-z0-9-]*$"), Viewed),
    responses(
        (status = 200, description = "The steps", body = schema::Steps),
        (status = 400, description = "A bad query", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such objective or view", body = ProblemDocument, content_type = "application/problem+json"),
        Common,
    ),
    security(("bearer" = []), ("api_key" = [])),
)]
async fn explain(
    State(ledger): Service,
    auth: Auth,
    Path(name): Path<String>,
    Query(viewed): Query<Viewed>,
) -> Result<Json<Items<Step>>, Problem> {
    let scope = scope(auth.need(Role::Reader)?, viewed)?;
    ledger.explain(&name, &scope).map(|items| Json(Items { items })).ok_or_else(missing)
}

/// Ask whether to deploy
///
/// `allow`, `slow`, `freeze` or `unknown`, with reasons. It is a 200 whatever the answer is. An
/// override is handed in as `Deploy-Override`; its use is written down.
#[utoipa::path(
    get,
    path = "/v1/gate",
    operation_id = "ask_gate",
    params(
        Asked,
        ("Deploy-Override" = Option<String>, Header, description = "A signed override"),
    ),
    responses(
        (status = 200, description = "The answer", body = schema::Decision),
        (status = 400, description = "A bad query or header", body = ProblemDocument, content_type = "application/problem+json"),
        Common,
    ),
    security(("bearer" = []), ("api_key" = [])),
)]
async fn gate(
    State(ledger): Service,
    auth: Auth,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Json<Decision>, Problem> {
    let caller = auth.need(Role::Reader)?;
    let header = headers.get(OVERRIDE_HEADER).map(|value| value.to_str().map(str::to_owned));
    let bad = |_| Problem::bad_request("bad-override", "an override is ASCII text");
    let override_token = header.transpose().map_err(bad)?;
    let known = |service: &String| ledger.catalog().slos.iter().any(|slo| slo.service == *service);
    if let Some(service) = asked.service.as_ref().filter(|service| !known(service)) {
        let detail = format!("no objective is of a service {service:?}: see /v1/slos");
        return Err(Problem::bad_request("unknown-service", detail));
    }
    if asked.change.as_ref().is_some_and(|change| change.chars().count() > CHANGE_MAX_CHARS) {
        let detail = format!("a kind of change has at most {CHANGE_MAX_CHARS} characters");
        return Err(Problem::bad_request("malformed-query", detail));
    }
    let key_id = caller.key_id.clone();
    let ask = Ask { service: asked.service, change: asked.change, override_token };
    let decision = blocking(move || ledger.gate_for(&ask, Some(&key_id))).await?;
    Ok(Json(decision))
}

/// List uses of overrides
///
/// Newest first, at most 1024.
#[utoipa::path(
    get,
    path = "/v1/gate/overrides",
    operation_id = "list_override_uses",
    responses((status = 200, description = "All that are remembered", body = schema::Overrides), Common),
    security(("bearer" = []), ("api_key" = [])),
)]
async fn overrides(
    State(ledger): Service,
    auth: Auth,
) -> Result<Json<Items<OverrideUse>>, Problem> {
    auth.need(Role::Admin)?;
    Ok(Json(Items { items: ledger.overrides() }))
}

/// List deploys
///
/// What was said to have been deployed, newest first, at most 256.
#[utoipa::path(
    get,
    path = "/v1/deploys",
    operation_id = "list_deploys",
    responses((status = 200, description = "All that are remembered", body = schema::Deploys), Common),
    security(("bearer" = []), ("api_key" = [])),
)]
async fn deploys(State(ledger): Service, auth: Auth) -> Result<Json<Items<Mark>>, Problem> {
    auth.need(Role::Reader)?;
    Ok(Json(Items { items: ledger.marks() }))
}

/// Mark a deploy
///
/// So that charts show it. Durable when it is answered.
#[utoipa::path(
    post,
    path = "/v1/deploys",
    operation_id = "mark_deploy",
    request_body = Deploy,
    responses(
        (status = 201, description = "Marked, with the time", body = schema::Mark),
        (status = 400, description = "No JSON", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The body is larger than 16 KiB", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "The body is not called JSON", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "A field is unknown, missing, empty or too long, or there is no such service", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot keep anything now", body = ProblemDocument, content_type = "application/problem+json"),
        Common,
    ),
    security(("bearer" = []), ("api_key" = [])),
)]
async fn deployed(
    State(ledger): Service,
    auth: Auth,
    Json(deploy): Json<Deploy>,
) -> Result<(StatusCode, Json<Mark>), Problem> {
    auth.need(Role::Admin)?;
    let fits = |text: &str| {
        (1..=TEXT_MAX_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    };
    let Deploy { service, text } = deploy;
    let known = |service: &String| ledger.catalog().slos.iter().any(|slo| slo.service == *service);
    if !fits(&text) {
        let detail = format!("text is 1 to {TEXT_MAX_CHARS} characters, none of them control");
        return Err(invalid(detail));
    }
    if let Some(service) = service.as_ref().filter(|service| !known(service)) {
        return Err(invalid(format!("no objective is of a service {service:?}: see /v1/slos")));
    }
    let mark = blocking(move || ledger.mark(service, text)).await?.map_err(respond)?;
    Ok((StatusCode::CREATED, Json(mark)))
}

/// What every operation can answer.
struct Common;

impl utoipa::IntoResponses for Common {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        document::problems(&[
            (401, "No good API key"),
            (403, "The key's role does not allow this, or the view is another tenant's"),
            (503, "API keys cannot be checked now"),
        ])
    }
}

fn scope(caller: &Caller, viewed: Viewed) -> Result<Scope, Problem> {
    match (viewed.tenant, viewed.route_group) {
        (None, None) => Ok(Scope::All),
        (Some(tenant), None) if tenant == caller.tenant.as_str() => Ok(Scope::Tenant(tenant)),
        (None, Some(group)) => Ok(Scope::RouteGroup(group)),
        (Some(_), None) => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "The caller may not do this",
            format!("the API key is of the tenant {}: it sees no other's view", caller.tenant),
        )),
        (Some(_), Some(_)) => {
            let detail = "ask for a tenant or for a route group: there is no view of both";
            Err(Problem::bad_request("malformed-query", detail))
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Problem::internal(error.to_string()))
}

fn missing() -> Problem {
    Problem::not_found(
        "there is no such objective, or nothing was counted in this view: see /v1/slos",
    )
}

fn invalid(detail: String) -> Problem {
    let title = "The body says something that cannot be";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", title, detail)
}

fn respond(error: LedgerError) -> Problem {
    Problem::unavailable("the ledger cannot keep anything now; try again", chain(&error))
}
