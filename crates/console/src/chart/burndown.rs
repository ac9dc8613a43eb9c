//! How the budget went down, how it would go on, and what was deployed meanwhile.

use ledger::Mark;
use maud::{Markup, html};
use slo::Status;
use slo::evaluate::BurnDown;
use slo::status::Point;

use super::{Chart, Plot, Scale, Table, key, key_of_unknown, number, steps};
use crate::show;

const HEIGHT: f64 = 260.0;
/// Marks that are drawn, newest first.
const MARKS_MAX: usize = 24;
/// The axis goes down to this at most: an overspending of ten budgets would flatten the rest.
const LOWEST: f64 = -3.0;
/// How far below nought a forecast is followed.
const FORECAST_LOWEST: f64 = -0.25;

pub(crate) fn draw(status: &Status, down: &BurnDown, marks: &[Mark]) -> Markup {
    let to_us = end(status, down);
    let forecast = shown(&down.forecast, to_us);
    let ideal = shown(&down.ideal, to_us);
    let lowest =
        |points: &[Point]| points.iter().filter_map(|point| point.value).fold(0.0_f64, f64::min);
    let least = lowest(&down.past).max(LOWEST).min(lowest(&forecast).max(FORECAST_LOWEST));
    let low = (least * 4.0).floor() / 4.0;
    let scale = Scale::Linear { low, high: 1.0 };
    let plot = Plot { height: HEIGHT, from_us: status.from_us, to_us, scale };
    let mut ticks = steps(low, 1.0, 6);
    ticks.retain(|tick| *tick <= 1.0);
    let chart = Chart {
        title: "Error budget left",
        summary: summary(status),
        legend: html! {
            (key("line", "left")) (key("ideal", "even use"))
            (key("forecast", "forecast at the last hour's burn")) (key_of_unknown())
        },
        ticks: ticks
            .iter()
            .map(|tick| (*tick, format!("{:.0} %", tick * 100.0).replace('-', "−")))
            .collect(),
        lines: html! {
            path.area d=(plot.area(&down.past, 0.0)) {}
            path.ideal d=(plot.line(&ideal)) {}
            path.forecast d=(plot.line(&until(&forecast, low))) {}
            path.line d=(plot.line(&down.past)) {}
        },
        behind: html! {
            @if low < 0.0 {
                @let top = plot.height_of(0.0);
                rect.below x="0" width="100%" y=(number(top)) height=(number(HEIGHT - top)) {}
            }
            (plot.unknown(&down.past))
            (plot.level(0.0, "zero"))
        },
        before: html! {
            (flags(&plot, marks))
            @let now = plot.across(status.at_us);
            line.now x1=(now) x2=(now) y1="0" y2=(number(HEIGHT)) {}
            @if to_us > status.at_us { text.tick.nowlabel x=(now) dx="4" y="11" { "now" } }
        },
        table: table(down, &forecast, &ideal),
        plot,
    };
    html! {
        (chart.draw())
        @if !marks.is_empty() {
            ul.marks aria-label="Deploys in the chart" {
                @for mark in marks.iter().take(6) {
                    li { span.flag aria-hidden="true" { "▼" } " " (show::time(mark.at_us)) " " (show::clip(&mark.text, 80)) }
                }
            }
        }
    }
}

/// The future is a quarter of the past, or until the budget is used up, or a calendar window's end.
fn end(status: &Status, down: &BurnDown) -> i64 {
    let past = status.at_us - status.from_us;
    let known = down.forecast.last().map_or(status.at_us, |point| point.at_us);
    let wanted = match status.exhausts_at_us {
        Some(at_us) => (at_us - status.at_us) / 100 * 115,
        None => 0,
    };
    let least = (past / 4).max(wanted).min(past);
    (status.at_us + least).min(known).max(status.until_us).max(status.from_us + 1)
}

fn shown(points: &[Point], to_us: i64) -> Vec<Point> {
    points.iter().filter(|point| point.at_us <= to_us).copied().collect()
}

/// Up to where a line leaves the chart.
fn until(points: &[Point], low: f64) -> Vec<Point> {
    let inside = |point: &&Point| point.value.is_none_or(|value| value >= low);
    points.iter().take_while(inside).copied().collect()
}

fn flags(plot: &Plot, marks: &[Mark]) -> Markup {
    let within = |mark: &&Mark| mark.at_us >= plot.from_us && mark.at_us <= plot.to_us;
    html! {
        @for mark in marks.iter().filter(within).take(MARKS_MAX) {
            @let across = plot.across(mark.at_us);
            g.mark {
                title { (show::clip(&mark.text, 200)) ", " (show::utc(mark.at_us, "%-d %b %H:%M UTC")) }
                line x1=(across) x2=(across) y1="10" y2=(number(HEIGHT)) {}
                text x=(across) y="10" text-anchor="middle" { "▼" }
            }
        }
    }
}

fn summary(status: &Status) -> String {
    let left = status.budget.left.map_or_else(|| "not known".to_owned(), show::percent);
    let forecast = match status.exhausts_at_us {
        Some(at_us) => format!("used up at {} at this burn", show::utc(at_us, "%-d %b %H:%M UTC")),
        None => "not used up within the next window at this burn".to_owned(),
    };
    format!("Burn-down of the error budget: {left} left now, {forecast}.")
}

fn table(down: &BurnDown, forecast: &[Point], ideal: &[Point]) -> Table {
    let even = |at_us: i64| {
        let found = ideal.iter().min_by_key(|point| (point.at_us - at_us).abs());
        found.and_then(|point| point.value)
    };
    let said = |value: Option<f64>| value.map_or_else(|| "no data".to_owned(), show::percent);
    let past = down.past.iter().map(|point| (point, "left"));
    let rows = past.chain(forecast.iter().map(|point| (point, "forecast"))).map(|(point, kind)| {
        let even = even(point.at_us).map_or_else(String::new, show::percent);
        (point.at_us, vec![said(point.value), even, kind.to_owned()])
    });
    Table { columns: vec!["Left", "Even use", "Kind"], rows: rows.collect() }
}
