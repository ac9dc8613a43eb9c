//! Alerts: when they fire and what they say. One per severity, however many of its pairs of windows
//! burn, and one that says that nobody counts.

use super::names::{self, AlertKind, alert_id, duration, pairs};
use super::{Settings, promql};
use crate::spec::{Catalog, DataLoss, Severity, Slo, Window};

/// What a frozen alert says instead of a ratio.
pub(super) const FROZEN: &str =
    "It fired when the data went missing and is kept until there is data.";

/// Any pair of the severity, or the alert is frozen since there is no data.
pub(super) fn expr(slo: &Slo, severity: Severity) -> String {
    let mut ways: Vec<String> = pairs(slo, severity).map(|pair| promql::pair(slo, pair)).collect();
    if slo.data_loss != DataLoss::Ignore {
        ways.push(promql::frozen(slo, AlertKind::Burn(severity).alertname()));
    }
    let ways: Vec<_> = ways.iter().map(|way| format!("(\n{}\n)", indented(way))).collect();
    ways.join("\nor\n")
}

pub(super) fn no_data_expr(slo: &Slo) -> String {
    format!("absent(sum(rate({}[5m])))", promql::counted(slo))
}

fn indented(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

/// What a text of people is in a template: `{{` would begin an action.
pub(super) fn escaped(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

/// `14.4 × over 1h and 5m (above 1.44%)`, for each pair of the severity.
pub(super) fn conditions(slo: &Slo, severity: Severity) -> Vec<String> {
    pairs(slo, severity)
        .map(|pair| {
            format!(
                "{} × over {} and {} (more than {}% bad)",
                factor(pair.factor_tenths),
                duration(pair.long),
                duration(pair.short),
                percent_of(slo, pair.factor_tenths)
            )
        })
        .collect()
}

/// `14.4`
pub(super) fn factor(tenths: u32) -> String {
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        part => format!("{}.{part}", tenths / 10),
    }
}

/// The error ratio at which a pair fires, in percent, exactly.
pub(super) fn percent_of(slo: &Slo, tenths: u32) -> String {
    let ratio = u64::from(slo.budget().billionths()) * u64::from(tenths);
    let text = format!("{ratio:0>9}");
    let (whole, part) = text.split_at(text.len() - 8);
    let part = part.trim_end_matches('0');
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

/// What an alert says. `$value` is the error ratio over the long window of the pair that fires; it
/// is below nought while the alert is frozen.
pub(super) fn annotations(
    catalog: &Catalog,
    settings: &Settings,
    slo: &Slo,
    kind: AlertKind,
) -> Vec<(String, String)> {
    let (summary, what) = match kind {
        AlertKind::Burn(severity) => burns(slo, severity),
        AlertKind::NoData => no_data(slo),
    };
    let description = escaped(&slo.description);
    let promise = format!("{}% over {}", slo.target.percent(), names::period_text(slo.window));
    let console = settings.console();
    let mut annotations = vec![
        ("dashboard_url".to_owned(), format!("{console}/slo/{}", slo.name)),
        ("description".to_owned(), format!("{description} ({promise}) {what}")),
        ("runbook_url".to_owned(), names::runbook_url(catalog, settings, slo, kind)),
        ("summary".to_owned(), summary),
    ];
    if kind != AlertKind::NoData {
        let hint = format!(
            "Exemplars of {} are traces of bad events; one opens at {console}/traces/TRACE_ID",
            promql::bad(slo)
        );
        annotations.push(("trace_hint".to_owned(), hint));
    }
    annotations
}

fn burns(slo: &Slo, severity: Severity) -> (String, String) {
    let pace = match severity {
        Severity::Page => "fast",
        Severity::Ticket => "steadily",
    };
    let summary =
        format!("{}: the error budget of {}% burns {pace}", slo.name, slo.budget().percent());
    let mut what = format!(
        "{{{{ if lt $value 0.0 }}}}{FROZEN}{{{{ else }}}}Bad over the long window: {{{{ $value | \
         humanizePercentage }}}}.{{{{ end }}}} Fires at {}.",
        conditions(slo, severity).join(", or ")
    );
    if matches!(slo.window, Window::Rolling { .. }) {
        let left = promql::recorded(slo, "slo:period_error_budget_remaining:ratio");
        what.push_str(&format!(
            " Budget left: {{{{ with query `{left}` }}}}{{{{ . | first | value | \
             humanizePercentage }}}}{{{{ else }}}}unknown{{{{ end }}}}."
        ));
    }
    (summary, what)
}

fn no_data(slo: &Slo) -> (String, String) {
    (
        format!("{}: nobody counts its events", slo.name),
        "No counters for 5 minutes: neither good nor bad is known. Alerts of this objective stay as \
         they are until there is data again."
            .to_owned(),
    )
}

/// The file of an alert's runbook.
pub(super) fn runbook_path(slo: &Slo, kind: AlertKind) -> String {
    format!("runbooks/{}.md", alert_id(slo, kind))
}
