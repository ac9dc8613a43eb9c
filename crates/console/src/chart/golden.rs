//! Latency, traffic, errors and saturation, with dots that lead to the traces of requests.

use std::time::Duration;

use maud::{Markup, html};
use slo::status::Point;

use super::{Chart, Plot, Scale, Table, key, key_of_unknown, number, steps};
use crate::show;
use crate::signals::{Exemplar, Slot, Window};

const HEIGHT: f64 = 150.0;
/// Requests that are drawn: those that failed first, then the slowest.
const DOTS_MAX: usize = 60;

pub(crate) fn latency(window: &Window, threshold: Option<Duration>, span: (i64, i64)) -> Markup {
    let of = |share| points(&window.slots, |slot| slot.cell.quantile(share));
    let (half, most, nearly) = (of(0.5), of(0.9), of(0.99));
    let threshold = threshold.map(|threshold| threshold.as_secs_f64());
    let dots = dots(&window.exemplars);
    let values = [&half, &most, &nearly].into_iter().flatten().filter_map(|point| point.value);
    let values = values.chain(threshold).chain(dots.iter().map(|dot| dot.seconds));
    let (low, high) =
        values.fold((0.01_f64, 0.02_f64), |(low, high), value| (low.min(value), high.max(value)));
    let (low, high) = (low.max(1e-5) * 0.7, high * 1.4);
    let plot = plot(span, Scale::Log { low, high });
    let said = |value: Option<f64>| value.map_or_else(|| "no data".to_owned(), show::seconds);
    let rows = half.iter().zip(&most).zip(&nearly).map(|((half, most), nearly)| {
        (half.at_us, vec![said(half.value), said(most.value), said(nearly.value)])
    });
    Chart {
        title: "Latency",
        summary: "Latency: the times below which 50, 90 and 99 percent of requests were, interpolated \
                  within histogram buckets."
            .to_owned(),
        legend: html! {
            (key("series s0 plain", "p99")) (key("series s1", "p90")) (key("series s2", "p50"))
            @if threshold.is_some() { (key("threshold", "objective")) }
            span.key { svg width="10" height="10" aria-hidden="true" { circle.dot cx="5" cy="5" r="3.5" {} } "trace" }
            span.key { svg width="10" height="10" aria-hidden="true" { path.dot.failed d="M5 .5L9.5 5L5 9.5L.5 5Z" {} } "failed" }
        },
        ticks: seconds_ticks(low, high),
        lines: html! {
            path.series.s2 d=(plot.line(&half)) {}
            path.series.s1 d=(plot.line(&most)) {}
            path.series.s0.plain d=(plot.line(&nearly)) {}
        },
        behind: html! {
            (plot.unknown(&gaps(&window.slots)))
            @if let Some(threshold) = threshold { (plot.level(threshold, "threshold")) }
        },
        before: html! { @for dot in &dots { (trace(&plot, dot)) } },
        table: Table { columns: vec!["p50", "p90", "p99"], rows: rows.collect() },
        plot,
    }
    .draw()
}

fn trace(plot: &Plot, dot: &Exemplar) -> Markup {
    let (across, height) = (plot.across(dot.at_us), plot.height_of(dot.seconds));
    let outcome = if dot.failed { ", failed" } else { "" };
    let text = format!(
        "trace of {}{outcome}, {}",
        show::seconds(dot.seconds),
        show::utc(dot.at_us, "%-d %b %H:%M:%S UTC")
    );
    html! {
        a href=(format!("/traces/{}", show::encoded(&dot.trace_id))) aria-label=(text) {
            title { (text) }
            @if dot.failed {
                svg.mark x=(across) y=(number(height)) overflow="visible" { path.dot.failed d="M0 -5.5L5.5 0L0 5.5L-5.5 0Z" {} }
            } @else {
                circle.dot cx=(across) cy=(number(height)) r="4" {}
            }
        }
    }
}

pub(crate) fn traffic(window: &Window, span: (i64, i64)) -> Markup {
    let all = points(&window.slots, |slot| slot.per_second(slot.cell.requests()));
    simple(
        window,
        span,
        Simple {
            title: "Traffic",
            summary: "Requests per second.",
            names: [("series s2 plain", "requests/s"), ("", "")],
            lines: [all, Vec::new()],
            area: true,
            form: |rate| format!("{}/s", show::short(rate)),
            least: 1.0,
        },
    )
}

pub(crate) fn errors(window: &Window, span: (i64, i64)) -> Markup {
    let share = |slot: &Slot, number: u64| ratio(number, slot.cell.requests());
    let server = points(&window.slots, |slot| share(slot, slot.cell.server_errors));
    let client = points(&window.slots, |slot| share(slot, slot.cell.client_errors));
    simple(
        window,
        span,
        Simple {
            title: "Errors",
            summary: "Share of requests answered 5xx, which are failures of ours, and 4xx, which are not.",
            names: [("series s0 plain", "5xx"), ("series s3", "4xx")],
            lines: [server, client],
            area: false,
            form: percent,
            least: 0.01,
        },
    )
}

pub(crate) fn saturation(window: &Window, span: (i64, i64)) -> Markup {
    let active = points(&window.slots, |slot| slot.active);
    let waiting = points(&window.slots, |slot| slot.waiting);
    let queue = waiting.iter().any(|point| point.value.is_some());
    simple(
        window,
        span,
        Simple {
            title: "Saturation",
            summary: "Requests that were being worked on, and work that waited: the greatest number \
                      of each moment.",
            names: [
                ("series s1 plain", "requests in flight"),
                ("series s2", if queue { "work that waits" } else { "" }),
            ],
            lines: [active, waiting],
            area: !queue,
            form: show::short,
            least: 4.0,
        },
    )
}

/// One or two lines over a linear axis from nought.
struct Simple {
    title: &'static str,
    summary: &'static str,
    /// Class and name of each line; an empty name: there is no second.
    names: [(&'static str, &'static str); 2],
    lines: [Vec<Point>; 2],
    area: bool,
    form: fn(f64) -> String,
    /// The axis goes up to this at least.
    least: f64,
}

fn simple(window: &Window, span: (i64, i64), simple: Simple) -> Markup {
    let values = simple.lines.iter().flatten().filter_map(|point| point.value);
    let high = values.fold(simple.least, f64::max) * 1.1;
    let plot = plot(span, Scale::Linear { low: 0.0, high });
    let ticks = steps(0.0, high, 3).into_iter().map(|tick| (tick, (simple.form)(tick)));
    let said = |value: Option<f64>| value.map_or_else(|| "no data".to_owned(), simple.form);
    let used = simple.names.iter().filter(|(_, name)| !name.is_empty()).count();
    let rows = simple.lines[0].iter().enumerate().map(|(index, point)| {
        let values = simple.lines.iter().take(used);
        let values = values.map(|line| said(line.get(index).and_then(|point| point.value)));
        (point.at_us, values.collect())
    });
    let table = Table {
        columns: simple.names.iter().take(used).map(|(_, name)| *name).collect(),
        rows: rows.collect(),
    };
    let drawn = simple.names.iter().zip(&simple.lines).take(used);
    Chart {
        title: simple.title,
        summary: simple.summary.to_owned(),
        legend: html! {
            @for (class, name) in simple.names.iter().take(used) { (key(class, name)) }
            @if window.slots.iter().any(|slot| slot.counted_us == 0) { (key_of_unknown()) }
        },
        ticks: ticks.collect(),
        lines: html! {
            @if simple.area { path class=(format!("area {}", simple.names[0].0)) d=(plot.area(&simple.lines[0], 0.0)) {} }
            @for ((class, _), line) in drawn { path class=(class) d=(plot.line(line)) {} }
        },
        behind: plot.unknown(&gaps(&window.slots)),
        before: html! {},
        table,
        plot,
    }
    .draw()
}

fn plot((from_us, to_us): (i64, i64), scale: Scale) -> Plot {
    Plot { height: HEIGHT, from_us, to_us, scale }
}

fn points(slots: &[Slot], value: impl Fn(&Slot) -> Option<f64>) -> Vec<Point> {
    slots.iter().map(|slot| Point { at_us: slot.at_us, value: value(slot) }).collect()
}

/// Where nobody counted; a slot without requests is none of these.
fn gaps(slots: &[Slot]) -> Vec<Point> {
    let counted = |slot: &Slot| (slot.counted_us > 0).then_some(0.0);
    slots.iter().map(|slot| Point { at_us: slot.at_us, value: counted(slot) }).collect()
}

fn dots(exemplars: &[Exemplar]) -> Vec<Exemplar> {
    let mut dots = exemplars.to_vec();
    dots.sort_by(|a, b| b.failed.cmp(&a.failed).then(b.seconds.total_cmp(&a.seconds)));
    dots.truncate(DOTS_MAX);
    dots.sort_by_key(|dot| dot.at_us);
    dots
}

fn seconds_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let decades = (-5..=2).map(|power| 10_f64.powi(power));
    let ticks = decades.flat_map(|decade| [decade, decade * 3.0]);
    let ticks: Vec<f64> = ticks.filter(|tick| *tick >= low && *tick <= high).collect();
    let every = ticks.len().div_ceil(6).max(1);
    ticks.into_iter().step_by(every).map(|tick| (tick, show::seconds(tick))).collect()
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 || percent == 0.0 {
        format!("{percent:.0} %")
    } else {
        format!("{} %", number(percent))
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of requests of a span")]
fn ratio(part: u64, total: u64) -> Option<f64> {
    (total > 0).then(|| part as f64 / total as f64)
}
