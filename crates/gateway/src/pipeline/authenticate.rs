//! Whom the request's API key stands for.

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use runtime::http::{Facts, Problem, auth};
use runtime::telemetry::TENANT;
use types::{Caller, Tenant};

use super::admit::Found;
use super::route::Routed;
use crate::meters::Dependency;
use crate::routing::Route;
use crate::service::Shared;
use crate::{identity, respond};

/// A request whose caller is known, or that is on a route where it need not be.
#[derive(Debug)]
pub(super) struct Authenticated {
    request: Request<Body>,
    found: Found,
    route: Arc<Route>,
    caller: Option<Caller>,
}

impl Authenticated {
    /// Whose the session is that the request says it is in.
    pub(super) fn tenant(&self) -> Option<&Tenant> {
        let of_caller = self.caller.as_ref().map(|caller| &caller.tenant);
        of_caller.or(self.route.tenant.as_ref())
    }

    /// The session the request names, else that of its API key: a program has no other, and contauth
    /// knows it where somebody reports on `key.<id>`.
    pub(super) fn session(&self) -> Option<String> {
        let of_key = || self.caller.as_ref().map(|caller| format!("key.{}", caller.key_id));
        self.found.session.clone().or_else(of_key)
    }

    pub(super) fn request(&self) -> &Request<Body> {
        &self.request
    }

    pub(super) fn found(&self) -> &Found {
        &self.found
    }

    pub(super) fn open(self) -> (Request<Body>, Found, Arc<Route>, Option<Caller>) {
        (self.request, self.found, self.route, self.caller)
    }
}

#[tracing::instrument(
    skip_all,
    name = "authenticate",
    fields(shieldx.tenant = tracing::field::Empty, shieldx.key_id = tracing::field::Empty)
)]
pub(super) async fn authenticate(
    gateway: &Shared,
    routed: Routed,
) -> Result<Authenticated, Problem> {
    let anonymous = routed.route().anonymous;
    let (admitted, route) = routed.open();
    let (request, found) = admitted.open();
    let headers = request.headers();
    // A key that is given and bad is refused also where none is needed: whoever sends it would
    // otherwise be taken for somebody they are not.
    let caller = if anonymous && !identity::has_key(headers) {
        None
    } else {
        let caller = auth::caller(headers, gateway.keys.as_ref()).await.inspect_err(|problem| {
            if problem.status.is_server_error() {
                gateway.meters.failed(Dependency::Keys);
            }
        })?;
        Facts::tell_tenant(request.extensions(), &caller.tenant);
        let span = tracing::Span::current();
        span.record(TENANT, caller.tenant.as_str());
        span.record("shieldx.key_id", caller.key_id.as_str());
        Some(caller)
    };
    if let (Some(caller), Some(owner)) = (&caller, &route.tenant)
        && caller.tenant != *owner
    {
        return Err(respond::other_tenant(&caller.tenant));
    }
    Ok(Authenticated { request, found, route, caller })
}
