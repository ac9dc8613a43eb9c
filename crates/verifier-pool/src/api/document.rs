//! What a verification looks like from outside.

use runtime::clock::rfc3339;
use serde::{Deserialize, Serialize};
use store::domain::{Page, State, Verification};
use utoipa::ToSchema;

/// Where a verification stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum VerificationState {
    Queued,
    Running,
    /// There is a report.
    Done,
    /// There will be none; `failure` says why.
    Failed,
}

impl From<State> for VerificationState {
    fn from(state: State) -> Self {
        match state {
            State::Queued => Self::Queued,
            State::Running => Self::Running,
            State::Done => Self::Done,
            State::Failed => Self::Failed,
        }
    }
}

impl From<VerificationState> for State {
    fn from(state: VerificationState) -> Self {
        match state {
            VerificationState::Queued => Self::Queued,
            VerificationState::Running => Self::Running,
            VerificationState::Done => Self::Done,
            VerificationState::Failed => Self::Failed,
        }
    }
}

/// One verification.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VerificationDocument {
    /// UUIDv7; later submissions have greater ids.
    #[schema(format = "uuid")]
    id: String,
    state: VerificationState,
    /// What the artifact is called inside the sandbox.
    #[schema(max_length = 255)]
    file_name: String,
    /// SHA-256 of the artifact.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
    #[schema(minimum = 1)]
    size_bytes: u64,
    /// What the artifact was recognised as: `elf`, `script`, `python`, `node`, `shell`.
    kind: String,
    /// What runs it; absent when it runs itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    interpreter: Option<String>,
    /// Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 64)]
    arguments: Option<Vec<String>>,
    runner: String,
    #[schema(minimum = 1)]
    timeout_ms: u64,
    /// How often a worker began it.
    attempts: u32,
    #[schema(format = DateTime)]
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    finished_at: Option<String>,
    /// `benign`, `suspicious`, `malicious`, `inconclusive`; absent before `done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    verdict: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, maximum = 100)]
    score: Option<u32>,
    /// Why this verdict, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// `full`, `reduced`, `incomplete`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    evidence: Option<String>,
    /// Why there will be no report.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    failure: Option<String>,
    /// The key it was submitted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    idempotency_key: Option<String>,
    /// The trace of the request that submitted it, and of its run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    trace_id: Option<String>,
    links: Links,
}

/// Paths of what belongs to a verification.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Links {
    #[serde(rename = "self")]
    this: String,
    report: String,
    events: String,
}

/// One page of a list, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PageDocument {
    #[schema(max_items = 1000)]
    items: Vec<VerificationDocument>,
    /// What to pass as `before` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "uuid")]
    next: Option<String>,
}

pub(super) fn location(id: &str) -> String {
    format!("/v1/verifications/{id}")
}

impl From<Verification> for VerificationDocument {
    fn from(verification: Verification) -> Self {
        let Verification { id, order, state, summary, .. } = verification;
        let this = location(&id);
        let links =
            Links { report: format!("{this}/report"), events: format!("{this}/events"), this };
        // version "-" trace id "-" parent id "-" flags (W3C Trace Context).
        let traceparent = order.traceparent.as_deref();
        let trace_id = traceparent.and_then(|text| text.split('-').nth(1)).map(str::to_owned);
        Self {
            id,
            state: state.into(),
            file_name: order.file_name,
            sha256: order.sha256,
            size_bytes: order.size_bytes,
            kind: order.kind,
            interpreter: order.interpreter,
            arguments: Some(order.arguments),
            runner: order.runner,
            timeout_ms: order.timeout_ms,
            attempts: verification.attempts,
            created_at: rfc3339(verification.created_us),
            started_at: verification.started_us.map(rfc3339),
            finished_at: verification.finished_us.map(rfc3339),
            verdict: summary.as_ref().map(|summary| summary.verdict.clone()),
            score: summary.as_ref().map(|summary| summary.score),
            evidence: summary.as_ref().map(|summary| summary.evidence.clone()),
            reason: summary.map(|summary| summary.reason),
            failure: verification.failure,
            idempotency_key: verification.idempotency_key,
            trace_id,
            links,
        }
    }
}

impl From<Page> for PageDocument {
    fn from(page: Page) -> Self {
        let item = |verification| {
            // Arguments can be long, and a page has a thousand items.
            VerificationDocument { arguments: None, ..VerificationDocument::from(verification) }
        };
        Self { items: page.items.into_iter().map(item).collect(), next: page.next }
    }
}
