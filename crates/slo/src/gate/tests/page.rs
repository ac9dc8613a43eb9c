//! docs/error-budget-policy.md holds the numbers that are acted on.

use crate::gate::OVERRIDE_LASTS_MAX;
use crate::spec::{Catalog, GatePolicy, OnUnknown, SHIPPED, Severity, Sli, Slo, read, span_text};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/error-budget-policy.md");

/// What is between two equal marks.
fn part<'a>(page: &'a str, name: &str) -> &'a str {
    let mark = format!("<!-- {name} -->\n");
    let mut parts = page.split(mark.as_str());
    let part = parts.nth(1).unwrap_or_else(|| panic!("{mark} is missing"));
    assert_eq!(parts.count(), 1, "{mark} is there twice");
    part
}

fn percent(share: crate::decimal::Share) -> String {
    format!("{} %", share.percent())
}

fn policy(catalog: &Catalog) -> String {
    let GatePolicy { freeze_below, reopen_at, slow_below, .. } = &catalog.gate;
    let (freeze, reopen, slow) =
        (percent(*freeze_below), percent(*reopen_at), percent(*slow_below));
    let covered = catalog.slos[0].coverage_min;
    assert!(catalog.slos.iter().all(|slo| slo.coverage_min == covered));
    assert!(catalog.gate.freeze_on_page);
    assert_eq!(catalog.gate.on_unknown, OnUnknown::Unknown);
    assert_eq!(catalog.gate.on_few_events, OnUnknown::Unknown);
    let covered = percent(covered);
    let exempt: Vec<String> = catalog.gate.exempt.iter().map(|kind| format!("*{kind}*")).collect();
    let exempt = exempt.join(", ");
    format!(
        "| answer | when, for any gated objective | what follows |\n|---|---|---|\n\
         | *allow* | {slow} or more of its budget is left | deploy as usual |\n\
         | *slow* | less than {slow} is left | deploy in small steps, watch each; prefer what makes \
         the service more reliable |\n\
         | *unknown* | less than {covered} of its window is covered, or fewer events happened than \
         its minimum | the pipeline decides (`on_unknown: unknown`, `on_few_events: unknown`); ask \
         whoever is on duty |\n\
         | *freeze* | less than {freeze} is left, or a page burns; after a freeze, until {reopen} is \
         left | do not deploy; exempt are {exempt} |\n"
    )
}

fn budgets(catalog: &Catalog) -> String {
    let mut table =
        "| objective | target | window | budget | outage | minimum events | pages after |\n\
                     |---|---|---|---|---|---|---|\n"
            .to_owned();
    for slo in catalog.slos.iter().filter(|slo| slo.gated) {
        table.push_str(&budget(slo));
    }
    table
}

fn budget(slo: &Slo) -> String {
    let (name, window) = (&slo.name, slo.window);
    let (target, budget) = (percent(slo.target), percent(slo.budget()));
    let outage_min = slo.budget().as_f64() * f64::from(slo.window.days_min()) * 24.0 * 60.0;
    let soonest = slo.alerting.pairs.iter().filter(|pair| pair.severity == Severity::Page);
    let after_s = soonest
        .map(|pair| {
            let share = slo.budget().as_f64() * f64::from(pair.factor_tenths) / 10.0;
            share * pair.long.as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    let after = if after_s < 90.0 {
        format!("{after_s:.0} s")
    } else {
        format!("{:.1} min", after_s / 60.0)
    };
    // Failed requests are not counted in it, so no outage burns it.
    let latency = matches!(slo.sli, Sli::Latency { .. });
    let after = if latency { format!("{after} of all late") } else { after };
    let minimum = slo.minimum_events;
    format!(
        "| {name} | {target} | {window} | {budget} | {outage_min:.1} min | {minimum} | {after} |\n"
    )
}

#[test]
fn the_page_holds_the_numbers_that_are_acted_on() {
    let catalog = read(SHIPPED).unwrap();
    let page = std::fs::read_to_string(PAGE).unwrap();
    for (name, expected) in [("policy", policy(&catalog)), ("budgets", budgets(&catalog))] {
        assert_eq!(part(&page, name), expected, "{name} has to be:\n{expected}");
    }
    let most = span_text(OVERRIDE_LASTS_MAX).replace('d', " days");
    assert!(page.contains(&format!("at most\n{most} after its beginning")), "{most}");
}
