//! How promtool reads tests: series in its notation, alerts with all labels and annotations.

use std::fmt::Write as _;
use std::time::Duration;

use super::moment;
use super::traffic::{Phase, Traffic, burn_alerts};
use crate::generate::names::{self, AlertKind, alert_labels, ratio_rate};
use crate::generate::{Settings, burn, promql, rules, yaml};
use crate::spec::{Catalog, Slo, Window};

/// What an alert's annotations are filled with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    /// Error ratio over the long window, and the budget that is left where the window rolls.
    Burns {
        ratio: f64,
        left: Option<f64>,
    },
    Frozen {
        left: Option<f64>,
    },
    /// Nothing in them depends on anything.
    None,
}

/// Name, labels and value.
pub(super) type Sample<'a> = (&'a str, &'a [(String, String)], &'a str);

/// A file of tests.
pub(super) struct Document<'a> {
    catalog: &'a Catalog,
    settings: &'a Settings,
    head: String,
    tests: String,
    /// Of the test that is being written.
    alerts: String,
    expressions: String,
}

impl<'a> Document<'a> {
    pub(super) fn new(
        catalog: &'a Catalog,
        settings: &'a Settings,
        service: &str,
        every: Duration,
    ) -> Self {
        let mut head = format!(
            "# Unit tests of the alerts of {service}: `promtool test rules FILE`. Written by\n\
             # `shieldx slo generate`; change slo.yaml instead. Times are since 1970-01-01 00:00 UTC.\n\
             rule_files:\n  - ../rules/{service}.yaml\nevaluation_interval: {}\ngroup_eval_order:\n",
            moment(every)
        );
        for slo in catalog.slos.iter().filter(|slo| slo.service == service) {
            for group in rules::groups(slo) {
                let _ = writeln!(head, "  - {group}");
            }
        }
        head.push_str("tests:\n");
        let (tests, alerts, expressions) = (String::new(), String::new(), String::new());
        Self { catalog, settings, head, tests, alerts, expressions }
    }

    /// The whole text; `None` when there is no test.
    pub(super) fn finish(mut self) -> Option<String> {
        self.close();
        (!self.tests.is_empty()).then(|| self.head + &self.tests)
    }

    pub(super) fn begin(&mut self, slo: &Slo, name: &str, traffic: &Traffic) {
        self.close();
        self.head_of_test(slo, name, traffic.step);
        let none = |_: &Phase| 0;
        // Excluded events count for nothing, however many there are.
        for (outcome, of) in [
            ("good", (|phase: &Phase| phase.good) as fn(&Phase) -> u64),
            ("bad", |phase| phase.bad),
            ("excluded", |phase| 1_000_000_000 * u64::from(phase.good + phase.bad > 0)),
        ] {
            self.series(slo, outcome, "__none__", &traffic.values(of));
        }
        self.series(slo, "bad", "a tenant that does nothing", &traffic.values(none));
    }

    /// Traffic, then nothing for a while, then good events only, from new counters: as after a restart.
    pub(super) fn begin_with_gap(
        &mut self,
        slo: &Slo,
        name: &str,
        traffic: &Traffic,
        gap: Duration,
        good: Duration,
    ) {
        self.close();
        self.head_of_test(slo, name, traffic.step);
        let (gap, after) = (traffic.steps(gap), traffic.steps(good));
        for (outcome, of, each) in [
            ("good", (|phase: &Phase| phase.good) as fn(&Phase) -> u64, 1000),
            ("bad", |phase| phase.bad, 0),
        ] {
            // A sample is missing for each step of the gap but for its last, where counting begins.
            let values = traffic.values(of);
            let values = format!("{values} stale _x{} 0+{each}x{after}", gap.saturating_sub(3));
            self.series(slo, outcome, "__none__", &values);
        }
    }

    fn head_of_test(&mut self, slo: &Slo, name: &str, step: Duration) {
        let name = yaml::quoted(&format!("{}: {name}", slo.name));
        let step = moment(step);
        let _ = write!(self.tests, "  - name: {name}\n    interval: {step}\n    input_series:\n");
    }

    fn series(&mut self, slo: &Slo, outcome: &str, tenant: &str, values: &str) {
        let series = format!(
            "{}{{slo=\"{}\",outcome=\"{outcome}\",tenant=\"{tenant}\",job=\"{}\",instance=\"a\"}}",
            names::EVENTS,
            slo.name,
            slo.service
        );
        let _ = write!(self.tests, "      - series: '{series}'\n        values: {values}\n");
    }

    fn close(&mut self) {
        for (key, part) in [
            ("alert_rule_test", std::mem::take(&mut self.alerts)),
            ("promql_expr_test", std::mem::take(&mut self.expressions)),
        ] {
            if !part.is_empty() {
                let _ = write!(self.tests, "    {key}:\n{part}");
            }
        }
    }

    /// All alerts about burning are as the traffic says.
    pub(super) fn alerts(&mut self, slo: &Slo, traffic: &Traffic, at: Duration) {
        for (kind, severity) in burn_alerts(slo) {
            let value = traffic
                .fires(slo, severity, at)
                .map(|ratio| Value::Burns { ratio, left: traffic.budget_left(slo, at) });
            self.alert(slo, kind, at, value);
        }
    }

    /// One alert fires with what it says, or does not.
    pub(super) fn alert(&mut self, slo: &Slo, kind: AlertKind, at: Duration, value: Option<Value>) {
        let _ = write!(
            self.alerts,
            "      - eval_time: {}\n        alertname: {}\n",
            moment(at),
            kind.alertname()
        );
        let Some(value) = value else {
            self.alerts.push_str("        exp_alerts: []\n");
            return;
        };
        let labels: Vec<_> =
            alert_labels(slo, kind).into_iter().filter(|(key, _)| key != "alertname").collect();
        let annotations: Vec<_> = burn::annotations(self.catalog, self.settings, slo, kind)
            .into_iter()
            .map(|(key, template)| (key, filled(&template, value)))
            .collect();
        let _ = write!(
            self.alerts,
            "        exp_alerts:\n          - exp_labels: {}\n            exp_annotations:\n{}",
            yaml::inline_map(&labels),
            yaml::map(&annotations, 14)
        );
    }

    /// The recorded error ratios are what the events say, to a billionth.
    pub(super) fn ratios(&mut self, slo: &Slo, traffic: &Traffic, at: Duration) {
        let mut windows = rules::windows(slo);
        if let Window::Calendar(_) = slo.window {
            windows.retain(|window| *window <= at);
        }
        for window in windows {
            let Some(ratio) = traffic.ratio(window, at) else { continue };
            let name = promql::recorded(slo, &ratio_rate(window));
            let expr = format!("abs({name} - {ratio:.12}) < bool 1e-9");
            let labels = names::series_labels(slo, Some(&names::duration(window)));
            self.expression(&expr, at, &[("", &labels, "1")]);
        }
    }

    /// An expression gives these samples.
    pub(super) fn expression(&mut self, expr: &str, at: Duration, samples: &[Sample<'_>]) {
        let expr = yaml::quoted(expr);
        let at = moment(at);
        let _ = write!(self.expressions, "      - expr: {expr}\n        eval_time: {at}\n");
        if samples.is_empty() {
            self.expressions.push_str("        exp_samples: []\n");
            return;
        }
        self.expressions.push_str("        exp_samples:\n");
        for (name, labels, value) in samples {
            let labels: Vec<_> =
                labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
            let _ = write!(
                self.expressions,
                "          - labels: '{name}{{{}}}'\n            value: {value}\n",
                labels.join(",")
            );
        }
    }
}

/// A template of [`burn::annotations`] as Prometheus fills it in.
fn filled(template: &str, value: Value) -> String {
    let text = template.replace("{{ \"{{\" }}", "\u{0}");
    let text = match value {
        Value::None => text,
        Value::Frozen { left } => {
            let (head, rest) = text.split_once("{{ if lt $value 0.0 }}").unwrap_or((&text, ""));
            let (frozen, rest) = rest.split_once("{{ else }}").unwrap_or((rest, ""));
            let rest = rest.split_once("{{ end }}").map_or(rest, |(_, rest)| rest);
            with_left(&format!("{head}{frozen}{rest}"), left)
        }
        Value::Burns { ratio, left } => {
            let (head, rest) = text.split_once("{{ if lt $value 0.0 }}").unwrap_or((&text, ""));
            let rest = rest.split_once("{{ else }}").map_or(rest, |(_, rest)| rest);
            let text = format!("{head}{}", rest.replacen("{{ end }}", "", 1));
            let text = text.replace("{{ $value | humanizePercentage }}", &percentage(ratio));
            with_left(&text, left)
        }
    };
    text.replace('\u{0}', "{{")
}

/// Fills in the budget that is left.
fn with_left(text: &str, left: Option<f64>) -> String {
    let Some((head, rest)) = text.split_once("{{ with query") else { return text.to_owned() };
    let tail = rest.rsplit_once("{{ end }}").map_or("", |(_, tail)| tail);
    format!("{head}{}{tail}", left.map_or_else(|| "unknown".to_owned(), percentage))
}

/// As Prometheus' `humanizePercentage`: `%.4g%%` of a hundred times the ratio.
fn percentage(ratio: f64) -> String {
    let percent = ratio * 100.0;
    if percent == 0.0 {
        return "0%".to_owned();
    }
    let scientific = format!("{percent:.3e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..4).contains(&exponent) {
        let decimals = usize::try_from(3 - exponent).unwrap_or(0);
        return format!("{}%", trimmed(&format!("{percent:.decimals$}")));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}%", trimmed(mantissa), exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::percentage;

    #[test]
    fn percentages_are_printed_as_go_does() {
        for (ratio, text) in [
            (0.0, "0%"),
            (1.0, "100%"),
            (0.014_414_4, "1.441%"),
            (-27.8, "-2780%"),
            (0.999_9, "99.99%"),
            (0.000_001, "0.0001%"),
            (0.000_000_123_4, "1.234e-05%"),
            (-1441.0, "-1.441e+05%"),
        ] {
            assert_eq!(percentage(ratio), text);
        }
    }
}
