//! What is said of an alert.

use super::{Kind, Notice, burn_over};
use crate::evaluate::{digits, duration_text, time_text};
use crate::spec::{Severity, Sli, Slo};
use crate::status::{AlertState, AlertStatus, Status};

/// Of the severity's pairs that fire; `None` if none does.
pub(super) fn burn(slo: &Slo, status: &Status, severity: Severity) -> Option<Notice> {
    let active =
        |alert: &&AlertStatus| alert.severity == severity && alert.state != AlertState::Inactive;
    let alerts: Vec<&AlertStatus> = status.alerts.iter().filter(active).collect();
    let first = alerts.iter().find(|alert| alert.state == AlertState::Firing).or(alerts.first())?;
    let frozen = first.state == AlertState::Frozen;
    let rate = |rate: Option<f64>| rate.map_or_else(|| "?".to_owned(), short);
    let what = if frozen { "no data, burned when last seen" } else { "budget burns" };
    let summary = format!(
        "{}% of {}: {what} {} × over {} and {} × over {} ({} at {})",
        slo.target.percent(),
        slo.name,
        rate(first.long_rate),
        duration_text(first.long_s),
        rate(first.short_rate),
        duration_text(first.short_s),
        severity.as_str(),
        first.factor,
    );
    Some(Notice {
        since_us: alerts.iter().map(|alert| alert.since_us).min().unwrap_or(status.at_us),
        frozen,
        description: lines(slo, status, first, frozen),
        ..of(slo, Kind::Burn, severity, summary)
    })
}

fn lines(slo: &Slo, status: &Status, alert: &AlertStatus, frozen: bool) -> String {
    let mut lines = vec![slo.description.clone()];
    if frozen {
        lines.push("There is not enough data to say that it is over: the alert stays.".to_owned());
    }
    if let Some(burn) = burn_over(status, alert.long_s) {
        lines.push(format!(
            "{} of {} events were bad in the last {}.",
            burn.events.bad,
            burn.events.total(),
            duration_text(alert.long_s)
        ));
    }
    let budget = &status.budget;
    if let Some(left) = budget.left {
        lines.push(format!(
            "Budget left of {}: {} % ({} bad events, {} min).",
            status.window,
            short(left * 100.0),
            short(budget.events_left),
            short(budget.minutes_left)
        ));
    }
    match status.exhausts_at_us {
        Some(at_us) => lines.push(format!("Used up at {} if it goes on so.", time_text(at_us))),
        None if budget.left.is_some_and(|left| left <= 0.0) => {
            lines.push("It is used up.".to_owned());
        }
        None => {}
    }
    lines.join("\n")
}

pub(super) fn no_data(slo: &Slo, severity: Severity, since_us: i64, now_us: i64) -> Notice {
    let summary = format!("{}% of {}: no data", slo.target.percent(), slo.name);
    let scheduled = matches!(slo.sli, Sli::Probe { .. } | Sli::Freshness { .. });
    let why = if scheduled { "no event came" } else { "nobody was counting" };
    let description = format!(
        "{}\nSince {} {why}: how it is doing is not known. Time without data is neither good nor bad.",
        slo.description,
        time_text(since_us)
    );
    Notice { since_us: now_us, description, ..of(slo, Kind::NoData, severity, summary) }
}

pub(super) fn ended(told: Notice, now_us: i64) -> Notice {
    Notice { firing: false, frozen: false, changed_us: now_us, ended_us: Some(now_us), ..told }
}

fn of(slo: &Slo, kind: Kind, severity: Severity, summary: String) -> Notice {
    Notice {
        slo: slo.name.clone(),
        service: slo.service.clone(),
        team: slo.team.clone(),
        kind,
        severity,
        firing: true,
        frozen: false,
        since_us: 0,
        changed_us: 0,
        ended_us: None,
        summary,
        description: String::new(),
    }
}

/// One decimal from ten on, else three digits: for people in a hurry.
fn short(number: f64) -> String {
    if number.abs() >= 10.0 {
        format!("{number:.1}")
    } else {
        digits((number * 1000.0).round() / 1000.0)
    }
}
