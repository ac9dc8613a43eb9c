//! What happens with the request: the policy is asked, and its decision is logged. Only here is made
//! what can be forwarded.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, HeaderName, Request, header};
use runtime::clock::uuid_v7;
use runtime::http::Problem;
use runtime::http::auth::API_KEY;
use runtime::http::forward::Upstream;
use types::decision::{
    CallerFacts, Decision, DecisionInput, RequestFacts, RouteFacts, SessionFacts,
};
use types::ports::PortError;
use types::{Action, Caller};

use super::admit::Found;
use super::assess::Assessed;
use crate::config::OnFailure;
use crate::identity::Identity;
use crate::meters::Dependency;
use crate::respond;
use crate::routing::{Route, Target};
use crate::service::Shared;

/// Not for the policy: what it says may be logged, and what it is told may be, too.
const CREDENTIALS: [HeaderName; 4] =
    [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION, API_KEY];

/// What was decided.
#[derive(Debug)]
pub(super) enum Verdict {
    /// In a box: it holds the request.
    Permitted(Box<Permitted>),
    Refused(Refused),
}

/// A request that may be forwarded, and to whom.
#[derive(Debug)]
pub(super) struct Permitted {
    request: Request<Body>,
    destination: Destination,
    identity: Identity,
}

#[derive(Debug)]
pub(super) enum Destination {
    Application(Upstream),
    Decoy(Upstream),
    Api(Upstream),
    Own,
}

/// A request that goes no further.
#[derive(Debug)]
pub(super) enum Refused {
    StepUp {
        reason: String,
    },
    Tarpit,
    /// Without a reason where the caller is not to know it.
    Block {
        reason: Option<String>,
    },
}

impl Permitted {
    pub(super) fn open(self) -> (Request<Body>, Destination, Identity) {
        (self.request, self.destination, self.identity)
    }
}

#[tracing::instrument(
    skip_all,
    name = "decide",
    fields(
        shieldx.decision.id = tracing::field::Empty,
        shieldx.decision.action = tracing::field::Empty,
        shieldx.decision.reason = tracing::field::Empty,
        shieldx.decision.policy = tracing::field::Empty,
    )
)]
pub(super) fn decide(gateway: &Shared, assessed: Assessed) -> Result<Verdict, Problem> {
    let (authenticated, session) = assessed.open();
    let (request, found, route, caller) = authenticated.open();
    let input = input(&request, &found, &route, caller.as_ref(), session);
    let decision = match ask(gateway, &input) {
        Ok(decision) => decision,
        Err(error) => {
            gateway.meters.failed(Dependency::Policy);
            match gateway.on_failure.policy {
                OnFailure::Deny => return Err(respond::no_decision(error)),
                OnFailure::Allow => allowed_anyway(&error),
            }
        }
    };
    // A UUID, as OPA's decision ids are.
    let id = uuid_v7(gateway.clock.as_ref()).to_string();
    log(&id, &input, &decision);
    gateway.meters.decided(decision.action);
    let level = input.session.as_ref().map(|session| session.risk.level.as_str());
    let identity = Identity {
        caller,
        session: found.session,
        risk: level,
        action: decision.action,
        decision_id: id,
    };
    Ok(verdict(decision, request, &route, identity))
}

fn verdict(
    decision: Decision,
    request: Request<Body>,
    route: &Arc<Route>,
    identity: Identity,
) -> Verdict {
    let destination = match (decision.action, &route.decoy) {
        (Action::Allow, _) => match route.target.clone() {
            Target::Application(upstream) => Destination::Application(upstream),
            Target::Api(upstream) => Destination::Api(upstream),
            Target::Own => Destination::Own,
        },
        (Action::Divert, Some(decoy)) => Destination::Decoy(decoy.clone()),
        (Action::Divert, None) => return Verdict::Refused(Refused::Block { reason: None }),
        (Action::StepUp, _) => {
            return Verdict::Refused(Refused::StepUp { reason: decision.reason });
        }
        (Action::Tarpit, _) => return Verdict::Refused(Refused::Tarpit),
        (Action::Block, _) => {
            return Verdict::Refused(Refused::Block { reason: Some(decision.reason) });
        }
    };
    Verdict::Permitted(Box::new(Permitted { request, destination, identity }))
}

fn ask(gateway: &Shared, input: &DecisionInput) -> Result<Decision, PortError> {
    let asked = catch_unwind(AssertUnwindSafe(|| gateway.decider.decide(input)));
    asked.unwrap_or_else(|_| {
        Err(PortError { what: "policy", reason: "the policy panicked".to_owned() })
    })
}

fn allowed_anyway(error: &PortError) -> Decision {
    tracing::warn!(%error, "there is no decision; on_failure allows the request");
    Decision {
        action: Action::Allow,
        reason: "there is no decision, and on_failure allows the request".to_owned(),
        policy: "none".to_owned(),
    }
}

fn input(
    request: &Request<Body>,
    found: &Found,
    route: &Route,
    caller: Option<&Caller>,
    session: Option<SessionFacts>,
) -> DecisionInput {
    let uri = request.uri();
    DecisionInput {
        request: RequestFacts {
            method: request.method().to_string(),
            host: found.host.clone(),
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            headers: headers(request.headers()),
            client_address: found.origin.address.to_string(),
        },
        caller: caller.map(|caller| CallerFacts {
            tenant: caller.tenant.to_string(),
            role: caller.role.as_str().to_owned(),
            key_id: caller.key_id.clone(),
        }),
        session,
        route: RouteFacts {
            name: route.name.to_string(),
            kind: route.kind().to_owned(),
            decoy: route.decoy.is_some(),
        },
    }
}

fn headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for name in headers.keys().filter(|name| !CREDENTIALS.contains(name)) {
        let values: Vec<&str> = headers
            .get_all(name)
            .iter()
            .filter_map(|value| str::from_utf8(value.as_bytes()).ok())
            .collect();
        if !values.is_empty() {
            facts.insert(name.as_str().to_owned(), values.join(", "));
        }
    }
    facts
}

/// The decision log: one line for each decision, and the same on the span. What a caller controls
/// is escaped; queries and headers are left out, as they carry secrets.
fn log(id: &str, input: &DecisionInput, decision: &Decision) {
    let DecisionInput { request, caller, session, route } = input;
    let Decision { action, reason, policy } = decision;
    let action = action.as_str();
    let span = tracing::Span::current();
    span.record("shieldx.decision.id", id);
    span.record("shieldx.decision.action", action);
    span.record("shieldx.decision.reason", reason);
    span.record("shieldx.decision.policy", policy);
    tracing::info!(
        decision_id = id,
        action,
        reason = ?reason,
        policy,
        route = route.name,
        method = request.method,
        host = request.host,
        path = ?request.path,
        tenant = caller.as_ref().map(|caller| caller.tenant.as_str()),
        key_id = caller.as_ref().map(|caller| caller.key_id.as_str()),
        session = session.as_ref().map(|session| session.id.as_str()),
        risk = session.as_ref().map(|session| session.risk.level.as_str()),
        client_address = request.client_address,
        "decision"
    );
}
