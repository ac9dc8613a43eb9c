//! `shieldx health`: everything that ShieldX is made of and leans on, asked one after the other: each
//! service, each `/metrics`, and the collector, Prometheus and Alertmanager where they are configured.

use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use ureq::Agent;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::report::words::safe;
use crate::request::service::{HealthRequest, Server};

mod outside;

const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read.
const ANSWER_MAX_BYTES: u64 = 16 << 20;

/// One line of the answer.
#[derive(Debug, Serialize)]
struct Row {
    /// A service, or who is outside: `collector`, `prometheus`, `alertmanager`.
    name: String,
    /// `readyz`, `metrics`, `traces`, `ready`, `scrapes`.
    what: &'static str,
    url: String,
    ok: bool,
    /// What was seen.
    detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Row {
    fn good(name: &str, what: &'static str, url: &str, detail: impl Into<String>) -> Self {
        let (name, url) = (safe(name), safe(url));
        Self { name, what, url, ok: true, detail: detail.into(), hint: None }
    }

    fn bad(
        name: &str,
        what: &'static str,
        url: &str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let hint = Some(hint.into());
        Self { ok: false, hint, ..Self::good(name, what, url, detail) }
    }
}

/// Asks everything.
///
/// # Errors
/// When standard output cannot be written.
pub fn health(request: &HealthRequest) -> Result<Exit, Failure> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(TIMEOUT))
        .build()
        .into();
    let mut rows = services(&agent, &request.server);
    if rows.is_empty() {
        rows.push(door(&agent, &request.server));
    }
    rows.extend(outside::ask(&agent, request));
    let printed = output::to_stdout(|out| {
        if request.json {
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            return writeln!(out);
        }
        for row in &rows {
            let mark = if row.ok { "ok  " } else { "DOWN" };
            let Row { name, what, url, detail, .. } = row;
            writeln!(out, "{mark}  {name:<14} {what:<8} {url:<30} {detail}")?;
            if let Some(hint) = &row.hint {
                writeln!(out, "      hint: {hint}")?;
            }
        }
        Ok(())
    });
    printed.map_err(|error| Failure::of(Exit::Failed, &error))?;
    Ok(if rows.iter().all(|row| row.ok) { Exit::Success } else { Exit::Differs })
}

/// All at once: a server that hangs should not be waited for twelve times.
fn services(agent: &Agent, server: &Server) -> Vec<Row> {
    std::thread::scope(|scope| {
        let mut asked = Vec::new();
        for (service, url) in &server.internal {
            asked.push(scope.spawn(move || ready(agent, service, url)));
            asked.push(scope.spawn(move || metrics(agent, service, url)));
        }
        let done = |row: ScopedJoinHandle<'_, Row>| row.join().unwrap_or_else(|p| resume_unwind(p));
        asked.into_iter().map(done).collect()
    })
}

/// `/readyz` of a service's internal listener.
fn ready(agent: &Agent, service: &str, url: &str) -> Row {
    let mut response = match agent.get(format!("{url}/readyz")).call() {
        Ok(response) => response,
        Err(error) => {
            let hint = "is `shieldx up` running? its log says what stopped it";
            return Row::bad(service, "readyz", url, error.to_string(), hint);
        }
    };
    let ready = response.status().is_success();
    let answer: Value = response.body_mut().read_json().unwrap_or_default();
    // Whoever else listens there may well answer, too.
    if answer["service"] != service {
        let who = answer["service"].as_str().map_or_else(
            || format!("answers {}, and is no service of ShieldX", response.status()),
            |other| format!("{} answers there", safe(other)),
        );
        let hint = "another program has this port; restart `shieldx up`, or choose another address";
        return Row::bad(service, "readyz", url, who, hint);
    }
    let dependencies = answer["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |state: &Value, key: &str| state[key].as_str().map(safe).unwrap_or_default();
    if ready {
        let there = dependencies.iter().filter(|state| state["ready"] == true);
        let names: Vec<String> = there.map(|state| text(state, "name")).collect();
        let detail = if names.is_empty() { "needs nothing".to_owned() } else { names.join(", ") };
        return Row::good(service, "readyz", url, detail);
    }
    let reasons: Vec<String> = dependencies
        .iter()
        .filter(|state| state["ready"] != true && state["required"] != false)
        .map(|state| format!("{}: {}", text(state, "name"), text(state, "reason")))
        .collect();
    let hint = "it works again by itself once what it needs does; its log has the whole story";
    Row::bad(service, "readyz", url, reasons.join("; "), hint)
}

/// `/metrics`: whole, and not empty.
fn metrics(agent: &Agent, service: &str, url: &str) -> Row {
    let hint = "Prometheus would see nothing of it; the service's log says why";
    let bad = |detail: String| Row::bad(service, "metrics", url, detail, hint);
    match text(agent, &format!("{url}/metrics")) {
        Err(reason) => bad(reason),
        Ok(text) if !text.ends_with("# EOF\n") => bad("the text has no end".to_owned()),
        Ok(text) => {
            let series = text.lines().filter(|line| !line.starts_with('#')).count();
            let families = text.lines().filter(|line| line.starts_with("# TYPE")).count();
            if series == 0 {
                return bad("there are no series".to_owned());
            }
            Row::good(service, "metrics", url, format!("{families} metrics, {series} series"))
        }
    }
}

/// An answer as text, or why there is none.
fn text(agent: &Agent, url: &str) -> Result<String, String> {
    let request =
        agent.get(url).header("accept", "application/openmetrics-text;version=1.0.0,*/*;q=0.5");
    let mut response = request.call().map_err(|error| error.to_string())?;
    if !response.status().is_success() {
        return Err(format!("answers {}", response.status()));
    }
    let body = response.body_mut().with_config().limit(ANSWER_MAX_BYTES).read_to_string();
    body.map_err(|error| error.to_string())
}

/// A server elsewhere shows only its public door: whether it answers at all, and with the key.
fn door(agent: &Agent, server: &Server) -> Row {
    let (name, what, url) = ("ingress", "door", &server.url);
    let mut request = agent.get(format!("{url}/v1/verifications?limit=1"));
    if let Some(key) = &server.key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    match request.call() {
        Ok(mut response) if response.status().is_success() => {
            let answer: Value = response.body_mut().read_json().unwrap_or_default();
            if answer["items"].is_array() {
                return Row::good(name, what, url, "answers, the key is good");
            }
            let detail = format!("answers {}, and is no ShieldX", response.status());
            Row::bad(name, what, url, detail, "does --server name the right address?")
        }
        Ok(response) if response.status().as_u16() == 401 => {
            let hint = "set SHIELDX_API_KEY; `shieldx key list` on the server shows the keys";
            Row::bad(name, what, url, "answers, and does not know the key", hint)
        }
        Ok(response) => {
            let detail = format!("answers {}", response.status());
            Row::bad(name, what, url, detail, "`shieldx health` on the server itself says more")
        }
        Err(error) => {
            let hint = "`shieldx up` starts a server; --server names another one";
            Row::bad(name, what, url, error.to_string(), hint)
        }
    }
}
