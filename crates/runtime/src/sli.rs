//! The counters that objectives stand on: `shieldx_slo_events_total{slo,outcome,tenant}` and
//! `shieldx_slo_route_group_events_total{slo,outcome,route_group}`, counted where things happen.
//!
//! What counts as what comes from whoever composes the process, as a [`Plan`]; nothing here reads
//! objectives. Every series of a known objective is there from the start, at nought. What
//! [`Sli::totals`] gives and what a scraper gets are the same numbers.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::StatusCode;
use prometheus_client::metrics::counter::Counter;

use crate::metrics::Metrics;
use crate::telemetry;

mod plan;
mod routes;
mod series;

pub use plan::{ALL_TENANTS, Group, GroupRoute, NO_TENANT, OTHER_ROUTES, OTHER_TENANTS, Objective};
pub use plan::{Plan, Rule, Seen, Tenants};

use routes::Routes;
use series::{Book, Own, Series};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Good,
    Bad,
    Excluded,
}

impl Outcome {
    pub const ALL: [Self; 3] = [Self::Good, Self::Bad, Self::Excluded];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Excluded => "excluded",
        }
    }
}

/// A request that has been answered, or whose client left before that.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a str,
    pub route: &'a str,
    /// Absent: the client left before there was an answer.
    pub status: Option<StatusCode>,
    /// To the response's header, without what was waited for the client to send the body.
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
    /// It took long because that was decided on.
    pub delayed: bool,
}

/// What is counted of one service's events. Cloning gives another handle to the same; the default
/// counts nothing.
#[derive(Debug, Clone, Default)]
pub struct Sli(Option<Arc<Counted>>);

#[derive(Debug)]
struct Counted {
    plan: Arc<Plan>,
    service: &'static str,
    book: Arc<Book>,
    routes: RwLock<Routes>,
    folded: Counter,
    uncached: Counter,
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
        let book = Arc::new(Book::new(&plan, metrics.service()));
        metrics.tell(Arc::clone(&book));
        let uncached = metrics.register(
            "shieldx_slo_uncached_routes",
            "Requests whose objectives were looked up anew, since too many routes are known.",
            Counter::default(),
        );
        Self(Some(Arc::new(Counted {
            service: metrics.service(),
            folded: metrics.folded(series::EVENTS),
            plan,
            book,
            routes: RwLock::default(),
            uncached,
        })))
    }

    /// The route group of a route, for spans.
    #[must_use]
    pub fn group(&self, method: &str, route: &str) -> Arc<str> {
        match &self.0 {
            Some(counted) => Arc::clone(&counted.route(method, route).group),
            None => OTHER_ROUTES.into(),
        }
    }

    /// Counts a request. Within its span, so that the sampled trace becomes an exemplar. Gives whether
    /// it was bad for any objective.
    pub fn request(&self, request: Request<'_>) -> bool {
        let Some(counted) = &self.0 else {
            return false;
        };
        let route = counted.route(request.method, request.route);
        if route.objectives.is_empty() {
            return false;
        }
        let tenant = counted.tenant(request.tenant, u64::from(route.by_tenant));
        let span = telemetry::current_sampled_span();
        let mut any_bad = false;
        for objective in &route.objectives {
            let outcome = outcome(objective.rule, &request);
            any_bad |= outcome == Outcome::Bad;
            if let Some(series) = tenant.get(objective.index) {
                series.add(outcome, 1, span);
            }
            if let Some(series) = &objective.group {
                series.add(outcome, 1, span);
            }
        }
        any_bad
    }

    /// Counts events by hand; an objective that is not of this service is not counted. They are in no
    /// route group.
    pub fn add(&self, slo: &str, outcome: Outcome, tenant: Option<&str>, events: u64) {
        let Some(counted) = &self.0 else {
            return;
        };
        let known = counted.book.objectives.iter().position(|own| *own.slo == *slo);
        let Some((index, own)) = known.and_then(|at| Some((at, counted.book.objectives.get(at)?)))
        else {
            return;
        };
        let folds = if own.by_tenant { events } else { 0 };
        if let Some(series) = counted.tenant(tenant, folds).get(index) {
            series.add(outcome, events, telemetry::current_sampled_span());
        }
    }

    /// All series, objectives in the plan's order, views by name. Each number is read on its own:
    /// one that is counted meanwhile is in this reading or in the next.
    #[must_use]
    pub fn totals(&self) -> Vec<Total> {
        let mut totals = Vec::new();
        let Some(counted) = &self.0 else {
            return totals;
        };
        let mut push = |own: &Own, view: View, series: &Series| {
            let [good, bad, excluded] = series.counts();
            totals.push(Total { slo: own.slo.to_string(), view, good, bad, excluded });
        };
        counted.book.each_tenant(&mut |own, tenant, series| {
            push(own, View::Tenant(tenant.to_owned()), series);
        });
        for own in &counted.book.objectives {
            for (group, series) in &own.groups {
                push(own, View::RouteGroup(group.to_string()), series);
            }
        }
        totals
    }
}

impl Counted {
    fn route(&self, method: &str, route: &str) -> Arc<routes::Found> {
        let known = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(method, route) {
            return found;
        }
        drop(known);
        let found =
            Arc::new(routes::Found::new(&self.plan, &self.book, self.service, method, route));
        let mut known = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        if !known.keep(method, route, &found) {
            self.uncached.inc();
        }
        found
    }

    /// One series for each objective. `folds`: how many events are counted as folded where the tenant
    /// has no series of its own.
    fn tenant(&self, tenant: Option<&str>, folds: u64) -> Arc<[Series]> {
        let Some(name) = tenant else {
            return Arc::clone(&self.book.none);
        };
        if let Some(series) = self.book.known(name) {
            return series;
        }
        if self.plan.admits(name) {
            return self.book.meet(name);
        }
        self.folded.inc_by(folds);
        Arc::clone(&self.book.other)
    }
}

/// What a request is for an objective.
fn outcome(rule: Rule, request: &Request<'_>) -> Outcome {
    let Some(status) = request.status else {
        return Outcome::Excluded;
    };
    match rule {
        Rule::ByHand => Outcome::Excluded,
        Rule::Availability if !status.is_server_error() => Outcome::Good,
        Rule::Availability if request.note.applications => Outcome::Excluded,
        Rule::Availability => Outcome::Bad,
        Rule::Latency { .. } if status.is_server_error() || request.note.delayed => {
            Outcome::Excluded
        }
        Rule::Latency { threshold, le } => {
            let good = request.duration < threshold || (le && request.duration == threshold);
            if good { Outcome::Good } else { Outcome::Bad }
        }
    }
}

#[cfg(test)]
mod tests;
