//! The ingress as a service that a server can serve.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use runtime::clock::Clock;
use runtime::http::HttpMetrics;
use runtime::http::edge::Edge;
use runtime::http::forward::{Client, Upstream};
use runtime::metrics::Metrics;
use runtime::sli::Sli;
use tower::Service;

use crate::config::{Config, ConfigError};
use crate::counts::Counts;
use crate::limit::Limits;
use crate::pipeline;

/// The front door. Cloning gives another handle to the same.
#[derive(Debug, Clone)]
pub struct Ingress(Arc<Parts>);

/// What every request is handled with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) gateway: Upstream,
    pub(crate) client: Client,
    pub(crate) edge: Edge,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) counts: Counts,
    pub(crate) http: HttpMetrics,
}

impl Ingress {
    /// `edge_secret` is what the gateway's [`Edge`] was made of: at least 32 visible characters,
    /// drawn at the start of the process. `metrics` and `sli` are the service's own.
    ///
    /// # Errors
    /// When a rate has no burst, or the secret is too short.
    pub fn new(
        config: Config,
        gateway: Upstream,
        client: Client,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
        sli: Sli,
        edge_secret: &str,
    ) -> Result<Self, ConfigError> {
        let edge = Edge::new(edge_secret).map_err(|source| ConfigError::Edge { source })?;
        let limits = Limits::new(&config, Arc::clone(&clock))?;
        let (counts, http) = (Counts::new(metrics), HttpMetrics::new(metrics, sli));
        let client = client.measured(metrics);
        Ok(Self(Arc::new(Parts { config, gateway, client, edge, clock, limits, counts, http })))
    }
}

impl Service<Request<Body>> for Ingress {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let parts = Arc::clone(&self.0);
        Box::pin(async move { Ok(pipeline::handle(&parts, request).await) })
    }
}
