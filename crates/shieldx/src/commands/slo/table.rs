//! Statuses as a table for a terminal.

use std::fmt::Write as _;

use runtime::clock::rfc3339;
use slo::Status;
use slo::evaluate::Step;
use slo::status::AlertState;

use crate::report::words::safe;

/// An hour, the window whose burn is shown.
const HOUR_S: u64 = 3600;

/// One line per objective.
pub(super) fn draw(statuses: &[Status]) -> String {
    let mut text = format!(
        "{:<26} {:>9} {:>10} {:>9} {:>10} {:>8} {:>9}  {}\n",
        "OBJECTIVE", "TARGET", "SLI", "LEFT", "MIN LEFT", "BURN 1h", "COVERED", "STATE"
    );
    for status in statuses {
        let burn = status.burns.iter().find(|burn| burn.window_s == HOUR_S);
        // Writing into a string does not fail.
        let _ = writeln!(
            text,
            "{:<26} {:>8}% {:>10} {:>9} {:>10} {:>8} {:>9}  {}",
            status.slo.as_str(),
            status.target_percent,
            percent(status.error_ratio.map(|ratio| 1.0 - ratio), 4),
            percent(status.budget.left, 1),
            status
                .budget
                .left
                .map_or("–".to_owned(), |_| format!("{:.1}", status.budget.minutes_left)),
            burn.and_then(|burn| burn.rate).map_or("–".to_owned(), |rate| format!("{rate:.2}")),
            percent(Some(status.coverage), 1),
            state(status),
        );
    }
    text
}

/// What a person should know at once.
pub(super) fn state(status: &Status) -> String {
    let mut words = Vec::new();
    for alert in &status.alerts {
        match alert.state {
            AlertState::Inactive => {}
            AlertState::Firing => words.push(format!("{} firing", alert.severity.as_str())),
            AlertState::Frozen => {
                words.push(format!("{} frozen: no data", alert.severity.as_str()))
            }
        }
    }
    words.dedup();
    if status.budget.left.is_some_and(|left| left <= 0.0) {
        words.push("used up".to_owned());
    }
    if let Some(at) = status.exhausts_at_us {
        words.push(format!("used up {}", rfc3339(at)));
    }
    if status.few_events {
        words.push("few events".to_owned());
    }
    if words.is_empty() {
        words.push(if status.events.total() == 0 { "no events" } else { "ok" }.to_owned());
    }
    words.join(", ")
}

/// `99.9500%`, or a dash where there is nothing to tell.
pub(super) fn percent(ratio: Option<f64>, decimals: usize) -> String {
    ratio.map_or("–".to_owned(), |ratio| format!("{:.decimals$}%", ratio * 100.0))
}

/// A part that is longer than this does not push the others of its column away.
const WIDE: usize = 60;

/// A computation, one line each.
pub(super) fn steps(name: &str, steps: &[Step]) -> String {
    let mut text = format!("{}\n", safe(name));
    let wide = |part: fn(&Step) -> &str| {
        steps.iter().map(|step| part(step).chars().count()).filter(|width| *width <= WIDE).max()
    };
    let width = |part| wide(part).unwrap_or(0);
    let (what, how) = (width(|step| &step.what), width(|step| &step.how));
    for step in steps {
        let _ = writeln!(
            text,
            "  {:<what$}  {:<how$}  = {}",
            safe(&step.what),
            safe(&step.how),
            safe(&step.result)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use slo::history::History;
    use slo::status::Scope;

    #[test]
    fn a_budget_that_is_gone_is_not_ok() {
        let catalog = slo::spec::read(slo::spec::SHIPPED).unwrap();
        let slo = &catalog.slos[0];
        let mut status = slo::evaluate::status(slo, &Scope::All, &History::default(), 0);
        status.few_events = false;
        assert_eq!(super::state(&status), "no events");
        status.events.good = 1;
        for (left, state) in [(1.0, "ok"), (0.01, "ok"), (0.0, "used up"), (-46.3, "used up")] {
            status.budget.left = Some(left);
            assert_eq!(super::state(&status), state);
        }
    }
}
