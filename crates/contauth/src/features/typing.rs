//! Keystrokes to windows of typing. A keystroke is two times, press and release; which key it was is
//! nowhere here.
//!
//! *Dwell* is how long a key is held, *flight* the time from a release to the next press (negative
//! when keys overlap), *period* the time from press to press: the measures of Killourhy & Maxion,
//! "Comparing Anomaly-Detection Algorithms for Keystroke Dynamics", DSN 2009 (H, UD and DD there).
//! They had one fixed password and a feature per key; free text has none, so a window is described by
//! quantiles of its strokes.

use serde::{Deserialize, Serialize};

use super::{count, median_deviation, quantile, share, sorted};
use crate::telemetry::Keystroke;
use crate::vector::Vector;

/// Strokes with a flight in a window: small enough that another person shows within seconds, large
/// enough that a median of it is worth something.
pub(crate) const WINDOW_STROKES: usize = 25;
/// Between presses; longer is thinking, not typing, and cuts the text into bursts.
pub(crate) const PAUSE_MS: f64 = 1500.0;
/// A key held longer is a modifier or repeats.
const DWELL_MAX_MS: f64 = 1000.0;
/// Strokes of an unfinished window, flights or not; a reporter that sends keystrokes one by one
/// never has flights, and its strokes are let go.
pub(crate) const PENDING_MAX: usize = 3 * WINDOW_STROKES;
/// A period above this within a burst is a hesitation.
const HESITATION_MS: f64 = 500.0;
/// Presses in the quickest run of a window.
const BURST_PERIODS: usize = 5;
/// Where a flight's scale turns from linear to logarithmic: flights are signed.
const FLIGHT_SCALE_MS: f64 = 50.0;

/// What each feature is called when it is named as a reason.
pub(crate) const NAMES: [&str; 15] = [
    "short key holds",
    "key holds",
    "long key holds",
    "evenness of key holds",
    "short gaps between keys",
    "gaps between keys",
    "long gaps between keys",
    "evenness of gaps",
    "fast rhythm",
    "rhythm",
    "slow rhythm",
    "overlapping keys",
    "hesitation",
    "speed of bursts",
    "key-to-key change of holds",
];

/// Deviations are never taken for smaller than this, in the features' units: below it they are
/// chance or the clock's resolution (a browser rounds to 0.1–1 ms, shares move in steps of 1/25).
pub(crate) const FLOORS: [f64; 15] =
    [0.03, 0.03, 0.03, 0.02, 0.05, 0.05, 0.05, 0.05, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03];

/// One keystroke, as far as it is kept until its window is full.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stroke {
    #[serde(rename = "d")]
    pub(crate) dwell_ms: f32,
    /// Absent for the first of a burst.
    #[serde(rename = "g", skip_serializing_if = "Option::is_none", default)]
    pub(crate) gap: Option<Gap>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gap {
    #[serde(rename = "f")]
    pub(crate) flight_ms: f32,
    #[serde(rename = "p")]
    pub(crate) period_ms: f32,
}

/// The strokes of one report. Reports may count time from different beginnings, so nothing is
/// measured across two of them.
pub(crate) fn strokes(keystrokes: &[Keystroke]) -> Vec<Stroke> {
    let mut before: Option<&Keystroke> = None;
    let mut strokes = Vec::with_capacity(keystrokes.len());
    for key in keystrokes {
        let dwell = key.up_ms - key.down_ms;
        if dwell > DWELL_MAX_MS {
            before = None;
            continue;
        }
        let gap = before.and_then(|before| gap(before, key));
        strokes.push(Stroke { dwell_ms: narrow(dwell), gap });
        before = Some(key);
    }
    strokes
}

fn gap(before: &Keystroke, key: &Keystroke) -> Option<Gap> {
    let period = key.down_ms - before.down_ms;
    let flight = key.down_ms - before.up_ms;
    (period <= PAUSE_MS).then(|| Gap { flight_ms: narrow(flight), period_ms: narrow(period) })
}

/// Tenths of a millisecond are enough, and short to write.
#[expect(clippy::cast_possible_truncation, reason = "dwell and gaps are below 1,500 ms")]
fn narrow(ms: f64) -> f32 {
    ((ms * 10.0).round() / 10.0) as f32
}

/// Takes full windows off the front of what is pending. `None` stands for strokes that were let go
/// because they had too few flights.
pub(crate) fn windows(pending: &mut Vec<Stroke>) -> Vec<Option<Vector>> {
    let mut windows = Vec::new();
    loop {
        let mut flights = 0;
        let end = pending.iter().position(|stroke| {
            flights += usize::from(stroke.gap.is_some());
            flights == WINDOW_STROKES
        });
        match end {
            Some(end) if end < PENDING_MAX => {
                let window: Vec<Stroke> = pending.drain(..=end).collect();
                windows.push(Some(describe(&window)));
            }
            _ if pending.len() >= PENDING_MAX => {
                pending.drain(..PENDING_MAX);
                windows.push(None);
            }
            _ => return windows,
        }
    }
}

fn describe(window: &[Stroke]) -> Vector {
    let dwells: Vec<f64> = window.iter().map(|s| f64::from(s.dwell_ms).max(1.0).ln()).collect();
    let gaps: Vec<Gap> = window.iter().filter_map(|stroke| stroke.gap).collect();
    let flights: Vec<f64> =
        gaps.iter().map(|gap| (f64::from(gap.flight_ms) / FLIGHT_SCALE_MS).asinh()).collect();
    let periods = sorted(gaps.iter().map(|gap| f64::from(gap.period_ms).max(1.0).ln()));
    let (dwell, flight) = (sorted(dwells.iter().copied()), sorted(flights.iter().copied()));
    let changes = sorted(dwells.windows(2).map(|pair| (pair[1] - pair[0]).abs()));
    let (dwell_mid, flight_mid) = (quantile(&dwell, 0.5), quantile(&flight, 0.5));
    Vector::of(&[
        quantile(&dwell, 0.2),
        dwell_mid,
        quantile(&dwell, 0.8),
        median_deviation(&dwells, dwell_mid),
        quantile(&flight, 0.2),
        flight_mid,
        quantile(&flight, 0.8),
        median_deviation(&flights, flight_mid),
        quantile(&periods, 0.2),
        quantile(&periods, 0.5),
        quantile(&periods, 0.8),
        share(&gaps, |gap| gap.flight_ms < 0.0),
        share(&gaps, |gap| f64::from(gap.period_ms) > HESITATION_MS),
        burst(window),
        quantile(&changes, 0.5),
    ])
}

/// Logarithm of the mean period of the quickest run without a break, or of the longest run when no
/// run is long enough.
fn burst(window: &[Stroke]) -> f64 {
    let runs = window.split(|stroke| stroke.gap.is_none());
    let quickest = runs
        .flat_map(|run| run.windows(BURST_PERIODS.min(run.len()).max(1)))
        .filter(|run| run.len() == BURST_PERIODS)
        .map(|run| run.iter().filter_map(|s| s.gap).map(|gap| f64::from(gap.period_ms)).sum())
        .min_by(f64::total_cmp);
    let all = || window.iter().filter_map(|s| s.gap).map(|gap| f64::from(gap.period_ms));
    let mean = quickest.map_or_else(
        || all().sum::<f64>() / count(all().count().max(1)),
        |sum: f64| sum / count(BURST_PERIODS),
    );
    mean.max(1.0).ln()
}

#[cfg(test)]
mod tests {
    use super::{Gap, PENDING_MAX, Stroke, WINDOW_STROKES, strokes, windows};
    use crate::telemetry::Keystroke;

    fn keys(times: &[(f64, f64)]) -> Vec<Keystroke> {
        times.iter().map(|&(down_ms, up_ms)| Keystroke { down_ms, up_ms }).collect()
    }

    #[test]
    fn overlap_is_a_negative_flight_a_pause_starts_a_burst_and_a_held_key_is_left_out() {
        let keys = keys(&[
            (0.0, 90.0),
            (80.0, 170.0),
            (2000.0, 2050.0),
            (2100.0, 4000.0),
            (4100.0, 4180.0),
        ]);
        let gap = Some(Gap { flight_ms: -10.0, period_ms: 80.0 });
        let expect = [
            Stroke { dwell_ms: 90.0, gap: None },
            Stroke { dwell_ms: 90.0, gap },
            Stroke { dwell_ms: 50.0, gap: None },
            Stroke { dwell_ms: 80.0, gap: None },
        ];
        assert_eq!(strokes(&keys), expect);
    }

    #[test]
    fn a_window_is_cut_off_when_full_and_the_rest_waits() {
        let gap = Some(Gap { flight_ms: 30.0, period_ms: 120.0 });
        let mut pending = vec![Stroke { dwell_ms: 90.0, gap }; WINDOW_STROKES * 2 + 3];
        let cut = windows(&mut pending);
        assert_eq!((cut.len(), pending.len()), (2, 3));
        assert!((cut[0].as_ref().unwrap().at(1) - 90f64.ln()).abs() < 1e-3);
        assert!((cut[0].as_ref().unwrap().at(13) - 120f64.ln()).abs() < 1e-3);
    }

    #[test]
    fn strokes_that_never_have_flights_do_not_pile_up() {
        let mut pending = vec![Stroke { dwell_ms: 90.0, gap: None }; PENDING_MAX + 1];
        assert_eq!(windows(&mut pending), [None]);
        assert_eq!(pending.len(), 1);
    }
}
