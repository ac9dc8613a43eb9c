//! The pool: what a caller can do with verifications, and the workers behind it.
//!
//! ```text
//! receive (api) ─▶ accept ─▶ queue (store) ─▶ worker ─▶ pipeline::verify ─▶ result (store)
//!                                  ▲                         │
//!                                  └──── retry, shutdown ◀───┘
//! ```

mod worker;

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::clock::Clock;
use runtime::metrics::Metrics;
use runtime::tasks::Tasks;
use store::StoreError;
use store::artifacts::{Artifacts, Upload};
use store::domain::{
    Deleted, NewVerification, Order, Page, State, Submitted, Verification, Verifications,
};
use tokio::sync::{Notify, Semaphore, oneshot};
use types::Tenant;
use types::ports::{AnomalySource, Executor, Judge};
use uuid::{ContextV7, Uuid};

use crate::config::Config;
use crate::error::PoolError;
use crate::hub::Hub;
use crate::metrics::{Meters, Submission};
use crate::places::Places;

/// How often the gauges of the queue are read.
const GAUGES_EVERY: Duration = Duration::from_secs(1);
/// A page is made in memory, several times as large as its report; more wait.
const RENDERS_MAX: usize = 2;

/// What the pool works with.
#[derive(Debug, Clone)]
pub struct Parts {
    pub verifications: Arc<dyn Verifications>,
    pub artifacts: Arc<Artifacts>,
    pub executor: Arc<dyn Executor>,
    pub judge: Arc<dyn Judge>,
    pub anomaly: Arc<dyn AnomalySource>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
    pub tasks: Tasks,
}

/// The verifier pool of one process.
#[derive(Debug)]
pub struct Pool {
    pub(crate) config: Config,
    pub(crate) parts: Parts,
    pub(crate) meters: Meters,
    pub(crate) hub: Hub,
    /// Rung when there is something to claim.
    bell: Notify,
    /// Memory that runs may still take, in MiB.
    memory: Arc<Semaphore>,
    /// Pages that may be made of reports at once.
    pub(crate) renders: Semaphore,
    pub(crate) uploads: Places,
    pub(crate) subscribers: Places,
    /// Keeps ids of one millisecond in their order.
    ids: Mutex<ContextV7>,
}

/// An accepted submission.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) verification: Verification,
    /// It was accepted before, under the same idempotency key.
    pub(crate) repeated: bool,
}

impl Pool {
    /// A pool that takes submissions; [`Pool::start`] makes it work on them.
    #[must_use]
    pub fn new(config: Config, parts: Parts) -> Arc<Self> {
        let runners: Vec<_> = parts.executor.runners().into_iter().map(|(name, _)| name).collect();
        let meters = Meters::new(&parts.metrics, &runners, Arc::clone(&parts.clock));
        let memory = usize::try_from(mebibytes(config.memory_total_bytes));
        let memory = memory.map_or(Semaphore::MAX_PERMITS, |m| m.min(Semaphore::MAX_PERMITS));
        Arc::new(Self {
            meters,
            hub: Hub::default(),
            bell: Notify::new(),
            memory: Arc::new(Semaphore::new(memory)),
            renders: Semaphore::new(RENDERS_MAX),
            uploads: Places::new("uploads", config.uploads_max),
            subscribers: Places::new("event streams", config.subscribers_max),
            ids: Mutex::new(ContextV7::new()),
            config,
            parts,
        })
    }

    /// Queues again what a process before this one left running, and removes artifacts that it left
    /// without a verification. Only for the one process that has the store, before [`Pool::start`].
    /// The number queued again.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn recover(&self) -> Result<u64, StoreError> {
        let requeued = self.parts.verifications.requeue_all().await?;
        let removed = self.parts.artifacts.remove_unused(&*self.parts.verifications).await?;
        if requeued + removed > 0 {
            tracing::info!(requeued, removed, "took over what the process before left");
        }
        Ok(requeued)
    }

    /// Starts the workers. They end with the process: a run that shutdown interrupts goes back to
    /// the queue.
    pub fn start(self: &Arc<Self>) {
        let workers = self.config.workers.max(1);
        self.meters.workers.set(i64::from(workers));
        for _ in 0..workers {
            self.parts.tasks.spawn("verifier-pool-worker", worker::work(Arc::clone(self)));
        }
        let pool = Arc::clone(self);
        self.parts.tasks.every("verifier-pool-gauges", GAUGES_EVERY, move || {
            let pool = Arc::clone(&pool);
            async move { pool.refresh_gauges().await }
        });
    }

    /// Keeps an upload and queues its verification; both or neither, also when the caller goes away
    /// meanwhile. `order` is completed with what the upload turned out to be.
    pub(crate) async fn accept(
        self: &Arc<Self>,
        tenant: Tenant,
        upload: Upload,
        order: Order,
        idempotency_key: Option<String>,
    ) -> Result<Accepted, PoolError> {
        let (answer, answered) = oneshot::channel();
        let pool = Arc::clone(self);
        self.parts.tasks.spawn("verifier-pool-accept", async move {
            let accepted = pool.keep(tenant, upload, order, idempotency_key).await;
            // The caller went away; what was accepted stays accepted.
            let _ = answer.send(accepted);
        });
        let lost = || StoreError::Unavailable { reason: "the process is ending".to_owned() };
        answered.await.map_err(|_| PoolError::from(lost()))?
    }

    async fn keep(
        &self,
        tenant: Tenant,
        upload: Upload,
        mut order: Order,
        idempotency_key: Option<String>,
    ) -> Result<Accepted, PoolError> {
        // The artifact is held until the verification names it (store::artifacts).
        let stored = upload.finish().await?;
        order.sha256.clone_from(&stored.sha256);
        order.size_bytes = stored.size_bytes;
        let created_us = self.parts.clock.now_us();
        let new =
            NewVerification { id: self.id(created_us), tenant, order, idempotency_key, created_us };
        let (own, all) = (self.config.queue_max_tenant, self.config.queue_max_all);
        let submitted =
            self.meters.store.time(self.parts.verifications.submit(new, own, all)).await;
        let refused = match submitted {
            Ok(Submitted::New(verification)) => {
                self.meters.artifact_bytes.inc_by(stored.size_bytes);
                drop(stored);
                self.bell.notify_one();
                return Ok(Accepted { verification, repeated: false });
            }
            Ok(Submitted::Same(verification)) => {
                return Ok(Accepted { verification, repeated: true });
            }
            Ok(Submitted::Conflict { id }) => PoolError::Conflict { id },
            Ok(Submitted::QueueFull { queued, limit }) => {
                PoolError::QueueFull { queued, limit, own: limit == own }
            }
            Err(error) => error.into(),
        };
        if let Err(error) = stored.discard().await {
            tracing::warn!(%error, "an artifact without a verification stays until the next start");
        }
        Err(refused)
    }

    pub(crate) fn count_submission(&self, result: Result<&Accepted, &PoolError>) {
        self.meters.submitted(match result {
            Ok(accepted) if accepted.repeated => Submission::Repeated,
            Ok(_) => Submission::Accepted,
            Err(PoolError::QueueFull { .. } | PoolError::Busy { .. }) => Submission::Full,
            Err(PoolError::Store { .. }) => Submission::Failed,
            Err(_) => Submission::Refused,
        });
    }

    pub(crate) async fn verification(
        &self,
        tenant: &Tenant,
        id: &str,
    ) -> Result<Verification, PoolError> {
        self.parts.verifications.verification(tenant, id).await?.ok_or(PoolError::NotFound)
    }

    pub(crate) async fn page(
        &self,
        tenant: &Tenant,
        before: Option<&str>,
        state: Option<State>,
        limit: u32,
    ) -> Result<Page, PoolError> {
        Ok(self.parts.verifications.verifications(tenant, before, state, limit).await?)
    }

    /// The JSON report.
    pub(crate) async fn report(&self, tenant: &Tenant, id: &str) -> Result<Vec<u8>, PoolError> {
        if let Some(report) = self.parts.verifications.report(tenant, id).await? {
            return Ok(report);
        }
        let verification = self.verification(tenant, id).await?;
        Err(match verification.failure {
            Some(failure) => PoolError::NoReport { failure },
            None => PoolError::Unfinished { state: verification.state },
        })
    }

    /// Deletes a verification, its report, and its artifact where nothing else names it.
    pub(crate) async fn delete(&self, tenant: &Tenant, id: &str) -> Result<(), PoolError> {
        let verification = self.verification(tenant, id).await?;
        let hold = self.parts.artifacts.hold(tenant, &verification.order.sha256).await;
        match self.parts.verifications.delete(tenant, id).await? {
            Deleted::NotFound => return Err(PoolError::NotFound),
            Deleted::Running => return Err(PoolError::Running),
            Deleted::Gone { last_use: false, .. } => {}
            Deleted::Gone { last_use: true, .. } => {
                if let Some(hold) = hold
                    && let Err(error) = self.parts.artifacts.remove(hold).await
                {
                    // The verification is gone, and that is what was asked for.
                    tracing::warn!(%error, "an artifact stays until the next start");
                }
            }
        }
        self.hub.changed(id);
        Ok(())
    }

    /// What one run gets.
    pub(crate) fn run_memory_bytes(&self) -> u64 {
        self.config.run_memory_bytes.min(self.config.memory_total_bytes)
    }

    pub(crate) fn lease_until_us(&self) -> i64 {
        let lease_us =
            i64::try_from(self.config.lease_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        self.parts.clock.now_us().saturating_add(lease_us)
    }

    /// A new UUIDv7 of a time, later in order than those before it.
    fn id(&self, now_us: i64) -> String {
        let micros = u64::try_from(now_us).unwrap_or(0);
        let nanos = u32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0);
        Uuid::new_v7(uuid::Timestamp::from_unix(&self.ids, micros / 1_000_000, nanos)).to_string()
    }

    async fn refresh_gauges(&self) {
        match self.meters.store.time(self.parts.verifications.depth()).await {
            Ok(depth) => {
                self.meters.queued.set(i64::try_from(depth.queued).unwrap_or(i64::MAX));
                self.meters.oldest.set(depth.oldest_queued_us);
            }
            Err(error) => {
                self.meters.queue_read_failures.inc();
                tracing::debug!(%error, "the queue's depth is not known now");
            }
        }
    }
}

/// In MiB, at least 1: what the memory of runs is counted in.
fn mebibytes(bytes: u64) -> u32 {
    u32::try_from(bytes >> 20).unwrap_or(u32::MAX).max(1)
}
