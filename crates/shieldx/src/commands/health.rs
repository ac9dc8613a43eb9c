//! `shieldx health`: every service asked whether it is ready.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use ureq::Agent;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::report::words::safe;
use crate::request::service::{HealthRequest, Server};

const TIMEOUT: Duration = Duration::from_secs(5);

/// One line of the answer.
#[derive(Debug, Serialize)]
struct Row {
    service: String,
    url: String,
    ready: bool,
    reason: String,
}

/// Asks every service.
///
/// # Errors
/// When standard output cannot be written.
pub fn health(request: &HealthRequest) -> Result<Exit, Failure> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(TIMEOUT))
        .build()
        .into();
    let mut rows: Vec<Row> =
        request.server.internal.iter().map(|(service, url)| ask(&agent, service, url)).collect();
    if rows.is_empty() {
        rows.push(door(&agent, &request.server));
    }
    let printed = output::to_stdout(|out| {
        if request.json {
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            return writeln!(out);
        }
        for row in &rows {
            let mark = if row.ready { "ready" } else { "DOWN " };
            writeln!(out, "{mark}  {:<14} {:<28} {}", row.service, row.url, row.reason)?;
        }
        Ok(())
    });
    printed.map_err(|error| Failure::of(Exit::Failed, &error))?;
    Ok(if rows.iter().all(|row| row.ready) { Exit::Success } else { Exit::Differs })
}

/// `/readyz` of a service's internal listener.
fn ask(agent: &Agent, service: &str, url: &str) -> Row {
    let row = |ready, reason| Row { service: safe(service), url: safe(url), ready, reason };
    let mut response = match agent.get(format!("{url}/readyz")).call() {
        Ok(response) => response,
        Err(error) => {
            return row(
                false,
                format!("{error}: is `shieldx up` running? its log says what stopped it"),
            );
        }
    };
    let ready = response.status().is_success();
    let answer: Value = response.body_mut().read_json().unwrap_or_default();
    let dependencies = answer["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |state: &Value| state["name"].as_str().map(safe).unwrap_or_default();
    let reasons: Vec<String> = dependencies
        .iter()
        .filter(|state| state["ready"] != true)
        .map(|state| {
            format!("{}: {}", name(state), state["reason"].as_str().map(safe).unwrap_or_default())
        })
        .collect();
    let names: Vec<String> = dependencies.iter().map(name).collect();
    row(ready, if ready { names.join(", ") } else { reasons.join("; ") })
}

/// A server elsewhere shows only its public door: whether it answers at all, and with the key.
fn door(agent: &Agent, server: &Server) -> Row {
    let mut request = agent.get(format!("{}/v1/verifications?limit=1", server.url));
    if let Some(key) = &server.key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let (ready, reason) = match request.call() {
        Ok(response) if response.status().is_success() => {
            (true, "answers, the key is good".to_owned())
        }
        Ok(response) => (false, format!("answers {}", response.status())),
        Err(error) => (false, error.to_string()),
    };
    Row { service: "ingress".to_owned(), url: safe(&server.url), ready, reason }
}
