//! Which alerts fire.
//!
//! A pair *fires* while both its windows burn faster than its factor (strictly), with at least the
//! objective's `bad_events_min` bad events in the long window, and at least `1 / (1 − t)` events in
//! it: with fewer, a single failure would be more than the whole budget (not where events come by the
//! clock: see [`Slo::alert_events_min`]). The comparison is of whole
//! numbers: `bad × 10 × 10⁹ > tenths × billionths × total`.
//!
//! Failures that were counted fire an alert whatever else is not known. *Missing* data never resolves
//! one: it is over once a window of which at least [`KNOWN_MIN`] was covered does not burn, whatever
//! the other one would say; until then an alert that fires is frozen.
//! What was before the objective was first counted is not missing, so that a service that is an hour
//! old has alerts that fire and resolve. Objectives whose events come by schedule (probes, freshness)
//! are missing data when there are none, covered or not.
//!
//! One notice per objective, kind and severity, however many of its pairs fire.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::spec::{Catalog, DataLoss, Pair, Severity, Sli, Slo, SloName};
use crate::status::{AlertState, AlertStatus, Burn, Scope, Status};

mod notice;
#[cfg(test)]
mod tests;

/// The share of a window (as far as the objective existed) that has to be covered for an alert to
/// resolve. Of five minutes it allows half a minute: a restart, but not an outage.
pub const KNOWN_MIN: f64 = 0.9;
/// Of the last five minutes, below which there is *no data*, and for how long until it is said.
pub const NO_DATA_BELOW: f64 = 0.5;
pub const NO_DATA_AFTER_S: u32 = 300;

/// What changed, for whoever is to be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    pub slo: SloName,
    pub service: String,
    pub team: Option<String>,
    pub kind: Kind,
    pub severity: Severity,
    /// `true`: it fires (also when it still does); `false`: it is over.
    pub firing: bool,
    /// There is no data to say whether it still does.
    pub frozen: bool,
    pub since_us: i64,
    /// When it became as it is: began, froze, went on, ended.
    #[serde(default)]
    pub changed_us: i64,
    /// When it was over.
    pub ended_us: Option<i64>,
    /// One line: `99.9% of … : budget burns 22.3 × over 1h and 31.0 × over 5m (page at 14.4)`.
    pub summary: String,
    /// Several lines: what it means, budget left, when it is used up.
    pub description: String,
}

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The budget burns too fast.
    Burn,
    /// Nobody knows how the objective is doing (only with [`DataLoss::Alert`]).
    NoData,
}

/// The state of all alerts; it outlives a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Alerts {
    objectives: BTreeMap<SloName, Known>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    pairs: Vec<PairState>,
    /// Since when there has been no data.
    #[serde(default)]
    missing_since_us: Option<i64>,
    /// What fires and was told.
    told: Vec<Notice>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct PairState {
    severity: Severity,
    long_s: u64,
    short_s: u64,
    factor_tenths: u32,
    state: AlertState,
    since_us: i64,
}

impl Alerts {
    /// Looks at new statuses (those of scope *all*), writes into them how their alerts are, and gives
    /// what changed: one notice per objective and severity, however many of its pairs fire.
    pub fn step(&mut self, catalog: &Catalog, statuses: &mut [Status], now_us: i64) -> Vec<Notice> {
        let mut notices = self.end_unknown(catalog, now_us);
        for status in statuses.iter_mut().filter(|status| status.scope == Scope::All) {
            let Some(slo) = catalog.get(status.slo.as_str()) else { continue };
            let known = self.objectives.entry(slo.name.clone()).or_default();
            known.pairs = slo
                .alerting
                .pairs
                .iter()
                .map(|pair| known.pair(slo, pair, status, now_us))
                .collect();
            known.look_for_data(slo, status, now_us);
            status.alerts = known.pairs.iter().map(|pair| alert_status(pair, status)).collect();
            known.tell(slo, status, now_us, &mut notices);
        }
        notices
    }

    /// Everything that fires now, for receivers that want to be told again and again (Alertmanager).
    #[must_use]
    pub fn firing(&self) -> Vec<Notice> {
        self.objectives.values().flat_map(|known| known.told.iter().cloned()).collect()
    }

    /// Alerts of objectives that are no more.
    fn end_unknown(&mut self, catalog: &Catalog, now_us: i64) -> Vec<Notice> {
        let mut notices = Vec::new();
        self.objectives.retain(|name, known| {
            let kept = catalog.get(name.as_str()).is_some();
            if !kept {
                notices.extend(known.told.drain(..).map(|told| notice::ended(told, now_us)));
            }
            kept
        });
        notices
    }
}

impl Known {
    /// How a pair is now.
    fn pair(&self, slo: &Slo, pair: &Pair, status: &Status, now_us: i64) -> PairState {
        let (long_s, short_s) = (pair.long.as_secs(), pair.short.as_secs());
        let same = |known: &&PairState| {
            known.severity == pair.severity
                && (known.long_s, known.short_s) == (long_s, short_s)
                && known.factor_tenths == pair.factor_tenths
        };
        let before = self.pairs.iter().find(same).copied().unwrap_or(PairState {
            severity: pair.severity,
            long_s,
            short_s,
            factor_tenths: pair.factor_tenths,
            state: AlertState::Inactive,
            since_us: now_us,
        });
        let (long, short) = (burn_over(status, long_s), burn_over(status, short_s));
        let fires = long.zip(short).is_some_and(|(long, short)| fires(slo, pair, long, short));
        let known = |burn: &Burn| is_known(slo, status, burn);
        let over = short.is_some_and(|short| known(short) && !burns(slo, pair, short))
            || long.is_some_and(|long| {
                known(long) && !(burns(slo, pair, long) && are_enough(slo, long))
            });
        let state = match before.state {
            _ if fires => AlertState::Firing,
            AlertState::Firing | AlertState::Frozen
                if !over && slo.data_loss != DataLoss::Ignore =>
            {
                AlertState::Frozen
            }
            _ => AlertState::Inactive,
        };
        let since_us = if state == before.state { before.since_us } else { now_us };
        PairState { state, since_us, ..before }
    }

    fn look_for_data(&mut self, slo: &Slo, status: &Status, now_us: i64) {
        let missing = slo.data_loss == DataLoss::Alert && has_no_data(slo, status);
        self.missing_since_us = missing.then(|| self.missing_since_us.unwrap_or(now_us));
    }

    /// Tells what began, froze, went on or ended since the last time; else it is kept as it is now.
    fn tell(&mut self, slo: &Slo, status: &Status, now_us: i64, notices: &mut Vec<Notice>) {
        let alerts = [
            (Kind::Burn, Severity::Page),
            (Kind::Burn, Severity::Ticket),
            (Kind::NoData, no_data_severity(slo)),
        ];
        for (kind, severity) in alerts {
            let now = match kind {
                Kind::Burn => notice::burn(slo, status, severity),
                Kind::NoData => self
                    .missing_since_us
                    .filter(|since| now_us - since >= i64::from(NO_DATA_AFTER_S) * 1_000_000)
                    .map(|since| notice::no_data(slo, severity, since, now_us)),
            };
            let is_it = |told: &Notice| told.kind == kind && told.severity == severity;
            let before = self.told.iter().position(is_it);
            match (before.and_then(|index| self.told.get_mut(index)), now) {
                (Some(told), Some(now)) => {
                    let same = told.frozen == now.frozen;
                    let changed_us = if same { told.changed_us } else { now_us };
                    *told = Notice { since_us: told.since_us, changed_us, ..now };
                    if !same {
                        notices.push(told.clone());
                    }
                }
                (None, Some(now)) => {
                    let now = Notice { changed_us: now_us, ..now };
                    notices.push(now.clone());
                    self.told.push(now);
                }
                (Some(_), None) => {
                    let told = self.told.remove(before.unwrap_or_default());
                    notices.push(notice::ended(told, now_us));
                }
                (None, None) => {}
            }
        }
        let current = |told: &Notice| alerts.contains(&(told.kind, told.severity));
        let (kept, over): (Vec<_>, Vec<_>) = self.told.drain(..).partition(current);
        self.told = kept;
        notices.extend(over.into_iter().map(|told| notice::ended(told, now_us)));
    }
}

fn alert_status(pair: &PairState, status: &Status) -> AlertStatus {
    let rate = |seconds| burn_over(status, seconds).and_then(|burn| burn.rate);
    let factor = Pair {
        severity: pair.severity,
        long: Duration::from_secs(pair.long_s),
        short: Duration::from_secs(pair.short_s),
        factor_tenths: pair.factor_tenths,
    }
    .factor();
    AlertStatus {
        severity: pair.severity,
        long_s: pair.long_s,
        short_s: pair.short_s,
        factor,
        state: pair.state,
        since_us: pair.since_us,
        long_rate: rate(pair.long_s),
        short_rate: rate(pair.short_s),
    }
}

fn burn_over(status: &Status, seconds: u64) -> Option<&Burn> {
    status.burns.iter().find(|burn| burn.window_s == seconds)
}

fn fires(slo: &Slo, pair: &Pair, long: &Burn, short: &Burn) -> bool {
    are_enough(slo, long) && burns(slo, pair, long) && burns(slo, pair, short)
}

fn burns(slo: &Slo, pair: &Pair, burn: &Burn) -> bool {
    let budget = u128::from(slo.budget().billionths());
    let allowed = u128::from(pair.factor_tenths) * budget * u128::from(burn.events.total());
    u128::from(burn.events.bad) * 10_000_000_000 > allowed
}

/// Whether enough happened in the long window.
fn are_enough(slo: &Slo, long: &Burn) -> bool {
    long.events.bad >= slo.alerting.bad_events_min && long.events.total() >= slo.alert_events_min()
}

/// Whether a window was covered, as far as the objective existed in it.
fn is_known(slo: &Slo, status: &Status, burn: &Burn) -> bool {
    let nothing_came = by_schedule(&slo.sli).is_some_and(|every_s| burn.window_s >= 3 * every_s)
        && burn.events == crate::status::Counts::default();
    !nothing_came && covered(status, burn) >= KNOWN_MIN
}

/// The covered share of a window, as far as the objective existed in it.
fn covered(status: &Status, burn: &Burn) -> f64 {
    let Some(begins_us) = status.begins_us else { return 0.0 };
    let existed_us = u64::try_from(status.at_us - begins_us).unwrap_or(0);
    let window_us = burn.window_s.saturating_mul(1_000_000);
    if existed_us == 0 || existed_us >= window_us {
        return burn.coverage;
    }
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a window")]
    let share = existed_us as f64 / window_us as f64;
    (burn.coverage / share).min(1.0)
}

fn has_no_data(slo: &Slo, status: &Status) -> bool {
    if status.begins_us.is_none() {
        return true;
    }
    let recent = burn_over(status, 300);
    let uncovered = recent.is_some_and(|burn| covered(status, burn) < NO_DATA_BELOW);
    let silent = by_schedule(&slo.sli).is_some_and(|every_s| {
        let wide = status.burns.iter().find(|burn| burn.window_s >= (3 * every_s).max(300));
        wide.is_some_and(|burn| burn.events == crate::status::Counts::default())
    });
    uncovered || silent
}

/// How often events come, in seconds, where they do so by themselves.
fn by_schedule(sli: &Sli) -> Option<u64> {
    match sli {
        Sli::Probe { interval, .. } => Some(interval.as_secs()),
        Sli::Freshness { .. } => Some(60),
        Sli::Availability { .. } | Sli::Latency { .. } | Sli::Ratio { .. } => None,
    }
}

/// As urgent as the most urgent of its other alerts.
fn no_data_severity(slo: &Slo) -> Severity {
    slo.alerting.pairs.iter().map(|pair| pair.severity).min().unwrap_or(Severity::Ticket)
}
