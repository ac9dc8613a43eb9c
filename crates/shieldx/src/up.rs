//! `shieldx up`: all services in one process, from settings to exit code.
//!
//! The order matters: every port is taken before any state is touched, everything is built before
//! anything is served, and nothing is announced before it can be used. On the way down: no new
//! connections, what runs is finished or goes back to the queue, and a deadline ends the rest.

mod counted;
mod descriptors;
mod listeners;
mod objectives;
mod services;
mod table;

use std::sync::Arc;
use std::time::Duration;

use runtime::clock::{Clock, System};
use runtime::shutdown::Shutdown;
use runtime::tasks::Tasks;
use runtime::telemetry::{self, LogSettings, Service, Telemetry};
use store::domain::Keys as _;
use store::keys::new_key;
use store::sqlite::Store;
use store::traces::TraceArchive;
use tokio::signal::unix::{Signal, SignalKind, signal};
use types::Role;
use types::cause::chain;

use self::counted::CountedServices;
use self::listeners::Listeners;
use self::services::{Ground, Services};
use crate::config::{Config, LogFormat};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::{self, Failure};
use crate::output;
use crate::place::{Collector, Outside, Place};
use crate::request::service::UpRequest;
use crate::request::slo::{objectives_of_settings, read_catalog};
use crate::request::{ColorChoice, show};

/// Whose spans are whose: a crate works for one service, or is named nowhere and works for all.
const SERVICES: &[Service] = &[
    Service { name: "ingress", crates: &["ingress"] },
    Service { name: "gateway", crates: &["gateway", "policy"] },
    Service { name: "contauth", crates: &["contauth"] },
    Service { name: "verifier-pool", crates: &["verifier_pool", "sandbox", "verdict"] },
    Service { name: "ml-service", crates: &["ml_service"] },
    Service { name: "console", crates: &["console", "ledger"] },
];
/// The tenant of the first key.
const TENANT_DEFAULT: &str = "default";
/// What a thread that is still busy gets after everything else has ended.
const LAST_WORK: Duration = Duration::from_secs(2);

/// Runs all services until a signal ends them.
///
/// # Errors
/// When a port is taken, the state cannot be used, or a part cannot be built.
pub fn up(request: &UpRequest, environment: &Environment) -> Result<Exit, Failure> {
    request.place.create()?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().thread_name("shieldx");
    if request.config.process.threads > 0 {
        builder.worker_threads(request.config.process.threads);
    }
    let runtime = builder.build().map_err(|error| Failure::of(Exit::Failed, &error))?;
    let telemetry = start_telemetry(request, environment)?;
    let too_few = descriptors::raise(&request.config);
    let result = runtime.block_on(run(request, environment, &telemetry, too_few));
    runtime.shutdown_timeout(LAST_WORK);
    telemetry.shutdown();
    result
}

fn start_telemetry(request: &UpRequest, environment: &Environment) -> Result<Telemetry, Failure> {
    let log = &request.config.log;
    let json = match log.format {
        LogFormat::Auto => !environment.stderr_terminal,
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    let settings = LogSettings {
        filter: log.filter.clone(),
        json,
        color: environment.color(ColorChoice::Auto, environment.stderr_terminal),
    };
    let variable = |name: &str| environment.variable(name)?.to_str().map(str::to_owned);
    let (telemetry, warnings) = telemetry::init_tracing_from_env(&variable, settings, SERVICES)
        .map_err(|error| Failure::of(Exit::Usage, &error))?;
    for warning in warnings {
        failure::note(&warning);
    }
    Ok(telemetry)
}

async fn run(
    request: &UpRequest,
    environment: &Environment,
    telemetry: &Telemetry,
    warning: Option<String>,
) -> Result<Exit, Failure> {
    let mut stop = Stop::listen().map_err(|error| Failure::of(Exit::Failed, &error))?;
    let config = &request.config;
    let file = config.ledger.file.as_deref();
    let objectives = objectives_of_settings(file)?;
    let catalog = read_catalog(&objectives, file)?;
    let listeners = Listeners::bind(config).await?;
    let endpoints = listeners.endpoints(outside(config, environment));
    let place = &request.place;
    let clock: Arc<dyn Clock> = Arc::new(System);
    let store =
        Store::open_exclusive(&place.folder).map_err(|error| Failure::of(Exit::Failed, &error))?;
    archive_traces(config, place, telemetry);
    let tasks = Tasks::new(Shutdown::new());
    let plan = objectives::plan(&catalog);
    // Series of known tenants are there from the start: one that is born at its first event has no
    // increase to show for it.
    let keys = store.keys().await.map_err(|error| Failure::of(Exit::Failed, &error))?;
    plan.introduce(keys.iter().map(|key| key.tenant.as_str()));
    let counted = CountedServices::new(&plan);
    let ground =
        Ground { request, catalog: &catalog, counted, store, tasks: &tasks, clock, telemetry };
    let services = Services::build(&ground, &listeners).await?;
    // Only now: a start that fails would use the key up without having shown it.
    let first_key = first_key(&ground.store, place, ground.clock.as_ref()).await?;
    services.serve(listeners, &ground);
    let failed = |error| Failure::new(Exit::Failed, format!("{}: {error}", show(&place.folder)));
    place.keep_objectives(&objectives).map_err(failed)?;
    place.keep_endpoints(&endpoints).map_err(failed)?;
    let text = table::draw(&endpoints, &services.readiness().await, request, first_key.as_deref());
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    // Who started us may not read what we print; that is no reason to stop.
    let _ = output::to_stdout(|out| out.write_all(text.as_bytes()));
    stop.wait().await;
    down(request, &tasks, place, stop).await;
    services.finish().await;
    Ok(Exit::Success)
}

/// Keeps traces on disk. Where that cannot be they are in memory only: nothing that was promised to
/// anybody depends on them.
fn archive_traces(config: &Config, place: &Place, telemetry: &Telemetry) {
    let opened = TraceArchive::open(&place.folder.join("traces"), config.traces.archive);
    let kept = opened.map_err(|error| chain(&error)).and_then(|archive| {
        let kept = telemetry.archive(Arc::new(archive), config.traces.keeping);
        kept.map_err(|error| chain(&error))
    });
    if let Err(reason) = kept {
        tracing::warn!(reason, "traces are kept in memory only");
    }
}

/// Whom `shieldx health` asks besides us.
fn outside(config: &Config, environment: &Environment) -> Outside {
    let variable = |name: &str| environment.variable(name)?.to_str().map(str::to_owned);
    let (settings, _) = telemetry::Settings::from_env(&variable);
    let collector = |endpoint: telemetry::Endpoint| Collector {
        url: endpoint.uri.to_string(),
        grpc: endpoint.protocol == telemetry::Protocol::Grpc,
    };
    Outside {
        collector: settings.endpoint.map(collector),
        prometheus: config.observability.prometheus.clone(),
        alertmanagers: config.ledger.alertmanagers.clone(),
    }
}

/// Stops accepting, waits for what runs, and not longer than the deadline or the next signal.
async fn down(request: &UpRequest, tasks: &Tasks, place: &Place, mut stop: Stop) {
    tracing::info!("stopping: no new requests");
    place.forget_endpoints();
    tasks.shutdown().begin();
    let deadline = Duration::from_millis(request.config.process.drain_ms);
    let drained = tokio::select! {
        drained = tasks.shutdown().drained(deadline) => drained,
        () = stop.wait() => false,
    };
    if !drained {
        let left: Vec<String> = tasks
            .status()
            .into_iter()
            .filter(|(_, status)| status.running > 0)
            .map(|(name, status)| format!("{} × {name}", status.running))
            .collect();
        tracing::warn!(left = left.join(", "), "stopped before everything had ended");
    }
}

/// Makes the first admin key where there is no key at all; it is printed once.
async fn first_key(
    store: &Arc<Store>,
    place: &Place,
    clock: &dyn Clock,
) -> Result<Option<String>, Failure> {
    let failed = |error: &store::StoreError| Failure::of(Exit::Failed, error);
    if !store.keys().await.map_err(|error| failed(&error))?.is_empty() {
        return Ok(None);
    }
    let tenant = TENANT_DEFAULT.parse().map_err(|error| Failure::of(Exit::Failed, &error))?;
    let name = "made at the first start";
    let (key, record) =
        new_key(tenant, Role::Admin, name, clock.now_us(), None).map_err(|error| failed(&error))?;
    // The file first: a key in the store that nobody has ever seen would be of no use.
    place.keep_admin_key(&key).map_err(|error| Failure::of(Exit::Failed, &error))?;
    store.insert_key(record).await.map_err(|error| failed(&error))?;
    Ok(Some(key))
}

/// SIGTERM and SIGINT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next.
    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
