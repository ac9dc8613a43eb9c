//! The runs a new one is compared with, in memory: the latest of every workload, by tenant.
//!
//! It is made from the rows of the view of runs, in the order of the log, at a start exactly as
//! while running.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use types::Tenant;

use super::{RUN_ID, is_feature, robust_z};
use crate::batch::Batch;
use crate::config::Config;
use crate::metrics::MlMetrics;
use crate::value::Value;

/// Runs kept beyond the window, so that a run that is observed again soon gets the answer it got.
const AGAIN_RUNS: usize = 64;
/// Ids remembered per tenant, so that a run is not kept twice.
const RUN_IDS_MAX: usize = 100_000;

/// All tenants' reference runs.
#[derive(Debug)]
pub struct References {
    window: usize,
    tenant_runs_max: usize,
    metrics: MlMetrics,
    tenants: Mutex<HashMap<Tenant, Runs>>,
}

/// What is said of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opinion {
    /// Earlier runs it was compared with.
    pub(super) history: u32,
    /// `None` with too few of them.
    pub(super) score: Option<robust_z::Score>,
    /// Names of the score's features.
    pub(super) names: Vec<Box<str>>,
    /// The run is in the log already.
    pub(super) known: bool,
}

#[derive(Debug, Default)]
struct Runs {
    names: Vec<Box<str>>,
    ids: HashMap<Box<str>, u16>,
    workloads: HashMap<Box<str>, Workload>,
    /// Workloads by when they were last seen, in runs of the tenant.
    by_age: BTreeMap<u64, Box<str>>,
    seen: u64,
    kept: usize,
    known: HashSet<Arc<str>>,
    known_order: VecDeque<Arc<str>>,
}

#[derive(Debug, Default)]
struct Workload {
    runs: VecDeque<Run>,
    last_seen: u64,
}

#[derive(Debug)]
struct Run {
    id: Arc<str>,
    features: Box<[(u16, f64)]>,
}

impl References {
    pub(crate) fn new(config: &Config, metrics: MlMetrics) -> Self {
        Self {
            window: config.history_window as usize,
            tenant_runs_max: config.tenant_reference_runs_max as usize,
            metrics,
            tenants: Mutex::default(),
        }
    }

    /// Takes in rows of the view of runs.
    pub(crate) fn learn(&self, tenant: &Tenant, batch: &Batch) {
        let mut tenants = self.tenants();
        let runs = tenants.entry(tenant.clone()).or_default();
        for (row, key) in batch.rows.iter().enumerate() {
            let mut features = Vec::with_capacity(batch.columns.len());
            let mut id: Arc<str> = Arc::from("");
            for column in &batch.columns {
                match column.cells.get(row).and_then(Option::as_ref) {
                    Some(Value::Text(text)) if &*column.name == RUN_ID => id = Arc::from(&**text),
                    Some(value) if is_feature(&column.name) => {
                        features.extend(value.number().map(|value| (runs.id(&column.name), value)));
                    }
                    _ => {}
                }
            }
            features.sort_by_key(|(feature, _)| *feature);
            let run = Run { id, features: features.into_boxed_slice() };
            runs.keep(batch.entity(*key), run, self.window + AGAIN_RUNS);
        }
        self.metrics.forgotten(runs.forget(self.tenant_runs_max));
    }

    /// What the runs before say of this one; the caller holds the view.
    pub(super) fn opinion(
        &self,
        tenant: &Tenant,
        workload: &str,
        run_id: &str,
        values: &BTreeMap<String, f64>,
        min_runs: u32,
    ) -> Opinion {
        let none = Runs::default();
        let tenants = self.tenants();
        let runs = tenants.get(tenant).unwrap_or(&none);
        // A feature that no earlier run had says nothing of this one.
        let known = values.iter().filter(|(_, value)| value.is_finite());
        let known = known.filter_map(|(name, value)| Some((*runs.ids.get(&**name)?, *value)));
        let mut features: Vec<(u16, f64)> = known.collect();
        features.sort_by_key(|(feature, _)| *feature);

        let earlier = runs.workloads.get(workload);
        let at = earlier.and_then(|w| w.runs.iter().position(|run| &*run.id == run_id));
        let end = at.or(earlier.map(|w| w.runs.len())).unwrap_or(0);
        let begin = end.saturating_sub(self.window);
        let history: Vec<&robust_z::Vector> = earlier
            .into_iter()
            .flat_map(|w| w.runs.range(begin..end))
            .map(|r| &*r.features)
            .collect();
        // What was kept the first time, should the second telling differ.
        let told = earlier.zip(at).and_then(|(w, at)| w.runs.get(at)).map(|run| &*run.features);
        let count = u32::try_from(history.len()).unwrap_or(u32::MAX);
        let score = (count >= min_runs)
            .then(|| robust_z::score(&history, told.unwrap_or(features.as_slice())));
        let name = |feature: u16| runs.names.get(usize::from(feature)).cloned().unwrap_or_default();
        let told = score.iter().flat_map(|score| &score.deviations);
        let names = told.map(|one| name(one.feature)).collect();
        Opinion { history: count, score, names, known: runs.known.contains(run_id) }
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<Tenant, Runs>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runs {
    /// The feature's number. A view has few enough columns for one each.
    fn id(&mut self, name: &str) -> u16 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = u16::try_from(self.names.len()).unwrap_or(u16::MAX);
        self.names.push(name.into());
        self.ids.insert(name.into(), id);
        id
    }

    fn keep(&mut self, name: &str, run: Run, runs_max: usize) {
        if self.known.insert(Arc::clone(&run.id)) {
            self.known_order.push_back(Arc::clone(&run.id));
        }
        while self.known_order.len() > RUN_IDS_MAX {
            if let Some(oldest) = self.known_order.pop_front() {
                self.known.remove(&oldest);
            }
        }
        self.seen += 1;
        let workload = self.workloads.entry(name.into()).or_default();
        self.by_age.remove(&workload.last_seen);
        workload.last_seen = self.seen;
        self.by_age.insert(self.seen, name.into());
        workload.runs.push_back(run);
        self.kept += 1;
        while workload.runs.len() > runs_max {
            workload.runs.pop_front();
            self.kept -= 1;
        }
    }

    /// Down to `runs_max`, the workload first that was not seen for longest; how many went.
    fn forget(&mut self, runs_max: usize) -> u64 {
        let before = self.kept;
        while self.kept > runs_max {
            let Some((age, oldest)) = self.by_age.pop_first() else { break };
            if self.by_age.is_empty() {
                // Only one is left: it gives its oldest runs.
                if let Some(workload) = self.workloads.get_mut(&oldest) {
                    let excess = workload.runs.len().saturating_sub(runs_max);
                    workload.runs.drain(..excess);
                    self.kept = workload.runs.len();
                }
                self.by_age.insert(age, oldest);
                break;
            }
            let gone = self.workloads.remove(&oldest).map_or(0, |workload| workload.runs.len());
            self.kept -= gone;
        }
        (before - self.kept) as u64
    }
}
