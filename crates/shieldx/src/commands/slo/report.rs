//! Statuses as a Markdown report for people: what a weekly review looks at.

use std::fmt::Write as _;

use runtime::clock::rfc3339;
use slo::Status;

use super::table::{percent, state};
use crate::report::words::{grouped, safe};

pub(super) fn write(statuses: &[Status]) -> String {
    let mut text = String::from("# Service-level objectives\n\n");
    if let Some(status) = statuses.first() {
        // Writing into a string does not fail.
        let _ = writeln!(text, "As of {}. Worst budget first.\n", rfc3339(status.at_us));
    }
    text.push_str(
        "| objective | target | SLI | budget left | covered | state |\n|---|---|---|---|---|---|\n",
    );
    for status in statuses {
        let sli = percent(status.error_ratio.map(|ratio| 1.0 - ratio), 4);
        let left = percent(status.budget.left, 1);
        let covered = percent(Some(status.coverage), 1);
        let (slo, target, state) = (status.slo.as_str(), &status.target_percent, state(status));
        let _ = writeln!(text, "| {slo} | {target}% | {sli} | {left} | {covered} | {state} |");
    }
    for status in statuses {
        one(&mut text, status);
    }
    text
}

fn one(text: &mut String, status: &Status) {
    let _ = writeln!(text, "\n## {}\n\n{}\n", status.slo.as_str(), safe(&status.description));
    let events = status.events;
    let _ = writeln!(
        text,
        "- {} of {}: {} good, {} bad, {} excluded, from {} on",
        status.kind,
        safe(&status.window),
        grouped(events.good),
        grouped(events.bad),
        grouped(events.excluded),
        rfc3339(status.from_us)
    );
    let budget = &status.budget;
    if budget.left.is_some() {
        let _ = writeln!(
            text,
            "- budget: {} left, {:.1} of {:.1} bad events, {:.1} of {:.1} minutes of total outage",
            percent(budget.left, 2),
            budget.events_left,
            budget.events,
            budget.minutes_left,
            budget.minutes
        );
    }
    match status.exhausts_at_us {
        Some(at) => {
            let _ = writeln!(text, "- used up at {} at the pace of the last hour", rfc3339(at));
        }
        None if budget.left.is_some_and(|left| left <= 0.0) => text.push_str("- used up\n"),
        None => {
            text.push_str("- not used up within the next window at the pace of the last hour\n")
        }
    }
    if let Some(refund) = status.refunds.first() {
        let _ = writeln!(
            text,
            "- next refund: {} bad events leave the window at {}",
            grouped(refund.bad),
            rfc3339(refund.at_us)
        );
    }
    text.push_str("\n| burn over | rate | error ratio | covered |\n|---|---|---|---|\n");
    for burn in &status.burns {
        let rate = burn.rate.map_or("–".to_owned(), |rate| format!("{rate:.3}"));
        let (ratio, covered) = (percent(burn.error_ratio, 4), percent(Some(burn.coverage), 1));
        let _ = writeln!(text, "| {} | {rate} | {ratio} | {covered} |", span(burn.window_s));
    }
}

/// `5m`, `6h`, `30d`
fn span(seconds: u64) -> String {
    match seconds {
        s if s % 86_400 == 0 => format!("{}d", s / 86_400),
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use slo::history::History;
    use slo::status::Scope;

    #[test]
    fn a_budget_that_is_gone_is_not_said_to_last() {
        let catalog = slo::spec::read(slo::spec::SHIPPED).unwrap();
        let mut status =
            slo::evaluate::status(&catalog.slos[0], &Scope::All, &History::default(), 0);
        status.budget.left = Some(-0.5);
        let text = super::write(&[status]);
        assert!(text.contains("\n- used up\n") && !text.contains("not used up"), "{text}");
    }
}
