//! Forwards what was permitted, and gives the answer back.

use std::convert::Infallible;

use axum::body::Body;
use http::{Request, Response};
use runtime::http::Problem;
use runtime::http::edge::{SESSION, forget_internal};
use runtime::http::forward::Upstream;
use runtime::sli::Note;
use runtime::telemetry;
use tower::ServiceExt as _;

use super::decide::{Destination, Permitted};
use crate::meters::{Outcome, To};
use crate::service::Shared;

#[tracing::instrument(skip_all, name = "forward", fields(otel.kind = "client"))]
pub(super) async fn forward(
    gateway: &Shared,
    permitted: Permitted,
) -> Result<Response<Body>, Problem> {
    let (mut request, destination, identity) = permitted.open();
    telemetry::inject(request.headers_mut());
    let (to, upstream) = match destination {
        Destination::Application(upstream) => (To::Application, upstream),
        Destination::Decoy(upstream) => (To::Decoy, upstream),
        // A service of ours believes no header that says who the caller is: it checks the key. What
        // fails there is ours at every hop, so nothing is said of it.
        Destination::Api(upstream) => {
            let mut response = send(gateway, request, &upstream, To::Api).await?;
            forget_internal(response.headers_mut());
            return Ok(response);
        }
        Destination::Own => {
            let answered: Result<_, Infallible> = gateway.own.clone().oneshot(request).await;
            gateway.meters.forwarded(To::Gateway, Outcome::Answered);
            return Ok(answered.unwrap_or_else(|never| match never {}));
        }
    };
    identity.announce(request.headers_mut());
    let mut response = send(gateway, request, &upstream, to).await?;
    // What only ShieldX says is not said by an application, and a decoy does not say what it is.
    forget_internal(response.headers_mut());
    response.headers_mut().remove(SESSION);
    // A failure it answers with is its own; not to answer would have been one of the way to it.
    response.extensions_mut().insert(Note { applications: true, delayed: false });
    Ok(response)
}

async fn send(
    gateway: &Shared,
    request: Request<Body>,
    upstream: &Upstream,
    to: To,
) -> Result<Response<Body>, Problem> {
    match gateway.client.forward(request, upstream).await {
        Ok(response) => {
            gateway.meters.forwarded(to, Outcome::Answered);
            Ok(response)
        }
        Err(error) => {
            let outcome = if error.is_upstreams() { Outcome::Failed } else { Outcome::Broken };
            gateway.meters.forwarded(to, outcome);
            Err(error.problem())
        }
    }
}
