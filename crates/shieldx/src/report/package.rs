//! The document about a package (`shieldx.package/1`): what it was, and the whole report of every
//! phase, each as `run --report` writes it, so that it can be cut out and replayed.

use std::fmt;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{Text, Verdict};

use super::Judged;
use super::document::{self, Document};
use crate::package::{Ecosystem, Origin, Package, Phase};

pub const PACKAGE_SCHEMA: &str = "shieldx.package/1";

/// What a package does when it is installed and when it is imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PackageDocument {
    /// `shieldx.package/1`. A reader refuses a number it does not know.
    pub schema: String,
    /// Version of the program that wrote it.
    pub version: String,
    pub package: Subject,
    /// The worst of the phases: malicious, suspicious, inconclusive, benign. Never benign with
    /// something in `gaps`.
    pub verdict: Verdict,
    /// The highest of the phases.
    pub score: u32,
    /// What of the package was not seen, in words; empty when both phases ran to their end.
    pub gaps: Vec<String>,
    /// In the order they ran; a phase that did not run is missing.
    pub phases: Vec<PhaseDocument>,
}

/// The package itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    pub ecosystem: Ecosystem,
    /// The archive's or folder's name, or what a registry was asked for.
    pub name: Text,
    pub origin: Whence,
    /// Of the archive, hexadecimal; absent for a folder and for what a registry gave.
    pub sha256: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Whence {
    File,
    Folder,
    Registry,
}

/// One phase: a run of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseDocument {
    pub name: Phase,
    /// `shieldx.report/1`.
    pub report: Document,
}

/// A package, judged.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub subject: Subject,
    pub verdict: Verdict,
    pub score: u32,
    pub gaps: Vec<String>,
}

impl Subject {
    #[must_use]
    pub fn new(package: &Package, sha256: Option<String>) -> Self {
        Self {
            ecosystem: package.ecosystem,
            name: Text::from(package.name().as_encoded_bytes()),
            origin: match package.origin {
                Origin::File(_) => Whence::File,
                Origin::Folder(_) => Whence::Folder,
                Origin::Registry(_) => Whence::Registry,
            },
            sha256,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} package {}",
            self.ecosystem.as_str(),
            super::words::safe(&self.name.to_string())
        )
    }
}

impl Outcome {
    /// Puts the phases together.
    #[must_use]
    pub fn new(subject: Subject, phases: &[(Phase, Judged<'_>)], gaps: Vec<String>) -> Self {
        let verdicts = phases.iter().map(|(_, judged)| judged.assessment.verdict);
        let unseen = (!gaps.is_empty() || phases.is_empty()).then_some(Verdict::Inconclusive);
        let verdict = verdicts.chain(unseen).max_by_key(|&verdict| rank(verdict));
        let scores = phases.iter().map(|(_, judged)| judged.assessment.score);
        Self {
            subject,
            verdict: verdict.unwrap_or(Verdict::Inconclusive),
            score: scores.max().unwrap_or(0),
            gaps,
        }
    }
}

/// How bad a verdict is beside others.
fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Benign => 0,
        Verdict::Inconclusive => 1,
        Verdict::Suspicious => 2,
        Verdict::Malicious => 3,
    }
}

/// Writes the document without first building it as one value.
///
/// # Errors
/// When the destination fails.
pub fn write_package(
    outcome: &Outcome,
    phases: &[(Phase, Judged<'_>)],
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "{{\"schema\":\"{PACKAGE_SCHEMA}\"")?;
    document::member(out, "version", &env!("CARGO_PKG_VERSION"))?;
    document::member(out, "package", &outcome.subject)?;
    document::member(out, "verdict", &outcome.verdict)?;
    document::member(out, "score", &outcome.score)?;
    document::member(out, "gaps", &outcome.gaps)?;
    out.write_all(b",\n\"phases\":[")?;
    for (index, (phase, judged)) in phases.iter().enumerate() {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        write!(out, "{{\"name\":\"{phase}\",\n\"report\":")?;
        document::write_report(judged, out)?;
        out.write_all(b"}")?;
    }
    out.write_all(b"\n]}\n")
}

#[cfg(test)]
mod tests {
    use types::{Text, Verdict};

    use super::super::fixtures::{hostile_names, judged, reverse_shell};
    use super::{Ecosystem, Outcome, PackageDocument, Phase, Subject, Whence, write_package};

    fn subject() -> Subject {
        let name = Text::from("a-1.0.tgz");
        Subject { ecosystem: Ecosystem::Npm, name, origin: Whence::File, sha256: None }
    }

    #[test]
    fn what_is_written_is_read_again_with_its_reports() {
        let (one, two) = (reverse_shell(), hostile_names());
        let phases =
            [(Phase::Install, judged(&one.0, &one.1)), (Phase::Import, judged(&two.0, &two.1))];
        let outcome = Outcome::new(subject(), &phases, vec!["import ended with exit 1".into()]);
        assert_eq!(outcome.verdict, Verdict::Malicious);
        let mut bytes = Vec::new();
        write_package(&outcome, &phases, &mut bytes).unwrap();
        let read: PackageDocument = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((read.phases.len(), read.gaps.len()), (2, 1));
        assert_eq!(read.phases[0].report.events, one.0.events);
        let [.., (_, schema)] = super::document::schemas();
        let schema = jsonschema::validator_for(schema.as_value()).unwrap();
        schema.validate(&serde_json::from_slice(&bytes).unwrap()).unwrap();
    }

    #[test]
    fn a_package_of_which_something_was_not_seen_is_never_benign() {
        let (recording, mut assessment) = reverse_shell();
        let mut verdict_of = |verdict, gaps: &[&str]| {
            assessment.verdict = verdict;
            let phases = [(Phase::Install, judged(&recording, &assessment))];
            let gaps = gaps.iter().map(|&gap| gap.to_owned()).collect();
            Outcome::new(subject(), &phases, gaps).verdict
        };
        assert_eq!(verdict_of(Verdict::Benign, &[]), Verdict::Benign);
        assert_eq!(verdict_of(Verdict::Benign, &["x"]), Verdict::Inconclusive);
        assert_eq!(verdict_of(Verdict::Suspicious, &["x"]), Verdict::Suspicious);
        assert_eq!(Outcome::new(subject(), &[], vec![]).verdict, Verdict::Inconclusive);
    }
}
