//! Thirty synthetic days: a real history with real evaluations over made-up counts, metrics and traces,
//! always the same for the same moment. The preview shows them, and the tests hold the pages to them.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use console::{
    Config, Console, Objectives, Parts, Probe, Receiver, Service, ServicesView, Task, TaskState,
};
use ledger::Mark;
use runtime::clock::Clock;
use runtime::http::ops::{DependencyState, Ops, Readiness};
use runtime::metrics::Metrics;
use runtime::shutdown::Shutdown;
use runtime::tasks::Tasks;
use slo::alerts::Alerts;
use slo::evaluate::{self, BurnDown, Step};
use slo::gate::{self, Ask, Decision, Memory};
use slo::history::{History, Sample, Series};
use slo::status::{Counts, Point, Scope};
use slo::{Catalog, Status, spec};
use tokio::sync::watch;

// Said, as the preview takes this file from elsewhere.
#[path = "fixture/counts.rs"]
pub(crate) mod counts;
#[path = "fixture/traces.rs"]
pub(crate) mod traces;

use traces::MadeTraces;

pub(crate) const MINUTE_US: i64 = 60_000_000;
pub(crate) const HOUR_US: i64 = 60 * MINUTE_US;
pub(crate) const DAY_US: i64 = 24 * HOUR_US;
/// Between samples of long ago, and of the last day.
const OLD_STEP_US: i64 = 10 * MINUTE_US;
const NEW_STEP_US: i64 = MINUTE_US;
/// Between readings of metrics.
const TOLD_EVERY: usize = 3;

/// A ledger over made-up counts.
#[derive(Debug)]
pub(crate) struct Made {
    catalog: Catalog,
    inner: Mutex<Inner>,
    statuses: watch::Sender<Arc<Vec<Status>>>,
    marks: Mutex<Vec<Mark>>,
}

#[derive(Debug)]
struct Inner {
    history: History,
    alerts: Alerts,
    memory: Memory,
    counts: counts::Counters,
    now_us: i64,
    /// The moment that incidents are told from.
    made_us: i64,
}

impl Made {
    /// With so many days before `now_us`.
    pub(crate) fn new(now_us: i64, days: i64) -> Arc<Self> {
        let catalog = spec::read(spec::SHIPPED).expect("the shipped objectives are good");
        let from_us = now_us - days * DAY_US;
        let (statuses, _) = watch::channel(Arc::default());
        let mark = |days_ago: i64, service: Option<&str>, text: &str| Mark {
            at_us: now_us - days_ago * DAY_US - 3 * HOUR_US,
            service: service.map(str::to_owned),
            text: text.to_owned(),
        };
        let marks = vec![
            mark(0, Some("ml-service"), "ml-service 0.9.4"),
            mark(6, None, "shieldx 0.9.3"),
            mark(17, Some("verifier-pool"), "verifier-pool 0.9.2"),
            mark(18, None, "shieldx 0.9.1"),
        ];
        let inner = Inner {
            history: History::new(Duration::from_micros(OLD_STEP_US.unsigned_abs())),
            alerts: Alerts::default(),
            memory: Memory::default(),
            counts: counts::Counters::new(&catalog, from_us),
            now_us: from_us,
            made_us: now_us,
        };
        let made = Self { catalog, inner: Mutex::new(inner), statuses, marks: Mutex::new(marks) };
        // Alerts need to have seen the last hours to know since when they fire.
        made.advance(now_us - 3 * HOUR_US);
        for minutes in (0..180).rev().step_by(10) {
            made.advance(now_us - minutes * MINUTE_US);
            made.evaluate();
        }
        made.advance(now_us);
        made.evaluate();
        Arc::new(made)
    }

    /// Counts on up to a moment.
    pub(crate) fn advance(&self, to_us: i64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        loop {
            let old = inner.made_us - inner.now_us > DAY_US;
            let step_us = if old { OLD_STEP_US } else { NEW_STEP_US };
            if inner.now_us + step_us > to_us {
                return;
            }
            inner.now_us += step_us;
            let minutes = step_us / MINUTE_US;
            let (made_us, now_us) = (inner.made_us, inner.now_us);
            if let Some(sample) = inner.counts.sample(&self.catalog, made_us, now_us, minutes) {
                inner.history.add(&sample);
            }
        }
    }

    pub(crate) fn evaluate(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { history, alerts, memory, now_us, .. } = &mut *inner;
        let status = |slo| evaluate::status(slo, &Scope::All, history, *now_us);
        let mut statuses: Vec<Status> = self.catalog.slos.iter().map(status).collect();
        alerts.step(&self.catalog, &mut statuses, *now_us);
        memory.step(&self.catalog, &statuses);
        drop(inner);
        self.statuses.send_replace(Arc::new(statuses));
    }

    pub(crate) fn mark(&self, mark: Mark) {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).insert(0, mark);
    }

    /// Counts of one more view, as another replica would have counted them.
    pub(crate) fn count(&self, slo: &str, scope: Scope, counts: Counts) {
        let Some(slo) = self.catalog.get(slo) else { return };
        let instance = format!("replica of {scope:?}");
        let series = Series { slo: slo.name.clone(), revision: slo.revision, scope };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let at_us = inner.now_us - 1_000_000;
        for (ago_us, counts) in [(MINUTE_US, Counts::default()), (0, counts)] {
            let sample = Sample {
                instance: instance.clone(),
                epoch: at_us - 2 * MINUTE_US,
                at_us: at_us - ago_us,
                series: vec![(series.clone(), counts)],
            };
            assert!(inner.history.add(&sample), "it is new");
        }
    }

    fn with<R>(&self, name: &str, look: impl FnOnce(&slo::Slo, &History, i64) -> R) -> Option<R> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        Some(look(self.catalog.get(name)?, &inner.history, inner.now_us))
    }
}

impl Objectives for Made {
    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    fn statuses(&self) -> watch::Receiver<Arc<Vec<Status>>> {
        self.statuses.subscribe()
    }

    fn status(&self, name: &str, scope: &Scope) -> Option<Status> {
        self.with(name, |slo, history, now_us| evaluate::status(slo, scope, history, now_us))
    }

    fn scopes(&self, name: &str) -> Vec<Scope> {
        let scopes = self.with(name, |slo, history, _| history.scopes(&slo.name, slo.revision));
        scopes.unwrap_or_default()
    }

    fn burn_down(&self, name: &str, scope: &Scope, points: u32) -> Option<BurnDown> {
        self.with(name, |slo, history, now_us| {
            evaluate::burn_down(slo, scope, history, now_us, points)
        })
    }

    fn burn_series(
        &self,
        name: &str,
        scope: &Scope,
        window: Duration,
        span_us: (i64, i64),
        points: u32,
    ) -> Vec<Point> {
        let series = self.with(name, |slo, history, _| {
            evaluate::burn_series(slo, scope, history, window, span_us, points)
        });
        series.unwrap_or_default()
    }

    fn explain(&self, name: &str, scope: &Scope) -> Option<Vec<Step>> {
        self.with(name, |slo, history, now_us| evaluate::explain(slo, scope, history, now_us))
    }

    fn gate(&self, ask: &Ask) -> Decision {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let statuses = self.statuses.borrow().clone();
        gate::decide(&self.catalog, &statuses, &inner.memory, ask, inner.now_us)
    }

    fn marks(&self) -> Vec<Mark> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Made-up services, one of which is not well.
#[derive(Debug)]
pub(crate) struct MadeServices {
    pub(crate) now_us: i64,
}

#[async_trait]
impl ServicesView for MadeServices {
    async fn services(&self) -> Vec<Service> {
        let needs: [(&str, u16, &[&str]); 6] = [
            ("ingress", 8081, &["gateway"]),
            ("gateway", 8083, &["contauth", "keys", "policy"]),
            ("contauth", 5002, &["store"]),
            ("verifier-pool", 8090, &["store", "artifacts", "sandbox"]),
            ("ml-service", 5000, &["store"]),
            ("console", 8088, &["ledger"]),
        ];
        let service = |(name, port, needs): (&str, u16, &[&str])| {
            let dependencies = needs.iter().map(|need| {
                let reason = (*need == "sandbox")
                    .then(|| "eBPF is not permitted here; runs use tier C".to_owned());
                DependencyState {
                    name: (*need).to_owned(),
                    ready: reason.is_none(),
                    required: true,
                    reason,
                }
            });
            let dependencies: Vec<_> = dependencies.collect();
            let ready = dependencies.iter().all(|state| state.ready);
            Service {
                name: name.to_owned(),
                url: Some(format!("http://127.0.0.1:{port}")),
                version: "0.1.0".to_owned(),
                readiness: Readiness { service: name.to_owned(), ready, dependencies },
            }
        };
        needs.into_iter().map(service).collect()
    }

    fn tasks(&self) -> Vec<Task> {
        let task = |name: &str, period_s: u64, ago_s: i64, panicked: u64| Task {
            name: name.to_owned(),
            state: if name == "report-writer" { TaskState::Panicked } else { TaskState::Running },
            running: u64::from(name != "report-writer"),
            ended: u64::from(name == "report-writer"),
            panicked,
            period: (period_s > 0).then(|| Duration::from_secs(period_s)),
            last_run_us: Some(self.now_us - ago_s * 1_000_000),
            last_took: (period_s > 0).then(|| Duration::from_micros(820 * (period_s + 1))),
        };
        vec![
            task("console-signals", 10, 4, 0),
            task("contauth-expiry", 60, 31, 0),
            task("ledger-sample", 10, 6, 0),
            task("report-writer", 0, 7300, 1),
            task("verifier-pool-worker", 0, 90_000, 0),
        ]
    }

    fn receivers(&self) -> Vec<Receiver> {
        vec![
            Receiver {
                kind: "alertmanager".to_owned(),
                url: "http://127.0.0.1:9093".to_owned(),
                last_sent_us: Some(self.now_us - 20_000_000),
                failing: None,
            },
            Receiver {
                kind: "webhook".to_owned(),
                url: "https://hooks.example.com/slo".to_owned(),
                last_sent_us: None,
                failing: Some("it answered 503 three times".to_owned()),
            },
        ]
    }

    fn probes(&self) -> Vec<Probe> {
        vec![Probe {
            slo: "ingress-reachable".to_owned(),
            url: "http://127.0.0.1:8080/".to_owned(),
            last_run_us: Some(self.now_us - 3_000_000),
            last: Some(Ok(())),
        }]
    }
}

/// A console over all of it.
pub(crate) struct Scene {
    pub(crate) made: Arc<Made>,
    pub(crate) traces: Arc<MadeTraces>,
    pub(crate) console: Console,
    pub(crate) tasks: Tasks,
    pub(crate) metrics: Metrics,
}

impl Scene {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        days: i64,
        config: &Config,
        token: Option<&str>,
    ) -> Self {
        let now_us = clock.now_us();
        let made = Made::new(now_us, days);
        let traces = Arc::new(MadeTraces::new(now_us));
        let tasks = Tasks::new(Shutdown::new());
        let metrics = Metrics::new("console");
        let ops = Ops { metrics: metrics.clone(), dependencies: Arc::default() };
        let parts = Parts {
            ledger: Arc::clone(&made) as _,
            traces: Arc::clone(&traces) as _,
            services: Arc::new(MadeServices { now_us }),
            metrics: Vec::new(),
            ops,
            settings: slo::generate::Settings::default(),
            token: token.map(str::to_owned),
            clock,
            tasks: tasks.clone(),
        };
        let console = Console::build(config, parts).expect("it can be built");
        feed(&console.signals(), &traces, now_us);
        Self { made, traces, console, tasks, metrics }
    }
}

/// A day of metrics, as the services would have told them.
fn feed(signals: &console::Signals, traces: &MadeTraces, now_us: i64) {
    let services = ["ingress", "gateway", "contauth", "verifier-pool", "ml-service"];
    for service in services {
        let mut told = counts::Told::default();
        for minute in (0..24 * 60).rev().step_by(TOLD_EVERY) {
            let at_us = now_us - minute * MINUTE_US;
            // The process was not there for a while.
            if (900..1020).contains(&minute) {
                continue;
            }
            let mut text = told.minute(service, at_us, now_us);
            for trace in traces.of(service, at_us - 3 * MINUTE_US, at_us) {
                let seconds = trace.duration_us as f64 / 1e6;
                let code = if trace.error { "500" } else { "200" };
                let route = trace.name.split_once(' ').map_or("/", |(_, route)| route);
                let at = at_us as f64 / 1e6;
                let _ = writeln!(
                    text,
                    "http_server_request_duration_seconds_bucket{{le=\"+Inf\",http_request_method=\"POST\",\
                     http_route=\"{route}\",http_response_status_code=\"{code}\"}} 0 # {{trace_id=\"{}\",\
                     span_id=\"00f067aa0ba902b7\"}} {seconds} {at}",
                    trace.trace_id
                );
            }
            signals.take(service, at_us, &text);
        }
    }
}
