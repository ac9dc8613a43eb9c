//! Stand-ins for what other rooms answer: each does what a test tells it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde_json::json;
use types::ports::{
    AnomalySource, AuthError, Authenticator, ExecuteError, Execution, Executor, Judge, Listener,
    PortError, RunFeatures,
};
use types::{
    Activity, Anomaly, Assessment, Caller, Counters, Ending, Evidence, Isolation, Level, Limits,
    Recording, Role, Run, Text, Tier, Verdict,
};

pub(crate) type Play = Arc<
    dyn Fn(Execution, Listener) -> BoxFuture<'static, Result<Recording, ExecuteError>>
        + Send
        + Sync,
>;

/// An executor that does what it is told.
pub(crate) struct Sandbox {
    play: Mutex<Play>,
    pub(crate) begun: AtomicUsize,
    pub(crate) running: AtomicUsize,
    pub(crate) running_max: AtomicUsize,
    pub(crate) seen: Mutex<Vec<Execution>>,
    pub(crate) available: AtomicBool,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sandbox")
    }
}

impl Sandbox {
    /// Every run succeeds at once.
    pub(crate) fn new() -> Arc<Self> {
        let play: Play =
            Arc::new(|execution, _| Box::pin(async move { Ok(recording(&execution.id)) }));
        Arc::new(Self {
            play: Mutex::new(play),
            begun: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            running_max: AtomicUsize::new(0),
            seen: Mutex::default(),
            available: AtomicBool::new(true),
        })
    }

    pub(crate) fn play<F, R>(&self, play: F)
    where
        F: Fn(Execution, Listener) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Recording, ExecuteError>> + Send + 'static,
    {
        *self.play.lock().unwrap() =
            Arc::new(move |execution, listener| Box::pin(play(execution, listener)));
    }
}

/// Counts a run while it goes on, however it ends.
struct Going<'a>(&'a Sandbox);

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Executor for Sandbox {
    fn runners(&self) -> Vec<(String, Option<String>)> {
        let process = if self.available.load(Ordering::SeqCst) {
            None
        } else {
            Some("no user namespaces".to_owned())
        };
        vec![
            ("process".to_owned(), process),
            ("docker".to_owned(), Some("no socket answers".to_owned())),
        ]
    }

    async fn execute(
        &self,
        execution: Execution,
        listener: Listener,
    ) -> Result<Recording, ExecuteError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        let _going = Going(self);
        self.running_max.fetch_max(running, Ordering::SeqCst);
        self.seen.lock().unwrap().push(execution.clone());
        let play = Arc::clone(&self.play.lock().unwrap());
        play(execution, listener).await
    }
}

pub(crate) fn recording(id: &str) -> Recording {
    Recording {
        run: Run {
            id: id.to_owned(),
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            command: vec![Text::from("./artifact")],
            program: Text::from("/artifact"),
            cwd: Text::from("/"),
            runner: "process".to_owned(),
            tier: Tier::B,
            isolation: Isolation { walls: Vec::new() },
            limits: Limits {
                timeout_ms: 1_000,
                memory_bytes: 1 << 20,
                pids: 8,
                cpu_percent: 0,
                output_bytes: 1 << 10,
                disk_bytes: 1 << 20,
            },
            ending: Ending::Exited { code: 0 },
            duration_ns: 1_000_000,
            cpu_us: 900,
            memory_peak_bytes: Some(1 << 20),
            engine: BTreeMap::new(),
            decoys: Vec::new(),
            script: None,
        },
        events: Vec::new(),
        counters: Counters { seen: 7, sent: 7, received: 7, ..Counters::default() },
        faults: Vec::new(),
        output: None,
        anomaly: None,
        rule_sets: Vec::new(),
        matches: Vec::new(),
        activity: Activity::default(),
    }
}

/// A judge whose report says what it was given.
#[derive(Debug, Default)]
pub(crate) struct Bench {
    pub(crate) panics: AtomicBool,
}

impl Judge for Bench {
    fn features(&self, recording: &Recording) -> BTreeMap<String, f64> {
        BTreeMap::from([("events".to_owned(), recording.counters.seen as f64)])
    }

    fn assess(&self, recording: &Recording) -> Assessment {
        assert!(!self.panics.load(Ordering::SeqCst), "the judge was told to panic");
        Assessment {
            verdict: Verdict::Suspicious,
            score: 42,
            reason: "it was told to".to_owned(),
            contributions: Vec::new(),
            detections: Vec::new(),
            evidence: Evidence {
                level: Level::Full,
                tier: Tier::B,
                reasons: Vec::new(),
                blind_detectors: Vec::new(),
                counters: recording.counters.clone(),
            },
            attack_version: "19.1".to_owned(),
            detectors_version: "1".to_owned(),
        }
    }

    fn json(&self, recording: &Recording, assessment: &Assessment) -> Vec<u8> {
        let report = json!({
            "run": recording.run.id,
            "verdict": assessment.verdict,
            "anomaly": recording.anomaly,
        });
        serde_json::to_vec(&report).unwrap()
    }

    fn html(&self, report: &[u8]) -> Result<String, PortError> {
        let report = String::from_utf8_lossy(report);
        Ok(format!("<!DOCTYPE html><title>{}</title>", report.len()))
    }
}

/// ml-service, answering or not.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) fails: AtomicBool,
    pub(crate) observed: Mutex<Vec<RunFeatures>>,
}

#[async_trait]
impl AnomalySource for History {
    async fn observe(&self, run: &RunFeatures) -> Result<Anomaly, PortError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(PortError { what: "ml-service", reason: "it was told to".to_owned() });
        }
        self.observed.lock().unwrap().push(run.clone());
        Ok(Anomaly {
            workload: run.workload.clone(),
            history_runs: 25,
            p_ppm: Some(40_000),
            basis: "25 runs".to_owned(),
            deviations: Vec::new(),
            model: "played 1".to_owned(),
        })
    }
}

/// Keys `<tenant>-<role>`.
#[derive(Debug)]
pub(crate) struct Keys;

#[async_trait]
impl Authenticator for Keys {
    async fn authenticate(&self, key: &str) -> Result<Caller, AuthError> {
        let (tenant, role) = key.rsplit_once('-').ok_or(AuthError::Unknown)?;
        let role: Role = role.parse().map_err(|_| AuthError::Unknown)?;
        let tenant = tenant.parse().map_err(|_| AuthError::Unknown)?;
        Ok(Caller { tenant, role, key_id: key.to_owned() })
    }
}
