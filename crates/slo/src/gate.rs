//! May we deploy? *allow*, *slow*, *freeze* or *unknown*, with reasons and when it opens again.

use serde::{Deserialize, Serialize};

use crate::spec::{Catalog, SloName};
use crate::status::Status;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    Allow,
    Slow,
    Freeze,
    Unknown,
}

impl Answer {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Slow => "slow",
            Self::Freeze => "freeze",
            Self::Unknown => "unknown",
        }
    }
}

/// What is to be deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Absent: all services.
    pub service: Option<String>,
    /// `feature`, `security`, `reliability`, `rollback` …
    pub change: Option<String>,
    /// A signed override, as `override_text` reads it.
    pub override_token: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub answer: Answer,
    /// What it would be without exemption or override.
    pub answer_of_budgets: Answer,
    pub at_us: i64,
    pub reasons: Vec<Reason>,
    /// When it opens again by refunds or the end of a calendar window, if nothing more goes wrong.
    pub opens_at_us: Option<i64>,
    /// Why a freeze does not count: `exempt: security`, or whose override until when and why.
    pub lifted_by: Option<String>,
    /// Why the override that was handed in is refused.
    pub override_refused: Option<String>,
    /// What is to be said besides: who did not answer, for instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    pub slo: SloName,
    pub answer: Answer,
    pub text: String,
}

/// Which objectives are frozen until they are well again: what makes hysteresis outlive a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub frozen: Vec<SloName>,
}

impl Memory {
    /// Looks at new statuses (with their alerts): freezes and opens.
    pub fn step(&mut self, catalog: &Catalog, statuses: &[Status]) {
        let _ = (catalog, statuses);
    }
}

/// Decides; never looks at anything that is not handed in.
#[must_use]
pub fn decide(
    catalog: &Catalog,
    statuses: &[Status],
    memory: &Memory,
    ask: &Ask,
    now_us: i64,
) -> Decision {
    let _ = (catalog, statuses, memory, ask);
    Decision {
        answer: Answer::Unknown,
        answer_of_budgets: Answer::Unknown,
        at_us: now_us,
        reasons: Vec::new(),
        opens_at_us: None,
        lifted_by: None,
        override_refused: None,
        note: None,
    }
}
