//! Where services meet. A service is handed these traits and does not know who answers: the same
//! process or another machine (DESIGN, services).
//!
//! Every error here says whether trying again can help; none is a denial (invariant 2).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::anomaly::Anomaly;
use crate::assessment::Assessment;
use crate::decision::{Decision, DecisionInput};
use crate::event::Event;
use crate::identity::{Caller, Tenant};
use crate::risk::SessionRisk;
use crate::run::{Recording, RuleSet};

/// A dependency did not answer as it should.
#[derive(Debug, thiserror::Error)]
#[error("{what} failed: {reason}")]
pub struct PortError {
    /// `contauth`, `policy`, `store` …
    pub what: &'static str,
    pub reason: String,
}

/// Why a credential stands for nobody.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error("the API key is not known")]
    Unknown,
    #[error("the API key expired at {at}")]
    Expired { at: String },
    #[error("the API key was revoked")]
    Revoked,
    #[error("keys cannot be checked now: {reason}")]
    Unavailable { reason: String },
}

/// Tells whom an API key stands for.
#[async_trait]
pub trait Authenticator: Send + Sync + std::fmt::Debug {
    async fn authenticate(&self, key: &str) -> Result<Caller, AuthError>;
}

/// What a request tells about the session's surroundings, for the risk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    pub address: Option<String>,
    pub user_agent: Option<String>,
}

/// contauth, as the gateway sees it.
#[async_trait]
pub trait RiskSource: Send + Sync + std::fmt::Debug {
    /// The risk now; a session nobody reported on is *unknown*.
    async fn risk(
        &self,
        tenant: &Tenant,
        session: &str,
        now: &Surroundings,
    ) -> Result<SessionRisk, PortError>;
}

/// The policy, as the gateway sees it. Pure and quick: no I/O behind it.
pub trait Decider: Send + Sync + std::fmt::Debug {
    /// # Errors
    /// When the policy could not be evaluated; the caller denies.
    fn decide(&self, input: &DecisionInput) -> Result<Decision, PortError>;
}

/// A tenant's limits on one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Id of the verification; also the run's id.
    pub id: String,
    /// Absolute path of the artifact's bytes on this machine.
    pub artifact: std::path::PathBuf,
    /// What the file is called inside, one path component, not empty.
    pub file_name: String,
    /// `None`: run the file itself; else the interpreter that runs it (`python3`, `node`, `sh`).
    pub interpreter: Option<String>,
    pub arguments: Vec<String>,
    pub runner: String,
    pub timeout_ms: u64,
    pub memory_bytes: u64,
    pub output_bytes: u64,
}

/// What is told while a run goes on.
#[derive(Debug, Clone)]
pub enum Progress {
    /// A phase began: `build`, `run`, `collect`.
    Phase(&'static str),
    /// Something the monitor saw; not every event is told, the recording has them all. Its id is 0:
    /// ids are given when the run is over.
    Event(Box<Event>),
}

/// Hears about a run; called from any thread and must not block.
pub type Listener = Arc<dyn Fn(Progress) + Send + Sync>;

/// Why there is no recording.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The artifact cannot be run here (wrong machine, no interpreter …); trying again is useless.
    #[error("the artifact cannot be run: {reason}")]
    Unrunnable { reason: String },
    /// The runner is not available on this host.
    #[error("runner {runner} is not available: {reason}")]
    Runner { runner: String, reason: String },
    /// The sandbox could not be built or its process died; another try may work.
    #[error("the run failed: {reason}")]
    Failed { reason: String },
}

/// A pattern that matched some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pub rule: String,
    pub title: String,
    /// Sigma's words: `informational`, `low`, `medium`, `high`, `critical`.
    pub level: String,
    /// ATT&CK technique ids.
    pub techniques: Vec<String>,
    /// Where the first match begins.
    pub offset: u64,
}

/// Looks for known patterns in bytes, as runners see it.
pub trait Scanner: Send + Sync + std::fmt::Debug {
    /// What it looks with.
    fn rule_set(&self) -> RuleSet;

    /// What matches, in the order of the rules. `place` is `artifact`, `file` or `memory`.
    ///
    /// # Errors
    /// When the scan did not come to its end (time, a fault); the run's evidence says so.
    fn scan(&self, place: &str, bytes: &[u8]) -> Result<Vec<Pattern>, PortError>;
}

/// Runs an artifact in a sandbox, as the verifier pool sees it. Dropping the future ends the run
/// and everything in it.
#[async_trait]
pub trait Executor: Send + Sync + std::fmt::Debug {
    /// Names of the runners, each with why it is not available, where it is not.
    fn runners(&self) -> Vec<(String, Option<String>)>;

    async fn execute(
        &self,
        execution: Execution,
        listener: Listener,
    ) -> Result<Recording, ExecuteError>;
}

/// What a recording means, as the verifier pool sees it. Pure.
pub trait Judge: Send + Sync + std::fmt::Debug {
    /// Numbers that describe the run, by name; the same names for every run.
    fn features(&self, recording: &Recording) -> BTreeMap<String, f64>;
    fn assess(&self, recording: &Recording) -> Assessment;
    /// The report as JSON, the same document as `shieldx run --report`.
    fn json(&self, recording: &Recording, assessment: &Assessment) -> Vec<u8>;
    /// The report as one page, from the bytes of the JSON report.
    ///
    /// # Errors
    /// When the bytes are no report.
    fn html(&self, report: &[u8]) -> Result<String, PortError>;
}

/// One run's numbers for ml-service.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFeatures {
    pub tenant: Tenant,
    /// The run is observed once: a second call with the same id gives the first answer's shape and
    /// changes nothing.
    pub run_id: String,
    /// What counts as "the same thing again": same artifact name and interpreter, for example.
    pub workload: String,
    /// Microseconds since 1970.
    pub event_time_us: i64,
    pub values: BTreeMap<String, f64>,
}

/// ml-service, as the verifier pool sees it.
#[async_trait]
pub trait AnomalySource: Send + Sync + std::fmt::Debug {
    /// Keeps the numbers and says how unusual they are against the runs before. Durable when it
    /// returns.
    async fn observe(&self, run: &RunFeatures) -> Result<Anomaly, PortError>;
}
