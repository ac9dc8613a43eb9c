//! What a route means for the objectives: looked up once, then kept.

use std::collections::HashMap;
use std::sync::Arc;

use super::plan::{OTHER_ROUTES, Plan, Rule};
use super::series::{Book, Series};

/// Routes that are kept, with their methods. They are templates, so there are as many as the API has;
/// the bound is for the case that one day they are not.
const ROUTES_MAX: usize = 2048;

/// The objectives of requests with one method and route.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) group: Arc<str>,
    pub(super) objectives: Vec<Concerned>,
    /// Whether any of them is counted by tenant.
    pub(super) by_tenant: bool,
}

#[derive(Debug)]
pub(super) struct Concerned {
    /// Its place among the service's own.
    pub(super) index: usize,
    pub(super) rule: Rule,
    pub(super) group: Option<Series>,
}

impl Found {
    pub(super) fn new(plan: &Plan, book: &Book, service: &str, method: &str, route: &str) -> Self {
        let group = plan.group(service, method, route).unwrap_or(OTHER_ROUTES);
        let mut by_tenant = false;
        let mut objectives = Vec::new();
        for (index, own) in book.objectives.iter().enumerate() {
            if own.rule == Rule::ByHand || !own.objective.has_group(group) {
                continue;
            }
            by_tenant |= own.by_tenant;
            let series = own.groups.iter().find(|(name, _)| **name == *group);
            let group = series.map(|(_, series)| series.clone());
            objectives.push(Concerned { index, rule: own.rule, group });
        }
        Self { group: group.into(), objectives, by_tenant }
    }
}

type ByMethod = (Box<str>, Arc<Found>);

/// By route, then by method.
#[derive(Debug, Default)]
pub(super) struct Routes {
    known: HashMap<Box<str>, Vec<ByMethod>>,
    len: usize,
}

impl Routes {
    pub(super) fn get(&self, method: &str, route: &str) -> Option<Arc<Found>> {
        let methods = self.known.get(route)?;
        methods.iter().find(|(known, _)| **known == *method).map(|(_, found)| Arc::clone(found))
    }

    /// Whether there was a place for it.
    pub(super) fn keep(&mut self, method: &str, route: &str, found: &Arc<Found>) -> bool {
        if self.get(method, route).is_some() {
            return true;
        }
        if self.len >= ROUTES_MAX {
            return false;
        }
        self.len += 1;
        self.known.entry(route.into()).or_default().push((method.into(), Arc::clone(found)));
        true
    }
}
