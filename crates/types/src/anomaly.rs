//! How unusual a run is against its tenant's own history of the same workload.
//!
//! Numbers are integers: an assessment must come out byte for byte the same on every machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A conformal p-value and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Anomaly {
    /// What the run was compared with: tenant-local name of the workload.
    pub workload: String,
    /// Earlier runs of that workload it rests on.
    pub history_runs: u32,
    /// (1 + runs at least as strange) / (1 + runs), in parts per million; absent when there are
    /// too few runs to say anything, and then it weighs nothing.
    pub p_ppm: Option<u32>,
    /// In words: `too few runs (3 of 20)` or what the figure rests on.
    pub basis: String,
    /// The features that differ most, strongest first, at most eight.
    pub deviations: Vec<Deviation>,
    /// Name and version of the model.
    pub model: String,
}

/// One feature that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deviation {
    pub feature: String,
    /// Thousandths of the feature's unit.
    pub value_milli: i64,
    pub median_milli: i64,
    /// Robust z in thousandths: (value − median) / (1.4826 · MAD).
    pub robust_z_milli: i64,
}

/// A number given in units of 10^-`places`, as text without needless zeros: (4_000, 6) is `0.004`.
#[must_use]
pub fn decimal(value: i64, places: usize) -> String {
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    let sign = if value < 0 { "-" } else { "" };
    match part.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        part => format!("{sign}{whole}.{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn numbers_lose_needless_zeros_and_nothing_else() {
        for (value, places, expect) in [
            (4_000, 6, "0.004"),
            (1_000_000, 6, "1"),
            (-1_500, 3, "-1.5"),
            (-5, 3, "-0.005"),
            (0, 3, "0"),
            (7, 0, "7"),
            (i64::MIN, 3, "-9223372036854775.808"),
        ] {
            assert_eq!(decimal(value, places), expect);
        }
    }
}
