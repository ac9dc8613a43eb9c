//! How likely it is that the session is in other hands: contauth is asked, where there is a session.
//! A caller with a key always has one.

use std::time::Duration;

use http::header;
use runtime::http::Problem;
use types::decision::SessionFacts;
use types::ports::Surroundings;

use super::authenticate::Authenticated;
use crate::config::OnFailure;
use crate::meters::Dependency;
use crate::respond;
use crate::service::Shared;

/// A request whose session's risk is known, or that has no session.
#[derive(Debug)]
pub(super) struct Assessed {
    authenticated: Authenticated,
    session: Option<SessionFacts>,
}

impl Assessed {
    pub(super) fn open(self) -> (Authenticated, Option<SessionFacts>) {
        (self.authenticated, self.session)
    }
}

#[tracing::instrument(skip_all, name = "assess", fields(shieldx.risk = tracing::field::Empty))]
pub(super) async fn assess(
    gateway: &Shared,
    authenticated: Authenticated,
) -> Result<Assessed, Problem> {
    let found = authenticated.found();
    let (Some(tenant), Some(id)) = (authenticated.tenant(), authenticated.session()) else {
        return Ok(Assessed { authenticated, session: None });
    };
    let agent = authenticated.request().headers().get(header::USER_AGENT);
    let now = Surroundings {
        address: Some(found.origin.address.to_string()),
        user_agent: agent.and_then(|agent| agent.to_str().ok()).map(str::to_owned),
    };
    let patience = Duration::from_millis(gateway.risk_timeout_ms);
    let asked = tokio::time::timeout(patience, gateway.risk.risk(tenant, &id, &now)).await;
    let failure = match asked {
        Ok(Ok(risk)) => {
            tracing::Span::current().record("shieldx.risk", risk.level.as_str());
            return Ok(Assessed { authenticated, session: Some(SessionFacts { id, risk }) });
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("contauth did not answer within {} ms", gateway.risk_timeout_ms),
    };
    gateway.meters.failed(Dependency::Contauth);
    match gateway.on_failure.risk {
        OnFailure::Deny => Err(respond::no_risk(failure)),
        OnFailure::Allow => {
            tracing::warn!(failure, "a session's risk is not known; on_failure goes on without");
            Ok(Assessed { authenticated, session: None })
        }
    }
}
