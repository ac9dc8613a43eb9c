//! Keys, risks and policies that a test chooses.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use types::decision::{Action, Decision, DecisionInput};
use types::ports::{AuthError, Authenticator, Decider, PortError, RiskSource, Surroundings};
use types::risk::{RiskLevel, SessionRisk};
use types::{Caller, Role, Tenant};

/// `sx_reader`, `sx_member`, `sx_admin` of `acme`, `sx_other` of `other`, `plain` of `acme`; `sx_down`
/// cannot be checked.
#[derive(Debug)]
pub(crate) struct Keys;

#[async_trait]
impl Authenticator for Keys {
    async fn authenticate(&self, key: &str) -> Result<Caller, AuthError> {
        let (tenant, role) = match key {
            "sx_reader" => ("acme", Role::Reader),
            "sx_member" | "plain" => ("acme", Role::Member),
            "sx_admin" => ("acme", Role::Admin),
            "sx_other" => ("other", Role::Admin),
            "sx_down" => return Err(AuthError::Unavailable { reason: "test".to_owned() }),
            _ => return Err(AuthError::Unknown),
        };
        let key_id = key.trim_start_matches("sx_").to_owned();
        Ok(Caller { tenant: tenant.parse().unwrap(), role, key_id })
    }
}

/// Sessions `low`, `elevated`, `high` are what they are called, `down` fails, `slow` never answers,
/// all others are unknown.
#[derive(Debug, Default)]
pub(crate) struct Risks {
    asked: Mutex<Vec<(String, String, Surroundings)>>,
}

impl Risks {
    pub(crate) fn asked(&self) -> Vec<(String, String, Surroundings)> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl RiskSource for Risks {
    async fn risk(
        &self,
        tenant: &Tenant,
        session: &str,
        now: &Surroundings,
    ) -> Result<SessionRisk, PortError> {
        let asked = (tenant.to_string(), session.to_owned(), now.clone());
        self.asked.lock().unwrap().push(asked);
        let level = match session {
            "low" => RiskLevel::Low,
            "elevated" => RiskLevel::Elevated,
            "high" => RiskLevel::High,
            "down" => return Err(PortError { what: "contauth", reason: "test".to_owned() }),
            "slow" => std::future::pending().await,
            _ => RiskLevel::Unknown,
        };
        let (subject, observed_at) = (None, None);
        Ok(SessionRisk { risk: 0.5, level, subject, signals: Vec::new(), observed_at })
    }
}

/// Does as the path says, whoever asks; remembers what it was asked.
#[derive(Debug, Default)]
pub(crate) struct ByPath {
    pub(crate) asked: Mutex<Vec<DecisionInput>>,
}

impl Decider for ByPath {
    fn decide(&self, input: &DecisionInput) -> Result<Decision, PortError> {
        self.asked.lock().unwrap().push(input.clone());
        let failed = |reason: &str| PortError { what: "policy", reason: reason.to_owned() };
        let actions: BTreeMap<&str, Action> =
            Action::ALL.map(|action| (action.as_str(), action)).into();
        let action = match input.request.path.trim_matches('/') {
            "panic" => panic!("as the path says"),
            "undefined" => return Err(failed("undefined")),
            name => actions.get(name).copied().unwrap_or(Action::Allow),
        };
        let reason = format!("because of {action:?}");
        Ok(Decision { action, reason, policy: "test".to_owned() })
    }
}
