//! All objectives, the worst budget first.

use std::collections::BTreeSet;

use maud::{Markup, html};
use slo::Status;
use slo::gate::{Answer, Ask, Decision};
use slo::status::{AlertState, Scope};

use super::words;
use crate::{Shared, chart, show};

/// Points of a budget in the size of a word.
const SPARK_POINTS: u32 = 60;
/// Reasons of the gate that are shown at once.
const REASONS: usize = 4;

pub(crate) fn body(shared: &Shared) -> Markup {
    let statuses = shared.ledger.statuses().borrow().clone();
    let mut worst: Vec<&Status> = statuses.iter().collect();
    worst.sort_by(|a, b| {
        let left = |status: &Status| status.budget.left.unwrap_or(f64::INFINITY);
        left(a).total_cmp(&left(b)).then(a.slo.cmp(&b.slo))
    });
    let decision = shared.ledger.gate(&Ask::default());
    html! {
        h1 { "Objectives" }
        (gate(shared, &decision, &statuses))
        section #objectives data-live aria-labelledby="worst" {
            h2.sr #worst { "Worst budget first" }
            @if worst.is_empty() {
                p.empty { "No objective has been evaluated yet; the first evaluation comes some seconds after the start." }
            } @else {
                (table(shared, &worst, &decision))
            }
        }
    }
}

fn gate(shared: &Shared, decision: &Decision, statuses: &[Status]) -> Markup {
    let services: BTreeSet<&str> = statuses.iter().map(|status| status.service.as_str()).collect();
    let firing = |status: &&Status| status.alerts.iter().any(|a| a.state == AlertState::Firing);
    let burning = statuses.iter().filter(firing).count();
    let spent = statuses.iter().filter(|s| s.budget.left.is_some_and(|left| left < 0.0)).count();
    html! {
        section.hero #gate data-live aria-labelledby="may" {
            div.verdict {
                h2 #may { "May we deploy?" }
                p.answer { (words::gate(decision.answer)) }
                @if let Some(at_us) = decision.opens_at_us {
                    p { "opens " (show::distance(at_us, decision.at_us)) ", " (show::time(at_us)) " if nothing more goes wrong" }
                }
                @if let Some(why) = &decision.lifted_by { p.muted { (show::clip(why, 200)) } }
            }
            ul.reasons aria-label="Reasons" {
                @let reasons = decision.reasons.iter().filter(|reason| reason.answer != Answer::Allow);
                @for reason in reasons.clone().take(REASONS) {
                    li { (words::gate(reason.answer)) " " a href=(format!("/slo/{}", reason.slo)) { (reason.slo) } ": " (show::clip(&reason.text, 200)) }
                }
                @if reasons.clone().count() > REASONS { li.muted { (reasons.clone().count() - REASONS) " more" } }
                @if reasons.count() == 0 { li.muted { "no objective is against it" } }
            }
            dl.tiles.small {
                div { dt { "objectives" } dd { (statuses.len()) } }
                div { dt { "alerting" } dd class=(if burning > 0 { "bad" } else { "" }) { (burning) } }
                div { dt { "overspent" } dd class=(if spent > 0 { "bad" } else { "" }) { (spent) } }
            }
            ul.services aria-label="Gate of each service" {
                @for service in services {
                    @let ask = Ask { service: Some(service.to_owned()), ..Ask::default() };
                    li { span { (service) } " " (words::gate(shared.ledger.gate(&ask).answer)) }
                }
            }
        }
    }
}

fn table(shared: &Shared, worst: &[&Status], decision: &Decision) -> Markup {
    html! {
        table.objectives role="table" {
            thead role="rowgroup" { tr role="row" {
                @for name in ["Objective", "SLI / target", "Budget left", "Burn now", "Budget over the window", "Coverage", "Alerts", "Gate"] {
                    th scope="col" role="columnheader" { (name) }
                }
            } }
            tbody role="rowgroup" {
                @for status in worst { (row(shared, status, decision)) }
            }
        }
    }
}

fn row(shared: &Shared, status: &Status, decision: &Decision) -> Markup {
    let name = status.slo.as_str();
    let down = shared.ledger.burn_down(name, &Scope::All, SPARK_POINTS);
    let (hour, minutes) = (words::burn(status, 3600), words::burn(status, 300));
    let said = |rate: Option<f64>| rate.map_or_else(|| "–".to_owned(), show::burn);
    let budget = &status.budget;
    html! {
        tr role="row" class=(words::budget_class(budget.left)) {
            th.name scope="row" role="rowheader" {
                a href=(format!("/slo/{name}")) { (name) }
                span.muted { (status.service) " · " (status.kind) " · " (status.window) }
            }
            td.sli role="cell" data-name="SLI / target" {
                b { @match status.error_ratio {
                    Some(ratio) => (show::level(1.0 - ratio, &status.target_percent)),
                    None => "no events",
                } }
                span.muted { "of " (status.target_percent) "\u{a0}%" @if status.few_events { " · few events" } }
            }
            td.budget role="cell" data-name="Budget left" {
                b { @match budget.left { Some(left) => (show::percent(left)), None => "not known" } }
                (words::bar(budget.left))
                @if budget.left.is_some() {
                    span.muted { (show::minutes(budget.minutes_left)) " · " (show::events(budget.events_left)) " failures" }
                }
            }
            td.burn role="cell" data-name="Burn now" {
                b class=(words::burn_class(hour)) { (said(hour)) }
                span.muted { "5m\u{a0}" (said(minutes)) }
            }
            td.sparkline role="cell" data-name="Budget over the window" {
                @if let Some(down) = &down { (chart::spark::budget(&down.past)) } @else { span.muted { "–" } }
            }
            td role="cell" data-name="Coverage" { (words::coverage(status)) }
            td role="cell" data-name="Alerts" { (words::alerts(status)) }
            td role="cell" data-name="Gate" { (own_gate(shared, status, decision)) }
        }
    }
}

/// What an objective itself says to the gate.
fn own_gate(shared: &Shared, status: &Status, decision: &Decision) -> Markup {
    let gated = shared.ledger.catalog().get(status.slo.as_str()).is_some_and(|slo| slo.gated);
    let said = decision.reasons.iter().find(|reason| reason.slo == status.slo);
    html! {
        @match (gated, said) {
            (false, _) => span.muted { "not gated" },
            (true, Some(reason)) => (words::gate(reason.answer)),
            (true, None) => (words::gate(Answer::Allow)),
        }
    }
}
