//! The budget over the window in the size of a word.

use maud::{Markup, html};
use slo::status::Point;

use super::{Plot, Scale, WIDTH, number};

const HEIGHT: f64 = 34.0;

/// `past` is budget left, 1 to below 0.
pub(crate) fn budget(past: &[Point]) -> Markup {
    let (Some(first), Some(last)) = (past.first(), past.last()) else {
        return html! { span.muted { "no history yet" } };
    };
    let lowest = past.iter().filter_map(|point| point.value).fold(0.0_f64, f64::min);
    // So deep that the part above nought still has a third of the height.
    let low = lowest.max(-2.0);
    let scale = Scale::Linear { low, high: 1.0 };
    let plot = Plot { height: HEIGHT, from_us: first.at_us, to_us: last.at_us, scale };
    let class = if lowest < 0.0 { "spark overspent" } else { "spark" };
    html! {
        svg class=(class) width="100%" height=(number(HEIGHT)) aria-hidden="true" {
            (plot.unknown(past))
            (plot.level(0.0, "zero"))
            svg width="100%" height=(number(HEIGHT)) viewBox=(format!("0 0 {WIDTH} {HEIGHT}"))
                preserveAspectRatio="none" {
                path.area d=(plot.area(past, 0.0)) {}
                path.line d=(plot.line(past)) {}
            }
        }
    }
}
