//! The shapes of the API's answers, described for OpenAPI.

use serde::{Deserialize, Serialize};
use types::{RiskLevel, SessionRisk, Signal};
use utoipa::openapi::schema::Schema;
use utoipa::{IntoParams, ToSchema};

use crate::service::Reported;
use crate::telemetry::address_schema;

/// What is known of the request a risk is asked for; telemetry that came from elsewhere does not
/// vouch for it.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Requester {
    /// IP address the request came from.
    #[param(schema_with = address)]
    pub(super) address: Option<String>,
    #[param(max_length = 1024)]
    pub(super) user_agent: Option<String>,
}

fn address() -> Schema {
    address_schema().build().into()
}

/// A session's risk.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct RiskAnswer {
    /// The logistic of the summed contributions.
    #[schema(minimum = 0, maximum = 1)]
    risk: f64,
    level: LevelAnswer,
    /// Whom the session belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Strongest first, the prior last; their contributions add up to the risk's logit.
    signals: Vec<SignalAnswer>,
    /// When the newest telemetry was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    observed_at: Option<String>,
}

/// `unknown`: too little is known of the subject or the session, neither trusted nor suspected.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum LevelAnswer {
    Unknown,
    Low,
    Elevated,
    High,
}

/// One reason.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct SignalAnswer {
    /// `typing`, `pointer`, `device`, `address`, `replay`, `request-agent`, `request-address`,
    /// `enrolment`, `prior`.
    name: String,
    /// What was seen.
    detail: String,
    /// Natural log-likelihood ratio; positive speaks for somebody else.
    contribution: f64,
}

/// What a report is answered with: the risk now, and whether the report was counted.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ReportAnswer {
    /// `false`: a report with this sequence number or a later one was counted before.
    counted: bool,
    #[serde(flatten)]
    risk: RiskAnswer,
}

impl From<Reported> for ReportAnswer {
    fn from(reported: Reported) -> Self {
        Self { counted: reported.counted, risk: reported.risk.into() }
    }
}

impl From<SessionRisk> for RiskAnswer {
    fn from(risk: SessionRisk) -> Self {
        let level = match risk.level {
            RiskLevel::Unknown => LevelAnswer::Unknown,
            RiskLevel::Low => LevelAnswer::Low,
            RiskLevel::Elevated => LevelAnswer::Elevated,
            RiskLevel::High => LevelAnswer::High,
        };
        let signals = risk.signals.into_iter().map(SignalAnswer::from).collect();
        let SessionRisk { risk, subject, observed_at, .. } = risk;
        Self { risk, level, subject, signals, observed_at }
    }
}

impl From<Signal> for SignalAnswer {
    fn from(Signal { name, detail, contribution }: Signal) -> Self {
        Self { name, detail, contribution }
    }
}
