//! Alertmanager's v2 API (`POST /api/v2/alerts`): alerts with a start and an end. One that is not
//! told of again in time is over; so what fires is told of again and again, with an end in the future.

use std::collections::BTreeMap;
use std::time::Duration;

use runtime::clock::rfc3339;
use serde::Serialize;
use slo::alerts::Notice;
use slo::{Catalog, Slo};

use super::names::{self, Links};

/// An alert that still fires ends after so many times that it should have been told of again: a
/// restart is shorter. Prometheus does the same.
const RESENDS: u32 = 5;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<&'static str, &'a str>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
}

pub(super) fn endpoint(url: &str) -> String {
    format!("{}/api/v2/alerts", url.trim_end_matches('/'))
}

pub(super) fn body(
    catalog: &Catalog,
    notices: &[(Option<&Slo>, &Notice)],
    links: &Links,
    now_us: i64,
    resend: Duration,
) -> Vec<u8> {
    let later = i64::try_from((resend * RESENDS).as_micros()).unwrap_or(i64::MAX);
    let runbooks: Vec<String> =
        notices.iter().map(|(slo, notice)| links.runbook(catalog, *slo, notice)).collect();
    let alerts = notices.iter().zip(&runbooks).map(|((slo, notice), runbook)| {
        let until_us = if notice.firing {
            now_us.saturating_add(later)
        } else {
            notice.ended_us.unwrap_or(now_us)
        };
        Alert {
            labels: names::labels(*slo, notice),
            annotations: [
                ("summary", notice.summary.as_str()),
                ("description", notice.description.as_str()),
                ("runbook_url", runbook.as_str()),
            ]
            .into(),
            starts_at: rfc3339(notice.since_us),
            ends_at: rfc3339(until_us),
            generator_url: links.objective(notice),
        }
    });
    serde_json::to_vec(&alerts.collect::<Vec<_>>()).unwrap_or_default()
}
