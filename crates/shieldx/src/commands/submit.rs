//! `shieldx submit`: hand a file to the server, follow its run, print the report.

use std::fs::File;
use std::io::{self, Write as _};

use serde_json::Value;
use types::Event;

use super::get;
use crate::client::Client;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::report::words::{self, safe};
use crate::request::service::{GetRequest, SubmitRequest};
use crate::request::show;

/// Submits the file of a request.
///
/// # Errors
/// When the file cannot be read, the server refuses it, or its run came to no report.
pub fn submit(request: &SubmitRequest, environment: &Environment) -> Result<Exit, Failure> {
    let client = Client::new(&request.server);
    let accepted = send(request, &client)?;
    let Some(id) = accepted["id"].as_str() else {
        return Err(Failure::new(Exit::Failed, "the server's answer has no id"));
    };
    if !request.wait {
        let printed = if request.json { accepted.to_string() } else { id.to_owned() };
        output::to_stdout(|out| writeln!(out, "{printed}"))
            .map_err(|error| Failure::of(Exit::Failed, &error))?;
        return Ok(Exit::Success);
    }
    if !request.json {
        tell(&format!("{}  accepted as {}", safe(&request.name), safe(id)));
    }
    follow(&client, id, request, environment)?;
    let get = GetRequest {
        server: request.server.clone(),
        id: id.to_owned(),
        json: request.json,
        html: request.html.clone(),
        color: request.color,
    };
    get::show(&get, &client, environment, request.fail_on)
}

fn send(request: &SubmitRequest, client: &Client<'_>) -> Result<Value, Failure> {
    let unreadable = |error: io::Error| {
        Failure::new(Exit::Failed, format!("cannot read {}: {error}", show(&request.file)))
    };
    let mut file = File::open(&request.file).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(Failure::new(Exit::Usage, format!("{} is no file", show(&request.file))));
    }
    let mut query = vec![("file_name", request.name.clone())];
    query.extend(request.arguments.iter().map(|argument| ("argument", argument.clone())));
    query.extend(request.interpreter.iter().map(|name| ("interpreter", name.clone())));
    query.extend(request.timeout.iter().map(|time| ("timeout_ms", time.as_millis().to_string())));
    let mut headers = Vec::new();
    if let Some(key) = &request.idempotency_key {
        headers.push(("idempotency-key", key.as_str()));
    }
    client.post("/v1/verifications", &query, &headers, &mut file, meta.len())
}

/// Waits for the end of a verification and tells what happens on the way.
fn follow(
    client: &Client<'_>,
    id: &str,
    request: &SubmitRequest,
    environment: &Environment,
) -> Result<(), Failure> {
    let (mut ended, mut failed) = (false, None);
    let width = environment.width();
    client.follow(&format!("/v1/verifications/{id}/events"), &mut |name, data| {
        let event: Value = serde_json::from_str(data).unwrap_or_default();
        ended = matches!(name, "done" | "failed");
        match name {
            "done" => return Ok(false),
            "failed" => {
                failed = Some(event["failure"].as_str().unwrap_or("no reason given").to_owned());
                return Ok(false);
            }
            _ if !request.json => line(name, event, width),
            _ => {}
        }
        Ok(true)
    })?;
    match failed {
        None if ended => Ok(()),
        None => Err(Failure::new(Exit::Failed, "the server ended the stream before the run")
            .hint(format!("nothing is lost: `shieldx get {}` shows it when it is done", safe(id)))),
        Some(reason) => {
            Err(Failure::new(Exit::Failed, format!("there is no report: {}", safe(&reason))))
        }
    }
}

fn line(name: &str, event: Value, width: usize) {
    match name {
        "phase" => tell(&format!("  {}", event["phase"].as_str().map(safe).unwrap_or_default())),
        "event" => {
            if let Ok(event) = serde_json::from_value::<Event>(event) {
                let outcome = words::outcome(&event).map(|text| format!("  {text}"));
                let text = format!("{}{}", words::event(&event), outcome.unwrap_or_default());
                let text = format!("    {} ({})  {text}", event.task.comm, event.task.pid);
                tell(&words::cut(&text, width));
            }
        }
        _ => {}
    }
}

fn tell(line: &str) {
    // Nobody may be reading any more; the exit code still tells the result.
    let _ = writeln!(io::stderr().lock(), "{line}");
}
