//! A ledger in a folder, with counters that a test counts on and a clock that it moves.

use std::path::Path;
use std::sync::Arc;

use ledger::{Config, Ledger, LedgerError, Parts};
use runtime::clock::{Clock, Manual, System};
use runtime::metrics::Metrics;
use runtime::shutdown::Shutdown;
use runtime::sli::{Objective, Outcome, Plan, Rule, Sli};
use runtime::tasks::Tasks;
use slo::Catalog;

/// 2026-01-01T00:00:00Z
pub(crate) const BEGIN_US: i64 = 1_767_225_600_000_000;
pub(crate) const SECOND_US: i64 = 1_000_000;

/// One objective, counted by hand.
pub(crate) const ONE: &str = "
version: 1
slos:
  - name: gateway-availability
    service: gateway
    description: The gateway answers.
    target: 99.9
    window: 30d
    availability: {}
";

pub(crate) fn catalog(text: &str) -> Catalog {
    slo::spec::read(text).unwrap_or_else(|refused| panic!("{refused:?}"))
}

/// A process that counts, and its ledger.
pub(crate) struct Process<C = Manual> {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) sli: Sli,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Arc<C>,
    pub(crate) tasks: Tasks,
}

impl Process {
    pub(crate) fn start(folder: &Path, text: &str, clock: &Arc<Manual>) -> Self {
        Self::with(folder, text, clock, Config::default()).unwrap()
    }

    pub(crate) fn with(
        folder: &Path,
        text: &str,
        clock: &Arc<Manual>,
        config: Config,
    ) -> Result<Self, LedgerError> {
        Self::on(folder, text, Arc::clone(clock), config)
    }
}

impl<C: Clock + 'static> Process<C> {
    pub(crate) fn on(
        folder: &Path,
        text: &str,
        clock: Arc<C>,
        config: Config,
    ) -> Result<Self, LedgerError> {
        let catalog = catalog(text);
        let objectives = catalog.slos.iter().map(|slo| Objective {
            slo: slo.name.to_string(),
            service: "console".to_owned(),
            rule: Rule::ByHand,
            only: Vec::new(),
            except: Vec::new(),
            by_tenant: slo.views.tenants,
            by_route_group: false,
        });
        let plan = Arc::new(Plan { objectives: objectives.collect(), ..Plan::default() });
        let metrics = Metrics::new("console");
        let sli = Sli::new(plan, &metrics);
        let tasks = Tasks::new(Shutdown::new());
        let parts = Parts {
            folder: folder.to_owned(),
            catalog,
            slis: vec![sli.clone()],
            services: vec![metrics.clone()],
            own: sli.clone(),
            metrics: metrics.clone(),
            ingress_url: "http://127.0.0.1:1".to_owned(),
            console_url: "http://127.0.0.1:8088".to_owned(),
            clock: Arc::clone(&clock) as _,
            tasks: tasks.clone(),
        };
        let ledger = Ledger::open(config, parts)?;
        Ok(Self { ledger, sli, metrics, clock, tasks })
    }

    pub(crate) fn count(&self, slo: &str, good: u64, bad: u64) {
        self.sli.add(slo, Outcome::Good, Some("acme"), good);
        self.sli.add(slo, Outcome::Bad, Some("acme"), bad);
    }
}

impl Process {
    /// Time goes on, and the ledger evaluates.
    pub(crate) async fn tick(&self, seconds: i64) {
        self.clock.advance_us(seconds * SECOND_US);
        self.ledger.tick().await;
    }
}

pub(crate) fn machine_clock() -> Arc<System> {
    Arc::new(System)
}

pub(crate) fn clock() -> Arc<Manual> {
    Arc::new(Manual::at(BEGIN_US))
}
