//! Reads what was counted from a Prometheus that scraped it, into the folder of a server that does not
//! run: the folder's lock sees to that.
//!
//! Asked for are the counters themselves, once a minute, and not their `increase`, which extrapolates:
//! what comes back are whole events. A counter that went back began anew at nought; one that was not
//! there a minute before has no increase yet. Where the history has counted already, or has been
//! filled before, nothing is added: doing the same again changes nothing.
//!
//! What was counted is taken for counts of the objectives as they are now: a threshold that was
//! another one then is not known to Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use runtime::clock::rfc3339;
use serde::Serialize;
use slo::history::{Backfilled, Series, Span};
use slo::spec::RETENTION_DAYS;
use slo::status::{Counts, Scope};
use slo::{Catalog, Slo, SloName};
use store::journal::{Journal, Limits};

use crate::{LedgerError, keep};

mod prometheus;

use prometheus::{Found, Prometheus, Query};

/// Seconds between the moments that are asked for; they are whole multiples of it, so that the same
/// spans come back whenever it is done again.
const STEP_S: i64 = 60;
/// Moments of one question, half a day: Prometheus answers at most 11,000.
const STEPS_PER_QUESTION: i64 = 720;
const DAY_S: i64 = 86_400;

#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    #[error("{url} cannot be asked: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("{url} does not answer as a Prometheus: {reason}")]
    Answer { url: String, reason: String },
    #[error("the ledger cannot be filled; a server that runs has to be stopped first")]
    Ledger {
        #[source]
        source: LedgerError,
    },
    #[error("from {from} to {to} there is no time")]
    NoTime { from: String, to: String },
}

/// What became of an objective's past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Filled {
    pub slo: SloName,
    /// Minutes in which Prometheus had its counters.
    pub found: u64,
    /// Of those: taken, left out since they were counted already, and refused.
    pub minutes: Backfilled,
    /// What was added.
    pub events: Counts,
}

/// Fills the history in `folder` with what a Prometheus (base URL) knows of `from_us..to_us`; gives one
/// entry for each objective of the catalog. `told` hears of each before it is asked for. Blocks.
///
/// # Errors
/// A Prometheus that does not answer, a folder that is in use or cannot be written, and a time that is
/// none; nothing is changed then.
pub fn backfill(
    folder: &Path,
    catalog: &Catalog,
    prometheus: &str,
    (from_us, to_us): (i64, i64),
    told: &mut dyn FnMut(&SloName),
) -> Result<Vec<Filled>, BackfillError> {
    let (from_s, to_s) = whole_steps(from_us, to_us)?;
    let unusable = |source| BackfillError::Ledger { source };
    let failed = |source| unusable(LedgerError::Journal { path: folder.to_owned(), source });
    let (mut journal, contents) = Journal::open(folder, Limits::default()).map_err(failed)?;
    keep::tell_damage(folder, &contents);
    let mut book = keep::book_of(folder, contents).map_err(unusable)?;
    let prometheus = Prometheus::new(prometheus);
    let mut filled = Vec::new();
    for slo in &catalog.slos {
        told(&slo.name);
        let past = past(&prometheus, slo, from_s, to_s)?;
        let mut minutes = Backfilled::default();
        let mut events = Counts::default();
        let found = past.get(&Scope::All).map_or(0, |spans| spans.len() as u64);
        // The sum over all comes last: views go where it does, and it covers the time.
        for (scope, spans) in past.iter().rev() {
            let series =
                Series { slo: slo.name.clone(), revision: slo.revision, scope: scope.clone() };
            let before = book.history.counts(&series, 0, to_us.saturating_add(1)).counts;
            let done = book.history.backfill(&series, spans);
            if *scope == Scope::All {
                minutes = done;
                let after = book.history.counts(&series, 0, to_us.saturating_add(1)).counts;
                events = after.minus(before);
            }
        }
        filled.push(Filled { slo: slo.name.clone(), found, minutes, events });
    }
    journal.snapshot(&book.snapshot()).map_err(failed)?;
    Ok(filled)
}

/// Whole steps within the span, and within what is kept.
fn whole_steps(from_us: i64, to_us: i64) -> Result<(i64, i64), BackfillError> {
    let to_s = to_us.div_euclid(1_000_000).div_euclid(STEP_S) * STEP_S;
    let kept_s = to_s - i64::from(RETENTION_DAYS) * DAY_S;
    let from_s = from_us.div_euclid(1_000_000).max(kept_s);
    let from_s = (from_s + STEP_S - 1).div_euclid(STEP_S) * STEP_S;
    if from_s >= to_s {
        return Err(BackfillError::NoTime { from: rfc3339(from_us), to: rfc3339(to_us) });
    }
    Ok((from_s, to_s))
}

type Past = BTreeMap<Scope, Vec<Span>>;

/// Every minute in which an objective was counted, and every minute in which a view was.
fn past(prometheus: &Prometheus, slo: &Slo, from_s: i64, to_s: i64) -> Result<Past, BackfillError> {
    let mut past = Past::new();
    let mut at_s = from_s;
    while at_s < to_s {
        let until_s = (at_s + STEPS_PER_QUESTION * STEP_S).min(to_s);
        let ask = |metric| {
            let expression = format!("{metric}{{slo=\"{}\"}}", slo.name);
            prometheus.ask(&Query { expression, from_s: at_s, to_s: until_s, step_s: STEP_S })
        };
        let by_tenant = ask(slo::generate::names::EVENTS)?;
        let mut minutes =
            increases(&by_tenant, |found| Some(Scope::Tenant(found.label("tenant")?)));
        if !minutes.is_empty() && slo.views.route_groups {
            let by_group = ask(slo::generate::names::ROUTE_GROUP_EVENTS)?;
            let groups =
                increases(&by_group, |found| Some(Scope::RouteGroup(found.label("route_group")?)));
            for (at, scopes) in groups {
                minutes.entry(at).or_default().extend(scopes);
            }
        }
        for (at, scopes) in minutes {
            add_minute(&mut past, slo, at, scopes);
        }
        at_s = until_s;
    }
    Ok(past)
}

fn add_minute(past: &mut Past, slo: &Slo, at_s: i64, scopes: BTreeMap<Scope, Counts>) {
    let span =
        |counts| Span { from_us: (at_s - STEP_S) * 1_000_000, to_us: at_s * 1_000_000, counts };
    let tenants = scopes.iter().filter(|(scope, _)| matches!(scope, Scope::Tenant(_)));
    let counted: BTreeSet<&Scope> = tenants.clone().map(|(scope, _)| scope).collect();
    if !counted.is_empty() {
        let all = tenants.map(|(_, counts)| *counts).fold(Counts::default(), Counts::plus);
        past.entry(Scope::All).or_default().push(span(all));
    }
    for (scope, counts) in scopes {
        let kept = match &scope {
            Scope::All => false,
            Scope::Tenant(name) => slo.views.tenants && name != runtime::sli::ALL_TENANTS,
            Scope::RouteGroup(_) => true,
        };
        if kept && counts != Counts::default() {
            past.entry(scope).or_default().push(span(counts));
        }
    }
}

/// What was counted in each step, by its end; a step in which no series was there at both ends is left
/// out.
fn increases(
    found: &[Found],
    scope: impl Fn(&Found) -> Option<Scope>,
) -> BTreeMap<i64, BTreeMap<Scope, Counts>> {
    let mut minutes: BTreeMap<i64, BTreeMap<Scope, Counts>> = BTreeMap::new();
    for series in found {
        let (Some(scope), Some(outcome)) = (scope(series), series.label("outcome")) else {
            continue;
        };
        for pair in series.points.windows(2) {
            let [(before_s, before), (at_s, now)] = pair else { continue };
            if at_s - before_s != STEP_S {
                continue;
            }
            // A counter that went back has begun anew.
            let events = if now >= before { now - before } else { *now };
            let counts = minutes.entry(*at_s).or_default().entry(scope.clone()).or_default();
            let added = match outcome.as_str() {
                "good" => Counts { good: events, ..Counts::default() },
                "bad" => Counts { bad: events, ..Counts::default() },
                _ => Counts { excluded: events, ..Counts::default() },
            };
            *counts = counts.plus(added);
        }
    }
    minutes
}

#[cfg(test)]
mod tests;
