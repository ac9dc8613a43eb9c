//! `shieldx slo gate` and `mark`: what a pipeline asks and tells.

use std::fmt::Write as _;

use runtime::clock::{Clock as _, System, rfc3339};
use slo::gate::{Answer, Ask, Decision, Reason};

use super::{print, print_json};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::words::safe;
use crate::request::service::Server;

/// Asks whether to deploy. A server that does not answer is *unknown*, never a way through.
pub(super) fn gate(server: &Server, ask: &Ask, json: bool) -> Result<Exit, Failure> {
    let mut query = Vec::new();
    query.extend(ask.service.iter().map(|service| ("service", service.clone())));
    query.extend(ask.change.iter().map(|change| ("change", change.clone())));
    let headers: Vec<(&str, &str)> =
        ask.override_token.iter().map(|token| ("deploy-override", token.as_str())).collect();
    let decision = match Client::new(server).asked("/v1/gate", &query, &headers) {
        Ok(decision) => decision,
        // What we said is wrong: that is no answer about deploying.
        Err(failure)
            if failure.message.starts_with("400") || failure.message.starts_with("404") =>
        {
            return Err(Failure { exit: Exit::Usage, ..failure });
        }
        Err(failure) => unreachable(&failure),
    };
    if json {
        print_json(&decision)?;
    } else {
        print(&words(&decision))?;
    }
    Ok(match decision.answer {
        Answer::Allow => Exit::Success,
        Answer::Slow => Exit::GateSlow,
        Answer::Freeze => Exit::GateFreeze,
        Answer::Unknown => Exit::GateUnknown,
    })
}

fn unreachable(failure: &Failure) -> Decision {
    let hint = failure.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    Decision {
        answer: Answer::Unknown,
        answer_of_budgets: Answer::Unknown,
        at_us: System.now_us(),
        reasons: Vec::new(),
        opens_at_us: None,
        lifted_by: None,
        override_refused: None,
        note: Some(format!("{}{hint}", failure.message)),
    }
}

fn words(decision: &Decision) -> String {
    let mut text = format!("{}\n", decision.answer.as_str().to_uppercase());
    // Writing into a string does not fail.
    if let Some(note) = &decision.note {
        let _ = writeln!(text, "  {}", safe(note));
    }
    for Reason { slo, answer, text: why } in &decision.reasons {
        let _ = writeln!(text, "  {:<8} {:<26} {}", answer.as_str(), slo.as_str(), safe(why));
    }
    if let Some(at) = decision.opens_at_us {
        let _ = writeln!(text, "  opens again at {}, if nothing more goes wrong", rfc3339(at));
    }
    if let Some(why) = &decision.lifted_by {
        let was = decision.answer_of_budgets.as_str();
        let _ = writeln!(text, "  would be {was}; lifted by {}", safe(why));
    }
    if let Some(why) = &decision.override_refused {
        let _ = writeln!(text, "  the override is refused: {}", safe(why));
    }
    text
}

pub(super) fn mark(server: &Server, service: Option<&str>, what: &str) -> Result<Exit, Failure> {
    let body = serde_json::json!({ "service": service, "text": what });
    Client::new(server).tell("/v1/deploys", &body)?;
    Ok(Exit::Success)
}
