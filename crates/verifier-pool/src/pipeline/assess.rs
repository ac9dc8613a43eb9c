//! Has the recording judged and the report written. What is suspicious, the judge knows.

use std::sync::Arc;

use store::domain::Summary;
use tracing::field::Empty;
use types::{Assessment, Level};

use super::Setback;
use super::anomaly::Compared;
use crate::pool::Pool;

/// A verdict and its report.
#[derive(Debug)]
pub(super) struct Assessed {
    pub(super) assessment: Assessment,
    pub(super) report: Vec<u8>,
}

impl Assessed {
    pub(super) fn summary(&self) -> Summary {
        let evidence = match self.assessment.evidence.level {
            Level::Full => "full",
            Level::Reduced => "reduced",
            Level::Incomplete => "incomplete",
        };
        Summary {
            verdict: self.assessment.verdict.to_string(),
            score: self.assessment.score,
            reason: self.assessment.reason.clone(),
            evidence: evidence.to_owned(),
        }
    }
}

#[tracing::instrument(
    skip_all,
    name = "assess",
    fields(verdict = Empty, score = Empty, detections = Empty, report.bytes = Empty)
)]
pub(super) async fn assess(pool: &Pool, compared: Compared) -> Result<Assessed, Setback> {
    let judge = Arc::clone(&pool.parts.judge);
    let Compared { recording, mut counting } = compared;
    let assessed = tokio::task::spawn_blocking(move || {
        let assessment = judge.assess(&recording);
        let report = judge.json(&recording, &assessment);
        Assessed { assessment, report }
    });
    let assessed = assessed.await.map_err(|error| Setback::Again {
        reason: format!("the run could not be judged: {error}"),
    })?;
    counting.judged(assessed.assessment.verdict);
    let span = tracing::Span::current();
    span.record("verdict", tracing::field::display(assessed.assessment.verdict));
    span.record("score", assessed.assessment.score);
    span.record("detections", assessed.assessment.detections.len());
    span.record("report.bytes", assessed.report.len());
    Ok(assessed)
}
