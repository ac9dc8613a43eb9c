//! The pages: which of them there are, and what each asks for.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Response};
use http::{StatusCode, Uri, header};
use maud::{Markup, html};
use runtime::telemetry::Lookup;
use slo::gate::Ask;

use crate::api::{Filter, TRACES_MAX, View};
use crate::{ICON_KEPT, Shared};

pub(crate) mod frame;
mod generated;
mod health;
mod listing;
mod objective;
mod overview;
mod runbook;
mod waterfall;
mod words;

pub(crate) use generated::Generated;

use frame::{Frame, Place};

pub(crate) async fn overview(State(shared): State<Arc<Shared>>) -> Html<String> {
    let body = overview::body(&shared);
    shared.frame("Objectives", Place::Objectives).page(&body)
}

pub(crate) async fn objective(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(view): Query<View>,
) -> Response {
    match objective::body(&shared, &name, &view) {
        Some((title, body)) => shared.frame(&title, Place::Objectives).page(&body).into_response(),
        None => {
            let body = html! {
                p { "There is no objective of this name, or it has no events of this tenant or route group." }
                p { a href="/" { "All objectives" } }
            };
            shared.missing("No such objective", Place::Objectives, &body)
        }
    }
}

pub(crate) async fn traces(
    State(shared): State<Arc<Shared>>,
    Query(filter): Query<Filter>,
) -> Html<String> {
    let found = shared.traces.recent(TRACES_MAX, &filter.wanted()).await;
    let mut services: Vec<&str> =
        shared.ledger.catalog().slos.iter().map(|slo| slo.service.as_str()).collect();
    services.extend(found.iter().map(|trace| trace.service.as_str()));
    services.sort_unstable();
    services.dedup();
    // A name that hides something is none that one could choose knowingly.
    services.retain(|name| crate::show::visible(name) == *name);
    let body = listing::body(&found, &filter, &services, shared.clock.now_us());
    shared.frame("Traces", Place::Traces).page(&body)
}

pub(crate) async fn trace(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    match shared.traces.lookup(&id).await {
        Lookup::Found(trace) => {
            let title = waterfall::title(&trace);
            let body = waterfall::body(&trace);
            shared.frame(&title, Place::Traces).page(&body).into_response()
        }
        Lookup::Expired => {
            shared.missing("This trace has expired", Place::Traces, &listing::expired(&id))
        }
        Lookup::NoId => shared.missing("No such trace", Place::Traces, &listing::no_id(&id)),
    }
}

pub(crate) async fn services(State(shared): State<Arc<Shared>>) -> Html<String> {
    let services = shared.services.services().await;
    let body = health::body(&services, shared.services.as_ref(), shared.clock.now_us());
    shared.frame("Services", Place::Services).page(&body)
}

pub(crate) async fn runbook(
    State(shared): State<Arc<Shared>>,
    Path(alert): Path<String>,
) -> Response {
    match shared.generated.runbook(&alert) {
        Some(text) => {
            let body = runbook::body(text);
            shared.frame(&alert, Place::Objectives).page(&body).into_response()
        }
        None => {
            let body = html! {
                p { "No alert has this name. These have a runbook:" }
                ul { @for alert in shared.generated.runbooks() {
                    li { a href=(format!("/runbooks/{}", crate::show::encoded(alert))) { (alert) } }
                } }
            };
            shared.missing("No such runbook", Place::Objectives, &body)
        }
    }
}

pub(crate) async fn no_such_page(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    if uri.path().starts_with("/api/") {
        return runtime::http::Problem::not_found("no route has this path").into_response();
    }
    let body = html! { p { "Nothing is here." } p { a href="/" { "All objectives" } } };
    shared.missing("No such page", Place::None, &body)
}

pub(crate) async fn favicon() -> Response {
    let kept = format!("max-age={}", ICON_KEPT.as_secs());
    let kind = "image/svg+xml".to_owned();
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, kept)], frame::ICON).into_response()
}

impl Shared {
    fn frame<'a>(&self, title: &'a str, place: Place) -> Frame<'a> {
        let gate = self.ledger.gate(&Ask::default());
        let at_us = self.ledger.statuses().borrow().first().map(|status| status.at_us);
        Frame { title, place, gate: gate.answer, at_us }
    }

    fn missing(&self, title: &str, place: Place, body: &Markup) -> Response {
        let body = html! { h1 { (title) } (body) };
        (StatusCode::NOT_FOUND, self.frame(title, place).page(&body)).into_response()
    }
}
