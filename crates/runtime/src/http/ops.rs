//! The routes every service has on its internal listener: `/metrics`, `/healthz`, `/readyz`.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use tokio::net::TcpStream;

use crate::http::extract::Json;
use crate::http::forward::Upstream;
use crate::metrics::Metrics;

mod accept;

/// A service next door answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(1);

/// Something a service needs.
#[async_trait]
pub trait Dependency: Send + Sync + Debug {
    fn name(&self) -> &str;
    /// Whether the service is not ready without it; otherwise its state is only told.
    fn required(&self) -> bool {
        true
    }
    /// # Errors
    /// Why it cannot be used now, in one sentence.
    async fn check(&self) -> Result<(), String>;
}

/// A service that is asked over the network: it takes connections. More is not tried, as what it
/// needs itself is its own to tell.
#[derive(Debug)]
pub struct Reachable {
    name: &'static str,
    upstream: Upstream,
}

impl Reachable {
    #[must_use]
    pub fn new(name: &'static str, upstream: Upstream) -> Self {
        Self { name, upstream }
    }
}

#[async_trait]
impl Dependency for Reachable {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn check(&self) -> Result<(), String> {
        let host = self.upstream.authority().host().trim_matches(['[', ']']);
        let connecting = TcpStream::connect((host, self.upstream.port()));
        match tokio::time::timeout(PATIENCE, connecting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("{} cannot be reached: {error}", self.upstream)),
            Err(_) => Err(format!("{} took no connection within a second", self.upstream)),
        }
    }
}

/// What the routes tell about.
#[derive(Debug, Clone)]
pub struct Ops {
    pub metrics: Metrics,
    pub dependencies: Arc<Vec<Arc<dyn Dependency>>>,
}

/// The answer of `/readyz`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Readiness {
    pub service: String,
    pub ready: bool,
    pub dependencies: Vec<DependencyState>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DependencyState {
    pub name: String,
    pub ready: bool,
    /// Whether the service is not ready without it.
    pub required: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `/metrics`, `/healthz`, `/readyz`; they need no key and are for the internal listener.
pub fn routes(ops: Ops) -> Router {
    let metrics = ops.metrics.clone();
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async move || ready(&ops).await))
        .route("/metrics", get(async move |headers: HeaderMap| text(&metrics, &headers)))
}

/// All metrics, in the format that is asked for.
fn text(metrics: &Metrics, headers: &HeaderMap) -> Response {
    let format = accept::format(headers);
    let kind = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "accept")];
    (kind, format.write(&metrics.families())).into_response()
}

/// Asks every dependency.
pub async fn readiness(ops: &Ops) -> Readiness {
    let mut dependencies = Vec::new();
    for dependency in ops.dependencies.iter() {
        let reason = dependency.check().await.err();
        let name = dependency.name().to_owned();
        let required = dependency.required();
        dependencies.push(DependencyState { name, ready: reason.is_none(), required, reason });
    }
    let ready = dependencies.iter().all(|state| state.ready || !state.required);
    Readiness { service: ops.metrics.service().to_owned(), ready, dependencies }
}

async fn ready(ops: &Ops) -> Response {
    let readiness = readiness(ops).await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}
