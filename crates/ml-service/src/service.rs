//! The service itself: what is shared by all requests, and how it comes up.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use runtime::clock::Clock;
use runtime::metrics::Metrics;
use runtime::tasks::Tasks;
use store::domain::FeatureLog;
use tokio::sync::Semaphore;
use types::Tenant;

use crate::anomaly::{self, References};
use crate::config::Config;
use crate::error::MlError;
use crate::index::{Index, Limits, Usage, View};
use crate::intake::{Intake, Share};
use crate::metrics::{MlMetrics, Reason};
use crate::pipeline::validate::{ROWS_MAX, Row};
use crate::pipeline::{self, Accepted};
use crate::{history, rebuild};

/// Bytes of bodies that are being read at the same time, of all tenants; one has a quarter.
const BODIES_BYTES_MAX: u64 = 256 << 20;

/// Feature store and anomaly, over one log.
#[derive(Debug)]
pub struct MlService {
    core: Arc<Core>,
    tasks: Tasks,
    rows_in_flight: Arc<Intake>,
    bodies_in_flight: Arc<Intake>,
    scans: Arc<Semaphore>,
}

/// What requests and the tasks they leave behind share.
#[derive(Debug)]
pub struct Core {
    pub(crate) log: Arc<dyn FeatureLog>,
    pub(crate) index: Index,
    pub(crate) usage: Arc<Usage>,
    pub(crate) references: References,
    pub(crate) metrics: MlMetrics,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rows_max: u32,
    last_created_us: AtomicI64,
}

impl Core {
    /// Now, or the microsecond after the last answer, whichever is later: no two batches of a log
    /// share a time, even when the clock is set back.
    pub(crate) fn next_created_us(&self) -> i64 {
        let now = self.clock.now_us();
        let next = |last: i64| now.max(last.saturating_add(1));
        let order = Ordering::Relaxed;
        let last = self.last_created_us.fetch_update(order, order, |last| Some(next(last)));
        next(last.unwrap_or_else(|last| last))
    }

    /// The log has a batch of this time.
    pub(crate) fn seen_created_us(&self, created_us: i64) {
        self.last_created_us.fetch_max(created_us, Ordering::Relaxed);
    }
}

impl MlService {
    /// Reads the whole log and is ready when it returns.
    ///
    /// # Errors
    /// [`MlError::Setting`]; [`MlError::Store`] or [`MlError::Damaged`] when the log cannot be
    /// read: a service that starts without part of its history would answer wrongly.
    pub async fn open(
        config: &Config,
        log: Arc<dyn FeatureLog>,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, MlError> {
        check(config)?;
        let rows_max = u64::from(config.rows_in_flight_max);
        let rows_in_flight = Intake::new(rows_max, (rows_max / 2).max(ROWS_MAX.into()));
        let bodies_in_flight = Intake::new(BODIES_BYTES_MAX, BODIES_BYTES_MAX / 4);
        crate::metrics::intakes(metrics, &rows_in_flight, &bodies_in_flight);
        let metrics = MlMetrics::register(metrics);
        let core = Arc::new(Core {
            log,
            index: Index::default(),
            usage: Usage::new(Limits::from(config), metrics.clone()),
            references: References::new(config, metrics.clone()),
            metrics,
            clock,
            rows_max: config.rows_max,
            last_created_us: AtomicI64::new(i64::MIN),
        });
        rebuild::rebuild(&core).await?;
        Ok(Arc::new(Self {
            core,
            tasks: tasks.clone(),
            rows_in_flight,
            bodies_in_flight,
            scans: Arc::new(Semaphore::new(config.scans_max as usize)),
        }))
    }

    /// Takes rows in: durable and readable when it returns.
    ///
    /// # Errors
    /// See [`MlError`]; then nothing was kept.
    pub async fn ingest(
        &self,
        tenant: &Tenant,
        view: &str,
        rows: Vec<Row>,
    ) -> Result<Accepted, MlError> {
        if view == anomaly::VIEW {
            return Err(MlError::Reserved { view: view.to_owned() });
        }
        pipeline::ingest(self, tenant, view, rows).await
    }

    /// The tenant's view, where it has rows.
    ///
    /// # Errors
    /// [`MlError::NoView`].
    pub fn view(&self, tenant: &Tenant, view: &str) -> Result<Arc<View>, MlError> {
        let none = || MlError::NoView { view: view.to_owned() };
        self.core.index.find(tenant, view).ok_or_else(none)
    }

    /// The tenant's views, by name.
    #[must_use]
    pub fn views(&self, tenant: &Tenant) -> Vec<Arc<View>> {
        self.core.index.views(tenant)
    }

    /// One page of an entity's rows, ordered by (event time, created, place in the batch).
    ///
    /// # Errors
    /// [`MlError::NoView`], [`MlError::Busy`], [`MlError::RangeTooWide`] and what the store says.
    pub async fn history(
        &self,
        tenant: &Tenant,
        view: &str,
        question: &history::Question,
    ) -> Result<history::Page, MlError> {
        self.view(tenant, view)?;
        let busy = |_| MlError::Busy { doing: "read" };
        let _permit = Arc::clone(&self.scans).try_acquire_owned().map_err(busy)?;
        let (log, store) = (self.core.log.as_ref(), self.core.metrics.store());
        history::read(log, store, tenant, view, question).await
    }

    /// Microseconds since 1970.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        self.core.clock.now_us()
    }

    pub(crate) fn rejected(&self, reason: Reason) {
        self.core.metrics.rejected(reason);
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Room for a caller's rows, or a refusal: waiting batches take memory.
    pub(crate) fn room_for(&self, tenant: &Tenant, rows: usize) -> Result<Share, MlError> {
        let busy = MlError::Busy { doing: "written" };
        self.rows_in_flight.take(tenant, rows as u64).ok_or(busy)
    }

    /// Room for a body that is about to be read.
    pub(crate) fn room_for_body(&self, tenant: &Tenant, bytes: u64) -> Result<Share, MlError> {
        let busy = MlError::Busy { doing: "sent" };
        self.bodies_in_flight.take(tenant, bytes).ok_or(busy)
    }
}

fn check(config: &Config) -> Result<(), MlError> {
    let least = u64::from(anomaly::MIN_RUNS);
    let settings = [
        ("rows_max", config.rows_max.into(), 1, ROWS_MAX.into()),
        ("rows_in_flight_max", config.rows_in_flight_max.into(), ROWS_MAX.into(), 10_000_000),
        ("scans_max", config.scans_max.into(), 1, 1_000),
        ("history_window", config.history_window.into(), least, 5_000),
        ("tenant_reference_runs_max", config.tenant_reference_runs_max.into(), least, 10_000_000),
    ];
    let wrong = settings.into_iter().find(|(_, value, min, max)| !(min..=max).contains(&value));
    wrong.map_or(Ok(()), |(name, value, min, max)| Err(MlError::Setting { name, value, min, max }))
}
