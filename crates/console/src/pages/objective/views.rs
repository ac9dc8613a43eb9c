//! Whose failures they were: tenants and route groups by the budget they consumed.

use maud::{Markup, html};
use slo::Slo;
use slo::status::{Scope, Status};

use crate::{Shared, show};

/// Tenants that are listed.
const ROWS_MAX: usize = 20;

/// A tenant or route group.
struct Part {
    scope: Scope,
    status: Status,
    /// Of the objective's budget: its bad events over all that are allowed.
    consumed: f64,
}

pub(super) fn draw(shared: &Shared, slo: &Slo, status: &Status, shown: &Scope) -> Markup {
    let scopes = shared.ledger.scopes(slo.name.as_str());
    let (mut tenants, mut groups) = (Vec::new(), Vec::new());
    let whole = whole(shared, slo, status, shown);
    for scope in scopes {
        let Some(status) = shared.ledger.status(slo.name.as_str(), &scope) else { continue };
        #[expect(clippy::cast_precision_loss, reason = "a number of events")]
        let bad = status.events.bad as f64;
        let consumed = if whole > 0.0 { bad / whole } else { 0.0 };
        match &scope {
            Scope::All => {}
            Scope::Tenant(_) => tenants.push(Part { scope, status, consumed }),
            Scope::RouteGroup(_) => groups.push(Part { scope, status, consumed }),
        }
    }
    html! {
        section #views data-live aria-labelledby="whose" {
            h2 #whose { "Who used the budget" }
            div.pair {
                (table("Tenants", "Tenants by budget consumed", tenants, slo.views.tenants, shown))
                (table("Route groups", "Route groups by budget consumed", groups, slo.views.route_groups, shown))
            }
        }
    }
}

/// The bad events that the whole objective may have.
fn whole(shared: &Shared, slo: &Slo, status: &Status, shown: &Scope) -> f64 {
    if *shown == Scope::All {
        return status.budget.events;
    }
    let all = shared.ledger.status(slo.name.as_str(), &Scope::All);
    all.map_or(0.0, |all| all.budget.events)
}

fn table(title: &str, label: &str, mut parts: Vec<Part>, counted: bool, shown: &Scope) -> Markup {
    parts.sort_by(|a, b| b.consumed.total_cmp(&a.consumed).then_with(|| a.scope.cmp(&b.scope)));
    let most = parts.first().map_or(1.0, |part| part.consumed).max(1.0);
    html! {
        div {
            h3 { (title) }
            @if !counted { p.empty { "This objective does not count them." } }
            @else if parts.is_empty() { p.empty { "No events yet." } }
            @else {
                table.views aria-label=(label) {
                    thead { tr { th scope="col" { "Name" } th scope="col" { "Consumed" } th.number scope="col" { "Bad" } th.number scope="col" { "Events" } } }
                    tbody { @for part in parts.iter().take(ROWS_MAX) { (row(part, most, shown)) } }
                }
                @if parts.len() > ROWS_MAX { p.muted { (parts.len() - ROWS_MAX) " more that consumed less" } }
            }
        }
    }
}

fn row(part: &Part, most: f64, shown: &Scope) -> Markup {
    let (query, name) = match &part.scope {
        Scope::Tenant(name) => ("tenant", name.as_str()),
        Scope::RouteGroup(name) => ("route_group", name.as_str()),
        Scope::All => ("", ""),
    };
    let link = format!("/slo/{}?{query}={}", part.status.slo, show::encoded(name));
    let name = match name {
        slo::spec::OTHER_TENANTS => "all others".to_owned(),
        slo::spec::NO_TENANT => "no tenant".to_owned(),
        name => show::clip(name, 48),
    };
    let class = if part.consumed > 1.0 {
        "fill bad"
    } else if part.consumed > 0.5 {
        "fill warn"
    } else {
        "fill"
    };
    let events = &part.status.events;
    html! {
        tr {
            th scope="row" { a href=(link) aria-current=[(part.scope == *shown).then_some("true")] { (name) } }
            td.consumed {
                svg.bar width="100%" height="8" aria-hidden="true" {
                    rect.rest width="100%" height="8" rx="2" {}
                    rect class=(class) width=(format!("{:.1}%", part.consumed / most * 100.0)) height="8" rx="2" {}
                }
                (show::percent(part.consumed))
            }
            td.number { (show::count(events.bad)) }
            td.number { (show::count(events.total())) }
        }
    }
}
