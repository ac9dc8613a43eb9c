//! The golden signals of the last day: latency, traffic, errors and saturation of each service and route
//! group, read every ten seconds from what the services tell Prometheus, and forgotten with the process.
//!
//! They are for looking at; no budget is computed from them. What is kept is bounded: a ring of ten
//! seconds' cells for an hour, one of two minutes' for a day, and so many lines of both.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use runtime::metrics::DURATION_BUCKETS_S;
use slo::spec::{OTHER_ROUTES, RouteGroup};

mod cells;
mod read;

pub(crate) use cells::{Cell, Exemplar, Slot};

use cells::Line;
use read::{Row, rows};

/// How often metrics are read.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// Pairs of service and route group; further ones are counted and not kept.
const LINES_MAX: usize = 64;
/// [`DURATION_BUCKETS_S`] and what is above.
pub(crate) const BUCKETS: usize = DURATION_BUCKETS_S.len() + 1;

const DURATION: &str = "http_server_request_duration_seconds";
const ACTIVE: &str = "http_server_active_requests";
/// What waits behind a service that answers before it has done the work.
const WAITING: &str = "shieldx_verifier_pool_queue_depth";

/// The golden signals.
#[derive(Debug)]
pub struct Signals {
    groups: Vec<RouteGroup>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: BTreeMap<(String, String), Line>,
    /// Requests being worked on and such, by service.
    active: BTreeMap<String, cells::Gauge>,
    waiting: BTreeMap<String, cells::Gauge>,
    refused: u64,
}

/// What a chart shows of one objective's service.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) slots: Vec<Slot>,
    /// Newest last.
    pub(crate) exemplars: Vec<Exemplar>,
}

impl Signals {
    #[must_use]
    pub fn new(groups: Vec<RouteGroup>) -> Self {
        Self { groups, kept: Mutex::default() }
    }

    /// Takes the metrics of a service as it tells them: OpenMetrics text.
    pub fn take(&self, service: &str, at_us: i64, text: &str) {
        let mut totals: BTreeMap<&str, Cell> = BTreeMap::new();
        let mut exemplars: Vec<(&str, Exemplar)> = Vec::new();
        let (mut active, mut waiting) = (None, None);
        for row in rows(text) {
            if row.name == ACTIVE {
                active = Some(active.unwrap_or(0.0) + row.value);
                continue;
            }
            if row.name == WAITING {
                waiting = Some(row.value);
                continue;
            }
            let Some(part) = row.name.strip_prefix(DURATION) else { continue };
            let (method, route) = (row.label("http_request_method"), row.label("http_route"));
            let group = self.group(service, &method, &route);
            totals.entry(group).or_default().count(part, &row);
            exemplars.extend(exemplar(&row, at_us).map(|exemplar| (group, exemplar)));
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(active) = active {
            kept.active.entry(service.to_owned()).or_default().take(at_us, active);
        }
        if let Some(waiting) = waiting {
            kept.waiting.entry(service.to_owned()).or_default().take(at_us, waiting);
        }
        for (group, total) in totals {
            if let Some(line) = kept.line(service, group) {
                line.take(at_us, &total);
            }
        }
        for (group, exemplar) in exemplars {
            if let Some(line) = kept.line(service, group) {
                line.name(exemplar);
            }
        }
    }

    /// Lines that there was no room for, since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).refused
    }

    /// The signals of some route groups of a service, in `slots` parts of a span.
    pub(crate) fn window(
        &self,
        service: &str,
        wanted: &dyn Fn(&str) -> bool,
        (from_us, to_us): (i64, i64),
        slots: usize,
    ) -> Window {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut window =
            Window { slots: cells::empty(from_us, to_us, slots), exemplars: Vec::new() };
        for ((of, group), line) in &kept.lines {
            if of == service && wanted(group) {
                line.add_to(&mut window.slots, from_us, to_us);
                window.exemplars.extend(line.exemplars(from_us, to_us).cloned());
            }
        }
        if let Some(gauge) = kept.active.get(service) {
            gauge.add_to(&mut window.slots, |slot| &mut slot.active, from_us, to_us);
        }
        if let Some(gauge) = kept.waiting.get(service) {
            gauge.add_to(&mut window.slots, |slot| &mut slot.waiting, from_us, to_us);
        }
        window.exemplars.sort_by_key(|exemplar| exemplar.at_us);
        window
    }

    fn group(&self, service: &str, method: &str, route: &str) -> &str {
        let mut groups = self.groups.iter();
        let found = groups
            .find(|group| group.routes.iter().any(|known| known.matches(service, method, route)));
        found.map_or(OTHER_ROUTES, |group| &group.name)
    }
}

impl Kept {
    fn line(&mut self, service: &str, group: &str) -> Option<&mut Line> {
        let key = (service.to_owned(), group.to_owned());
        if self.lines.len() >= LINES_MAX && !self.lines.contains_key(&key) {
            self.refused += 1;
            return None;
        }
        Some(self.lines.entry(key).or_default())
    }
}

/// The request a bucket names.
fn exemplar(row: &Row<'_>, at_us: i64) -> Option<Exemplar> {
    let named = row.exemplar.as_ref()?;
    let trace_id = named.labels.iter().find(|(name, _)| *name == "trace_id")?.1.to_string();
    Some(Exemplar {
        trace_id,
        seconds: named.value,
        at_us: named.at_us.unwrap_or(at_us),
        failed: row.label("http_response_status_code").starts_with('5'),
    })
}

#[cfg(test)]
#[path = "signals/tests.rs"]
mod tests;
