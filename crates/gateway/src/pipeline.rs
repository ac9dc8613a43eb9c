//! One request, from its shape to its answer. Each phase takes what only the one before can make.

mod admit;
mod assess;
mod authenticate;
mod decide;
mod forward;
mod refuse;
mod route;

use std::sync::Arc;

use axum::body::Body;
use axum::response::IntoResponse as _;
use http::{Request, Response};
use runtime::http::observe::{Route, observed};
use runtime::http::routes::caught;
use runtime::http::{Problem, note};
use runtime::sli::Note;

use crate::meters::Phase;
use crate::service::Shared;

use decide::{Refused, Verdict};

/// Handles one request.
pub(crate) async fn handle(gateway: &Shared, request: Request<Body>) -> Response<Body> {
    observed(&gateway.http, None, request, |request| answered(gateway, request)).await
}

async fn answered(gateway: &Shared, request: Request<Body>) -> Response<Body> {
    let mut label = None;
    let to_ingress = gateway.edge.proven(request.headers());
    let mut response = caught(async {
        phases(gateway, request, &mut label).await.unwrap_or_else(|problem| problem.into_response())
    })
    .await;
    if to_ingress && let Some(said) = response.extensions().get::<Note>().copied() {
        note::say(said, response.headers_mut());
    }
    if let Some(label) = label {
        response.extensions_mut().insert(Route(label));
    }
    response
}

async fn phases(
    gateway: &Shared,
    request: Request<Body>,
    label: &mut Option<Arc<str>>,
) -> Result<Response<Body>, Problem> {
    let measured = gateway.meters.begin(Phase::Admit);
    let admitted = measured.end(admit::admit(gateway, request))?;
    let measured = gateway.meters.begin(Phase::Route);
    let routed = measured.end(route::route(gateway, admitted, label))?;
    let measured = gateway.meters.begin(Phase::Authenticate);
    let authenticated = measured.end(authenticate::authenticate(gateway, routed).await)?;
    let measured = gateway.meters.begin(Phase::Assess);
    let assessed = measured.end(assess::assess(gateway, authenticated).await)?;
    let measured = gateway.meters.begin(Phase::Decide);
    match measured.end(decide::decide(gateway, assessed))? {
        Verdict::Permitted(permitted) => {
            let measured = gateway.meters.begin(Phase::Forward);
            measured.end(forward::forward(gateway, *permitted).await)
        }
        Verdict::Refused(refused) => {
            let measured = gateway.meters.begin(Phase::Refuse);
            let delayed = matches!(refused, Refused::Tarpit);
            let mut response = refuse::refuse(gateway, refused).await.into_response();
            response.extensions_mut().insert(Note { applications: false, delayed });
            measured.end(Ok(response))
        }
    }
}
