//! The services, built and joined. What meets here meets nowhere else: each is handed the others as
//! ports and does not know that they live in the same process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use contauth::Contauth;
use gateway::Gateway;
use ingress::Ingress;
use ml_service::MlService;
use policy::Policy;
use runtime::clock::Clock;
use runtime::http::forward::{BadUpstream, Client, Config as ForwardConfig, Upstream};
use runtime::http::observe::{HttpMetrics, observe};
use runtime::http::ops::{Dependency, Ops, Reachable, Readiness};
use runtime::http::routes::fallbacks;
use runtime::http::server::{self, Limits};
use runtime::http::{ops, tls};
use runtime::metrics::Metrics;
use runtime::tasks::Tasks;
use runtime::telemetry::Telemetry;
use rustls::ServerConfig;
use store::StoreError;
use store::artifacts::Artifacts;
use store::domain::Health;
use store::keys::StoredKeys;
use store::sqlite::Store;
use tokio::net::TcpListener;
use types::ports::{Authenticator, Executor};
use types::text::hex;
use utoipa::openapi::OpenApi;
use verifier_pool::Pool;

use super::listeners::{Listeners, url};
use crate::executor::{Settings, WorkerExecutor};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::judge::LocalJudge;
use crate::request::service::UpRequest;

/// Random bytes of the secret with which ingress proves itself to the gateway.
const EDGE_SECRET_BYTES: usize = 32;
/// How often sessions that nobody touches any more are removed.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);

/// One service with an API of its own: what is served on its internal listener.
struct Api {
    router: Router,
    document: OpenApi,
    ops: Ops,
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
    pool: Arc<Pool>,
    sessions: Arc<Contauth>,
    tls: Option<Arc<ServerConfig>>,
}

/// What all services stand on.
pub(super) struct Ground<'a> {
    pub request: &'a UpRequest,
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
        let documents = [&verifier_pool, &contauth, &ml_service].map(|api| api.document.clone());
        let secret = edge_secret()?;
        let (gateway, gateway_ops) =
            ground.gateway(listeners, &keys, Arc::clone(&sessions), documents, &secret)?;
        let (ingress, ingress_ops) = ground.ingress(listeners, &secret)?;
        let tls = ground.tls()?;
        pool.recover().await.map_err(|error| Failure::of(Exit::Failed, &error))?;
        Ok(Self {
            ingress,
            ingress_ops,
            gateway,
            gateway_ops,
            contauth,
            verifier_pool,
            ml_service,
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
        let tasks = ground.tasks;
        let internal = |listener, router, name| {
            server::serve(listener, None, router, Limits::internal(), tasks.clone(), name);
        };
        internal(listeners.contauth, self.contauth.served(), "contauth");
        internal(listeners.verifier_pool, self.verifier_pool.served(), "verifier-pool");
        internal(listeners.ml_service, self.ml_service.served(), "ml-service");
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
        let document = self.document.clone();
        let open = axum::routing::get(move || {
            let document = document.clone();
            async move { axum::Json(document) }
        });
        let router = self.router.clone().route("/openapi.json", open);
        let observed = observe(router, HttpMetrics::new(&self.ops.metrics, runtime::sli::Sli::default()));
        // Probes and scrapes are no requests of anybody and stay outside of what is observed.
        ops::routes(self.ops.clone()).fallback_service(observed)
    }
}

/// A listener without an API.
fn bare(ops: &Ops) -> Router {
    fallbacks(ops::routes(ops.clone()))
}

impl Ground<'_> {
    fn ops(&self, metrics: Metrics, dependencies: Vec<Arc<dyn Dependency>>) -> Ops {
        metrics.register_process();
        Ops { metrics, dependencies: Arc::new(dependencies) }
    }

    fn tls(&self) -> Result<Option<Arc<ServerConfig>>, Failure> {
        let files = self.request.config.ingress.tls.as_ref();
        let read = files.map(|files| tls::server(&files.certificate, &files.key)).transpose();
        read.map_err(|error| Failure::of(Exit::Usage, &error))
    }

    fn contauth(&self, keys: &Arc<dyn Authenticator>) -> (Api, Arc<Contauth>) {
        let metrics = Metrics::new("contauth");
        let service = Contauth::new(
            self.request.config.contauth.clone(),
            Arc::clone(&self.store) as _,
            Arc::clone(&self.clock),
            metrics.clone(),
        );
        let (router, document) = contauth::api::router(Arc::clone(&service), Arc::clone(keys));
        let ops = self.ops(metrics, vec![StoreReady::of(&self.store)]);
        (Api { router, document, ops }, service)
    }

    async fn ml_service(
        &self,
        keys: &Arc<dyn Authenticator>,
    ) -> Result<(Api, Arc<MlService>), Failure> {
        let metrics = Metrics::new("ml-service");
        let (log, clock) = (Arc::clone(&self.store) as _, Arc::clone(&self.clock));
        let config = &self.request.config.ml_service;
        let service = MlService::open(config, log, clock, &metrics, self.tasks)
            .await
            .map_err(|error| Failure::of(Exit::Failed, &error))?;
        let (router, document) = ml_service::api::router(Arc::clone(&service), Arc::clone(keys));
        let ops = self.ops(metrics, vec![StoreReady::of(&self.store)]);
        Ok((Api { router, document, ops }, service))
    }

    async fn verifier_pool(
        &self,
        keys: &Arc<dyn Authenticator>,
        ml: Arc<MlService>,
    ) -> Result<(Api, Arc<Pool>), Failure> {
        let failed = |error: StoreError| Failure::of(Exit::Failed, &error);
        let metrics = Metrics::new("verifier-pool");
        let folder = &self.request.place.folder;
        let artifacts = Artifacts::open(&folder.join("artifacts")).map_err(failed)?;
        let program = self.request.program.clone();
        let executor: Arc<dyn Executor> =
            Arc::new(WorkerExecutor::new(Settings::new(program, vec![folder.clone()])));
        let parts = verifier_pool::Parts {
            verifications: Arc::clone(&self.store) as _,
            artifacts: Arc::clone(&artifacts),
            executor: Arc::clone(&executor),
            judge: Arc::new(LocalJudge::new()),
            anomaly: ml,
            clock: Arc::clone(&self.clock),
            metrics: metrics.clone(),
            tasks: self.tasks.clone(),
        };
        let pool = Pool::new(self.request.config.verifier_pool.clone(), parts);
        let (router, document) = verifier_pool::router(Arc::clone(&pool), Arc::clone(keys));
        let needs = verifier_pool::dependencies(Arc::clone(&self.store) as _, artifacts, executor);
        Ok((Api { router, document, ops: self.ops(metrics, needs) }, pool))
    }

    fn gateway(
        &self,
        listeners: &Listeners,
        keys: &Arc<dyn Authenticator>,
        risk: Arc<Contauth>,
        documents: [OpenApi; 3],
        secret: &str,
    ) -> Result<(Gateway, Ops), Failure> {
        let metrics = Metrics::new("gateway");
        let config = &self.request.config;
        let policy = match &config.policy.folder {
            Some(folder) => Policy::load(folder),
            None => Policy::builtin(),
        };
        let policy = policy.map_err(|error| Failure::of(Exit::Usage, &error))?;
        let own = |listener| upstream(listener);
        let parts = gateway::Parts {
            keys: Arc::clone(keys),
            risk,
            decider: Arc::new(policy),
            client: Client::new(config.gateway.upstreams.clone(), self.tasks.clone()),
            own: gateway::OwnApis {
                verifier_pool: own(&listeners.verifier_pool)?,
                contauth: own(&listeners.contauth)?,
                ml_service: own(&listeners.ml_service)?,
            },
            documents: documents.into(),
            traces: self.telemetry.traces(),
            clock: Arc::clone(&self.clock),
            edge_secret: secret.to_owned(),
            metrics: metrics.clone(),
            sli: runtime::sli::Sli::default(),
            tasks: self.tasks.clone(),
        };
        let gateway = Gateway::new(config.gateway.clone(), parts)
            .map_err(|error| Failure::of(Exit::Usage, &error))?;
        let ops = self.ops(metrics, gateway.dependencies());
        Ok((gateway, ops))
    }

    fn ingress(&self, listeners: &Listeners, secret: &str) -> Result<(Ingress, Ops), Failure> {
        let metrics = Metrics::new("ingress");
        let client = Client::new(ForwardConfig::default(), self.tasks.clone());
        let to = upstream(&listeners.gateway_data)?;
        let (config, clock) = (self.request.config.ingress.clone(), Arc::clone(&self.clock));
        let ready = Arc::new(Reachable::new("gateway", to.clone()));
        let ingress = Ingress::new(config, to, client, clock, &metrics, runtime::sli::Sli::default(), secret)
            .map_err(|error| Failure::of(Exit::Usage, &error))?;
        self.telemetry.register(&metrics);
        let ops = self.ops(metrics, vec![ready]);
        Ok((ingress, ops))
    }
}

fn upstream(listener: &TcpListener) -> Result<Upstream, Failure> {
    url(listener).parse().map_err(|error: BadUpstream| Failure::of(Exit::Failed, &error))
}

/// Drawn anew at each start, and known to this process only.
fn edge_secret() -> Result<String, Failure> {
    let mut random = [0; EDGE_SECRET_BYTES];
    getrandom::fill(&mut random).map_err(|error| Failure::of(Exit::Failed, &error))?;
    Ok(hex(&random))
}

/// The store, for services that keep something.
#[derive(Debug)]
struct StoreReady(Arc<Store>);

impl StoreReady {
    fn of(store: &Arc<Store>) -> Arc<dyn Dependency> {
        Arc::new(Self(Arc::clone(store)))
    }
}

#[async_trait]
impl Dependency for StoreReady {
    fn name(&self) -> &'static str {
        "store"
    }

    async fn check(&self) -> Result<(), String> {
        Health::check(self.0.as_ref()).await.map_err(|error| error.to_string())
    }
}
