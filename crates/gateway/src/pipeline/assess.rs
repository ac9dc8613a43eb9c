//! How likely it is that the session is in other hands: contauth is asked, where there is a session.

use std::time::Duration;

use http::header;
use runtime::http::Problem;
use types::ports::Surroundings;
use types::risk::SessionRisk;

use super::authenticate::Authenticated;
use crate::config::OnFailure;
use crate::meters::Dependency;
use crate::respond;
use crate::service::Shared;

/// A request whose session's risk is known, or that has no session.
#[derive(Debug)]
pub(super) struct Assessed {
    authenticated: Authenticated,
    risk: Option<SessionRisk>,
}

impl Assessed {
    pub(super) fn open(self) -> (Authenticated, Option<SessionRisk>) {
        (self.authenticated, self.risk)
    }
}

#[tracing::instrument(skip_all, name = "assess", fields(shieldx.risk = tracing::field::Empty))]
pub(super) async fn assess(
    gateway: &Shared,
    authenticated: Authenticated,
) -> Result<Assessed, Problem> {
    let found = authenticated.found();
    let (Some(tenant), Some(session)) = (authenticated.tenant(), &found.session) else {
        return Ok(Assessed { authenticated, risk: None });
    };
    let agent = authenticated.request().headers().get(header::USER_AGENT);
    let now = Surroundings {
        address: Some(found.origin.address.to_string()),
        user_agent: agent.and_then(|agent| agent.to_str().ok()).map(str::to_owned),
    };
    let patience = Duration::from_millis(gateway.risk_timeout_ms);
    let asked = tokio::time::timeout(patience, gateway.risk.risk(tenant, session, &now)).await;
    let failure = match asked {
        Ok(Ok(risk)) => {
            tracing::Span::current().record("shieldx.risk", risk.level.as_str());
            return Ok(Assessed { authenticated, risk: Some(risk) });
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("contauth did not answer within {} ms", gateway.risk_timeout_ms),
    };
    gateway.meters.failed(Dependency::Contauth);
    match gateway.on_failure.risk {
        OnFailure::Deny => Err(respond::no_risk(failure)),
        OnFailure::Allow => {
            tracing::warn!(failure, "a session's risk is not known; on_failure goes on without");
            Ok(Assessed { authenticated, risk: None })
        }
    }
}
