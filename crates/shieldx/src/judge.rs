//! What a recording means, for the verifier pool: this program's own verdict and reports.

use std::collections::BTreeMap;

use types::ports::{Judge, PortError};
use types::{Assessment, Recording};

use crate::engine;
use crate::report::document::{self, AssessOptions};
use crate::report::{Judged, html, reading};

/// A service has no caller to ask: reduced evidence is told in the report and not refused.
const OPTIONS: AssessOptions = AssessOptions { require_full: false };

/// Judges in this process. Pure, like everything it asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalJudge;

impl LocalJudge {
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Judge for LocalJudge {
    fn features(&self, recording: &Recording) -> BTreeMap<String, f64> {
        engine::features(recording)
    }

    fn assess(&self, recording: &Recording) -> Assessment {
        engine::assess(recording, OPTIONS)
    }

    fn json(&self, recording: &Recording, assessment: &Assessment) -> Vec<u8> {
        let mut bytes = Vec::new();
        let judged = Judged { recording, assessment, options: OPTIONS };
        // A vector takes everything, and every part of a recording is a JSON value.
        let _ = document::write_report(&judged, &mut bytes);
        bytes
    }

    fn html(&self, report: &[u8]) -> Result<String, PortError> {
        let recorded = reading::read(report)
            .map_err(|error| PortError { what: "report", reason: error.to_string() })?;
        let judged = Judged {
            recording: &recorded.recording,
            assessment: &recorded.verdict,
            options: recorded.options,
        };
        Ok(html::render(&judged))
    }
}

#[cfg(test)]
mod tests {
    use types::ports::Judge as _;

    use super::LocalJudge;
    use crate::report::fixtures::reverse_shell;

    #[test]
    fn a_report_becomes_the_page_of_the_same_run() {
        let (recording, assessment) = reverse_shell();
        let judge = LocalJudge::new();
        let page = judge.html(&judge.json(&recording, &assessment)).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>"));
        assert!(page.contains(&recording.run.id));
        let error = judge.html(b"{\"schema\":\"other\"}").unwrap_err();
        assert_eq!(error.what, "report");
    }
}
