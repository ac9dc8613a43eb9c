//! How likely it is that a session is no longer in the hands of its subject.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A session's risk in classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RiskLevel {
    /// Too little is known of the subject, or nothing of the session: neither trusted nor
    /// suspected.
    Unknown,
    Low,
    Elevated,
    High,
}

impl RiskLevel {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RiskLevel::Unknown => "unknown",
            RiskLevel::Low => "low",
            RiskLevel::Elevated => "elevated",
            RiskLevel::High => "high",
        }
    }
}

/// One reason for a risk. Contributions of all signals and the prior add up, in log-odds, to the
/// risk's logit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Signal {
    /// `typing`, `pointer`, `device`, `address` …
    pub name: String,
    /// What was seen, one sentence, no content of keys.
    pub detail: String,
    /// Natural log-likelihood ratio; positive speaks for somebody else.
    pub contribution: f64,
}

/// The risk of one session now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionRisk {
    /// Probability-like, 0–1; the logistic of the summed contributions.
    pub risk: f64,
    pub level: RiskLevel,
    /// Who the session says it belongs to; absent for a session nobody has reported on.
    pub subject: Option<String>,
    /// Strongest first.
    pub signals: Vec<Signal>,
    /// When the last telemetry came, RFC 3339; absent when none did.
    pub observed_at: Option<String>,
}
