//! One request through the ingress: identify ▸ admit ▸ limit ▸ forward.

use axum::body::Body;
use axum::response::IntoResponse as _;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use runtime::http::admission::Malformed;
use runtime::http::auth;
use runtime::http::edge::{Origin, forget_internal};
use runtime::http::forward::ForwardError;
use runtime::http::observe::observed;
use runtime::http::routes::{caught, limited};
use runtime::http::{Problem, admission, note};
use runtime::telemetry;

use crate::counts::Outcome;
use crate::limit::{Exceeded, Whose};
use crate::request_id::{self, X_REQUEST_ID};
use crate::service::Parts;
use crate::trace::{self, TRACEPARENT};

/// The one route there is.
const ROUTE: &str = "/{*path}";

pub(crate) async fn handle(ingress: &Parts, mut request: Request<Body>) -> Response<Body> {
    let headers = request.headers_mut();
    let id = request_id::assign(headers, ingress.clock.as_ref());
    let traced = trace::admit(headers, ingress.config.accept_traceparent);
    ingress.counts.traceparent(traced);
    let mut response =
        observed(&ingress.http, Some(ROUTE), request, |request| caught(admitted(ingress, request)))
            .await;
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
}

async fn admitted(ingress: &Parts, request: Request<Body>) -> Response<Body> {
    let request = match admit(ingress, request) {
        Ok(request) => request,
        Err(refusal) => {
            ingress.counts.outcome(refusal.outcome());
            return refusal.problem().into_response();
        }
    };
    let max_bytes = usize::try_from(ingress.config.body_max_bytes).unwrap_or(usize::MAX);
    let mut reached = false;
    let response = limited(request, max_bytes, |request| {
        reached = true;
        forward(ingress, request)
    })
    .await;
    if !reached {
        ingress.counts.outcome(Outcome::Body);
    }
    response
}

/// Why a request goes no further.
enum Refusal {
    Malformed(Malformed),
    TooMany(Exceeded),
}

impl Refusal {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Malformed(malformed) => Outcome::Malformed(*malformed),
            Self::TooMany(exceeded) => Outcome::Limited(exceeded.whose),
        }
    }

    fn problem(&self) -> Problem {
        match self {
            Self::Malformed(malformed) => Problem::from(*malformed),
            Self::TooMany(exceeded) => too_many(*exceeded),
        }
    }
}

/// Refuses what is malformed or too much, and takes from the rest what only ShieldX says.
#[tracing::instrument(skip_all, name = "admit")]
fn admit(ingress: &Parts, mut request: Request<Body>) -> Result<Request<Body>, Refusal> {
    admission::admit(&request).map_err(Refusal::Malformed)?;
    // What a client says about where it comes from is not believed, here or later.
    let origin = Origin::of(&request);
    let key = auth::key(request.headers());
    ingress.limits.check(origin.address, key).map_err(Refusal::TooMany)?;
    forget_internal(request.headers_mut());
    request.extensions_mut().insert(origin);
    Ok(request)
}

#[tracing::instrument(skip_all, name = "forward")]
async fn forward(ingress: &Parts, mut request: Request<Body>) -> Response<Body> {
    let headers = request.headers_mut();
    ingress.edge.prove(headers);
    let traceparent = telemetry::current_traceparent().and_then(|text| text.try_into().ok());
    if let Some(traceparent) = traceparent {
        headers.insert(TRACEPARENT, traceparent);
    }
    match ingress.client.forward(request, &ingress.gateway).await {
        Ok(mut response) => {
            ingress.counts.outcome(Outcome::Forwarded);
            let said = note::hear(response.headers());
            response.extensions_mut().insert(said);
            forget_internal(response.headers_mut());
            response
        }
        Err(error) => {
            let outcome = if error.is_upstreams() { Outcome::Failed } else { Outcome::Body };
            ingress.counts.outcome(outcome);
            not_forwarded(&error).into_response()
        }
    }
}

/// A gateway that takes no connection is a part of ShieldX that is missing, not an application.
fn not_forwarded(error: &ForwardError) -> Problem {
    let problem = error.problem();
    match error {
        ForwardError::Connect { .. } | ForwardError::ConnectTimeout { .. } => {
            let cause = problem.internal.unwrap_or_default();
            Problem::unavailable("the gateway cannot be reached; try again", cause)
        }
        _ => problem,
    }
}

/// 429 with the limit in the headers of draft-ietf-httpapi-ratelimit-headers-10.
fn too_many(exceeded: Exceeded) -> Problem {
    let (name, whose) = match exceeded.whose {
        Whose::Address => ("address", "this address"),
        Whose::Key => ("key", "this API key"),
    };
    let Exceeded { per_second, burst, wait, .. } = exceeded;
    let seconds = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
    let mut problem = Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate-limited",
        "Too many requests",
        format!(
            "{whose} may make {per_second} requests a second and {burst} at once; wait {seconds} s"
        ),
    );
    problem.retry_after_s = Some(seconds);
    let window = burst.div_ceil(per_second.max(1));
    for (header, value) in [
        ("ratelimit-policy", format!("\"{name}\";q={burst};w={window}")),
        ("ratelimit", format!("\"{name}\";r=0;t={seconds}")),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            problem = problem.header(HeaderName::from_static(header), value);
        }
    }
    problem
}
