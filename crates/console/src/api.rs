//! The same as JSON. It is read only, and for whoever may see the pages.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use runtime::http::Problem;
use runtime::http::extract::{Json, Path, Query};
use runtime::telemetry::{Lookup, Summary, TraceFilter};
use serde::{Deserialize, Serialize};
use slo::Status;
use slo::evaluate::{BurnDown, Step};
use slo::gate::{Ask, Decision};
use slo::status::Scope;

use crate::{Shared, show};

/// Points of a burn-down in JSON.
const POINTS: u32 = 120;
/// Traces in one answer.
pub(crate) const TRACES_MAX: usize = 200;

#[derive(Debug, Serialize)]
pub(crate) struct Slos {
    slos: Vec<Status>,
}

pub(crate) async fn slos(State(shared): State<Arc<Shared>>) -> Json<Slos> {
    let slos = shared.ledger.statuses().borrow().as_ref().clone();
    Json(Slos { slos })
}

/// Whose events: nobody's in particular, a tenant's or a route group's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct View {
    pub(crate) tenant: Option<String>,
    pub(crate) route_group: Option<String>,
    /// `1h`, `6h`, `1d`, `7d` or `window`: what the charts of a page show.
    pub(crate) range: Option<String>,
}

impl View {
    pub(crate) fn scope(&self) -> Scope {
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        match (said(&self.tenant), said(&self.route_group)) {
            (Some(tenant), _) => Scope::Tenant(tenant),
            (None, Some(group)) => Scope::RouteGroup(group),
            (None, None) => Scope::All,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct One {
    status: Status,
    burn_down: Option<BurnDown>,
    explain: Vec<Step>,
    scopes: Vec<Scope>,
    gate: Decision,
}

pub(crate) async fn slo(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(view): Query<View>,
) -> Result<Json<One>, Problem> {
    let scope = view.scope();
    let ledger = &shared.ledger;
    let status = ledger.status(&name, &scope).ok_or_else(|| {
        let name = show::clip(&name, 100);
        Problem::not_found(format!("there is no objective {name:?} with {}", show::scope(&scope)))
    })?;
    let service = Some(status.service.clone());
    Ok(Json(One {
        burn_down: ledger.burn_down(&name, &scope, POINTS),
        explain: ledger.explain(&name, &scope).unwrap_or_default(),
        scopes: ledger.scopes(&name),
        gate: ledger.gate(&Ask { service, ..Ask::default() }),
        status,
    }))
}

pub(crate) async fn gate(
    State(shared): State<Arc<Shared>>,
    Query(ask): Query<Ask>,
) -> Json<Decision> {
    Json(shared.ledger.gate(&ask))
}

/// Which traces a list is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    pub(crate) service: String,
    /// `errors`, `bad`; else all.
    pub(crate) only: String,
    /// At least so many milliseconds.
    pub(crate) slower_ms: String,
}

impl Filter {
    pub(crate) fn wanted(&self) -> TraceFilter {
        let slower_ms: i64 = self.slower_ms.parse().unwrap_or(0);
        TraceFilter {
            service: Some(self.service.clone()).filter(|name| !name.is_empty()),
            errors: self.only == "errors",
            bad: self.only == "bad",
            duration_us_min: slower_ms.saturating_mul(1000),
            ..TraceFilter::default()
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Traces {
    traces: Vec<Summary>,
}

pub(crate) async fn traces(
    State(shared): State<Arc<Shared>>,
    Query(filter): Query<Filter>,
) -> Json<Traces> {
    Json(Traces { traces: shared.traces.recent(TRACES_MAX, &filter.wanted()).await })
}

pub(crate) async fn trace(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    match shared.traces.lookup(&id).await {
        Lookup::Found(trace) => Json(trace).into_response(),
        Lookup::Expired => Problem::not_found(
            "no trace with this id is kept: it was not sampled, or it has expired to make room",
        )
        .into_response(),
        Lookup::NoId => {
            Problem::not_found("this is no trace id: one has 32 hexadecimal digits").into_response()
        }
    }
}
