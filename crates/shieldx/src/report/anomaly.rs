//! How unusual a run is against its own history, in words for every kind of report. Weighs nothing:
//! the points are those of the assessment.

use types::anomaly::decimal;
use types::{Anomaly, Deviation};

use super::{Judged, words};

/// Deviations shown; the model names no more.
const DEVIATIONS_MAX: usize = 8;
/// A name from outside is shown up to this many characters.
const NAME_CHARS_MAX: usize = 120;

/// What there is to show about it.
#[derive(Debug)]
pub struct Unusual<'a> {
    pub anomaly: &'a Anomaly,
    /// Its part of the score.
    pub points: u32,
}

impl<'a> Unusual<'a> {
    /// `None` where nobody was asked.
    #[must_use]
    pub fn new(judged: &Judged<'a>) -> Option<Self> {
        let anomaly = judged.recording.anomaly.as_ref()?;
        let ours = judged.assessment.contributions.iter().filter(|part| part.detector == "anomaly");
        Some(Self { anomaly, points: ours.map(|part| part.points).sum() })
    }

    /// The p-value; `None` where there were too few runs.
    #[must_use]
    pub fn p(&self) -> Option<String> {
        self.anomaly.p_ppm.map(|ppm| decimal(i64::from(ppm), 6))
    }

    /// The figure with what it rests on.
    #[must_use]
    pub fn figure(&self) -> String {
        let workload = name(&self.anomaly.workload);
        let Some(p) = self.p() else {
            return format!("{} of {workload}: weighs nothing", name(&self.anomaly.basis));
        };
        let runs = u64::from(self.anomaly.history_runs);
        let plural = if runs == 1 { "" } else { "s" };
        let sum = if self.points == 0 { ": as usual" } else { "" };
        format!("p = {p} against {} earlier run{plural} of {workload}{sum}", words::grouped(runs))
    }

    /// What differs, strongest first.
    pub fn deviations(&self) -> impl Iterator<Item = Row> {
        self.anomaly.deviations.iter().take(DEVIATIONS_MAX).map(Row::new)
    }
}

/// One feature that differs, ready to be shown.
#[derive(Debug)]
pub struct Row {
    pub feature: String,
    pub value: String,
    pub usual: String,
    /// Robust z.
    pub distance: String,
}

impl Row {
    fn new(deviation: &Deviation) -> Self {
        Self {
            feature: name(&deviation.feature),
            value: decimal(deviation.value_milli, 3),
            usual: decimal(deviation.median_milli, 3),
            distance: decimal(deviation.robust_z_milli, 3),
        }
    }

    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { feature, value, usual, distance } = self;
        format!("{feature} {value}, usually {usual} (robust z {distance})")
    }
}

/// Text that a tenant chose.
#[must_use]
pub fn name(text: &str) -> String {
    words::cut(&words::safe(text), NAME_CHARS_MAX).into_owned()
}
