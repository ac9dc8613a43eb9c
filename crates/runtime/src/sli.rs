//! The counters that objectives stand on: `shieldx_slo_events_total{slo,outcome,tenant}` and
//! `shieldx_slo_route_group_events_total{slo,outcome,route_group}`, counted where things happen.
//!
//! What counts as what comes from whoever composes the process, as a [`Plan`]; nothing here reads
//! objectives. Every series of a known objective is there from the start, at nought.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::metrics::Metrics;

/// What to count, for all services of the process.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub objectives: Vec<Objective>,
    pub groups: Vec<Group>,
    pub tenants: Tenants,
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
    /// Counted by hand with [`Sli::add`].
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Good,
    Bad,
    Excluded,
}

/// A request that has been answered.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a str,
    pub route: &'a str,
    /// Absent: the client left before there was an answer.
    pub status: Option<StatusCode>,
    pub duration: Duration,
    pub tenant: Option<&'a str>,
    /// What the service says of it.
    pub note: Note,
}

/// What a service may say of a request, in the extensions of its response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Note {
    /// The answer is the application's own: its failure is not ours.
    pub applications: bool,
    /// It took long because that was decided on, or because the client took its time.
    pub delayed: bool,
}

/// What is counted of one service's events. Cloning gives another handle to the same.
#[derive(Debug, Clone)]
pub struct Sli {
    plan: Arc<Plan>,
}

/// One series' counts since the process started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    pub slo: String,
    pub view: View,
    pub good: u64,
    pub bad: u64,
    pub excluded: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// All events of the objective are the sum over these; without views there is one, `__all__`.
    Tenant(String),
    RouteGroup(String),
}

impl Sli {
    /// For a service that has metrics; its objectives are those of the plan with its name.
    #[must_use]
    pub fn new(plan: Arc<Plan>, metrics: &Metrics) -> Self {
        let _ = metrics;
        Self { plan }
    }

    /// The route group of a route, for spans.
    #[must_use]
    pub fn group(&self, method: &str, route: &str) -> Arc<str> {
        let _ = (method, route);
        "other".into()
    }

    /// Counts a request. Within its span, so that the sampled trace becomes an exemplar. Gives whether
    /// it was bad for any objective.
    pub fn request(&self, request: Request<'_>) -> bool {
        let _ = request;
        false
    }

    /// Counts events by hand; an objective that is not of this service is not counted.
    pub fn add(&self, slo: &str, outcome: Outcome, tenant: Option<&str>, events: u64) {
        let _ = (slo, outcome, tenant, events);
    }

    /// All series.
    #[must_use]
    pub fn totals(&self) -> Vec<Total> {
        let _ = &self.plan;
        Vec::new()
    }
}
