//! What a webhook gets: one POST for each change of an alert.
//!
//! ```json
//! {
//!   "version": 1,
//!   "id": "gateway-latency-page@1764000000000000-firing",
//!   "status": "firing", "frozen": false,
//!   "alert": "SloBurnsFast",
//!   "slo": "gateway-latency", "service": "gateway", "severity": "page", "team": null,
//!   "starts_at": "2025-11-24T16:00:00Z", "ends_at": null,
//!   "summary": "…", "description": "…",
//!   "url": "http://127.0.0.1:8088/slo/gateway-latency",
//!   "runbook_url": "http://127.0.0.1:8088/runbooks/gateway-latency-page",
//!   "sent_at": "2025-11-24T16:00:01Z"
//! }
//! ```
//!
//! `status` is `firing` or `resolved`; `frozen` says that there is no data to tell whether it still
//! fires: that begins and ends with a POST of its own. What was not answered with 2xx is sent again; `id` is the same
//! then, and another one for every change. Where a secret is configured, the header
//! `X-ShieldX-Signature: t=<seconds since 1970>,v1=<hex>` has the HMAC-SHA-256 of `t`, a dot and the
//! body; a receiver refuses what is older than a few minutes.

use runtime::clock::rfc3339;
use serde::Serialize;
use slo::alerts::Notice;
use slo::{Catalog, Slo};

use super::names::{self, Links};

/// The header of a signed webhook.
pub const SIGNATURE_HEADER: &str = "x-shieldx-signature";

#[derive(Debug, Serialize)]
struct Body<'a> {
    version: u8,
    id: String,
    status: &'static str,
    frozen: bool,
    alert: &'static str,
    slo: &'a str,
    service: &'a str,
    severity: &'static str,
    team: Option<&'a str>,
    starts_at: String,
    ends_at: Option<String>,
    summary: &'a str,
    description: &'a str,
    url: String,
    runbook_url: String,
    sent_at: String,
}

pub(super) fn body(
    catalog: &Catalog,
    slo: Option<&Slo>,
    notice: &Notice,
    links: &Links,
    now_us: i64,
) -> Vec<u8> {
    let status = if notice.firing { "firing" } else { "resolved" };
    let frozen = if notice.frozen { "-frozen" } else { "" };
    let body = Body {
        version: 1,
        id: format!("{}@{}-{status}{frozen}", names::key(notice), notice.changed_us),
        status,
        frozen: notice.frozen,
        alert: names::kind(notice).alertname(),
        slo: notice.slo.as_str(),
        service: &notice.service,
        severity: notice.severity.as_str(),
        team: notice.team.as_deref(),
        starts_at: rfc3339(notice.since_us),
        ends_at: notice.ended_us.map(rfc3339),
        summary: &notice.summary,
        description: &notice.description,
        url: links.objective(notice),
        runbook_url: links.runbook(catalog, slo, notice),
        sent_at: rfc3339(now_us),
    };
    serde_json::to_vec(&body).unwrap_or_default()
}
