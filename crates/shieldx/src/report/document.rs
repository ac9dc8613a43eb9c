//! The two file formats: a report (`shieldx.report/1`) and a stream of events
//! (`shieldx.events/1`).
//!
//! Both hold everything a verdict is computed from. A report is one JSON object whose members
//! stand on lines of their own, each event on one line; a stream is one JSON value per line with a
//! trailer, so that a cut file is noticed. The schemas are in docs/generated.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::run::Output;
use types::{Anomaly, Assessment, Counters, Event, RuleMatch, RuleSet, Run};

use super::Judged;
use super::package::PackageDocument;

pub const REPORT_SCHEMA: &str = "shieldx.report/1";
pub const EVENTS_SCHEMA: &str = "shieldx.events/1";

/// What the verdict was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssessOptions {
    /// Evidence of a lesser tier makes the run inconclusive (`--require-evidence full`).
    pub require_full: bool,
}

/// The report of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// `shieldx.report/1`. A reader refuses a number it does not know.
    pub schema: String,
    /// Version of the program that wrote it.
    pub version: String,
    pub options: AssessOptions,
    pub run: Run,
    pub verdict: Assessment,
    pub counters: Counters,
    /// What went wrong with the monitor or the recording; empty when nothing did.
    pub faults: Vec<String>,
    /// What the command printed, bounded.
    pub output: Option<Output>,
    /// How unusual the run is against its tenant's own history, where somebody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<Anomaly>,
    /// The rules that were applied, and which of them match; empty where none were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule_sets: Vec<RuleSet>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<RuleMatch>,
    /// Ordered by time; ids count from 1.
    pub events: Vec<Event>,
}

/// One line of an event file: the first is a header, the last a trailer, all others are events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Line {
    Header(Header),
    Trailer { trailer: Trailer },
    Event(Event),
}

/// The first line of an event file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    /// `shieldx.events/1`. A reader refuses a number it does not know.
    pub schema: String,
    pub version: String,
    pub options: AssessOptions,
    pub run: Run,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<Anomaly>,
}

/// The last line of an event file; a file without it was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trailer {
    /// How many event lines stand between header and trailer.
    pub event_count: u64,
    pub ending: types::Ending,
    pub counters: Counters,
    pub faults: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule_sets: Vec<RuleSet>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<RuleMatch>,
    pub verdict: Assessment,
}

/// The assessment as one line of JSON without a line end: the bytes that `replay` reproduces.
///
/// # Errors
/// When the value cannot be serialised.
pub fn verdict_line(assessment: &Assessment) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(assessment)?)
}

/// Writes the report without first building it as one value.
///
/// # Errors
/// When the destination fails.
pub fn write_report(judged: &Judged<'_>, out: &mut dyn Write) -> io::Result<()> {
    let recording = judged.recording;
    write!(out, "{{\"schema\":\"{REPORT_SCHEMA}\"")?;
    member(out, "version", &env!("CARGO_PKG_VERSION"))?;
    member(out, "options", &judged.options)?;
    member(out, "run", &recording.run)?;
    member(out, "verdict", judged.assessment)?;
    member(out, "counters", &recording.counters)?;
    member(out, "faults", &recording.faults)?;
    member(out, "output", &recording.output)?;
    if let Some(anomaly) = &recording.anomaly {
        member(out, "anomaly", anomaly)?;
    }
    if !recording.rule_sets.is_empty() {
        member(out, "rule_sets", &recording.rule_sets)?;
    }
    if !recording.matches.is_empty() {
        member(out, "matches", &recording.matches)?;
    }
    out.write_all(b",\n\"events\":[")?;
    for (index, event) in recording.events.iter().enumerate() {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, event)?;
    }
    out.write_all(b"\n]}\n")
}

/// Writes the event file.
///
/// # Errors
/// When the destination fails.
pub fn write_events(judged: &Judged<'_>, out: &mut dyn Write) -> io::Result<()> {
    let recording = judged.recording;
    let header = Header {
        schema: EVENTS_SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        options: judged.options,
        run: recording.run.clone(),
        anomaly: recording.anomaly.clone(),
    };
    line(out, &header)?;
    for event in &recording.events {
        line(out, event)?;
    }
    let trailer = Trailer {
        event_count: recording.events.len() as u64,
        ending: recording.run.ending.clone(),
        counters: recording.counters.clone(),
        faults: recording.faults.clone(),
        rule_sets: recording.rule_sets.clone(),
        matches: recording.matches.clone(),
        verdict: judged.assessment.clone(),
    };
    line(out, &Line::Trailer { trailer })
}

/// Writes a value of another format, indented.
///
/// # Errors
/// When the destination fails.
pub fn write_value(value: &serde_json::Value, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    out.write_all(b"\n")
}

/// The JSON schemas by file name.
#[must_use]
pub fn schemas() -> [(&'static str, schemars::Schema); 3] {
    [
        ("report.schema.json", schemars::schema_for!(Document)),
        ("events.schema.json", schemars::schema_for!(Line)),
        ("package.schema.json", schemars::schema_for!(PackageDocument)),
    ]
}

pub(super) fn member(out: &mut dyn Write, name: &str, value: &impl Serialize) -> io::Result<()> {
    write!(out, ",\n\"{name}\":")?;
    Ok(serde_json::to_writer(out, value)?)
}

fn line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

#[cfg(test)]
#[path = "document/tests.rs"]
mod tests;
