//! What a recording means: detections, score, verdict.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;

/// The class of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Benign,
    Suspicious,
    Malicious,
    /// The evidence does not allow to call the run benign.
    Inconclusive,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Benign => "benign",
            Verdict::Suspicious => "suspicious",
            Verdict::Malicious => "malicious",
            Verdict::Inconclusive => "inconclusive",
        })
    }
}

/// An ATT&CK technique.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Technique {
    /// `T1059.004`
    pub id: String,
    pub name: String,
    /// `execution`, `persistence`, `stealth` … as in the ATT&CK version of the assessment.
    pub tactic: String,
}

/// A rule matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Detection {
    /// Stable id of the detector, kebab-case.
    pub detector: String,
    pub title: String,
    pub technique: Technique,
    /// What was seen, in one sentence, already escaped.
    pub summary: String,
    /// The events it rests on, ascending, at most 16; `event_count` has the full number.
    pub events: Vec<u64>,
    pub event_count: u64,
    /// Log-likelihood ratio in decibans (10·log10 of how much likelier malice makes this).
    pub weight_decibans: u32,
    /// Every event it rests on was blocked: an attempt that did not succeed.
    pub blocked: bool,
}

/// A part of the score. The points of all contributions sum exactly to the score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contribution {
    pub detector: String,
    pub technique: String,
    pub points: u32,
    pub events: Vec<u64>,
}

/// The result of `verdict::assess`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Assessment {
    pub verdict: Verdict,
    /// 0–100.
    pub score: u32,
    /// Why this verdict, in one sentence.
    pub reason: String,
    pub contributions: Vec<Contribution>,
    pub detections: Vec<Detection>,
    pub evidence: Evidence,
    /// ATT&CK version the technique ids are from.
    pub attack_version: String,
    /// Version of the detector set; the same recording and the same version give the same bytes.
    pub detectors_version: String,
}
