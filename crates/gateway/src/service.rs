//! The gateway as a service that a server can serve.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use runtime::clock::Clock;
use runtime::http::HttpMetrics;
use runtime::http::edge::Edge;
use runtime::http::forward::{Client, Upstream};
use runtime::http::ops::{Dependency, Reachable};
use runtime::metrics::Metrics;
use runtime::sli::Sli;
use runtime::tasks::Tasks;
use runtime::telemetry::Traces;
use tower::Service;
use types::ports::{Authenticator, Decider, RiskSource};
use utoipa::openapi::OpenApi;

use crate::config::{Config, ConfigError, OnFailures};
use crate::meters::Meters;
use crate::readiness::PolicyDecides;
use crate::routing::Table;
use crate::session::Places;
use crate::tarpit::Tarpit;
use crate::{api, pipeline};

/// What the gateway stands on.
pub struct Parts {
    pub keys: Arc<dyn Authenticator>,
    pub risk: Arc<dyn RiskSource>,
    pub decider: Arc<dyn Decider>,
    /// Made of [`Config::upstreams`].
    pub client: Client,
    pub own: OwnApis,
    /// The descriptions of the services' APIs, which the gateway's `/openapi.json` joins.
    pub documents: Vec<OpenApi>,
    pub traces: Arc<Traces>,
    pub clock: Arc<dyn Clock>,
    /// What the ingress proves itself with: at least 32 visible characters, drawn at the start of
    /// the process.
    pub edge_secret: String,
    /// The service's own.
    pub metrics: Metrics,
    pub sli: Sli,
    pub tasks: Tasks,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("own", &self.own).finish_non_exhaustive()
    }
}

/// Where ShieldX's own APIs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnApis {
    /// `/v1/verifications`
    pub verifier_pool: Upstream,
    /// `/v1/sessions`, `/v1/subjects`
    pub contauth: Upstream,
    /// `/v1/features`
    pub ml_service: Upstream,
    /// `/v1/slos`, `/v1/gate`, `/v1/deploys`
    pub ledger: Upstream,
}

/// The gateway. Cloning gives another handle to the same.
#[derive(Debug, Clone)]
pub struct Gateway(Arc<Shared>);

/// What every request is handled with.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) table: Table,
    pub(crate) sessions: Places,
    pub(crate) risk_timeout_ms: u64,
    pub(crate) on_failure: OnFailures,
    pub(crate) keys: Arc<dyn Authenticator>,
    pub(crate) risk: Arc<dyn RiskSource>,
    pub(crate) decider: Arc<dyn Decider>,
    pub(crate) client: Client,
    /// What the gateway answers itself.
    pub(crate) own: Router,
    pub(crate) edge: Edge,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tarpit: Tarpit,
    pub(crate) meters: Meters,
    pub(crate) http: HttpMetrics,
    contauth: Upstream,
}

impl Gateway {
    /// # Errors
    /// When a setting cannot be, two routes are the same, or two services describe the same path.
    pub fn new(config: Config, parts: Parts) -> Result<Self, ConfigError> {
        let header = config.check()?;
        let table = Table::new(&config.routes, &parts.own)?;
        let edge = Edge::new(&parts.edge_secret).map_err(|source| ConfigError::Edge { source })?;
        let own = api::router(parts.traces, Arc::clone(&parts.keys), &parts.documents)?;
        let meters = Meters::new(&parts.metrics);
        let shutdown = parts.tasks.shutdown().clone();
        let places = config.tarpit_requests_max;
        Ok(Self(Arc::new(Shared {
            table,
            sessions: Places { header, cookie: config.session_cookie },
            risk_timeout_ms: config.risk_timeout_ms,
            on_failure: config.on_failure,
            keys: parts.keys,
            risk: parts.risk,
            decider: parts.decider,
            client: parts.client.measured(&parts.metrics),
            own,
            edge,
            clock: parts.clock,
            tarpit: Tarpit::new(config.tarpit_ms, places, &meters, shutdown),
            meters,
            http: HttpMetrics::new(&parts.metrics, parts.sli),
            contauth: parts.own.contauth,
        })))
    }

    /// For `/readyz`: the policy decides and contauth takes connections. Applications are not among
    /// them: one that is down is answered with 502, and the others go on.
    #[must_use]
    pub fn dependencies(&self) -> Vec<Arc<dyn Dependency>> {
        let policy = PolicyDecides::new(Arc::clone(&self.0.decider));
        let contauth = Reachable::new("contauth", self.0.contauth.clone());
        vec![Arc::new(policy), Arc::new(contauth)]
    }
}

impl Service<Request<Body>> for Gateway {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { Ok(pipeline::handle(&shared, request).await) })
    }
}
