//! The ledger of a process: what it consists of, and what happens every ten seconds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use runtime::clock::{Clock, rfc3339};
use runtime::http::ops::Dependency;
use runtime::sli::Sli;
use runtime::tasks::Tasks;
use serde::Serialize;
use slo::alerts::Notice;
use slo::history::History;
use slo::status::Scope;
use slo::{Catalog, Status, evaluate};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::keep::Keeper;
use crate::measure::Measurer;
use crate::measure::probe::{self, Probe, ProbeStatus};
use crate::meters::Meters;
use crate::record::{Book, State};
use crate::sample::Sampler;
use crate::tell::{Links, Owed, Receiver, ReceiverKind, ReceiverStatus};
use crate::{Config, LedgerError, Parts};

/// So many intervals without an evaluation are too many.
const LATE_INTERVALS: i64 = 6;

/// The ledger of a process.
///
/// Of its locks, `writing` is taken before `book`; nothing is written to the disk while `book` is held
/// for writing.
#[derive(Debug)]
pub struct Ledger {
    catalog: Catalog,
    config: Config,
    slis: Vec<Sli>,
    own: Sli,
    links: Links,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    meters: Meters,
    receivers: Vec<Arc<Receiver>>,
    probes: Vec<Arc<Probe>>,
    writing: Mutex<Writing>,
    book: RwLock<Book>,
    health: Mutex<Health>,
    statuses: watch::Sender<Arc<Vec<Status>>>,
}

/// What only one may do at a time.
#[derive(Debug)]
pub(crate) struct Writing {
    pub(crate) keeper: Keeper,
    measurer: Measurer,
}

/// How the ledger is doing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    pub started_us: i64,
    pub evaluated_us: Option<i64>,
    /// Why counts cannot be kept now, and since when: objectives stand still until they can.
    pub failing: Option<String>,
    pub failing_since_us: Option<i64>,
    /// Samples that wait for the disk.
    pub pending: u64,
    pub journal_bytes: u64,
}

impl Ledger {
    /// Reads what is kept; nothing runs yet.
    ///
    /// # Errors
    /// A folder that another process uses or that cannot be read or written, and receivers that
    /// cannot be.
    pub fn open(config: Config, parts: Parts) -> Result<Arc<Self>, LedgerError> {
        let Parts { folder, catalog, slis, services, own, metrics, clock, tasks, .. } = parts;
        let now_us = clock.now_us();
        config.check()?;
        let meters = Meters::new(&metrics, &catalog);
        let receivers = receivers(&config, &meters)?;
        let sampler = Sampler::new(config.instance(), now_us);
        let (mut keeper, mut book) = Keeper::open(&folder, sampler, meters.clone(), now_us)?;
        if book.history.sampled_every() != config.interval() {
            // What follows is read with the interval of the snapshot before it: it needs another.
            book.history.sample_every(config.interval());
            keeper.snapshot_next(now_us);
        }
        let health = Health {
            started_us: now_us,
            evaluated_us: None,
            failing: None,
            failing_since_us: None,
            pending: 0,
            journal_bytes: keeper.bytes(),
        };
        let probes = probe::probes(&catalog, &parts.ingress_url);
        let measurer = Measurer::new(own.clone(), services, now_us);
        let mut statuses = evaluated(&catalog, &book.history, now_us);
        // As they are shown until the first evaluation; nobody is told of it.
        book.state.alerts.clone().step(&catalog, &mut statuses, now_us);
        let (statuses, _) = watch::channel(Arc::new(statuses));
        Ok(Arc::new(Self {
            links: Links::new(&parts.console_url),
            writing: Mutex::new(Writing { keeper, measurer }),
            book: RwLock::new(book),
            health: Mutex::new(health),
            catalog,
            config,
            slis,
            own,
            clock,
            tasks,
            meters,
            receivers,
            probes,
            statuses,
        }))
    }

    /// Begins to sample, probe, evaluate and tell.
    pub fn start(self: &Arc<Self>) {
        self.probe();
        self.tell();
        let ledger = Arc::clone(self);
        self.tasks.spawn("ledger", async move {
            let mut beat = tokio::time::interval(ledger.config.interval());
            beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let shutdown = ledger.tasks.shutdown().clone();
            loop {
                tokio::select! {
                    () = shutdown.wait_begun() => break,
                    _ = beat.tick() => ledger.tick().await,
                }
            }
            ledger.finish().await;
        });
    }

    /// Begins to tell receivers; part of [`Self::start`].
    pub fn tell(self: &Arc<Self>) {
        for receiver in &self.receivers {
            receiver.start(self, &self.tasks);
            // What was owed when the process before this one ended.
            receiver.wake();
        }
    }

    /// Begins to probe; part of [`Self::start`].
    pub fn probe(&self) {
        for probe in &self.probes {
            probe.start(&self.tasks, &self.own, &self.meters, &self.clock);
        }
    }

    /// One evaluation, as [`Self::start`] has them made; for tests that decide about time.
    pub async fn tick(self: &Arc<Self>) {
        let ledger = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || ledger.evaluate()).await;
        if let Err(error) = done {
            tracing::error!(%error, "an evaluation of the objectives failed");
        }
    }

    /// Keeps what was counted until now, so that an orderly end leaves nothing uncovered. It is done
    /// when shutdown begins; call it again once everything is drained.
    pub async fn finish(self: &Arc<Self>) {
        self.tick().await;
    }

    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The newest statuses of all objectives (scope *all*), in the catalog's order; the receiver
    /// changes with each evaluation.
    #[must_use]
    pub fn statuses(&self) -> watch::Receiver<Arc<Vec<Status>>> {
        self.statuses.subscribe()
    }

    /// How the ledger is doing.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who is told of alerts, and how that goes.
    #[must_use]
    pub fn receivers(&self) -> Vec<ReceiverStatus> {
        let book = self.book();
        self.receivers.iter().map(|receiver| receiver.status(&book.state.owed)).collect()
    }

    #[must_use]
    pub fn probes(&self) -> Vec<ProbeStatus> {
        self.probes.iter().map(|probe| probe.status()).collect()
    }

    /// For `/readyz` of whoever serves it.
    #[must_use]
    pub fn dependencies(self: &Arc<Self>) -> Vec<Arc<dyn Dependency>> {
        vec![Arc::new(Kept(Arc::clone(self)))]
    }

    pub(crate) fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    pub(crate) fn resend(&self) -> Duration {
        self.config.resend()
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.meters
    }

    pub(crate) fn book(&self) -> RwLockReadGuard<'_, Book> {
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn book_mut(&self) -> RwLockWriteGuard<'_, Book> {
        self.book.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a receiver is owed, and everything that fires.
    pub(crate) fn to_tell(&self, url: &str) -> (Vec<Notice>, Vec<Notice>) {
        let book = self.book();
        (book.state.owed.to(url), book.state.alerts.firing())
    }

    /// Something is owed no more; that becomes durable with the next evaluation.
    pub(crate) fn settle(&self, settle: impl FnOnce(&mut Owed)) {
        settle(&mut self.book_mut().state.owed);
    }

    fn evaluate(&self) {
        let mut writing = self.writing();
        let now_us = self.now_us();
        let Writing { keeper, measurer } = &mut *writing;
        measurer.measure(&self.catalog, now_us);
        let sample = keeper.sampler.take(&self.catalog, &self.slis, now_us);
        let kept = keeper.keep(sample, now_us);
        let began = Instant::now();
        let mut statuses = {
            let mut book = self.book_mut();
            for sample in &kept {
                let new = book.history.add(sample);
                let counter =
                    if new { &self.meters.samples_kept } else { &self.meters.samples_refused };
                counter.inc();
            }
            drop(book);
            evaluated(&self.catalog, &self.book().history, now_us)
        };
        let (state, changed) = self.step(&mut statuses, now_us);
        self.meters.evaluation_seconds.observe(began.elapsed().as_secs_f64());
        keeper.keep_state(&state, now_us);
        self.meters.tell(&statuses);
        self.meters.tell_thrown(self.book().history.thrown());
        self.statuses.send_replace(Arc::new(statuses));
        if changed {
            self.receivers.iter().for_each(|receiver| receiver.wake());
        }
        keeper.snapshot_if_due(&self.book(), now_us);
        self.note_health(keeper, now_us);
    }

    /// Alerts and the gate's memory go on; gives the state to keep, and whether anything is owed.
    fn step(&self, statuses: &mut [Status], now_us: i64) -> (State, bool) {
        let mut book = self.book_mut();
        let state = &mut book.state;
        let notices = state.alerts.step(&self.catalog, statuses, now_us);
        state.memory.step(&self.catalog, statuses);
        state.owed.add(&self.receivers, &notices);
        for notice in &notices {
            let (slo, firing) = (notice.slo.as_str(), notice.firing);
            tracing::info!(slo, firing, summary = notice.summary, "an alert changed");
        }
        (state.clone(), !notices.is_empty())
    }

    fn note_health(&self, keeper: &Keeper, now_us: i64) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.evaluated_us = Some(now_us);
        health.failing = keeper.failing().map(|failing| failing.reason.clone());
        health.failing_since_us = keeper.failing().map(|failing| failing.since_us);
        health.pending = keeper.pending() as u64;
        health.journal_bytes = keeper.bytes();
    }
}

/// All objectives, in the catalog's order.
pub(crate) fn evaluated(catalog: &Catalog, history: &History, now_us: i64) -> Vec<Status> {
    let status = |slo| evaluate::status(slo, &Scope::All, history, now_us);
    catalog.slos.iter().map(status).collect()
}

fn receivers(config: &Config, meters: &Meters) -> Result<Vec<Arc<Receiver>>, LedgerError> {
    let secret = match &config.webhook_secret_file {
        None => None,
        Some(path) => Some(secret(path)?),
    };
    let good = |url: &str| {
        let http = url.starts_with("http://") || url.starts_with("https://");
        let uri = url.parse::<http::Uri>().ok().filter(|_| http);
        uri.map(drop).ok_or_else(|| LedgerError::Receiver { url: url.to_owned() })
    };
    let mut receivers = Vec::new();
    for url in &config.webhooks {
        good(url)?;
        let counted = meters.webhook.clone();
        receivers.push(Receiver::new(ReceiverKind::Webhook, url, secret.clone(), counted));
    }
    for url in &config.alertmanagers {
        good(url)?;
        let counted = meters.alertmanager.clone();
        receivers.push(Receiver::new(ReceiverKind::Alertmanager, url, None, counted));
    }
    Ok(receivers)
}

/// Without the end of line that editors leave.
fn secret(path: &std::path::Path) -> Result<Vec<u8>, LedgerError> {
    let read = std::fs::read(path);
    let mut bytes = read.map_err(|source| LedgerError::Secret { path: path.to_owned(), source })?;
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(LedgerError::NoSecret { path: path.to_owned() });
    }
    Ok(bytes)
}

/// The ledger is usable while it evaluates, and what it evaluates can be kept.
#[derive(Debug)]
struct Kept(Arc<Ledger>);

#[async_trait]
impl Dependency for Kept {
    fn name(&self) -> &'static str {
        "ledger"
    }

    async fn check(&self) -> Result<(), String> {
        let Health { failing, failing_since_us, evaluated_us, started_us, .. } = self.0.health();
        if let Some(reason) = failing {
            let since = rfc3339(failing_since_us.unwrap_or(started_us));
            return Err(format!("counts cannot be kept since {since}: {reason}"));
        }
        let last = evaluated_us.unwrap_or(started_us);
        let interval_us = i64::try_from(self.0.config.interval().as_micros()).unwrap_or(i64::MAX);
        let late =
            self.0.now_us().saturating_sub(last) > interval_us.saturating_mul(LATE_INTERVALS);
        if late {
            return Err(format!("objectives have not been evaluated since {}", rfc3339(last)));
        }
        Ok(())
    }
}
