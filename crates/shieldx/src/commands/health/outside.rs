//! What ShieldX leans on where it is configured: the collector, Prometheus, Alertmanager.

use std::net::{TcpStream, ToSocketAddrs as _};

use serde_json::Value;
use ureq::Agent;

use super::{Row, TIMEOUT, text};
use crate::request::service::HealthRequest;

/// Asks those that are configured.
pub(super) fn ask(agent: &Agent, request: &HealthRequest) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(collector) = &request.outside.collector {
        rows.push(if collector.grpc {
            port(&collector.url)
        } else {
            takes_traces(agent, &collector.url)
        });
    }
    if let Some(prometheus) = &request.outside.prometheus {
        rows.push(is_ready(agent, "prometheus", prometheus));
        rows.extend(scrapes(agent, prometheus, &request.server.internal));
    }
    for alertmanager in &request.outside.alertmanagers {
        rows.push(is_ready(agent, "alertmanager", alertmanager));
    }
    rows
}

/// An export of no spans is a good one (OTLP, section 3).
fn takes_traces(agent: &Agent, url: &str) -> Row {
    let (name, what) = ("collector", "traces");
    let sent = agent.post(url).header("content-type", "application/x-protobuf").send_empty();
    match sent {
        Ok(response) if response.status().is_success() => {
            Row::good(name, what, url, "takes traces")
        }
        Ok(response) => {
            let detail = format!("answers {} to an export of no spans", response.status());
            Row::bad(name, what, url, detail, "is this the collector's OTLP/HTTP receiver (4318)?")
        }
        Err(error) => Row::bad(name, what, url, error.to_string(), COLLECTOR_HINT),
    }
}

const COLLECTOR_HINT: &str =
    "nothing waits for it, but spans are dropped; OTEL_EXPORTER_OTLP_ENDPOINT names it";

/// A gRPC receiver is only asked whether it takes connections.
fn port(url: &str) -> Row {
    let (name, what) = ("collector", "traces");
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    let connected = authority.to_socket_addrs().and_then(|mut addresses| {
        let address = addresses.next().ok_or_else(|| std::io::Error::other("it has no address"))?;
        TcpStream::connect_timeout(&address, TIMEOUT)
    });
    match connected {
        Ok(_) => Row::good(name, what, url, "takes connections (gRPC)"),
        Err(error) => Row::bad(name, what, url, error.to_string(), COLLECTOR_HINT),
    }
}

/// `/-/ready`, which Prometheus and Alertmanager both have.
fn is_ready(agent: &Agent, name: &str, url: &str) -> Row {
    match text(agent, &format!("{url}/-/ready")) {
        Ok(_) => Row::good(name, "ready", url, "ready"),
        Err(reason) => {
            let hint = format!("start {name}, or take it out of the settings");
            Row::bad(name, "ready", url, reason, hint)
        }
    }
}

/// Whether Prometheus scrapes every service, and what stops it.
fn scrapes(agent: &Agent, prometheus: &str, internal: &[(String, String)]) -> Option<Row> {
    let (name, what) = ("prometheus", "scrapes");
    // One that does not answer was said to be down already.
    let answer = text(agent, &format!("{prometheus}/api/v1/targets?state=active")).ok()?;
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    let targets = answer["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
    let mut problems = Vec::new();
    for (service, url) in internal {
        let metrics = format!("{url}/metrics");
        match targets.iter().find(|target| target["scrapeUrl"] == metrics.as_str()) {
            None => problems.push(format!("{service} is no target")),
            Some(target) if target["health"] == "down" => {
                let why = target["lastError"].as_str().unwrap_or("no reason given");
                problems.push(format!("{service}: {}", crate::report::words::safe(why)));
            }
            Some(_) => {}
        }
    }
    if problems.is_empty() {
        return Some(Row::good(name, what, prometheus, format!("{} services", internal.len())));
    }
    let hint = "`shieldx slo generate` writes a scrape configuration; --target says the addresses";
    Some(Row::bad(name, what, prometheus, problems.join("; "), hint))
}
