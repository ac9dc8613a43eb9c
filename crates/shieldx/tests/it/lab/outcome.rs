//! What one run left, and what must hold in every run whatever ran.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, ExitStatus};

use serde_json::Value;
use types::{Assessment, Event, Kind, Level, Run};

use super::{Lab, shell_code};

/// What one run left: the exit status of `shieldx` and its document.
pub(crate) struct Outcome {
    /// The pid that `shieldx` had.
    pub(crate) supervisor: u32,
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
    pub(crate) document: Value,
    pub(crate) run: Run,
    pub(crate) assessment: Assessment,
    pub(crate) events: Vec<Event>,
}

impl Outcome {
    pub(super) fn read(
        document: Value,
        supervisor: u32,
        status: ExitStatus,
        stderr: String,
    ) -> Self {
        let part = |name: &str| document[name].clone();
        Self {
            run: serde_json::from_value(part("run")).expect("run"),
            assessment: serde_json::from_value(part("verdict")).expect("verdict"),
            events: serde_json::from_value(part("events")).expect("events"),
            supervisor,
            document,
            status,
            stderr,
        }
    }

    /// The command's exit code as a shell would tell it.
    pub(crate) fn code(&self) -> i32 {
        shell_code(self.status)
    }

    /// What the command printed.
    pub(crate) fn output(&self) -> String {
        let text = |name: &str| {
            let value = self.document["output"][name].as_str().unwrap_or_default();
            types::Text::decode(value).expect("encoded text").to_lossy().into_owned()
        };
        text("stdout") + &text("stderr")
    }

    /// Whether a detection has a technique that starts with one of `prefixes`.
    pub(crate) fn shows(&self, prefixes: &[&str]) -> bool {
        self.assessment
            .detections
            .iter()
            .any(|found| prefixes.iter().any(|prefix| found.technique.id.starts_with(prefix)))
    }

    /// Events of refused calls whose kind or call is `name`.
    pub(crate) fn blocked(&self, name: &str) -> bool {
        self.events.iter().any(|event| {
            let call = match &event.kind {
                Kind::Syscall { call, .. } | Kind::SetIds { call, .. } => call.as_str(),
                kind => kind.name(),
            };
            event.blocked && call == name
        })
    }

    /// Whether the sandbox recorded that this limit was reached.
    pub(crate) fn reached(&self, name: &str) -> bool {
        self.events
            .iter()
            .any(|event| matches!(&event.kind, Kind::LimitReached { limit, .. } if limit == name))
    }

    /// Verdict, score, evidence and detections in a few lines, for the message of a failed test.
    pub(crate) fn summary(&self) -> String {
        let found: Vec<String> = self
            .assessment
            .detections
            .iter()
            .map(|d| format!("  {} {} {} {:?}", d.detector, d.technique.id, d.summary, d.events))
            .collect();
        format!(
            "{} {} ({}); {:?} tier {:?} {:?}; {:?}; {}\n{}\nstderr: {:.2000}\noutput: {:.2000}",
            self.assessment.verdict,
            self.assessment.score,
            self.assessment.reason,
            self.assessment.evidence.level,
            self.assessment.evidence.tier,
            self.assessment.evidence.reasons,
            self.run.ending,
            self.status,
            found.join("\n"),
            self.stderr,
            self.output(),
        )
    }

    /// What holds in every run, whatever ran.
    pub(super) fn check_invariants(&self) {
        let counters = &self.assessment.evidence.counters;
        assert!(counters.balanced(), "the books do not balance: {counters:?}");
        let ids: BTreeSet<u64> = self.events.iter().map(|event| event.id).collect();
        assert_eq!(ids.len(), self.events.len(), "event ids are not unique");
        for found in &self.assessment.detections {
            assert!(!found.events.is_empty(), "{} rests on nothing", found.detector);
            for id in &found.events {
                assert!(
                    ids.contains(id),
                    "{} rests on event {id}, which is not there",
                    found.detector
                );
            }
        }
        let points: u32 = self.assessment.contributions.iter().map(|part| part.points).sum();
        assert_eq!(points, self.assessment.score, "contributions do not add up to the score");
        if self.assessment.evidence.level == Level::Incomplete {
            assert_ne!(
                self.assessment.verdict,
                types::Verdict::Benign,
                "incomplete evidence is never benign"
            );
        }
    }

    /// Recomputes the verdict from the document; it must be the same, byte for byte.
    pub(crate) fn check_replay(&self, lab: &Lab) {
        let report = lab.side().join("report.json");
        fs::write(&report, serde_json::to_vec(&self.document).expect("JSON")).expect("a file");
        let replayed = Command::new(env!("CARGO_BIN_EXE_shieldx"))
            .args(["replay", "--json"])
            .arg(&report)
            .output()
            .expect("shieldx starts");
        let message = String::from_utf8_lossy(&replayed.stderr);
        assert_eq!(replayed.status.code(), Some(0), "replay: {message}");
        let first = fs::read(lab.side().join("verdict.json")).expect("the verdict's file");
        assert_eq!(replayed.stdout, first, "replay gives other bytes");
    }
}
