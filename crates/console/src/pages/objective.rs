//! One objective: how it is, how it came to that, how it goes on, and what to do about it.

use std::time::Duration;

use maud::{Markup, html};
use slo::gate::Ask;
use slo::spec::{Requests, Sli};
use slo::status::{Scope, Status};
use slo::{Slo, evaluate::Step};

use super::words;
use crate::api::View;
use crate::chart::{burn, burndown, golden};
use crate::{Shared, show};

mod tiles;
mod views;

/// Moments of the burn-down, of burn rates and of golden signals.
const POINTS: u32 = 160;
const BURN_POINTS: u32 = 140;
const SLOTS: usize = 72;
const HOUR_US: i64 = 3_600_000_000;

/// What the charts show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    name: &'static str,
    text: &'static str,
    /// Absent: the objective's window.
    length_us: Option<i64>,
}

const RANGES: [Range; 5] = [
    Range { name: "1h", text: "1 hour", length_us: Some(HOUR_US) },
    Range { name: "6h", text: "6 hours", length_us: Some(6 * HOUR_US) },
    Range { name: "1d", text: "1 day", length_us: Some(24 * HOUR_US) },
    Range { name: "7d", text: "7 days", length_us: Some(7 * 24 * HOUR_US) },
    Range { name: "window", text: "window", length_us: None },
];

/// An objective in one view.
struct Page<'a> {
    shared: &'a Shared,
    slo: &'a Slo,
    status: Status,
    scope: Scope,
    range: Range,
}

/// Title and body; `None`: there is none of this name, or nothing of this view.
pub(crate) fn body(shared: &Shared, name: &str, view: &View) -> Option<(String, Markup)> {
    let slo = shared.ledger.catalog().get(name)?;
    let scope = view.scope();
    let status = match &scope {
        // The one everybody has seen, with its alerts.
        Scope::All => {
            let statuses = shared.ledger.statuses();
            let known = statuses.borrow().iter().find(|status| status.slo == slo.name).cloned();
            known.or_else(|| shared.ledger.status(name, &scope))
        }
        _ if !shared.ledger.scopes(name).contains(&scope) => None,
        _ => shared.ledger.status(name, &scope),
    }?;
    let range = RANGES.into_iter().find(|range| Some(range.name) == view.range.as_deref());
    let usual = if covered_s(&status) < 2.0 * 3600.0 { RANGES[0] } else { RANGES[1] };
    let page = Page { shared, slo, status, scope, range: range.unwrap_or(usual) };
    Some((slo.name.to_string(), page.draw()))
}

impl Page<'_> {
    fn draw(&self) -> Markup {
        let marks = self.shared.ledger.marks();
        let ours =
            |mark: &ledger::Mark| mark.service.as_ref().is_none_or(|of| *of == self.slo.service);
        let marks: Vec<_> = marks.into_iter().filter(ours).collect();
        let name = self.slo.name.as_str();
        let ledger = &self.shared.ledger;
        let decision =
            ledger.gate(&Ask { service: Some(self.slo.service.clone()), ..Ask::default() });
        html! {
            (self.head())
            section #top data-live aria-label="Now" { (tiles::draw(self.slo, &self.status, &decision)) }
            section #down data-live aria-labelledby="budget" {
                h2 #budget { "Budget" }
                @match ledger.burn_down(name, &self.scope, POINTS) {
                    Some(down) => (burndown::draw(&self.status, &down, &marks)),
                    None => p.empty { "There is no history yet." },
                }
                (tiles::refunds(&self.status))
            }
            (self.ranges())
            section #burn data-live aria-labelledby="burns" { h2 #burns { "Burn" } (self.burn()) }
            section #golden data-live aria-labelledby="signals" { h2 #signals { "Golden signals" } (self.signals()) }
            (views::draw(self.shared, self.slo, &self.status, &self.scope))
            section #explain data-live aria-labelledby="how" {
                h2 #how { "How this is computed" }
                (steps(&ledger.explain(name, &self.scope).unwrap_or_default()))
            }
            (self.files())
        }
    }

    fn head(&self) -> Markup {
        let slo = self.slo;
        html! {
            p.crumbs { a href="/" { "Objectives" } " / " a href=(format!("/slo/{}", slo.name)) { (slo.name) }
                @if self.scope != Scope::All { " / " (show::scope(&self.scope)) } }
            h1 { (slo.name) @if self.scope != Scope::All { span.muted { " · " (show::scope(&self.scope)) } } }
            p.lead { (slo.description) }
            p.tags {
                span.tag { (slo.service) } " " span.tag { (self.status.kind) } " " span.tag { (self.status.window) }
                @if let Some(team) = &slo.team { " " span.tag { "team " (show::clip(team, 40)) } }
                " " span.muted { (promise(slo)) }
            }
        }
    }

    fn ranges(&self) -> Markup {
        let view = match &self.scope {
            Scope::All => String::new(),
            Scope::Tenant(name) => format!("tenant={}&", show::encoded(name)),
            Scope::RouteGroup(name) => format!("route_group={}&", show::encoded(name)),
        };
        html! {
            nav.ranges #ranges aria-label="Span of the charts below" {
                @for range in RANGES {
                    a href=(format!("?{view}range={}#ranges", range.name)) aria-current=[(range == self.range).then_some("true")] { (range.text) }
                }
            }
        }
    }

    fn span(&self) -> (i64, i64) {
        let now_us = self.status.at_us;
        (self.range.length_us.map_or(self.status.from_us, |length| now_us - length), now_us)
    }

    fn burn(&self) -> Markup {
        let span = self.span();
        let series = |window: Duration| {
            let ledger = &self.shared.ledger;
            ledger.burn_series(self.slo.name.as_str(), &self.scope, window, span, BURN_POINTS)
        };
        let all: Vec<burn::Both> = self
            .slo
            .alerting
            .pairs
            .iter()
            .map(|pair| burn::Both {
                pair: *pair,
                long: series(pair.long),
                short: series(pair.short),
                alert: self.alert(pair),
            })
            .collect();
        html! {
            @if all.is_empty() {
                p.empty { "This objective has no alerts." }
            } @else {
                (burn::draw(&all, span))
                (burn::pairs(&all, span, self.status.at_us))
            }
        }
    }

    fn alert(&self, pair: &slo::spec::Pair) -> Option<slo::status::AlertStatus> {
        let same = |alert: &&slo::status::AlertStatus| {
            alert.long_s == pair.long.as_secs()
                && alert.short_s == pair.short.as_secs()
                && alert.severity == pair.severity
        };
        self.status.alerts.iter().find(same).cloned()
    }

    fn signals(&self) -> Markup {
        let (from_us, to_us) = self.span();
        // More than a day is not kept.
        let span = (from_us.max(to_us - 24 * HOUR_US), to_us);
        let everything = Requests::default();
        let (requests, threshold) = match &self.slo.sli {
            Sli::Availability { requests } => (requests, None),
            Sli::Latency { requests, threshold, .. } => (requests, Some(*threshold)),
            Sli::Freshness { .. } | Sli::Ratio { .. } | Sli::Probe { .. } => (&everything, None),
        };
        let wanted = |group: &str| match &self.scope {
            Scope::RouteGroup(name) => name == group,
            _ => {
                (requests.only.is_empty() || requests.only.iter().any(|name| name == group))
                    && !requests.except.iter().any(|name| name == group)
            }
        };
        let window = self.shared.signals.window(&self.slo.service, &wanted, span, SLOTS);
        html! {
            p.muted {
                "Of " (self.slo.service) @if let Scope::Tenant(_) = self.scope { ", all tenants" }
                ", read from its metrics every ten seconds and kept for a day. Percentiles are interpolated within buckets; the objective itself is counted exactly. A dot is a request whose trace can be opened."
            }
            div.quartet {
                (golden::latency(&window, threshold, span))
                (golden::traffic(&window, span))
                (golden::errors(&window, span))
                (golden::saturation(&window, span))
            }
        }
    }

    fn files(&self) -> Markup {
        let name = self.slo.name.as_str();
        let generated = &self.shared.generated;
        html! {
            section aria-labelledby="files" {
                h2 #files { "Take it along" }
                ul.links {
                    @for alert in generated.runbooks_of(name) { li { a href=(format!("/runbooks/{alert}")) { "Runbook " (alert) } } }
                    li { a href=(format!("/api/slos/{name}")) { "JSON" } }
                }
                (words::copyable("PromQL: the error ratio", &super::generated::queries(self.slo)))
                @if let Some(rules) = generated.rules_of(name) { (words::copyable("Prometheus rules", &rules)) }
                @if let Some(text) = generated.spec_of(name) { (words::copyable("OpenSLO", text)) }
            }
        }
    }
}

/// Seconds of the window in which there was somebody to count.
#[expect(clippy::cast_precision_loss, reason = "a window in microseconds")]
fn covered_s(status: &Status) -> f64 {
    (status.at_us - status.from_us) as f64 / 1e6 * status.coverage
}

/// What is promised, in a sentence.
fn promise(slo: &Slo) -> String {
    let target = slo.target.percent();
    match &slo.sli {
        Sli::Availability { .. } => format!("{target} % of requests do not fail on our side"),
        Sli::Latency { threshold, le, .. } => {
            let than = if *le { "within" } else { "in less than" };
            let threshold = show::seconds(threshold.as_secs_f64());
            format!("{target} % of requests are answered {than} {threshold}")
        }
        Sli::Freshness { max_age, .. } => {
            format!("{target} % of the time no older than {}", show::seconds(max_age.as_secs_f64()))
        }
        Sli::Ratio { .. } => format!("{target} % of events are good"),
        Sli::Probe { interval, .. } => {
            let every = show::seconds(interval.as_secs_f64());
            format!("{target} % of probes, one every {every}, are answered well")
        }
    }
}

fn steps(steps: &[Step]) -> Markup {
    html! {
        @if steps.is_empty() { p.empty { "Nothing has been counted yet." } }
        @else {
            div.scroll tabindex="0" role="region" aria-labelledby="how" {
                table.steps {
                    thead { tr { th scope="col" { "What" } th scope="col" { "How" } th.number scope="col" { "Result" } } }
                    tbody { @for step in steps {
                        tr { th scope="row" { (step.what) } td { code { (step.how) } } td.number { (step.result) } }
                    } }
                }
            }
        }
    }
}
