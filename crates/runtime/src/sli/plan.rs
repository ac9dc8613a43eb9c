//! What is to be counted, as whoever composes the process says it.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The tenant of events whose tenant is not known.
pub const NO_TENANT: &str = "__none__";
/// The tenant of those beyond the bound.
pub const OTHER_TENANTS: &str = "__other__";
/// The tenant of objectives that are not counted by tenant.
pub const ALL_TENANTS: &str = "__all__";
/// The route group of routes that are in none.
pub const OTHER_ROUTES: &str = "other";

/// What to count, for all services of the process: one plan, shared, so that all fold tenants alike.
/// A clone shares the tenants that were met.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub objectives: Vec<Objective>,
    pub groups: Vec<Group>,
    pub tenants: Tenants,
    /// Who was met, where [`Tenants::First`] counts them.
    pub seen: Seen,
}

/// One objective as far as it is counted here.
#[derive(Debug, Clone)]
pub struct Objective {
    pub slo: String,
    pub service: String,
    pub rule: Rule,
    /// Route groups; empty: all.
    pub only: Vec<String>,
    pub except: Vec<String>,
    pub by_tenant: bool,
    pub by_route_group: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Good unless it failed on our side.
    Availability,
    /// Of those that did not fail: good within the threshold; `le`: also exactly at it.
    Latency { threshold: Duration, le: bool },
    /// Counted by hand with [`super::Sli::add`].
    ByHand,
}

/// Routes that are looked at together; the first that matches has the request.
#[derive(Debug, Clone)]
pub struct Group {
    pub name: String,
    /// Any of these.
    pub routes: Vec<GroupRoute>,
}

#[derive(Debug, Clone)]
pub struct GroupRoute {
    pub service: Option<String>,
    pub methods: Vec<String>,
    /// A template, or its beginning and `*`.
    pub route: String,
}

/// Whose events are counted under their own name.
#[derive(Debug, Clone)]
pub enum Tenants {
    Listed(Vec<String>),
    First(usize),
}

impl Default for Tenants {
    fn default() -> Self {
        Self::First(50)
    }
}

/// The tenants that were met in this process, at most as many as the plan says.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<RwLock<BTreeSet<String>>>);

impl Plan {
    /// Meets tenants that are known before they call, so that their series begin at nought and not at
    /// their first event. Only those within the bound are kept; before [`super::Sli::new`].
    pub fn introduce<'a>(&self, tenants: impl IntoIterator<Item = &'a str>) {
        for tenant in tenants {
            self.admits(tenant);
        }
    }

    /// Whether events of this tenant are counted under its name; with [`Tenants::First`], it may be
    /// the one that takes the last place.
    pub(super) fn admits(&self, tenant: &str) -> bool {
        let max = match &self.tenants {
            Tenants::Listed(listed) => return listed.iter().any(|known| known == tenant),
            Tenants::First(max) => *max,
        };
        let seen = self.seen.0.read().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(tenant) || seen.len() >= max {
            return seen.contains(tenant);
        }
        drop(seen);
        let mut seen = self.seen.0.write().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < max {
            seen.insert(tenant.to_owned());
        }
        seen.contains(tenant)
    }

    /// Those that have their own series from the start.
    pub(super) fn known_tenants(&self) -> Vec<String> {
        match &self.tenants {
            Tenants::Listed(listed) => listed.clone(),
            Tenants::First(_) => {
                let seen = self.seen.0.read().unwrap_or_else(PoisonError::into_inner);
                seen.iter().cloned().collect()
            }
        }
    }

    /// The group of a route, absent in none.
    pub(super) fn group(&self, service: &str, method: &str, route: &str) -> Option<&str> {
        let has = |group: &&Group| group.routes.iter().any(|r| r.matches(service, method, route));
        self.groups.iter().find(has).map(|group| group.name.as_str())
    }

    /// The groups a service's requests can be in.
    pub(super) fn groups_of(&self, service: &str) -> impl Iterator<Item = &str> {
        let of_service =
            move |route: &GroupRoute| route.service.as_deref().is_none_or(|s| s == service);
        let groups = self.groups.iter().filter(move |group| group.routes.iter().any(of_service));
        groups.map(|group| group.name.as_str()).chain([OTHER_ROUTES])
    }
}

impl Objective {
    /// Whether requests of this group are its.
    pub(super) fn has_group(&self, group: &str) -> bool {
        let listed = |names: &[String]| names.iter().any(|name| name == group);
        (self.only.is_empty() || listed(&self.only)) && !listed(&self.except)
    }
}

impl GroupRoute {
    fn matches(&self, service: &str, method: &str, route: &str) -> bool {
        self.service.as_deref().is_none_or(|wanted| wanted == service)
            && (self.methods.is_empty() || self.methods.iter().any(|known| known == method))
            && match self.route.strip_suffix('*') {
                Some(prefix) => route.starts_with(prefix),
                None => route == self.route,
            }
    }
}
