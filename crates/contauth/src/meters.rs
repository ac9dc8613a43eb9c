//! contauth's metrics, resolved once.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use runtime::metrics::{DURATION_BUCKETS_S, Dependency, Metrics, Read};
use types::RiskLevel;

use crate::cache::Cache;
use crate::observe::{Observed, Tally};

#[derive(Debug, Clone)]
pub(crate) struct Meters {
    pub(crate) reports_counted: Counter,
    pub(crate) reports_repeated: Counter,
    pub(crate) reports_refused: Counter,
    typing: Windows,
    pointer: Windows,
    /// Only typing has windows that were let go: see `features::typing`.
    thin: Counter,
    risks: [Counter; 4],
    /// Of the port and of the API, with reading from the store where it was needed.
    pub(crate) risk_seconds: Histogram,
    pub(crate) cache_hits: Counter,
    pub(crate) cache_misses: Counter,
    pub(crate) store_errors: Counter,
    pub(crate) store: Dependency,
    pub(crate) sessions_expired: Counter,
    pub(crate) profiles_forgotten: Counter,
}

#[derive(Debug, Clone)]
struct Windows {
    usual: Counter,
    unusual: Counter,
    enrolling: Counter,
    replayed: Counter,
    learned: Counter,
    refused: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WindowLabel {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LevelLabel {
    level: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// What is held in memory of what the store has.
const CACHES: [&str; 3] = ["sessions", "absent", "profiles"];

/// Counters of what each cache had to let go.
pub(crate) fn evictions(metrics: &Metrics) -> [Counter; CACHES.len()] {
    metrics.counter_family(
        "shieldx_contauth_cache_evicted",
        "Entries that memory let go for others since it has a bound; the store still has them",
        "cache",
        CACHES,
    )
}

/// How much each of them holds, read whenever it is asked for.
pub(crate) fn sizes<A, B, C>(
    metrics: &Metrics,
    sessions: &Arc<Cache<A>>,
    absent: &Arc<Cache<B>>,
    profiles: &Arc<Cache<C>>,
) where
    A: Clone + Send + 'static,
    B: Clone + Send + 'static,
    C: Clone + Send + 'static,
{
    let of = CACHES.into_iter().zip([size(sessions), size(absent), size(profiles)]);
    let help = "Entries in memory: sessions, ids the store does not know, profiles";
    metrics.readings("shieldx_contauth_cache_entries", help, "cache", of);
}

fn size<V: Clone + Send + 'static>(cache: &Arc<Cache<V>>) -> Read {
    let cache = Arc::clone(cache);
    Box::new(move || u32::try_from(cache.len()).map_or(f64::MAX, f64::from))
}

type Outcomes = Family<OutcomeLabel, Counter>;
type ByKind = Family<WindowLabel, Counter>;

impl Meters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let reports: Outcomes = metrics.register(
            "shieldx_contauth_reports",
            "Telemetry reports, by what became of them",
            Outcomes::default(),
        );
        let windows: ByKind = metrics.register(
            "shieldx_contauth_windows",
            "Windows of behaviour, by kind and how they compare with the subject's own",
            ByKind::default(),
        );
        let learned: ByKind = metrics.register(
            "shieldx_contauth_learned_windows",
            "Windows a profile learned or refused to learn, by kind",
            ByKind::default(),
        );
        let risks: Family<LevelLabel, Counter> =
            metrics.register("shieldx_contauth_risks", "Risks served, by level", Family::default());
        let lookups: Family<ResultLabel, Counter> = metrics.register(
            "shieldx_contauth_session_lookups",
            "Look-ups of a session in memory",
            Family::default(),
        );
        let risk_seconds = metrics.register(
            "shieldx_contauth_risk_duration_seconds",
            "Time to tell a session's risk",
            Histogram::new(DURATION_BUCKETS_S),
        );
        let [store] = metrics.dependencies(["store"]);
        let count = |name, help| metrics.register(name, help, Counter::default());
        let report = |outcome| reports.get_or_create_owned(&OutcomeLabel { outcome });
        let lookup = |result| lookups.get_or_create_owned(&ResultLabel { result });
        let level =
            |level: RiskLevel| risks.get_or_create_owned(&LevelLabel { level: level.as_str() });
        let levels = [RiskLevel::Unknown, RiskLevel::Low, RiskLevel::Elevated, RiskLevel::High];
        Self {
            reports_counted: report("counted"),
            reports_repeated: report("repeated"),
            reports_refused: report("refused"),
            thin: windows.get_or_create_owned(&WindowLabel { kind: "typing", outcome: "thin" }),
            typing: Windows::new("typing", &windows, &learned),
            pointer: Windows::new("pointer", &windows, &learned),
            risks: levels.map(level),
            risk_seconds,
            cache_hits: lookup("hit"),
            cache_misses: lookup("miss"),
            store,
            store_errors: count("shieldx_contauth_store_errors", "Failed calls to the store"),
            profiles_forgotten: count(
                "shieldx_contauth_profiles_forgotten",
                "Profiles deleted because somebody asked for it",
            ),
            sessions_expired: count(
                "shieldx_contauth_sessions_expired",
                "Sessions forgotten since nobody reported on them any more",
            ),
        }
    }

    pub(crate) fn observed(&self, observed: &Observed) {
        self.reports_counted.inc();
        self.typing.add(&observed.typing);
        self.pointer.add(&observed.pointer);
        self.thin.inc_by(observed.typing.thin);
    }

    pub(crate) fn served(&self, level: RiskLevel) {
        let at = match level {
            RiskLevel::Unknown => 0,
            RiskLevel::Low => 1,
            RiskLevel::Elevated => 2,
            RiskLevel::High => 3,
        };
        self.risks[at].inc();
    }
}

impl Windows {
    fn new(kind: &'static str, windows: &ByKind, learned: &ByKind) -> Self {
        let window = |outcome| windows.get_or_create_owned(&WindowLabel { kind, outcome });
        let learned = |outcome| learned.get_or_create_owned(&WindowLabel { kind, outcome });
        Self {
            usual: window("usual"),
            unusual: window("unusual"),
            enrolling: window("enrolling"),
            replayed: window("replayed"),
            learned: learned("learned"),
            refused: learned("refused"),
        }
    }

    fn add(&self, tally: &Tally) {
        let pairs = [
            (&self.usual, tally.usual),
            (&self.unusual, tally.unusual),
            (&self.enrolling, tally.enrolling),
            (&self.replayed, tally.replayed),
            (&self.learned, tally.learned),
            (&self.refused, tally.refused),
        ];
        for (counter, by) in pairs {
            counter.inc_by(by);
        }
    }
}
