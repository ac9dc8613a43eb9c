//! A judged run as a bundle of STIX 2.1 (OASIS), for threat intelligence platforms.
//!
//! The run is a `malware-analysis`; what it touched are observables, its techniques attack patterns.
//! Only a run that is judged *malicious* makes a `malware` object: nothing else is claimed. Equal
//! recordings give equal bytes: identifiers are derived, not drawn.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Value, json};
use types::{Endpoint, Kind, Text, Verdict};
use uuid::Uuid;

use super::Judged;
use super::sarif::address;

/// The namespace of deterministic observable ids (STIX 2.1, 2.9).
const OBSERVABLES: Uuid = Uuid::from_u128(0x00ab_edb4_aa42_466c_9c01_fed2_3315_a9b7);
/// Observables of one kind in a bundle; more are counted in the description.
const OBSERVABLES_MAX: usize = 512;

/// The bundle.
#[must_use]
pub fn bundle(judged: &Judged<'_>) -> Value {
    let run = &judged.recording.run;
    let mut made = Made { run: run.id.clone(), at: millis(&run.started_at), objects: Vec::new() };
    let producer = made.object(
        "identity",
        "producer",
        json!({
            "name": "ShieldX",
            "identity_class": "system",
        }),
    );
    let (observables, left_out) = observables(judged);
    let refs: Vec<String> = observables.keys().cloned().collect();
    made.objects.extend(observables.into_values());
    let analysis = analysis(judged, &mut made, &producer, &refs, left_out);
    patterns(judged, &mut made, &producer, &analysis);
    let id = derived(&format!("bundle {}", run.id));
    json!({ "type": "bundle", "id": format!("bundle--{id}"), "objects": made.objects })
}

/// The objects so far.
struct Made {
    run: String,
    at: String,
    objects: Vec<Value>,
}

impl Made {
    /// Adds an object of the domain or a relationship, and gives its id.
    fn object(&mut self, kind: &str, name: &str, properties: Value) -> String {
        let id = format!("{kind}--{}", derived(&format!("{kind} {name} {}", self.run)));
        let mut object = json!({
            "type": kind,
            "spec_version": "2.1",
            "id": id,
            "created": self.at,
            "modified": self.at,
        });
        if let (Some(object), Value::Object(properties)) = (object.as_object_mut(), properties) {
            object.extend(properties);
        }
        self.objects.push(object);
        id
    }

    fn relationship(&mut self, kind: &str, source: &str, target: &str, producer: &str) {
        let name = format!("{kind} {source} {target}");
        let properties = json!({
            "relationship_type": kind,
            "source_ref": source,
            "target_ref": target,
            "created_by_ref": producer,
        });
        self.object("relationship", &name, properties);
    }
}

/// The `malware-analysis`, and what it is an analysis of where that is malware.
fn analysis(
    judged: &Judged<'_>,
    made: &mut Made,
    producer: &str,
    refs: &[String],
    left_out: usize,
) -> String {
    let (run, assessment) = (&judged.recording.run, judged.assessment);
    let sample = sample(judged)["id"].clone();
    let result = match assessment.verdict {
        Verdict::Benign => "benign",
        Verdict::Suspicious => "suspicious",
        Verdict::Malicious => "malicious",
        Verdict::Inconclusive => "unknown",
    };
    let mut properties = json!({
        "product": "shieldx",
        "version": env!("CARGO_PKG_VERSION"),
        "configuration_version": format!("detectors {}", assessment.detectors_version),
        "result_name": assessment.reason,
        "result": result,
        "analysis_started": made.at,
        "created_by_ref": producer,
        "modules": [format!("runner {}", run.runner)],
        "labels": [format!("score-{}", assessment.score)],
    });
    if left_out > 0 {
        properties["labels"] = json!([
            format!("score-{}", assessment.score),
            format!("{left_out}-observables-left-out"),
        ]);
    }
    if !refs.is_empty() {
        properties["analysis_sco_refs"] = json!(refs);
    }
    properties["sample_ref"] = sample.clone();
    let analysis = made.object("malware-analysis", "analysis", properties);
    if assessment.verdict == Verdict::Malicious {
        let name = run.command.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let properties = json!({
            "name": clip(&name),
            "is_family": false,
            "created_by_ref": producer,
            "description": assessment.reason,
            "sample_refs": [sample],
        });
        let malware = made.object("malware", "malware", properties);
        made.relationship("dynamic-analysis-of", &analysis, &malware, producer);
    }
    analysis
}

/// One attack pattern for each technique, used by the malware where there is one.
fn patterns(judged: &Judged<'_>, made: &mut Made, producer: &str, analysis: &str) {
    let malware = made.objects.iter().find(|object| object["type"] == "malware");
    let malware = malware.and_then(|object| object["id"].as_str()).map(str::to_owned);
    let mut seen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for detection in &judged.assessment.detections {
        if !detection.technique.id.is_empty() {
            seen.entry(&detection.technique.id).or_default().push(&detection.summary);
        }
    }
    for (id, summaries) in seen {
        let technique = judged.assessment.detections.iter().find(|d| d.technique.id == id);
        let Some(technique) = technique.map(|detection| &detection.technique) else { continue };
        let pattern = made.object(
            "attack-pattern",
            id,
            json!({
                "name": technique.name,
                "description": summaries.join("\n"),
                "created_by_ref": producer,
                "external_references": [{
                    "source_name": "mitre-attack",
                    "external_id": id,
                    "url": address(id),
                }],
                "kill_chain_phases": [{
                    "kill_chain_name": "mitre-attack",
                    "phase_name": technique.tactic,
                }],
            }),
        );
        match &malware {
            Some(malware) => made.relationship("uses", malware, &pattern, producer),
            None => made.relationship("related-to", analysis, &pattern, producer),
        }
    }
}

/// What the run touched, by id, and how many are left out.
fn observables(judged: &Judged<'_>) -> (BTreeMap<String, Value>, usize) {
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    insert(&mut found, sample(judged));
    let mut left_out = 0;
    for event in &judged.recording.events {
        let made = match &event.kind {
            Kind::FileChanged(change) => change.sha256.as_ref().map(|sha256| {
                let hashes = json!({ "SHA-256": sha256 });
                let size = json!({ "size": change.size_bytes });
                let name = change.path.to_string();
                let name = name.rsplit('/').next().unwrap_or_default();
                observable("file", &json!({ "hashes": hashes, "name": name }), &size)
            }),
            Kind::Connect { peer: Endpoint::Inet { ip, .. } } if global(ip) => Some(ip_address(ip)),
            Kind::Request { host: Some(host), .. } | Kind::Dns { question: host, .. } => {
                domain(host)
            }
            _ => None,
        };
        match made {
            Some(_) if found.len() >= OBSERVABLES_MAX => left_out += 1,
            Some(made) => insert(&mut found, made),
            None => {}
        }
    }
    (found, left_out)
}

/// The program that ran.
fn sample(judged: &Judged<'_>) -> Value {
    let name = judged.recording.run.program.to_string();
    observable("file", &json!({ "name": name }), &json!({}))
}

fn insert(found: &mut BTreeMap<String, Value>, object: Value) {
    if let Some(id) = object["id"].as_str() {
        found.entry(id.to_owned()).or_insert(object);
    }
}

/// An observable: its id is derived from the properties that identify it.
fn observable(kind: &str, identifying: &Value, more: &Value) -> Value {
    // As RFC 8785 writes it: callers name the keys in alphabetical order.
    let uuid = Uuid::new_v5(&OBSERVABLES, identifying.to_string().as_bytes());
    let mut object = json!({
        "type": kind,
        "spec_version": "2.1",
        "id": format!("{kind}--{uuid}"),
    });
    if let Some(object) = object.as_object_mut() {
        for part in [identifying, more] {
            if let Value::Object(part) = part {
                object.extend(part.clone());
            }
        }
    }
    object
}

fn ip_address(ip: &IpAddr) -> Value {
    let kind = if ip.is_ipv4() { "ipv4-addr" } else { "ipv6-addr" };
    observable(kind, &json!({ "value": ip.to_string() }), &json!({}))
}

/// Loopback says nothing to anybody else.
fn global(ip: &IpAddr) -> bool {
    !ip.is_loopback() && !ip.is_unspecified()
}

fn domain(name: &Text) -> Option<Value> {
    let name = std::str::from_utf8(name.as_bytes()).ok()?.trim_end_matches('.');
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let is_name = name.contains('.') && name.split('.').all(label);
    if !is_name || name.parse::<IpAddr>().is_ok() {
        return None;
    }
    Some(observable("domain-name", &json!({ "value": name }), &json!({})))
}

/// A version 4 identifier that is always the same for the same name: the standard asks for the
/// version, a replay for the same bytes.
fn derived(name: &str) -> Uuid {
    let hash = Uuid::new_v5(&OBSERVABLES, name.as_bytes());
    uuid::Builder::from_random_bytes(hash.into_bytes()).into_uuid()
}

/// STIX has milliseconds.
fn millis(rfc3339: &str) -> String {
    match rfc3339.trim_end_matches('Z').split_once('.') {
        Some((seconds, fraction)) => {
            let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
            format!("{seconds}.{digits}Z")
        }
        None => format!("{}.000Z", rfc3339.trim_end_matches('Z')),
    }
}

fn clip(text: &str) -> String {
    text.chars().take(200).collect()
}
