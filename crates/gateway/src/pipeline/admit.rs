//! Whether everybody on its way reads the request alike, where it came from, and which session it
//! says it is in. What only ShieldX says is removed here.

use axum::body::Body;
use http::{Extensions, Request};
use runtime::http::edge::{Origin, SESSION};
use runtime::http::{Problem, admission};

use crate::respond;
use crate::routing::{canonical_host, is_host};
use crate::service::Shared;

/// A request that is well formed.
#[derive(Debug)]
pub(super) struct Admitted {
    request: Request<Body>,
    origin: Origin,
    host: String,
    session: Option<String>,
}

/// What was found out.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) origin: Origin,
    /// Lower-case, without port and final dot.
    pub(super) host: String,
    pub(super) session: Option<String>,
}

impl Admitted {
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn path(&self) -> &str {
        self.request.uri().path()
    }

    pub(super) fn extensions(&self) -> &Extensions {
        self.request.extensions()
    }

    pub(super) fn open(self) -> (Request<Body>, Found) {
        let Self { request, origin, host, session } = self;
        (request, Found { origin, host, session })
    }
}

#[tracing::instrument(skip_all, name = "admit")]
pub(super) fn admit(gateway: &Shared, mut request: Request<Body>) -> Result<Admitted, Problem> {
    let authority = admission::admit(&request).map_err(Problem::from)?;
    let host = authority.host();
    if !is_host(host) {
        return Err(respond::bad_host());
    }
    let session = gateway.sessions.session(request.headers())?;
    let origin = gateway.edge.admit(&mut request);
    request.headers_mut().remove(SESSION);
    Ok(Admitted { request, origin, host: canonical_host(host), session })
}
