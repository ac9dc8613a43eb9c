//! Small pieces that several pages show.

use maud::{Markup, html};
use slo::gate::Answer;
use slo::spec::Severity;
use slo::status::{AlertState, Status};

use crate::show;

/// The gate's answer; the sign says it without colour.
pub(crate) fn gate(answer: Answer) -> Markup {
    let (class, sign) = match answer {
        Answer::Allow => ("badge good", "✓"),
        Answer::Slow => ("badge warn", "◐"),
        Answer::Freeze => ("badge bad", "✕"),
        Answer::Unknown => ("badge", "?"),
    };
    html! { span class=(class) { span aria-hidden="true" { (sign) " " } (answer.as_str()) } }
}

/// How much budget is left, as a bar; below nought it is full and red.
pub(crate) fn bar(left: Option<f64>) -> Markup {
    let Some(left) = left else {
        return html! { svg.bar width="100%" height="8" aria-hidden="true" { rect.unknown width="100%" height="8" {} } };
    };
    let class = if left < 0.0 { "fill bad" } else { level(Some(left)) };
    let width = if left < 0.0 { 1.0 } else { left.min(1.0) };
    html! {
        svg.bar width="100%" height="8" aria-hidden="true" {
            rect.rest width="100%" height="8" rx="2" {}
            rect class=(class) width=(format!("{:.1}%", width * 100.0)) height="8" rx="2" {}
        }
    }
}

/// The class of a budget.
pub(crate) fn level(left: Option<f64>) -> &'static str {
    match left {
        None => "fill none",
        Some(left) if left < 0.10 => "fill bad",
        Some(left) if left < 0.25 => "fill warn",
        Some(_) => "fill good",
    }
}

/// The same for text.
pub(crate) fn budget_class(left: Option<f64>) -> &'static str {
    level(left).trim_start_matches("fill ")
}

/// The burn over a window in a status.
pub(crate) fn burn(status: &Status, window_s: u64) -> Option<f64> {
    status.burns.iter().find(|burn| burn.window_s == window_s).and_then(|burn| burn.rate)
}

pub(crate) fn burn_class(rate: Option<f64>) -> &'static str {
    match rate {
        Some(rate) if rate >= 6.0 => "bad",
        Some(rate) if rate > 1.0 => "warn",
        _ => "",
    }
}

/// The alerts of an objective that are not quiet; else that they are.
pub(crate) fn alerts(status: &Status) -> Markup {
    let state = |wanted: AlertState, severity: Severity| {
        let alerts = status.alerts.iter();
        alerts.filter(|alert| alert.state == wanted && alert.severity == severity).count()
    };
    let page = state(AlertState::Firing, Severity::Page);
    let ticket = state(AlertState::Firing, Severity::Ticket);
    let frozen = status.alerts.iter().filter(|alert| alert.state == AlertState::Frozen).count();
    html! {
        @if page > 0 { span.badge.bad { "▲ page" } " " }
        @if ticket > 0 { span.badge.warn { "△ ticket" } " " }
        @if frozen > 0 { span.badge { "❄ frozen" } " " }
        @if page + ticket + frozen == 0 { span.muted { "quiet" } }
    }
}

/// Coverage, with a sign where it is poor.
pub(crate) fn coverage(status: &Status) -> Markup {
    let class = if status.coverage < 0.9 { "warn" } else { "" };
    let little = status.coverage > 0.0 && status.coverage < 0.001;
    let share = if little { "<0.1\u{a0}%".to_owned() } else { show::percent(status.coverage) };
    html! {
        span class=(class) { @if status.coverage < 0.9 { "⚠ " } (share) }
    }
}

/// A piece of text that can be copied; the button is there with the script only.
pub(crate) fn copyable(title: &str, text: &str) -> Markup {
    html! {
        details.copyable {
            summary { (title) }
            div.scroll tabindex="0" role="region" aria-label=(title) { pre { code { (text) } } }
            button.copy type="button" hidden { "Copy" }
        }
    }
}
