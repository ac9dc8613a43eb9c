//! Charts as SVG that stays readable at any width: text and dots are in pixels, and only the lines
//! stretch. Every chart has its numbers as a table, too, for those who cannot see it and for the script,
//! which shows them under the pointer.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};
use slo::status::Point;

use crate::show;

pub(crate) mod burn;
pub(crate) mod burndown;
pub(crate) mod golden;
pub(crate) mod spark;

/// Width of the stretched part, in its own units.
const WIDTH: f64 = 1000.0;
/// Room for the labels of the time axis, pixels.
const TIMES_PX: f64 = 20.0;
/// Rows of a chart's table.
const ROWS_MAX: usize = 60;

/// How values become heights.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scale {
    Linear {
        low: f64,
        high: f64,
    },
    /// Values below `low` are drawn at its height.
    Log {
        low: f64,
        high: f64,
    },
}

/// A field with a time axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plot {
    /// Pixels.
    pub(crate) height: f64,
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
    pub(crate) scale: Scale,
}

impl Plot {
    /// 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a span of at most some years in microseconds")]
    fn share(&self, at_us: i64) -> f64 {
        let width = (self.to_us - self.from_us).max(1) as f64;
        (at_us - self.from_us) as f64 / width
    }

    fn x(&self, at_us: i64) -> String {
        number(self.share(at_us) * WIDTH)
    }

    /// As a percentage, for what does not stretch.
    pub(crate) fn across(&self, at_us: i64) -> String {
        format!("{}%", number(self.share(at_us) * 100.0))
    }

    pub(crate) fn height_of(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear { low, high } => (value - low) / (high - low),
            Scale::Log { low, high } => (value.max(low) / low).ln() / (high / low).ln(),
        };
        // A pixel of room at both ends, where a line would be cut.
        let room = self.height - 2.0;
        (1.0 + room - share.clamp(-0.02, 1.02) * room).clamp(0.0, self.height)
    }

    fn y(&self, value: f64) -> String {
        number(self.height_of(value))
    }

    /// A line that is interrupted where there is no value.
    pub(crate) fn line(&self, points: &[Point]) -> String {
        let mut path = String::new();
        for run in points.split(|point| point.value.is_none()) {
            for (index, point) in run.iter().enumerate() {
                let step = if index == 0 { 'M' } else { 'L' };
                let y = self.y(point.value.unwrap_or(0.0));
                // Writing into a string does not fail.
                let _ = write!(path, "{step}{} {y}", self.x(point.at_us));
            }
            // One alone is a line of no length, whose round ends are a dot.
            if run.len() == 1 {
                path.push_str("h0");
            }
        }
        path
    }

    /// The area between a line and a value.
    pub(crate) fn area(&self, points: &[Point], base: f64) -> String {
        let mut path = String::new();
        for run in points.split(|point| point.value.is_none()) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let base = self.y(base);
            let _ = write!(path, "M{} {base}", self.x(first.at_us));
            for point in run {
                let _ =
                    write!(path, "L{} {}", self.x(point.at_us), self.y(point.value.unwrap_or(0.0)));
            }
            let _ = write!(path, "L{} {base}Z", self.x(last.at_us));
        }
        path
    }

    /// Hatches the spans of which nothing is known.
    pub(crate) fn unknown(&self, points: &[Point]) -> Markup {
        let mut spans = Vec::new();
        let mut index = 0;
        while index < points.len() {
            if points[index].value.is_some() {
                index += 1;
                continue;
            }
            let end = points[index..].iter().position(|point| point.value.is_some());
            let end = end.map_or(points.len(), |length| index + length);
            // Half way to the neighbours, so that a single known moment is not covered.
            let middle = |left: usize, right: usize| {
                points[left].at_us + (points[right].at_us - points[left].at_us) / 2
            };
            let from = if index == 0 { points[0].at_us } else { middle(index - 1, index) };
            let to = if end == points.len() { points[end - 1].at_us } else { middle(end - 1, end) };
            spans.push((from, to));
            index = end;
        }
        html! {
            @for (from, to) in spans {
                rect.unknown x=(self.across(from)) y="0" height=(number(self.height))
                    width=(format!("{}%", number((self.share(to) - self.share(from)) * 100.0))) {
                    title { "no data: nobody counted, or nothing happened" }
                }
            }
        }
    }

    /// A line across, with what it stands for.
    pub(crate) fn level(&self, value: f64, class: &str) -> Markup {
        html! { line class=(class) x1="0" x2="100%" y1=(self.y(value)) y2=(self.y(value)) {} }
    }

    /// Lines and labels of the time axis.
    fn times(&self) -> Markup {
        let (step_us, form) = time_step(self.to_us - self.from_us);
        let first = self.from_us.div_euclid(step_us) * step_us + step_us;
        let times = (0..).map(|index| first + index * step_us).take_while(|at| *at < self.to_us);
        html! {
            @for (index, at_us) in times.enumerate() {
                @let across = self.across(at_us);
                line.grid x1=(across) x2=(across) y1="0" y2=(number(self.height)) {}
                @if (0.05..0.96).contains(&self.share(at_us)) {
                    text.tick.minor[index % 2 == 1] x=(across) y=(number(self.height + 14.0))
                        text-anchor="middle" data-time=(runtime::clock::rfc3339(at_us))
                        data-form=(form) { (show::utc(at_us, if form == "hm" { "%H:%M" } else { "%-d %b" })) }
                }
            }
        }
    }
}

/// A chart, put together.
pub(crate) struct Chart<'a> {
    pub(crate) plot: Plot,
    pub(crate) title: &'a str,
    /// What it shows, for those who cannot see it.
    pub(crate) summary: String,
    pub(crate) legend: Markup,
    /// Labels of the value axis.
    pub(crate) ticks: Vec<(f64, String)>,
    /// Stretched: paths.
    pub(crate) lines: Markup,
    /// Not stretched, behind and before the lines.
    pub(crate) behind: Markup,
    pub(crate) before: Markup,
    pub(crate) table: Table,
}

/// The numbers of a chart.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<(i64, Vec<String>)>,
}

impl Chart<'_> {
    pub(crate) fn draw(&self) -> Markup {
        let plot = &self.plot;
        let height = number(plot.height + TIMES_PX);
        html! {
            figure.chart {
                figcaption {
                    span.title { (self.title) }
                    span.legend { (self.legend) }
                    output.readout {}
                }
                div.canvas {
                    svg.scale width="46" height=(height) aria-hidden="true" {
                        @for (value, label) in &self.ticks {
                            text.tick x="40" y=(number(plot.height_of(*value) + 4.0)) text-anchor="end" { (label) }
                        }
                    }
                    svg.field width="100%" height=(height) role="group" aria-label=(self.summary) {
                        (plot.times())
                        @for (value, _) in &self.ticks { (plot.level(*value, "grid")) }
                        (self.behind)
                        svg x="0" y="0" width="100%" height=(number(plot.height))
                            viewBox=(format!("0 0 {WIDTH} {}", number(plot.height)))
                            preserveAspectRatio="none" aria-hidden="true" { (self.lines) }
                        (self.before)
                        line.cursor x1="-9" x2="-9" y1="0" y2=(number(plot.height)) {}
                    }
                }
                (self.numbers())
            }
        }
    }

    fn numbers(&self) -> Markup {
        let every = self.table.rows.len().div_ceil(ROWS_MAX).max(1);
        let last = self.table.rows.len().saturating_sub(1);
        html! {
            details.numbers {
                summary { "Numbers" span.sr { " of " (self.title) } }
                div.scroll tabindex="0" role="region" aria-label=(format!("Numbers of {}", self.title)) { table {
                    thead { tr {
                        th scope="col" { "Time" }
                        @for column in &self.table.columns { th.number scope="col" { (column) } }
                    } }
                    tbody {
                        @for (_, (at_us, values)) in self.table.rows.iter().enumerate()
                            .filter(|(index, _)| index % every == 0 || *index == last) {
                            tr data-x=(self.plot.x(*at_us)) {
                                th scope="row" { (show::time(*at_us)) }
                                @for value in values { td.number { (value) } }
                            }
                        }
                    }
                } }
            }
        }
    }
}

/// An entry of a legend: a piece of the line, and its name.
pub(crate) fn key(class: &str, name: &str) -> Markup {
    html! {
        span.key {
            svg width="22" height="8" aria-hidden="true" { line class=(class) x1="0" x2="22" y1="4" y2="4" {} }
            (name)
        }
    }
}

pub(crate) fn key_of_unknown() -> Markup {
    html! {
        span.key {
            svg width="16" height="10" aria-hidden="true" { rect.unknown width="16" height="10" {} }
            "no data"
        }
    }
}

/// What charts of a page refer to; once per page.
pub(crate) fn definitions() -> Markup {
    PreEscaped(
        "<svg class=\"definitions\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs><pattern \
         id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><line class=\"hatch\" x1=\"0\" x2=\"0\" y1=\"0\" \
         y2=\"6\"></line></pattern></defs></svg>"
            .to_owned(),
    )
}

/// Values at which a linear axis from `low` to `high` has labels.
pub(crate) fn steps(low: f64, high: f64, about: u32) -> Vec<f64> {
    let raw = (high - low) / f64::from(about.max(1));
    if !raw.is_finite() || raw <= 0.0 {
        return vec![low];
    }
    let size = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|part| part * size);
    let step = step.into_iter().find(|step| *step >= raw * 0.999).unwrap_or(size * 10.0);
    let mut values = Vec::new();
    let mut value = (low / step).ceil() * step;
    while value <= high + step * 1e-6 {
        values.push(if value.abs() < step * 1e-6 { 0.0 } else { value });
        value += step;
    }
    values
}

/// At most one decimal, as short as can be.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Between labels of a time axis, and how they look.
fn time_step(span_us: i64) -> (i64, &'static str) {
    const MINUTE: i64 = 60_000_000;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let steps = [
        (90 * MINUTE, 10 * MINUTE, "hm"),
        (7 * HOUR, HOUR, "hm"),
        (26 * HOUR, 3 * HOUR, "hm"),
        (8 * DAY, DAY, "day"),
        (16 * DAY, 2 * DAY, "day"),
        (45 * DAY, 5 * DAY, "day"),
        (100 * DAY, 14 * DAY, "day"),
    ];
    let found = steps.iter().find(|(most, _, _)| span_us <= *most);
    found.map_or((45 * DAY, "day"), |(_, step, form)| (*step, form))
}

#[cfg(test)]
mod tests {
    use super::{Plot, Point, Scale, number, steps};

    const PLOT: Plot = Plot {
        height: 102.0,
        from_us: 0,
        to_us: 1000,
        scale: Scale::Linear { low: -1.0, high: 1.0 },
    };

    fn points(values: &[Option<f64>]) -> Vec<Point> {
        let at = |index| i64::try_from(index).unwrap() * 100;
        values.iter().enumerate().map(|(i, value)| Point { at_us: at(i), value: *value }).collect()
    }

    #[test]
    fn a_line_is_interrupted_where_nothing_is_known_and_never_falls_to_nought() {
        let points = points(&[Some(1.0), Some(0.0), None, Some(-1.0)]);
        assert_eq!(PLOT.line(&points), "M0 1L100 51M300 101h0");
        let hatched = PLOT.unknown(&points).into_string();
        assert!(hatched.contains("x=\"15%\"") && hatched.contains("width=\"10%\""), "{hatched}");
        assert_eq!(PLOT.area(&points, 0.0), "M0 51L0 1L100 51L100 51ZM300 51L300 101L300 51Z");
    }

    #[test]
    fn what_is_beyond_the_axis_stays_in_the_picture() {
        let log = Plot { scale: Scale::Log { low: 0.01, high: 100.0 }, ..PLOT };
        assert_eq!(
            [log.y(0.0), log.y(1.0), log.y(1e9)].map(|y| y.parse::<f64>().unwrap().round()),
            [101.0, 51.0, 0.0]
        );
    }

    #[test]
    fn axes_have_round_steps() {
        assert_eq!(steps(0.0, 1.0, 4), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(steps(-1.0, 1.0, 4), [-1.0, -0.5, 0.0, 0.5, 1.0]);
        assert_eq!(steps(0.0, 0.0, 4), [0.0]);
        assert_eq!([number(-0.001), number(1.5), number(100.0)], ["0", "1.5", "100"]);
    }
}
