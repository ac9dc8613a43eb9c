//! How alerts are called: exactly as in the rules that are made for Prometheus, so that an Alertmanager
//! that hears of one from both wakes nobody twice.

use std::collections::BTreeMap;

use slo::alerts::{Kind, Notice};
use slo::generate::Settings;
use slo::generate::names::{AlertKind, alert_labels, runbook_url};
use slo::{Catalog, Slo};

/// Where people go on reading.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    settings: Settings,
}

impl Links {
    pub(crate) fn new(console_url: &str) -> Self {
        let console_url = console_url.trim_end_matches('/').to_owned();
        Self { settings: Settings { console_url, ..Settings::default() } }
    }

    pub(super) fn objective(&self, notice: &Notice) -> String {
        format!("{}/slo/{}", self.settings.console_url, notice.slo)
    }

    pub(super) fn runbook(&self, catalog: &Catalog, slo: Option<&Slo>, notice: &Notice) -> String {
        match slo {
            Some(slo) => runbook_url(catalog, &self.settings, slo, kind(notice)),
            None => self.objective(notice),
        }
    }
}

pub(super) fn kind(notice: &Notice) -> AlertKind {
    match notice.kind {
        Kind::Burn => AlertKind::Burn(notice.severity),
        Kind::NoData => AlertKind::NoData,
    }
}

/// Tells alerts apart.
pub(super) fn key(notice: &Notice) -> String {
    format!("{}-{}", notice.slo, kind(notice).suffix())
}

pub(super) fn labels(slo: Option<&Slo>, notice: &Notice) -> BTreeMap<String, String> {
    if let Some(slo) = slo {
        return alert_labels(slo, kind(notice)).into_iter().collect();
    }
    let (slo, service) = (notice.slo.as_str(), notice.service.as_str());
    let severity = notice.severity.as_str();
    let labels = [
        ("alertname", kind(notice).alertname()),
        ("service", service),
        ("severity", severity),
        ("slo", slo),
        ("sloth_id", slo),
        ("sloth_service", service),
        ("sloth_severity", severity),
        ("sloth_slo", slo),
    ];
    let team = notice.team.as_deref().map(|team| ("team", team));
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    labels.into_iter().chain(team).map(own).collect()
}
