//! What the gateway does with a request, and what the policy is told to decide it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::risk::SessionRisk;

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Forward it.
    Allow,
    /// Ask for stronger authentication first (RFC 9470).
    StepUp,
    /// Forward it to the route's decoy; the caller is not told.
    Divert,
    /// Answer slowly, then refuse.
    Tarpit,
    /// Refuse it.
    Block,
}

impl Action {
    pub const ALL: [Action; 5] =
        [Action::Allow, Action::StepUp, Action::Divert, Action::Tarpit, Action::Block];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Allow => "allow",
            Action::StepUp => "step-up",
            Action::Divert => "divert",
            Action::Tarpit => "tarpit",
            Action::Block => "block",
        }
    }
}

/// The facts a policy decides on: `input` of the Rego query `data.shieldx.decision`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecisionInput {
    pub request: RequestFacts,
    /// Absent for a route that lets anonymous callers in.
    pub caller: Option<CallerFacts>,
    pub session: Option<SessionFacts>,
    pub route: RouteFacts,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RequestFacts {
    pub method: String,
    /// Lower-case, without the port.
    pub host: String,
    /// Byte for byte what is forwarded.
    pub path: String,
    pub query: Option<String>,
    /// Lower-case names; credentials are left out; values that are no UTF-8 are left out; the
    /// values of repeated fields joined with `, `.
    pub headers: BTreeMap<String, String>,
    /// The peer's address, without port.
    pub client_address: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallerFacts {
    pub tenant: String,
    pub role: String,
    pub key_id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SessionFacts {
    pub id: String,
    #[serde(flatten)]
    pub risk: SessionRisk,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteFacts {
    pub name: String,
    /// `api` for ShieldX's own, `upstream` for an application.
    pub kind: String,
    /// Whether the route has somewhere to divert to.
    pub decoy: bool,
}

/// What the policy said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub action: Action,
    /// Why, in words of the policy's author.
    pub reason: String,
    /// Which policy decided: revision and digest of the bundle.
    pub policy: String,
}
