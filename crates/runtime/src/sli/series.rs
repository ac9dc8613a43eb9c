//! The series themselves: read alike by [`super::Sli::totals`] and by whoever scrapes.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::Outcome;
use super::plan::{ALL_TENANTS, NO_TENANT, OTHER_TENANTS, Objective, Plan, Rule};
use crate::metrics::exposition::{Family, Kind, Series as Told};
use crate::metrics::{Shown as _, Tell, TracedCounter};
use crate::telemetry::SpanIds;

pub(super) const EVENTS: &str = "shieldx_slo_events";
const GROUP_EVENTS: &str = "shieldx_slo_route_group_events";

/// One view's counts, by outcome. Cloning gives another handle to the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    good: TracedCounter,
    bad: TracedCounter,
    excluded: TracedCounter,
}

impl Series {
    fn of(&self, outcome: Outcome) -> &TracedCounter {
        match outcome {
            Outcome::Good => &self.good,
            Outcome::Bad => &self.bad,
            Outcome::Excluded => &self.excluded,
        }
    }

    pub(super) fn add(&self, outcome: Outcome, events: u64, span: Option<SpanIds>) {
        self.of(outcome).add_in(events, span);
    }

    fn told(&self, own: &Own, view: &str, name: &str) -> [Told; 3] {
        Outcome::ALL.map(|outcome| {
            let labels = [("slo", &*own.slo), ("outcome", outcome.as_str()), (view, name)];
            let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Told { labels: labels.into(), value: self.of(outcome).shown() }
        })
    }

    /// Good, bad, excluded.
    pub(super) fn counts(&self) -> [u64; 3] {
        Outcome::ALL.map(|outcome| self.of(outcome).get())
    }
}

/// An objective of this service.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) slo: Arc<str>,
    pub(super) rule: Rule,
    pub(super) by_tenant: bool,
    pub(super) objective: Objective,
    /// By name of the group; empty where it is not counted by group.
    pub(super) groups: Vec<(Arc<str>, Series)>,
    /// Where it is not counted by tenant.
    all: Series,
}

/// All series of a service. A tenant has one for each objective, in their order.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) objectives: Vec<Own>,
    pub(super) none: Arc<[Series]>,
    pub(super) other: Arc<[Series]>,
    tenants: RwLock<BTreeMap<Arc<str>, Arc<[Series]>>>,
}

impl Book {
    pub(super) fn new(plan: &Plan, service: &str) -> Self {
        let of_service = plan.objectives.iter().filter(|objective| objective.service == service);
        let objectives: Vec<Own> = of_service.map(|objective| Own::new(objective, plan)).collect();
        let (none, other) = (series(&objectives), series(&objectives));
        let tenants = BTreeMap::from([
            (NO_TENANT.into(), Arc::clone(&none)),
            (OTHER_TENANTS.into(), Arc::clone(&other)),
        ]);
        let book = Self { objectives, none, other, tenants: RwLock::new(tenants) };
        for tenant in plan.known_tenants() {
            book.meet(&tenant);
        }
        book
    }

    pub(super) fn known(&self, tenant: &str) -> Option<Arc<[Series]>> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        tenants.get(tenant).cloned()
    }

    /// Its series, from now on.
    pub(super) fn meet(&self, tenant: &str) -> Arc<[Series]> {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let met = tenants.entry(tenant.into()).or_insert_with(|| series(&self.objectives));
        Arc::clone(met)
    }

    /// Every series by tenant, objectives in order, then tenants by name.
    pub(super) fn each_tenant(&self, look: &mut dyn FnMut(&Own, &str, &Series)) {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner).clone();
        for (index, own) in self.objectives.iter().enumerate() {
            if !own.by_tenant {
                look(own, ALL_TENANTS, &own.all);
                continue;
            }
            for (tenant, series) in &tenants {
                if let Some(series) = series.get(index) {
                    look(own, tenant, series);
                }
            }
        }
    }
}

impl Own {
    fn new(objective: &Objective, plan: &Plan) -> Self {
        let counted = objective.by_route_group && objective.rule != Rule::ByHand;
        let groups = plan.groups_of(&objective.service);
        let groups = groups.filter(|group| counted && objective.has_group(group));
        let mut groups: Vec<(Arc<str>, Series)> =
            groups.map(|group| (group.into(), Series::default())).collect();
        groups.sort_by(|(a, _), (b, _)| a.cmp(b));
        groups.dedup_by(|(a, _), (b, _)| a == b);
        Self {
            slo: objective.slo.as_str().into(),
            rule: objective.rule,
            by_tenant: objective.by_tenant,
            objective: objective.clone(),
            groups,
            all: Series::default(),
        }
    }
}

fn series(objectives: &[Own]) -> Arc<[Series]> {
    let series = |own: &Own| if own.by_tenant { Series::default() } else { own.all.clone() };
    objectives.iter().map(series).collect()
}

/// Exported as they are told.
impl Tell for Book {
    fn tell(&self) -> Vec<Family> {
        let mut by_tenant = Vec::new();
        self.each_tenant(&mut |own, tenant, series| {
            by_tenant.extend(series.told(own, "tenant", tenant));
        });
        let mut by_group = Vec::new();
        for own in &self.objectives {
            for (group, series) in &own.groups {
                by_group.extend(series.told(own, "route_group", group));
            }
        }
        let family = |name: &str, help: &str, view, series| Family {
            name: name.to_owned(),
            help: help.to_owned(),
            kind: Kind::Counter,
            series,
            labels: vec!["slo", "outcome", view],
        };
        let help = "Events of objectives by tenant, __all__ where it is not counted by tenant.";
        let events = family(EVENTS, help, "tenant", by_tenant);
        let help = "Events of objectives by route group.";
        vec![events, family(GROUP_EVENTS, help, "route_group", by_group)]
    }
}
