//! Pointer movement to windows of moving: speed, acceleration, turning, straightness, rests.
//!
//! The measures are those of Zheng, Paloski & Wang, "An Efficient User Verification System via Mouse
//! Movements", CCS 2011 (angles and speed of small steps rather than whole strokes). Positions do
//! not leave this file: a step is kept by its length, time and turn, from which the screen cannot be
//! drawn again.

use serde::{Deserialize, Serialize};

use super::{count, median_deviation, quantile, share, sorted};
use crate::telemetry::{PointerEvent, PointerKind};
use crate::vector::Vector;

/// Steps in a window.
pub(crate) const WINDOW_STEPS: usize = 60;
/// A longer time between two points is a rest that ends a movement.
const REST_MS: f64 = 1000.0;
/// A step that took longer hesitates.
const HESITATION_MS: f64 = 100.0;
/// Steps over which straightness is measured.
const STRETCH_STEPS: usize = 10;

/// What each feature is called when it is named as a reason.
pub(crate) const NAMES: [&str; 12] = [
    "slow pointer speed",
    "pointer speed",
    "fast pointer speed",
    "evenness of pointer speed",
    "pointer acceleration",
    "strong pointer acceleration",
    "small turns",
    "large turns",
    "straightness",
    "sharp turns",
    "rests of the pointer",
    "pace of pointer reports",
];

/// Least deviations, as for typing.
pub(crate) const FLOORS: [f64; 12] =
    [0.05, 0.05, 0.05, 0.04, 0.05, 0.05, 0.02, 0.03, 0.02, 0.02, 0.02, 0.05];

/// One step from a point to the next.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    #[serde(rename = "t")]
    time_ms: f32,
    #[serde(rename = "l")]
    length_px: f32,
    /// Change of direction against the step before, −π…π; absent at the start of a movement.
    #[serde(rename = "a", skip_serializing_if = "Option::is_none", default)]
    turn: Option<f32>,
}

/// The steps of one report.
pub(crate) fn steps(points: &[PointerEvent]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut heading: Option<f64> = None;
    let moves = points.iter().filter(|point| point.kind == PointerKind::Move);
    let moves: Vec<&PointerEvent> = moves.collect();
    for pair in moves.windows(2) {
        let time = pair[1].t_ms - pair[0].t_ms;
        let (dx, dy) = (pair[1].x - pair[0].x, pair[1].y - pair[0].y);
        let length = dx.hypot(dy);
        if time > REST_MS || time <= 0.0 || length <= 0.0 {
            heading = heading.filter(|_| time <= REST_MS);
            continue;
        }
        let direction = dy.atan2(dx);
        let turn = heading.map(|before| narrow(wrap(direction - before)));
        steps.push(Step { time_ms: narrow(time), length_px: narrow(length), turn });
        heading = Some(direction);
    }
    steps
}

fn wrap(angle: f64) -> f64 {
    let turn = std::f64::consts::TAU;
    (angle + turn / 2.0).rem_euclid(turn) - turn / 2.0
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "coordinates are below 1e6, precision is no matter"
)]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// Takes full windows off the front of what is pending.
pub(crate) fn windows(pending: &mut Vec<Step>) -> Vec<Vector> {
    let mut windows = Vec::new();
    while pending.len() >= WINDOW_STEPS {
        let window: Vec<Step> = pending.drain(..WINDOW_STEPS).collect();
        windows.push(describe(&window));
    }
    windows
}

fn describe(window: &[Step]) -> Vector {
    let speed = |step: &Step| f64::from(step.length_px) / f64::from(step.time_ms).max(0.1);
    let speeds: Vec<f64> = window.iter().map(|step| (1.0 + 100.0 * speed(step)).ln()).collect();
    let pairs = window.windows(2).filter(|pair| pair[1].turn.is_some());
    let accelerations = sorted(pairs.map(|pair| {
        let time = f64::from(pair[1].time_ms).max(0.1);
        (1.0 + 1000.0 * (speed(&pair[1]) - speed(&pair[0])).abs() / time).ln()
    }));
    let turns =
        sorted(window.iter().filter_map(|step| step.turn).map(|turn| f64::from(turn).abs()));
    let straight = sorted(window.chunks(STRETCH_STEPS).map(straightness));
    let times = sorted(window.iter().map(|step| f64::from(step.time_ms).max(0.1).ln()));
    let by_speed = sorted(speeds.iter().copied());
    let mid = quantile(&by_speed, 0.5);
    Vector::of(&[
        quantile(&by_speed, 0.2),
        mid,
        quantile(&by_speed, 0.8),
        median_deviation(&speeds, mid),
        quantile(&accelerations, 0.5),
        quantile(&accelerations, 0.8),
        quantile(&turns, 0.5),
        quantile(&turns, 0.8),
        quantile(&straight, 0.5),
        share(&turns, |turn| *turn > std::f64::consts::FRAC_PI_2),
        share(window, |step| f64::from(step.time_ms) > HESITATION_MS),
        quantile(&times, 0.5),
    ])
}

/// Distance between the ends over the way gone, 0–1; directions come from adding up the turns.
fn straightness(stretch: &[Step]) -> f64 {
    let (mut x, mut y, mut way, mut heading) = (0.0, 0.0, 0.0, 0.0);
    for step in stretch {
        heading += f64::from(step.turn.unwrap_or(0.0));
        let length = f64::from(step.length_px);
        x += length * f64::cos(heading);
        y += length * f64::sin(heading);
        way += length;
    }
    if way > 0.0 { f64::hypot(x, y) / way } else { count(1) }
}

#[cfg(test)]
mod tests {
    use super::{WINDOW_STEPS, steps, windows};
    use crate::telemetry::{PointerEvent, PointerKind};

    fn circle(points: u32) -> Vec<PointerEvent> {
        let at = |n: u32| f64::from(n) * 0.1;
        let point = |n| PointerEvent {
            t_ms: f64::from(n) * 8.0,
            x: 500.0 + 100.0 * at(n).cos(),
            y: 500.0 + 100.0 * at(n).sin(),
            kind: PointerKind::Move,
        };
        (0..points).map(point).collect()
    }

    #[test]
    fn a_circle_turns_evenly_wherever_it_is_drawn() {
        let points = circle(122);
        let mut pending = steps(&points);
        assert_eq!(pending.len(), 121);
        let cut = windows(&mut pending);
        assert_eq!((cut.len(), pending.len()), (2, 121 - 2 * WINDOW_STEPS));
        assert!((cut[1].at(6) - 0.1).abs() < 2e-3, "median turn");
        assert!(cut[1].at(8) < 1.0, "a circle is not straight");
        let moved: Vec<PointerEvent> =
            points.iter().map(|p| PointerEvent { x: -p.y + 9.0, y: p.x, ..*p }).collect();
        assert_eq!(windows(&mut steps(&moved))[1], cut[1]);
    }
}
