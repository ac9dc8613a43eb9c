//! What the verifier pool counts. Every handle is resolved once, here.

mod durations;
mod oldest;
mod sandbox;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use runtime::clock::Clock;
use runtime::metrics::{DURATION_BUCKETS_S, Dependency, Metrics};

/// Runs and queues take longer than requests.
const LONG_BUCKETS_S: [f64; 5] = [30.0, 60.0, 120.0, 300.0, 600.0];

pub(crate) use oldest::Oldest;
pub(crate) use sandbox::{Counting, Sandboxes};

type Label = [(&'static str, &'static str); 1];

/// What came of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Submission {
    Accepted,
    /// The same request again.
    Repeated,
    /// Malformed, too large, cut off, not executable, no such runner, conflicting.
    Refused,
    /// The queue or the number of uploads is at its bound.
    Full,
    /// The store did not take it.
    Failed,
}

impl Submission {
    const ALL: [Self; 5] =
        [Self::Accepted, Self::Repeated, Self::Refused, Self::Full, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Repeated => "repeated",
            Self::Refused => "refused",
            Self::Full => "full",
            Self::Failed => "failed",
        }
    }
}

/// Parts of a verification, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Fetch,
    Run,
    Features,
    Anomaly,
    Assess,
    Finish,
}

impl Phase {
    const ALL: [Self; 6] =
        [Self::Fetch, Self::Run, Self::Features, Self::Anomaly, Self::Assess, Self::Finish];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Run => "run",
            Self::Features => "features",
            Self::Anomaly => "anomaly",
            Self::Assess => "assess",
            Self::Finish => "finish",
        }
    }
}

/// How a verification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Result {
    Benign,
    Suspicious,
    Malicious,
    Inconclusive,
    /// No report, since there is nothing to run in it.
    Unrunnable,
    /// No report.
    Failed,
}

impl Result {
    const ALL: [Self; 6] = [
        Self::Benign,
        Self::Suspicious,
        Self::Malicious,
        Self::Inconclusive,
        Self::Unrunnable,
        Self::Failed,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Benign => "benign",
            Self::Suspicious => "suspicious",
            Self::Malicious => "malicious",
            Self::Inconclusive => "inconclusive",
            Self::Unrunnable => "unrunnable",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Meters {
    submissions: [Counter; 5],
    phases: [Histogram; 6],
    results: [Counter; 6],
    pub(crate) sandboxes: Arc<Sandboxes>,
    /// What is asked for beyond this process's memory.
    pub(crate) store: Dependency,
    pub(crate) ml_service: Dependency,
    pub(crate) queued: Gauge,
    pub(crate) oldest: Oldest,
    pub(crate) queue_read_failures: Counter,
    pub(crate) running: Gauge,
    pub(crate) workers: Gauge,
    pub(crate) lease_renewals: Counter,
    pub(crate) queue_wait: Histogram,
    pub(crate) retries: Counter,
    pub(crate) leases_lost: Counter,
    pub(crate) anomaly_failures: Counter,
    pub(crate) store_retries: Counter,
    pub(crate) subscribers: Gauge,
    pub(crate) missed: Counter,
    pub(crate) artifact_bytes: Counter,
}

impl Meters {
    /// `runners` are those there can be.
    pub(crate) fn new(metrics: &Metrics, runners: &[String], clock: Arc<dyn Clock>) -> Self {
        let submissions = Family::<Label, Counter>::default();
        let results = Family::<Label, Counter>::default();
        let phases = Family::<Label, Histogram>::new_with_constructor(seconds);
        let [store, ml_service] = metrics.dependencies(["store", "ml-service"]);
        let meters = Self {
            submissions: Submission::ALL
                .map(|outcome| submissions.get_or_create_owned(&[("outcome", outcome.as_str())])),
            phases: Phase::ALL
                .map(|phase| phases.get_or_create_owned(&[("phase", phase.as_str())])),
            results: Result::ALL
                .map(|result| results.get_or_create_owned(&[("verdict", result.as_str())])),
            sandboxes: Arc::new(Sandboxes::new(metrics, runners)),
            store,
            ml_service,
            queued: Gauge::default(),
            oldest: Oldest::new(clock),
            queue_read_failures: Counter::default(),
            running: Gauge::default(),
            workers: Gauge::default(),
            lease_renewals: Counter::default(),
            queue_wait: seconds(),
            retries: Counter::default(),
            leases_lost: Counter::default(),
            anomaly_failures: Counter::default(),
            store_retries: Counter::default(),
            subscribers: Gauge::default(),
            missed: Counter::default(),
            artifact_bytes: Counter::default(),
        };
        let add = |name: &str| format!("shieldx_verifier_pool_{name}");
        metrics.register(&add("submissions"), "Submissions by what came of them", submissions);
        metrics.register(&add("phase_duration_seconds"), "Length of each phase of a run", phases);
        metrics.register(&add("runs"), "Verifications that ended, by verdict", results);
        meters.register(metrics);
        meters
    }

    fn register(&self, metrics: &Metrics) {
        let counter = |name: &str, help: &str, counter: &Counter| {
            metrics.register(&format!("shieldx_verifier_pool_{name}"), help, counter.clone());
        };
        let gauge = |name: &str, help: &str, gauge: &Gauge| {
            metrics.register(&format!("shieldx_verifier_pool_{name}"), help, gauge.clone());
        };
        gauge("queue_depth", "Verifications that wait", &self.queued);
        gauge(
            "running",
            "Verifications that run in this process: workers that are busy",
            &self.running,
        );
        gauge("workers", "Workers of this process, busy or not", &self.workers);
        gauge("event_subscribers", "Open event streams", &self.subscribers);
        let name = "shieldx_verifier_pool_queue_oldest_age_seconds";
        metrics.register(name, "How long the oldest one waits", self.oldest.clone());
        let name = "shieldx_verifier_pool_queue_wait_seconds";
        metrics.register(name, "From acceptance to a worker", self.queue_wait.clone());
        counter(
            "queue_read_failures",
            "Times the queue could not be looked at; its depth is then that of the last look",
            &self.queue_read_failures,
        );
        counter("retries", "Runs given back to the queue after a failure", &self.retries);
        counter(
            "lease_renewals",
            "Leases that were extended while their run went on",
            &self.lease_renewals,
        );
        counter("leases_lost", "Runs that another worker took or finished", &self.leases_lost);
        counter(
            "anomaly_failures",
            "Runs judged without an anomaly because ml-service did not answer",
            &self.anomaly_failures,
        );
        counter("store_retries", "Tries to keep a result that failed", &self.store_retries);
        counter("events_missed", "Events that slow subscribers did not get", &self.missed);
        counter("artifact_bytes", "Bytes of accepted artifacts", &self.artifact_bytes);
    }

    pub(crate) fn submitted(&self, outcome: Submission) {
        let at = Submission::ALL.iter().position(|known| *known == outcome);
        if let Some(counter) = at.and_then(|at| self.submissions.get(at)) {
            counter.inc();
        }
    }

    pub(crate) fn phase(&self, phase: Phase, took: Duration) {
        let at = Phase::ALL.iter().position(|known| *known == phase);
        if let Some(histogram) = at.and_then(|at| self.phases.get(at)) {
            histogram.observe(took.as_secs_f64());
        }
    }

    pub(crate) fn ended(&self, result: Result) {
        let at = Result::ALL.iter().position(|known| *known == result);
        if let Some(counter) = at.and_then(|at| self.results.get(at)) {
            counter.inc();
        }
    }
}

fn seconds() -> Histogram {
    Histogram::new(DURATION_BUCKETS_S.into_iter().chain(LONG_BUCKETS_S))
}
