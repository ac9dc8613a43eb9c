//! The services, built and joined. What meets here meets nowhere else: each is handed the others as
//! ports and does not know that they live in the same process.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use console::Console;
use contauth::Contauth;
use gateway::Gateway;
use ingress::Ingress;
use ledger::Ledger;
use runtime::clock::Clock;
use runtime::http::observe::{HttpMetrics, observe};
use runtime::http::ops::{self, Ops, Readiness};
use runtime::http::routes::fallbacks;
use runtime::http::server::{self, Limits};
use runtime::sli::Sli;
use runtime::tasks::Tasks;
use runtime::telemetry::Telemetry;
use rustls::ServerConfig;
use slo::Catalog;
use store::keys::StoredKeys;
use store::sqlite::Store;
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use types::ports::Authenticator;
use utoipa::openapi::OpenApi;
use verifier_pool::Pool;

mod build;
mod observability;
mod views;

use build::edge_secret;

use super::counted::CountedServices;
use super::listeners::Listeners;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::request::service::UpRequest;

/// How often sessions that nobody touches any more are removed.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);

/// One service with an API of its own: what is served on its internal listener.
struct Api {
    router: Router,
    document: OpenApi,
    ops: Ops,
    sli: Sli,
}

/// All services, built and not yet served.
pub(super) struct Services {
    ingress: Ingress,
    ingress_ops: Ops,
    gateway: Gateway,
    gateway_ops: Ops,
    contauth: Api,
    verifier_pool: Api,
    ml_service: Api,
    /// The ledger's API, on the console's listener.
    ledger_api: Api,
    ledger: Arc<Ledger>,
    console: Console,
    pool: Arc<Pool>,
    sessions: Arc<Contauth>,
    tls: Option<Arc<ServerConfig>>,
}

/// What all services stand on.
pub(super) struct Ground<'a> {
    pub request: &'a UpRequest,
    pub catalog: &'a Catalog,
    pub counted: CountedServices,
    pub store: Arc<Store>,
    pub tasks: &'a Tasks,
    pub clock: Arc<dyn Clock>,
    pub telemetry: &'a Telemetry,
}

impl Services {
    /// Builds everything; nothing is served and no work begun.
    pub(super) async fn build(ground: &Ground<'_>, listeners: &Listeners) -> Result<Self, Failure> {
        let keys: Arc<dyn Authenticator> =
            StoredKeys::new(Arc::clone(&ground.store) as _, Arc::clone(&ground.clock));
        let (contauth, sessions) = ground.contauth(&keys);
        let (ml_service, ml) = ground.ml_service(&keys).await?;
        let (verifier_pool, pool) = ground.verifier_pool(&keys, ml).await?;
        let (ledger_api, ledger) = ground.ledger(listeners, &keys)?;
        let documents = [&verifier_pool, &contauth, &ml_service, &ledger_api];
        let documents = documents.map(|api| api.document.clone()).into();
        let secret = edge_secret()?;
        let (gateway, gateway_ops) =
            ground.gateway(listeners, &keys, Arc::clone(&sessions), documents, &secret)?;
        let (ingress, ingress_ops) = ground.ingress(listeners, &secret)?;
        let tls = ground.tls()?;
        let all = [
            &ingress_ops,
            &gateway_ops,
            &contauth.ops,
            &verifier_pool.ops,
            &ml_service.ops,
            &ledger_api.ops,
        ];
        let console = ground.console(listeners, &ledger, all)?;
        pool.recover().await.map_err(|error| Failure::of(Exit::Failed, &error))?;
        Ok(Self {
            ingress,
            ingress_ops,
            gateway,
            gateway_ops,
            contauth,
            verifier_pool,
            ml_service,
            ledger_api,
            ledger,
            console,
            pool,
            sessions,
            tls,
        })
    }

    /// Serves everything, and begins to work on what is queued. Nothing here can fail.
    pub(super) fn serve(&self, listeners: Listeners, ground: &Ground<'_>) {
        self.pool.start();
        let sessions = Arc::clone(&self.sessions);
        ground.tasks.every("contauth-expiry", EXPIRE_EVERY, move || {
            let sessions = Arc::clone(&sessions);
            async move {
                if let Err(error) = sessions.expire().await {
                    tracing::warn!(%error, "old sessions could not be removed");
                }
            }
        });
        self.ledger.start();
        self.console.start();
        let tasks = ground.tasks;
        let internal = |listener, router, name| {
            server::serve(listener, None, router, Limits::internal(), tasks.clone(), name);
        };
        internal(listeners.contauth, self.contauth.served(), "contauth");
        internal(listeners.verifier_pool, self.verifier_pool.served(), "verifier-pool");
        internal(listeners.ml_service, self.ml_service.served(), "ml-service");
        internal(listeners.console, self.pages(), "console");
        internal(listeners.gateway, bare(&self.gateway_ops), "gateway-internal");
        internal(listeners.ingress, bare(&self.ingress_ops), "ingress-internal");
        let counters = server::serve(
            listeners.gateway_data,
            None,
            self.gateway.clone(),
            Limits::internal(),
            tasks.clone(),
            "gateway",
        );
        counters.register(&self.gateway_ops.metrics, "data");
        self.public(listeners.public, listeners.tls, ground);
    }

    /// The console's pages, and the ledger's API, which answers everything below its prefix itself. The
    /// API is asked through the gateway under whatever name the client used, and wants a key: it is
    /// outside of the console's check of names.
    fn pages(&self) -> Router {
        let (api, console) = (self.ledger_api.observed(), self.console.router());
        Router::new().fallback(move |request: Request| {
            let path = request.uri().path();
            let of_api = path == "/openapi.json" || path == "/v1" || path.starts_with("/v1/");
            if of_api { api.clone() } else { console.clone() }.oneshot(request)
        })
    }

    /// After everything has ended: what was counted meanwhile is kept, too.
    pub(super) async fn finish(&self) {
        self.ledger.finish().await;
    }

    /// The doors to the outside.
    fn public(&self, clear: TcpListener, encrypted: Option<TcpListener>, ground: &Ground<'_>) {
        let config = &ground.request.config.ingress;
        let (limits, metrics) = (&config.limits, &self.ingress_ops.metrics);
        let (service, tasks) = (|| self.ingress.clone(), || ground.tasks.clone());
        let counters = server::serve(clear, None, service(), limits.clone(), tasks(), "ingress");
        counters.register(metrics, "http");
        if let (Some(listener), Some(tls)) = (encrypted, &self.tls) {
            let counters = server::serve(
                listener,
                Some(Arc::clone(tls)),
                service(),
                limits.clone(),
                tasks(),
                "ingress-tls",
            );
            counters.register(metrics, "https");
        }
    }

    /// Whether each service is ready, in the order of a request.
    pub(super) async fn readiness(&self) -> Vec<Readiness> {
        let all = [
            &self.ingress_ops,
            &self.gateway_ops,
            &self.contauth.ops,
            &self.verifier_pool.ops,
            &self.ml_service.ops,
            &self.ledger_api.ops,
        ];
        let mut found = Vec::new();
        for ops in all {
            found.push(ops::readiness(ops).await);
        }
        found
    }
}

impl Api {
    /// The API with what every service has around it.
    fn served(&self) -> Router {
        // Probes and scrapes are no requests of anybody and stay outside of what is observed.
        ops::routes(self.ops.clone()).fallback_service(self.observed())
    }

    /// The API with its description, observed.
    fn observed(&self) -> Router {
        let document = self.document.clone();
        let open = axum::routing::get(move || {
            let document = document.clone();
            async move { axum::Json(document) }
        });
        let router = self.router.clone().route("/openapi.json", open);
        observe(router, HttpMetrics::new(&self.ops.metrics, self.sli.clone()))
    }
}

/// A listener without an API.
fn bare(ops: &Ops) -> Router {
    fallbacks(ops::routes(ops.clone()))
}
