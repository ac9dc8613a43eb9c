//! The detections of a run as SARIF 2.1.0 (OASIS), for code scanning and CI gates.
//!
//! A detection is a result, its detector a rule, its ATT&CK technique a taxon. There is no source
//! line to point at: the location is the program that ran, or the file an event names.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use types::{Detection, Ending, Event, Kind, Text, Verdict};

use super::Judged;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// From these weights on a result is an error or a warning: a third and a seventh of what makes a run
/// malicious alone would be noise in a gate, so the steps are those of the verdict itself (decibans
/// of `verdict::assess`: 30 malicious, 13 suspicious).
const ERROR_DECIBANS: u32 = 30;
const WARNING_DECIBANS: u32 = 13;
/// Events named in one result.
const RELATED_MAX: usize = 16;

/// The log.
#[must_use]
pub fn log(judged: &Judged<'_>) -> Value {
    let assessment = judged.assessment;
    let mut rules: Vec<&Detection> = Vec::new();
    for detection in &assessment.detections {
        if !rules.iter().any(|known| known.detector == detection.detector) {
            rules.push(detection);
        }
    }
    let taxa: BTreeMap<&str, &Detection> = assessment
        .detections
        .iter()
        .filter(|detection| !detection.technique.id.is_empty())
        .map(|detection| (detection.technique.id.as_str(), detection))
        .collect();
    let results: Vec<Value> = assessment
        .detections
        .iter()
        .map(|detection| {
            let index = rules.iter().position(|rule| rule.detector == detection.detector);
            result(judged, detection, index.unwrap_or_default())
        })
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "ShieldX",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|rule| described(rule)).collect::<Vec<_>>(),
                "supportedTaxonomies": [{ "name": "MITRE ATT&CK", "index": 0 }],
            } },
            "taxonomies": [{
                "name": "MITRE ATT&CK",
                "version": assessment.attack_version,
                "organization": "MITRE",
                "shortDescription": { "text": "Adversary tactics and techniques" },
                "informationUri": "https://attack.mitre.org/",
                "isComprehensive": false,
                "taxa": taxa.values().map(|detection| taxon(detection)).collect::<Vec<_>>(),
            }],
            "invocations": [invocation(judged)],
            "automationDetails": { "id": format!("shieldx/{}", judged.recording.run.id) },
            "results": results,
            "properties": {
                "verdict": assessment.verdict.to_string(),
                "score": assessment.score,
                "reason": assessment.reason,
                "evidence": serde_json::to_value(assessment.evidence.level).unwrap_or_default(),
            },
        }],
    })
}

fn described(detection: &Detection) -> Value {
    let technique = &detection.technique;
    let mut rule = json!({
        "id": detection.detector,
        "name": pascal_case(&detection.detector),
        "shortDescription": { "text": detection.title },
        "properties": { "tags": ["security", technique.tactic, technique.id] },
    });
    if !technique.id.is_empty() {
        rule["helpUri"] = address(&technique.id).into();
        rule["relationships"] = json!([{
            "target": { "id": technique.id, "toolComponent": { "name": "MITRE ATT&CK", "index": 0 } },
            "kinds": ["relevant"],
        }]);
    }
    rule
}

fn taxon(detection: &Detection) -> Value {
    let technique = &detection.technique;
    json!({
        "id": technique.id,
        "name": technique.name,
        "helpUri": address(&technique.id),
        "shortDescription": { "text": format!("{} ({})", technique.name, technique.tactic) },
    })
}

/// The page of a technique.
pub(super) fn address(technique: &str) -> String {
    format!("https://attack.mitre.org/techniques/{}/", technique.replace('.', "/"))
}

fn result(judged: &Judged<'_>, detection: &Detection, rule: usize) -> Value {
    let level = match detection.weight_decibans {
        ERROR_DECIBANS.. => "error",
        WARNING_DECIBANS.. => "warning",
        _ => "note",
    };
    let run = &judged.recording.run;
    let events: Vec<&Event> = detection
        .events
        .iter()
        .take(RELATED_MAX)
        .filter_map(|id| judged.recording.events.get(usize::try_from(id - 1).ok()?))
        .collect();
    let place = events.iter().find_map(|event| file(&event.kind)).unwrap_or(&run.program);
    // The same behaviour of the same command is the same finding from run to run.
    let identity = run.command.iter().map(ToString::to_string).collect::<Vec<_>>().join("\u{1f}");
    json!({
        "ruleId": detection.detector,
        "ruleIndex": rule,
        "level": level,
        "kind": "fail",
        "message": { "text": detection.summary },
        "locations": [{
            "physicalLocation": { "artifactLocation": { "uri": uri(place) } },
            "message": { "text": place.to_string() },
        }],
        "partialFingerprints": {
            "shieldxCommandAndDetector/v1": format!("{}:{identity}", detection.detector),
        },
        "properties": {
            "weight_decibans": detection.weight_decibans,
            "blocked": detection.blocked,
            "events": detection.events,
            "event_count": detection.event_count,
        },
    })
}

/// The file that an event is about.
fn file(kind: &Kind) -> Option<&Text> {
    match kind {
        Kind::Exec { path, .. }
        | Kind::Open { path, .. }
        | Kind::Write { path, .. }
        | Kind::Unlink { path, .. }
        | Kind::Mkdir { path }
        | Kind::Chmod { path, .. }
        | Kind::Chown { path, .. }
        | Kind::SetXattr { path, .. } => Some(path),
        Kind::FileChanged(change) => Some(&change.path),
        _ => None,
    }
}

fn invocation(judged: &Judged<'_>) -> Value {
    let run = &judged.recording.run;
    let command: Vec<String> = run.command.iter().map(ToString::to_string).collect();
    let mut invocation = json!({
        "commandLine": command.join(" "),
        "arguments": command.get(1..).unwrap_or_default(),
        "startTimeUtc": run.started_at,
        // Of the analysis, not of the command: an analysis that lost evidence did not succeed.
        "executionSuccessful": judged.assessment.verdict != Verdict::Inconclusive,
        "toolExecutionNotifications": judged
            .assessment
            .evidence
            .reasons
            .iter()
            .map(|reason| json!({ "level": "warning", "message": { "text": reason } }))
            .collect::<Vec<_>>(),
        "workingDirectory": { "uri": uri(&run.cwd) },
    });
    match run.ending {
        Ending::Exited { code } => invocation["exitCode"] = code.into(),
        Ending::Signaled { signal } | Ending::Interrupted { signal } => {
            invocation["exitSignalNumber"] = signal.into();
        }
        Ending::TimedOut => invocation["exitCodeDescription"] = "the time limit was reached".into(),
    }
    invocation
}

/// A path as a URI (RFC 8089), every byte that is not unreserved percent-encoded.
fn uri(path: &Text) -> String {
    let mut uri = String::from("file://");
    for &byte in path.as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

/// SARIF asks for a name in this form beside the id.
fn pascal_case(id: &str) -> String {
    let words = id.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    words.map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::{pascal_case, uri};
    use types::Text;

    #[test]
    fn names_and_addresses_are_what_the_standard_asks_for() {
        assert_eq!(pascal_case("reverse-shell"), "ReverseShell");
        assert_eq!(pascal_case("sigma:1b2c"), "Sigma1b2c");
        assert_eq!(uri(&Text::new(b"/tmp/a b\n\xff".to_vec())), "file:///tmp/a%20b%0A%FF");
    }
}
