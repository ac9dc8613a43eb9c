//! The top of an objective's page: what one wants to know before anything else.

use maud::{Markup, html};
use slo::Slo;
use slo::gate::{Answer, Decision};
use slo::status::Status;

use super::super::words;
use crate::show;

/// Refunds that are listed.
const REFUNDS: usize = 6;

pub(super) fn draw(slo: &Slo, status: &Status, decision: &Decision) -> Markup {
    html! {
        dl.tiles {
            (level(status))
            (budget(status))
            (burn(status))
            (next(status))
            (gate(slo, decision))
            (coverage(slo, status))
        }
    }
}

fn level(status: &Status) -> Markup {
    let missed = status.budget.left.is_some_and(|left| left < 0.0);
    html! {
        div {
            dt { "SLI" }
            dd class=(if missed { "bad" } else { "" }) { @match status.error_ratio {
                Some(ratio) => (show::level(1.0 - ratio, &status.target_percent)),
                None => "no events",
            } }
            p { "target " (status.target_percent) " %" @if status.error_ratio.is_some() { @if missed { " · missed" } @else { " · met" } } }
            p.muted { (show::count(status.events.bad)) " bad of " (show::count(status.events.total())) @if status.few_events { " · few events" } }
        }
    }
}

fn budget(status: &Status) -> Markup {
    let budget = &status.budget;
    html! {
        div {
            dt { "Budget left" }
            dd class=(words::budget_class(budget.left)) { @match budget.left { Some(left) => (show::percent(left)), None => "not known" } }
            (words::bar(budget.left))
            p { (show::events(budget.events_left)) " of " (show::events(budget.events)) " failures" }
            p.muted { (show::minutes(budget.minutes_left)) " of " (show::minutes(budget.minutes)) " of total outage" }
        }
    }
}

fn burn(status: &Status) -> Markup {
    let said =
        |seconds: u64| words::burn(status, seconds).map_or_else(|| "–".to_owned(), show::burn);
    html! {
        div {
            dt { "Burn now" }
            dd class=(words::burn_class(words::burn(status, 3600))) { (said(3600)) }
            p { "over 1h; 1× uses the budget up in the window" }
            p.muted { "5m " (said(300)) " · 6h " (said(21_600)) " · 3d " (said(259_200)) }
        }
    }
}

fn next(status: &Status) -> Markup {
    let spent = status.budget.left.is_some_and(|left| left <= 0.0);
    let refund = status.refunds.first();
    html! {
        div {
            @match (status.exhausts_at_us, spent) {
                (_, true) => {
                    dt { "Budget" }
                    dd.bad { "overspent" }
                }
                (Some(at_us), false) => {
                    dt { "Used up" }
                    dd.warn { (show::distance(at_us, status.at_us)) }
                    p { (show::time(at_us)) ", at the last hour's burn" }
                }
                (None, false) => {
                    dt { "Used up" }
                    dd { "not in sight" }
                    p { "at the last hour's burn, refunds counted in" }
                }
            }
            @match refund {
                Some(refund) => p.muted { "next refund +" (show::percent(refund.budget)) " " (show::distance(refund.at_us, status.at_us)) },
                None if status.until_us > status.at_us => p.muted { "begins anew " (show::distance(status.until_us, status.at_us)) },
                None => {},
            }
        }
    }
}

fn gate(slo: &Slo, decision: &Decision) -> Markup {
    let own = decision.reasons.iter().find(|reason| reason.slo == slo.name);
    html! {
        div {
            dt { "Deploys of " (slo.service) }
            dd { (words::gate(decision.answer)) }
            @if let Some(at_us) = decision.opens_at_us { p { "opens " (show::distance(at_us, decision.at_us)) ", " (show::time(at_us)) } }
            @match own {
                Some(reason) if reason.answer != Answer::Allow => p.muted { (show::clip(&reason.text, 160)) },
                _ if !slo.gated => p.muted { "the gate does not look at this objective" },
                _ => p.muted { "this objective is not against it" },
            }
        }
    }
}

fn coverage(slo: &Slo, status: &Status) -> Markup {
    html! {
        div {
            dt { "Coverage" }
            dd { (words::coverage(status)) }
            p { "of the window there was somebody to count" }
            p.muted { "the gate wants " (slo.coverage_min.percent()) " %; the rest is neither good nor bad" }
        }
    }
}

/// When old failures leave the window.
pub(super) fn refunds(status: &Status) -> Markup {
    html! {
        @if !status.refunds.is_empty() {
            details.refunds {
                summary { "Refunds: failures that leave the window" }
                table {
                    thead { tr { th scope="col" { "When" } th.number scope="col" { "Failures" } th.number scope="col" { "Budget back" } } }
                    tbody { @for refund in status.refunds.iter().take(REFUNDS) {
                        tr {
                            th scope="row" { (show::time(refund.at_us)) span.muted { " " (show::distance(refund.at_us, status.at_us)) } }
                            td.number { (show::count(refund.bad)) }
                            td.number { "+" (show::percent(refund.budget)) }
                        }
                    } }
                }
                @if status.refunds.len() > REFUNDS { p.muted { (status.refunds.len() - REFUNDS) " more" } }
            }
        }
    }
}
