//! One decision: facts in, action and reason out.

use regorus::Value;
use types::decision::{Action, Decision, DecisionInput};
use types::ports::{Decider, PortError};

use crate::Policy;

/// Bytes of a reason. It may quote the caller; the rest is cut off.
const REASON_BYTES_MAX: usize = 512;

impl Decider for Policy {
    #[tracing::instrument(skip_all, name = "policy", fields(policy = self.revision))]
    fn decide(&self, input: &DecisionInput) -> Result<Decision, PortError> {
        let value = self
            .engines
            .evaluate(self.names.input(input))
            .map_err(|error| failed(error.message()))?;
        let (action, reason) = answer(&value).map_err(failed)?;
        Ok(Decision { action, reason, policy: self.label.clone() })
    }
}

fn failed(reason: String) -> PortError {
    PortError { what: "policy", reason }
}

/// `{"action": …, "reason": …}`; other members are the author's own.
fn answer(value: &Value) -> Result<(Action, String), String> {
    if *value == Value::Undefined {
        return Err("data.shieldx.decision is undefined for this request; \
                    a `default decision := {…}` says what holds when no rule fits"
            .to_owned());
    }
    let member = |name: &str| {
        let object = value.as_object().ok()?;
        let text = object.get(&Value::from(name))?.as_string().ok()?;
        Some(text.to_string())
    };
    let Some(action) = member("action") else {
        return Err("data.shieldx.decision has no `action` that is a string".to_owned());
    };
    let Some(mut reason) = member("reason") else {
        return Err("data.shieldx.decision has no `reason` that is a string".to_owned());
    };
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    match Action::ALL.into_iter().find(|known| known.as_str() == action) {
        Some(action) => Ok((action, reason)),
        None => Err(format!(
            "data.shieldx.decision.action is {action:?}, which is none of allow, step-up, divert, \
             tarpit and block"
        )),
    }
}
