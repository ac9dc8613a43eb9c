//! How fast the budget burns, over the long windows of all pairs; and each pair for itself, with both
//! of its windows and where it would fire: where both are above its factor.

use std::time::Duration;

use maud::{Markup, html};
use slo::spec::{Pair, Severity};
use slo::status::{AlertState, AlertStatus, Point};

use super::{Chart, Plot, Scale, Table, key, key_of_unknown, number};
use crate::show;

const HEIGHT: f64 = 220.0;
const HEIGHT_OF_PAIR: f64 = 84.0;
const LOWEST: f64 = 0.01;

/// Both windows of a pair over time, at the same moments.
#[derive(Debug)]
pub(crate) struct Both {
    pub(crate) pair: Pair,
    pub(crate) long: Vec<Point>,
    pub(crate) short: Vec<Point>,
    pub(crate) alert: Option<AlertStatus>,
}

impl Both {
    fn factor(&self) -> f64 {
        f64::from(self.pair.factor_tenths) / 10.0
    }

    fn factor_text(&self) -> String {
        number(self.factor())
    }

    fn windows(&self) -> (String, String) {
        let text = |window: Duration| show::window(window.as_secs());
        (text(self.pair.long), text(self.pair.short))
    }

    /// Spans in which both windows are above the factor.
    fn firing(&self) -> Vec<(i64, i64)> {
        let above = |point: &Point| point.value.is_some_and(|rate| rate > self.factor());
        let mut spans: Vec<(i64, i64)> = Vec::new();
        let mut open = false;
        for (long, short) in self.long.iter().zip(&self.short) {
            let fires = above(long) && above(short);
            match (fires, open) {
                (true, false) => spans.push((long.at_us, long.at_us)),
                (true, true) => {
                    if let Some(last) = spans.last_mut() {
                        last.1 = long.at_us;
                    }
                }
                (false, _) => {}
            }
            open = fires;
        }
        spans
    }
}

fn top(all: &[Both]) -> f64 {
    let points = all.iter().flat_map(|both| both.long.iter().chain(&both.short));
    let most = points.filter_map(|point| point.value).fold(20.0_f64, f64::max);
    [30.0, 100.0, 300.0, 1000.0, 3000.0].into_iter().find(|high| *high > most).unwrap_or(10_000.0)
}

/// The long windows together.
pub(crate) fn draw(all: &[Both], (from_us, to_us): (i64, i64)) -> Markup {
    let high = top(all);
    let plot = Plot { height: HEIGHT, from_us, to_us, scale: Scale::Log { low: LOWEST, high } };
    let mut ticks: Vec<(f64, String)> = [(LOWEST, "≤0.01×"), (0.1, "0.1×"), (1.0, "1×")]
        .map(|(tick, text)| (tick, text.to_owned()))
        .to_vec();
    for both in all.iter().filter(|both| both.pair.factor_tenths != 10) {
        ticks.push((both.factor(), format!("{}×", both.factor_text())));
    }
    ticks.extend(
        [100.0, 1000.0]
            .into_iter()
            .filter(|tick| *tick < high)
            .map(|tick| (tick, format!("{}×", number(tick)))),
    );
    let longest = all.iter().max_by_key(|both| both.pair.long);
    let gaps = longest.map(|both| plot.unknown(&both.long));
    let chart = Chart {
        title: "Burn rate",
        summary:
            "Burn rate over the long windows, on a logarithmic axis, with the factors at which \
                  alerts fire."
                .to_owned(),
        legend: html! {
            @for (index, both) in all.iter().enumerate() {
                (key(&format!("series s{index}"), &both.windows().0))
            }
            (key("threshold", "fires above"))
            (key_of_unknown())
        },
        ticks,
        lines: html! {
            @for (index, both) in all.iter().enumerate() {
                path class=(format!("series s{index}")) d=(plot.line(&both.long)) {}
            }
        },
        behind: html! {
            @if let Some(gaps) = gaps { (gaps) }
            @for both in all { (plot.level(both.factor(), "threshold")) }
        },
        before: html! {},
        table: table(all),
        plot,
    };
    chart.draw()
}

fn table(all: &[Both]) -> Table {
    const NAMES: [&str; 4] = ["First long window", "Second", "Third", "Fourth"];
    let known = |seconds: u64| match seconds {
        3600 => Some("1h"),
        21_600 => Some("6h"),
        86_400 => Some("1d"),
        259_200 => Some("3d"),
        _ => None,
    };
    let columns = all.iter().zip(NAMES);
    let columns = columns.map(|(both, name)| known(both.pair.long.as_secs()).unwrap_or(name));
    let said = |value: Option<f64>| value.map_or_else(|| "no data".to_owned(), show::burn);
    let times = all.first().map_or(&[][..], |both| &both.long);
    let rows = times.iter().enumerate().map(|(index, point)| {
        let values = all.iter().take(NAMES.len());
        let values = values.map(|both| said(both.long.get(index).and_then(|point| point.value)));
        (point.at_us, values.collect())
    });
    Table { columns: columns.collect(), rows: rows.collect() }
}

/// Each pair: what it asks, how it is, and both of its windows.
pub(crate) fn pairs(all: &[Both], span: (i64, i64), now_us: i64) -> Markup {
    let high = top(all);
    html! {
        ul.pairs {
            @for (index, both) in all.iter().enumerate() {
                li class=(state_class(both)) { (pair(both, index, span, high, now_us)) }
            }
        }
    }
}

fn pair(both: &Both, index: usize, (from_us, to_us): (i64, i64), high: f64, now_us: i64) -> Markup {
    let (long, short) = both.windows();
    let plot =
        Plot { height: HEIGHT_OF_PAIR, from_us, to_us, scale: Scale::Log { low: LOWEST, high } };
    let rate = |rate: Option<f64>| rate.map_or_else(|| "no data".to_owned(), show::burn);
    let severity = match both.pair.severity {
        Severity::Page => "Page",
        Severity::Ticket => "Ticket",
    };
    html! {
        h3 {
            (severity) " at " (both.factor_text()) "×"
        }
        p { (state(both.alert.as_ref(), now_us)) }
        p.muted { "fires when both " (long) " and " (short) " burn above " (both.factor_text()) "×" }
        svg.field width="100%" height=(number(HEIGHT_OF_PAIR)) role="img"
            aria-label=(format!("Burn over {long} and {short}; it would have fired in {} spans", both.firing().len())) {
            @for (from, to) in both.firing() {
                @let from_x = plot.across(from);
                line.fired x1=(from_x) x2=(plot.across(to.max(from + (to_us - from_us) / 200))) y1=(number(HEIGHT_OF_PAIR - 3.0)) y2=(number(HEIGHT_OF_PAIR - 3.0)) {}
            }
            (plot.unknown(&both.long))
            (plot.level(both.factor(), "threshold"))
            svg width="100%" height=(number(HEIGHT_OF_PAIR)) preserveAspectRatio="none"
                viewBox=(format!("0 0 {} {HEIGHT_OF_PAIR}", super::WIDTH)) aria-hidden="true" {
                path class=(format!("series short s{index}")) d=(plot.line(&both.short)) {}
                path class=(format!("series plain s{index}")) d=(plot.line(&both.long)) {}
            }
        }
        dl.rates {
            div { dt { (long) " now" } dd { (rate(both.long.last().and_then(|point| point.value))) } }
            div { dt { (short) " now" } dd { (rate(both.short.last().and_then(|point| point.value))) } }
        }
    }
}

fn state_class(both: &Both) -> &'static str {
    match both.alert.as_ref().map(|alert| alert.state) {
        Some(AlertState::Firing) if both.pair.severity == Severity::Page => "pair firing page",
        Some(AlertState::Firing) => "pair firing ticket",
        Some(AlertState::Frozen) => "pair frozen",
        Some(AlertState::Inactive) | None => "pair",
    }
}

fn state(alert: Option<&AlertStatus>, now_us: i64) -> Markup {
    html! {
        @match alert.map(|alert| (alert.state, alert.since_us)) {
            Some((AlertState::Firing, since)) => span.badge.bad { "▲ firing for " (show::span((now_us - since).unsigned_abs() / 1_000_000)) },
            Some((AlertState::Frozen, _)) => span.badge.warn { "❄ frozen: no data" },
            Some((AlertState::Inactive, _)) => span.badge.good { "✓ quiet" },
            None => span.badge { "not evaluated in this view" },
        }
    }
}
