//! How unusual a run is against the tenant's earlier runs of the same workload.
//!
//! Runs are rows of the reserved view [`VIEW`] (entity: the workload), written through the same
//! log as everything else. The model is [`robust_z`]; the figure it gives is a conformal p-value:
//! where this run and the earlier ones are exchangeable, P(p ≤ α) ≤ α for every α (Vovk, Gammerman
//! and Shafer, *Algorithmic Learning in a Random World*, 2005, proposition 2.3). It is *not* a
//! probability of malice, and drift voids it.
//!
//! Every run joins the reference, because a run is observed before anybody judges it. Somebody who
//! submits the same strange thing again and again makes it ordinary: after k such runs among n the
//! p-value cannot be less than (k + 1)/(n + 1). This hides nothing from detections, and it is why an
//! anomaly may raise suspicion and can neither convict nor acquit.

mod logarithm;
mod observe;
mod reference;
pub mod robust_z;

pub use reference::References;

/// The view that runs are kept in. Callers can read it and not write it.
pub const VIEW: &str = "runs";
/// Fewer earlier runs say nothing: p could not fall below 1/20.
pub const MIN_RUNS: u32 = 20;
/// Name and version of the model.
pub const MODEL: &str = "robust-z/1";

/// Columns of [`VIEW`] that are no features of the run.
const RUN_ID: &str = "run_id";
const P_PPM: &str = "anomaly_p_ppm";
const HISTORY_RUNS: &str = "anomaly_history_runs";

fn is_feature(column: &str) -> bool {
    ![RUN_ID, P_PPM, HISTORY_RUNS].contains(&column)
}
