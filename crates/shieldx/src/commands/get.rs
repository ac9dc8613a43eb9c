//! `shieldx get` and `shieldx list`: what the server has.

use serde_json::Value;

use crate::client::Client;
use crate::environment::Environment;
use crate::exit::{Exit, FailOn};
use crate::failure::Failure;
use crate::output;
use crate::report::terminal::{self, Style};
use crate::report::words::safe;
use crate::report::{Judged, reading};
use crate::request::service::{GetRequest, ListRequest};

/// Prints the report of a verification.
///
/// # Errors
/// When there is none, or the server does not answer.
pub fn get(request: &GetRequest, environment: &Environment) -> Result<Exit, Failure> {
    let client = Client::new(&request.server);
    show(request, &client, environment, None)
}

pub(super) fn show(
    request: &GetRequest,
    client: &Client<'_>,
    environment: &Environment,
    fail_on: Option<FailOn>,
) -> Result<Exit, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::of(Exit::Failed, error);
    let path = format!("/v1/verifications/{}/report", request.id);
    if let Some(destination) = &request.html {
        let page = client.bytes(&path, "text/html")?;
        destination.write(|out| out.write_all(&page)).map_err(|error| failed(&error))?;
    }
    let bytes = client.bytes(&path, "application/json")?;
    let recorded = reading::read(bytes.as_slice()).map_err(|error| failed(&error))?;
    if request.json {
        output::to_stdout(|out| out.write_all(&bytes)).map_err(|error| failed(&error))?;
    } else {
        let style = Style {
            color: environment.color(request.color, environment.stdout_terminal),
            width: environment.width(),
            hint: Some("`shieldx get --html FILE ID` shows every event"),
        };
        let judged = Judged {
            recording: &recorded.recording,
            assessment: &recorded.verdict,
            options: recorded.options,
        };
        let text = terminal::render(&judged, style);
        output::to_stdout(|out| out.write_all(text.as_bytes())).map_err(|error| failed(&error))?;
    }
    let by_verdict = fail_on.and_then(|threshold| Exit::of_verdict(&recorded.verdict, threshold));
    Ok(by_verdict.unwrap_or(Exit::Success))
}

/// Prints a page of verifications.
///
/// # Errors
/// When the server does not answer.
pub fn list(request: &ListRequest) -> Result<Exit, Failure> {
    let client = Client::new(&request.server);
    let mut path = format!("/v1/verifications?limit={}", request.limit);
    for (name, value) in [("state", &request.state), ("before", &request.before)] {
        if let Some(value) = value {
            if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                return Err(Failure::new(Exit::Usage, format!("--{name} {value:?} is none")));
            }
            path.push_str(&format!("&{name}={value}"));
        }
    }
    let page: Value = client.json(&path)?;
    let printed = output::to_stdout(|out| {
        if request.json {
            return writeln!(out, "{page}");
        }
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        if items.is_empty() {
            return writeln!(out, "nothing yet; `shieldx submit FILE` hands something in");
        }
        for item in items {
            writeln!(out, "{}", row(item))?;
        }
        match page["next"].as_str() {
            Some(next) => writeln!(out, "more: shieldx list --before {}", safe(next)),
            None => Ok(()),
        }
    });
    printed.map_err(|error| Failure::of(Exit::Failed, &error))?;
    Ok(Exit::Success)
}

fn row(item: &Value) -> String {
    let text = |value: &Value| value.as_str().map(safe).unwrap_or_default();
    let state = text(&item["state"]);
    let (verdict, score) = match (item["verdict"].as_str(), item["score"].as_u64()) {
        (Some(verdict), Some(score)) => (safe(verdict), format!("{score}/100")),
        _ => (state, String::new()),
    };
    let created = text(&item["created_at"]);
    let created = created.get(..19).unwrap_or(&created);
    format!(
        "{}  {created}  {verdict:<12} {score:>7}  {}",
        text(&item["id"]),
        text(&item["file_name"])
    )
}
