//! Each service built from the settings, the store and the ports of the others.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contauth::Contauth;
use gateway::Gateway;
use ingress::Ingress;
use ml_service::MlService;
use policy::Policy;
use runtime::http::forward::{BadUpstream, Client, Config as ForwardConfig, Upstream};
use runtime::http::ops::{Dependency, Ops, Reachable};
use runtime::http::tls;
use rustls::ServerConfig;
use store::StoreError;
use store::artifacts::Artifacts;
use store::domain::Health;
use store::sqlite::Store;
use tokio::net::TcpListener;
use types::ports::{Authenticator, Executor};
use types::text::hex;
use utoipa::openapi::OpenApi;
use verifier_pool::Pool;

use super::{Api, Ground};
use crate::executor::{SPARES_MAX, Settings, WorkerExecutor};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::judge::LocalJudge;
use crate::runners;
use crate::up::counted::Counted;
use crate::up::listeners::{Listeners, url};

/// How often spare workers are counted: not at once when one is taken, so that the job that took it
/// has the processor to itself.
const SPARES_TENDED: Duration = Duration::from_millis(250);
/// How often it is looked for what killed runs left. At the start, too; but the workers of a server
/// that was killed may take a moment to notice, and a daemon a moment to do what it was asked.
const SWEPT: Duration = Duration::from_secs(5);
/// How often runners that may come and go are tried again.
const RUNNERS_TENDED: Duration = Duration::from_secs(10);
/// Random bytes of the secret with which ingress proves itself to the gateway.
const EDGE_SECRET_BYTES: usize = 32;

impl Ground<'_> {
    pub(super) fn ops(&self, counted: &Counted, dependencies: Vec<Arc<dyn Dependency>>) -> Ops {
        let metrics = counted.metrics.clone();
        metrics.register_process();
        Ops { metrics, dependencies: Arc::new(dependencies) }
    }

    pub(super) fn tls(&self) -> Result<Option<Arc<ServerConfig>>, Failure> {
        let files = self.request.config.ingress.tls.as_ref();
        let read = files.map(|files| tls::server(&files.certificate, &files.key)).transpose();
        read.map_err(|error| Failure::of(Exit::Usage, &error))
    }

    pub(super) fn contauth(&self, keys: &Arc<dyn Authenticator>) -> (Api, Arc<Contauth>) {
        let counted = &self.counted.contauth;
        let metrics = counted.metrics.clone();
        let service = Contauth::new(
            self.request.config.contauth.clone(),
            Arc::clone(&self.store) as _,
            Arc::clone(&self.clock),
            metrics.clone(),
        );
        let (router, document) = contauth::api::router(Arc::clone(&service), Arc::clone(keys));
        let ops = self.ops(counted, vec![StoreReady::of(&self.store)]);
        (Api { router, document, ops, sli: counted.sli.clone() }, service)
    }

    pub(super) async fn ml_service(
        &self,
        keys: &Arc<dyn Authenticator>,
    ) -> Result<(Api, Arc<MlService>), Failure> {
        let counted = &self.counted.ml_service;
        let metrics = counted.metrics.clone();
        let (log, clock) = (Arc::clone(&self.store) as _, Arc::clone(&self.clock));
        let config = &self.request.config.ml_service;
        let service = MlService::open(config, log, clock, &metrics, self.tasks)
            .await
            .map_err(|error| Failure::of(Exit::Failed, &error))?;
        let (router, document) = ml_service::api::router(Arc::clone(&service), Arc::clone(keys));
        let ops = self.ops(counted, vec![StoreReady::of(&self.store)]);
        Ok((Api { router, document, ops, sli: counted.sli.clone() }, service))
    }

    pub(super) async fn verifier_pool(
        &self,
        keys: &Arc<dyn Authenticator>,
        ml: Arc<MlService>,
    ) -> Result<(Api, Arc<Pool>), Failure> {
        let failed = |error: StoreError| Failure::of(Exit::Failed, &error);
        let counted = &self.counted.verifier_pool;
        let metrics = counted.metrics.clone();
        self.store.register(&metrics);
        let folder = &self.request.place.folder;
        let artifacts = Artifacts::open(&folder.join("artifacts")).map_err(failed)?;
        let around = self.request.around.clone();
        let settings = &self.request.config.verifier_pool;
        self.sweep();
        let executor = WorkerExecutor::new(Settings {
            docker_image: settings.docker_image.clone(),
            rules: settings.rules.clone(),
            spares: usize::try_from(settings.spare_workers).unwrap_or(SPARES_MAX),
            ..Settings::new(around, vec![folder.clone()])
        });
        let spares = executor.clone();
        self.tasks.every("spare-workers", SPARES_TENDED, move || {
            spares.tend_spares();
            std::future::ready(())
        });
        let tended = executor.clone();
        self.tasks.every("runners", RUNNERS_TENDED, move || {
            let tended = tended.clone();
            async move {
                // One that breaks down leaves what was known.
                let _ = tokio::task::spawn_blocking(move || tended.tend_runners()).await;
            }
        });
        let executor: Arc<dyn Executor> = Arc::new(executor);
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
        let runners = verifier_pool::extras(&executor);
        let store = Arc::clone(&self.store) as _;
        let mut needs = verifier_pool::dependencies(store, artifacts, executor);
        needs.extend(runners);
        let ops = self.ops(counted, needs);
        Ok((Api { router, document, ops, sli: counted.sli.clone() }, pool))
    }

    /// Removes what runs left behind that were killed with their server, now and from time to time.
    fn sweep(&self) {
        let around = self.request.around.clone();
        let sweep = move || {
            let around = around.clone();
            async move {
                let sweeping = tokio::task::spawn_blocking(move || runners::sweep(&around));
                match sweeping.await {
                    Ok(removed) if removed.is_empty() => {}
                    Ok(removed) => {
                        let removed = removed.join(", ");
                        tracing::info!(removed, "swept what killed runs left behind");
                    }
                    Err(error) => tracing::error!(%error, "sweeping broke down"),
                }
            }
        };
        self.tasks.spawn("sweep", sweep());
        self.tasks.every("sweep", SWEPT, sweep);
    }

    pub(super) fn gateway(
        &self,
        listeners: &Listeners,
        keys: &Arc<dyn Authenticator>,
        risk: Arc<Contauth>,
        documents: Vec<OpenApi>,
        secret: &str,
    ) -> Result<(Gateway, Ops), Failure> {
        let counted = &self.counted.gateway;
        let metrics = counted.metrics.clone();
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
                ledger: own(&listeners.console)?,
            },
            documents,
            traces: self.telemetry.traces(),
            clock: Arc::clone(&self.clock),
            edge_secret: secret.to_owned(),
            metrics: metrics.clone(),
            sli: counted.sli.clone(),
            tasks: self.tasks.clone(),
        };
        let gateway = Gateway::new(config.gateway.clone(), parts)
            .map_err(|error| Failure::of(Exit::Usage, &error))?;
        let ops = self.ops(counted, gateway.dependencies());
        Ok((gateway, ops))
    }

    pub(super) fn ingress(
        &self,
        listeners: &Listeners,
        secret: &str,
    ) -> Result<(Ingress, Ops), Failure> {
        let counted = &self.counted.ingress;
        let metrics = counted.metrics.clone();
        let client = Client::new(ForwardConfig::default(), self.tasks.clone());
        let to = upstream(&listeners.gateway_data)?;
        let (config, clock) = (self.request.config.ingress.clone(), Arc::clone(&self.clock));
        let ready = Arc::new(Reachable::new("gateway", to.clone()));
        let ingress =
            Ingress::new(config, to, client, clock, &metrics, counted.sli.clone(), secret)
                .map_err(|error| Failure::of(Exit::Usage, &error))?;
        // What is the process's has one place.
        self.telemetry.register(&metrics);
        self.tasks.register(&metrics);
        let ops = self.ops(counted, vec![ready]);
        Ok((ingress, ops))
    }
}

fn upstream(listener: &TcpListener) -> Result<Upstream, Failure> {
    url(listener).parse().map_err(|error: BadUpstream| Failure::of(Exit::Failed, &error))
}

/// Drawn anew at each start, and known to this process only.
pub(super) fn edge_secret() -> Result<String, Failure> {
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
