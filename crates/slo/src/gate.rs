//! May we deploy? *allow*, *slow*, *freeze* or *unknown*, with reasons and when it opens again.
//!
//! Each objective is judged on its own (`judge`), and the worst answer wins: *freeze* before
//! *unknown* before *slow* before *allow*. A freeze is known and outweighs what is not; what is not
//! known might be a freeze and outweighs *slow*.
//!
//! ```text
//! statuses ─▶ Memory::step (who is frozen until well again)
//!                 │
//! ask ───────────▶ decide ─▶ judge each ─▶ worst ─▶ exempt or override? ─▶ Decision
//! ```
//!
//! It reads no clock and makes no random numbers: both are handed in.

use serde::{Deserialize, Serialize};

use crate::spec::{Catalog, Slo, SloName};
use crate::status::{Scope, Status};

mod judge;
mod opens;
mod overrides;

pub use overrides::{
    BadKey, Claims, NewKey, OVERRIDE_LASTS_MAX, OverrideRefused, check_override, new_signing_key,
    sign_override,
};

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

    /// How bad: of several answers the worst holds.
    #[must_use]
    pub fn rank(self) -> u8 {
        match self {
            Self::Allow => 0,
            Self::Slow => 1,
            Self::Unknown => 2,
            Self::Freeze => 3,
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
    /// A signed override, as [`sign_override`] makes it.
    pub override_token: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub answer: Answer,
    /// What it would be without exemption or override.
    pub answer_of_budgets: Answer,
    pub at_us: i64,
    /// One for each objective that was looked at, the worst first.
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
    /// Looks at new statuses (with their alerts): freezes and opens. An objective whose data is
    /// missing stays as it is.
    pub fn step(&mut self, catalog: &Catalog, statuses: &[Status]) {
        let gated = catalog.slos.iter().filter(|slo| slo.gated);
        let frozen = gated.filter(|slo| {
            let was = self.frozen.contains(&slo.name);
            judge::stays_frozen(&catalog.gate, slo, newest(slo, statuses), was)
        });
        self.frozen = frozen.map(|slo| slo.name.clone()).collect();
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
    let asked = |slo: &&Slo| ask.service.as_ref().is_none_or(|service| *service == slo.service);
    let gated: Vec<&Slo> = catalog.slos.iter().filter(|slo| slo.gated).filter(asked).collect();
    let mut judged: Vec<_> = gated
        .iter()
        .map(|slo| {
            let frozen = memory.frozen.contains(&slo.name);
            judge::judge(&catalog.gate, slo, newest(slo, statuses), frozen, now_us)
        })
        .collect();
    judged.sort_by_key(|judged| std::cmp::Reverse(judged.reason.answer.rank()));
    let answer = judged.first().map_or(Answer::Unknown, |worst| worst.reason.answer);
    let exempt = ask.change.as_ref().filter(|change| catalog.gate.exempt.contains(change));
    let mut decision = Decision {
        answer,
        answer_of_budgets: answer,
        at_us: now_us,
        opens_at_us: opens::of_all(answer, &judged),
        reasons: judged.into_iter().map(|judged| judged.reason).collect(),
        lifted_by: exempt.map(|change| format!("exempt: {change}")),
        override_refused: None,
        note: note(catalog, ask, gated.is_empty()),
    };
    if let Some(token) = &ask.override_token {
        let policy = &catalog.gate;
        match check_override(policy, token, ask.service.as_deref(), now_us) {
            Ok(claims) => {
                decision.lifted_by = decision.lifted_by.or_else(|| Some(claims.to_string()));
            }
            Err(refused) => decision.override_refused = Some(refused.to_string()),
        }
    }
    // There is nothing to lift where deploys are allowed.
    decision.lifted_by = decision.lifted_by.filter(|_| answer != Answer::Allow);
    if decision.lifted_by.is_some() {
        decision.answer = Answer::Allow;
    }
    decision
}

fn newest<'a>(slo: &Slo, statuses: &'a [Status]) -> Option<&'a Status> {
    statuses.iter().find(|status| status.slo == slo.name && status.scope == Scope::All)
}

fn note(catalog: &Catalog, ask: &Ask, nothing: bool) -> Option<String> {
    let services = catalog.slos.iter().filter(|slo| slo.gated).map(|slo| slo.service.as_str());
    let mut services: Vec<&str> = services.collect();
    services.sort_unstable();
    services.dedup();
    if let Some(service) = ask.service.as_ref().filter(|_| nothing) {
        let known = services.join(", ");
        return Some(format!("no gated objective is {service:?}'s; there are some of {known}"));
    }
    if nothing {
        return Some("no objective is gated: there is nothing to decide by".to_owned());
    }
    let change = ask.change.as_ref()?;
    let near = |kind: &&String| kind != &change && strsim::damerau_levenshtein(kind, change) <= 2;
    let meant = catalog.gate.exempt.iter().filter(|_| !catalog.gate.exempt.contains(change));
    meant
        .filter(near)
        .min()
        .map(|kind| format!("{change:?} is not exempt from a freeze; did you mean {kind:?}?"))
}

/// `2026-03-01T12:00:00Z`
fn moment(at_us: i64) -> String {
    let second = jiff::Timestamp::from_second(at_us.div_euclid(1_000_000));
    second.map_or_else(|_| format!("{at_us} µs"), |second| second.to_string())
}

#[cfg(test)]
mod tests;
