//! A run is kept and told how unusual it is.

use std::time::Instant;

use async_trait::async_trait;
use runtime::clock;
use tracing::field::Empty;
use types::cause::chain;
use types::ports::{AnomalySource, PortError, RunFeatures};
use types::{Anomaly, Deviation};

use super::reference::Opinion;
use super::{HISTORY_RUNS, MIN_RUNS, MODEL, P_PPM, RUN_ID, VIEW, is_feature};
use crate::error::MlError;
use crate::index::COLUMNS_MAX;
use crate::metrics::{Outcome, Phase};
use crate::pipeline::validate::{Row, Validated, Values, validate_rows};
use crate::pipeline::{self, admit, encode};
use crate::service::MlService;
use crate::value::Value;

#[async_trait]
impl AnomalySource for MlService {
    /// The run joins the log and the reference; the answer rests on the runs before it. Idempotent
    /// by run id for the tenant's last hundred thousand runs: a repeated call keeps nothing and
    /// gives the first answer, as long as the runs that rested on are still in memory.
    async fn observe(&self, run: &RunFeatures) -> Result<Anomaly, PortError> {
        observe(self, run).await.map_err(|error| {
            self.core().metrics.observed(Outcome::Failed);
            PortError { what: "ml-service", reason: chain(&error) }
        })
    }
}

#[tracing::instrument(
    skip_all,
    name = "observe",
    fields(
        shieldx.tenant = run.tenant.as_str(),
        features = run.values.len(),
        ml.pipeline.duration_ms = Empty,
        otel.status_code = Empty
    )
)]
async fn observe(service: &MlService, run: &RunFeatures) -> Result<Anomaly, MlError> {
    let begun = Instant::now();
    let observed = take_in(service, run, begun).await;
    pipeline::told(begun, &observed);
    observed
}

async fn take_in(
    service: &MlService,
    run: &RunFeatures,
    begun: Instant,
) -> Result<Anomaly, MlError> {
    check(run)?;
    let core = service.core();
    let locked = admit::lock(core, &run.tenant, VIEW).await?;
    let opinion = {
        let _span = tracing::info_span!("score").entered();
        let (workload, id) = (&run.workload, &run.run_id);
        core.references.opinion(&run.tenant, workload, id, &run.values, MIN_RUNS)
    };
    let (known, scored) = (opinion.known, opinion.score.is_some());
    let anomaly = anomaly(run, opinion);
    if known {
        admit::abandon(core, locked);
        core.metrics.observed(Outcome::Repeated);
        return Ok(anomaly);
    }
    let metrics = &core.metrics;
    let validated = match pipeline::timed(metrics, Phase::Validate, || row(run, &anomaly)) {
        Ok(validated) => validated,
        Err(error) => {
            admit::abandon(core, locked);
            return Err(error);
        }
    };
    let admitted =
        pipeline::timed(metrics, Phase::Admit, || admit::admit(core, locked, validated))?;
    let encoded = pipeline::timed(metrics, Phase::Encode, || encode::encode(admitted));
    let accepted = pipeline::commit(service, encoded, ()).await?;
    core.metrics.ingested(accepted.rows, begun.elapsed());
    core.metrics.observed(if scored { Outcome::Scored } else { Outcome::TooFew });
    Ok(anomaly)
}

fn check(run: &RunFeatures) -> Result<(), MlError> {
    let wrong = |what, reason: String| Err(MlError::Run { what, reason });
    if run.run_id.is_empty() {
        return wrong("id", "it is empty".to_owned());
    }
    if run.values.is_empty() {
        return wrong("feature vector", "it is empty".to_owned());
    }
    if let Some(name) = run.values.keys().find(|name| !is_feature(name)) {
        return wrong("feature name", format!("{name} is ShieldX's own"));
    }
    Ok(())
}

/// The row that is kept: the features, the run's id and what was said of it.
fn row(run: &RunFeatures, anomaly: &Anomaly) -> Result<Validated, MlError> {
    let whole = |number: u32| Value::Integer(number.into());
    let mut values = vec![
        (RUN_ID.to_owned(), Value::Text(run.run_id.as_str().into())),
        (P_PPM.to_owned(), anomaly.p_ppm.map_or(Value::Null, whole)),
        (HISTORY_RUNS.to_owned(), whole(anomaly.history_runs)),
    ];
    let features = run.values.iter();
    values.extend(features.map(|(name, value)| (name.clone(), Value::from_double(*value))));
    let row = Row {
        entity: run.workload.clone(),
        event_time: clock::rfc3339(run.event_time_us),
        values: Values(values),
    };
    validate_rows(VIEW, vec![row], 1, COLUMNS_MAX)
}

fn anomaly(run: &RunFeatures, opinion: Opinion) -> Anomaly {
    let basis = match &opinion.score {
        None => format!("too few runs ({} of {MIN_RUNS})", opinion.history),
        Some(score) => {
            format!(
                "{} of the last {} runs were at least as strange",
                score.at_least, score.history
            )
        }
    };
    let p_ppm = opinion.score.as_ref().map(|score| score.p_ppm);
    let told = opinion.score.map(|score| score.deviations).unwrap_or_default();
    let deviations = told.into_iter().zip(opinion.names).map(|(one, name)| Deviation {
        feature: name.into_string(),
        value_milli: one.value_milli,
        median_milli: one.median_milli,
        robust_z_milli: one.robust_z_milli,
    });
    Anomaly {
        workload: run.workload.clone(),
        history_runs: opinion.history,
        p_ppm,
        basis,
        deviations: deviations.collect(),
        model: MODEL.to_owned(),
    }
}
