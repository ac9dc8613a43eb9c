//! What is counted. Labels are enums and names of routes from the configuration.

use std::fmt;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use runtime::http::Problem;
use runtime::metrics::Metrics;
use types::Action;

/// Upper bounds in seconds: phases without a network take microseconds.
const PHASE_BUCKETS_S: [f64; 14] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.25, 0.35, 1.0,
    5.0, 30.0,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Admit,
    Route,
    Authenticate,
    Assess,
    Decide,
    Forward,
    Refuse,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Route => "route",
            Self::Authenticate => "authenticate",
            Self::Assess => "assess",
            Self::Decide => "decide",
            Self::Forward => "forward",
            Self::Refuse => "refuse",
        }
    }
}

const PHASES: [Phase; 7] = [
    Phase::Admit,
    Phase::Route,
    Phase::Authenticate,
    Phase::Assess,
    Phase::Decide,
    Phase::Forward,
    Phase::Refuse,
];

/// How a phase ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It did what it is for; a refusal that the policy decided on is that, too.
    Done,
    /// The request is one that goes no further.
    Refused,
    /// It could not be done.
    Failed,
    /// The client left meanwhile.
    Abandoned,
}

impl Ended {
    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dependency {
    Keys,
    Contauth,
    Policy,
}

impl Dependency {
    fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Contauth => "contauth",
            Self::Policy => "policy",
        }
    }
}

const DEPENDENCIES: [Dependency; 3] = [Dependency::Keys, Dependency::Contauth, Dependency::Policy];

/// Whom a request was forwarded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Application,
    Decoy,
    Api,
    Gateway,
}

impl To {
    fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Decoy => "decoy",
            Self::Api => "api",
            Self::Gateway => "gateway",
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    /// The upstream gave no response.
    Failed,
    /// The client's request broke off, or is one that is not forwarded.
    Broken,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Broken => "broken",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    phase: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    action: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DependencyLabels {
    dependency: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ForwardLabels {
    to: &'static str,
    outcome: &'static str,
}

/// The gateway's metrics.
pub(crate) struct Meters {
    durations: Vec<(Phase, Histogram)>,
    phases: Family<EndLabels, Counter>,
    decisions: Vec<(Action, Counter)>,
    failures: Vec<(Dependency, Counter)>,
    forwarded: Family<ForwardLabels, Counter>,
    pub(crate) tarpitted: Gauge,
    pub(crate) tarpit_full: Counter,
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}

impl Meters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(PHASE_BUCKETS_S);
        let durations = metrics.register(
            "shieldx_gateway_phase_duration_seconds",
            "Seconds a phase of a request took.",
            Family::<PhaseLabels, Histogram, _>::new_with_constructor(histogram),
        );
        let phases = metrics.register(
            "shieldx_gateway_phases",
            "Phases that ended, by how.",
            Family::<EndLabels, Counter>::default(),
        );
        let decisions = metrics.register(
            "shieldx_gateway_decisions",
            "Decisions of the policy.",
            Family::<ActionLabels, Counter>::default(),
        );
        let failures = metrics.register(
            "shieldx_gateway_dependency_failures",
            "Dependencies that did not answer as they should.",
            Family::<DependencyLabels, Counter>::default(),
        );
        let forwarded = metrics.register(
            "shieldx_gateway_forwarded",
            "Requests that were forwarded.",
            Family::<ForwardLabels, Counter>::default(),
        );
        let tarpitted = metrics.register(
            "shieldx_gateway_tarpitted_requests",
            "Requests in the tarpit.",
            Gauge::default(),
        );
        let tarpit_full = metrics.register(
            "shieldx_gateway_tarpit_full",
            "Requests refused at once because the tarpit was full.",
            Counter::default(),
        );
        let of_phase =
            |phase: Phase| durations.get_or_create(&PhaseLabels { phase: phase.name() }).clone();
        let of_action = |action: Action| {
            decisions.get_or_create(&ActionLabels { action: action.as_str() }).clone()
        };
        let of = |dependency: Dependency| {
            failures.get_or_create(&DependencyLabels { dependency: dependency.name() }).clone()
        };
        Self {
            durations: PHASES.map(|phase| (phase, of_phase(phase))).into(),
            phases,
            decisions: Action::ALL.map(|action| (action, of_action(action))).into(),
            failures: DEPENDENCIES.map(|dependency| (dependency, of(dependency))).into(),
            forwarded,
            tarpitted,
            tarpit_full,
        }
    }

    /// Measures a phase from now until its end is told, or it is dropped.
    pub(crate) fn begin(&self, phase: Phase) -> Measured<'_> {
        Measured { meters: self, phase, since: Instant::now(), ended: Ended::Abandoned }
    }

    pub(crate) fn decided(&self, action: Action) {
        if let Some((_, counter)) = self.decisions.iter().find(|(known, _)| *known == action) {
            counter.inc();
        }
    }

    pub(crate) fn failed(&self, dependency: Dependency) {
        if let Some((_, counter)) = self.failures.iter().find(|(known, _)| *known == dependency) {
            counter.inc();
        }
    }

    pub(crate) fn forwarded(&self, to: To, outcome: Outcome) {
        let labels = ForwardLabels { to: to.name(), outcome: outcome.name() };
        self.forwarded.get_or_create(&labels).inc();
    }
}

/// A phase that goes on.
#[derive(Debug)]
pub(crate) struct Measured<'a> {
    meters: &'a Meters,
    phase: Phase,
    since: Instant,
    ended: Ended,
}

impl Measured<'_> {
    pub(crate) fn end<T>(mut self, result: Result<T, Problem>) -> Result<T, Problem> {
        self.ended = match &result {
            Ok(_) => Ended::Done,
            Err(problem) if problem.status.is_server_error() => Ended::Failed,
            Err(_) => Ended::Refused,
        };
        result
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        let Self { meters, phase, since, ended: outcome } = self;
        if let Some((_, histogram)) = meters.durations.iter().find(|(known, _)| known == phase) {
            histogram.observe(since.elapsed().as_secs_f64());
        }
        let (phase, outcome) = (phase.name(), outcome.name());
        meters.phases.get_or_create(&EndLabels { phase, outcome }).inc();
    }
}
