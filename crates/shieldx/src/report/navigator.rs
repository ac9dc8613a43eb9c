//! The techniques of a verdict as a layer of the ATT&CK Navigator (layer format 4.5).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Judged;

const LAYER_FORMAT: &str = "4.5";
/// The Navigator that introduced this layer format is 4.8.2; 5.1.0 reads it unchanged.
const NAVIGATOR: &str = "5.1.0";

/// The layer. `score` is a technique's points of the run's score.
#[must_use]
pub fn layer(judged: &Judged<'_>) -> Value {
    let assessment = judged.assessment;
    let mut rows: BTreeMap<(&str, &str), (u32, Vec<String>)> = BTreeMap::new();
    for detection in &assessment.detections {
        let technique = &detection.technique;
        if technique.id.is_empty() {
            continue;
        }
        let row = rows.entry((technique.id.as_str(), technique.tactic.as_str())).or_default();
        let points = assessment.contributions.iter().find(|c| c.detector == detection.detector);
        row.0 += points.map_or(0, |contribution| contribution.points);
        let blocked = if detection.blocked { " (blocked)" } else { "" };
        row.1.push(format!("{}{blocked}: {}", detection.title, detection.summary));
    }
    let techniques: Vec<Value> = rows
        .into_iter()
        .map(|((id, tactic), (points, comments))| technique(id, tactic, points, &comments))
        .collect();
    let command = judged.recording.run.command.iter().map(ToString::to_string).collect::<Vec<_>>();
    let description = format!(
        "{} with score {}: {}. Run {} at {}.",
        assessment.verdict,
        assessment.score,
        assessment.reason,
        judged.recording.run.id,
        judged.recording.run.started_at
    );
    frame(&command.join(" "), &description, &assessment.attack_version, &techniques)
}

/// One row of a layer.
#[must_use]
pub fn technique(id: &str, tactic: &str, score: u32, comments: &[String]) -> Value {
    json!({
        "techniqueID": id,
        "tactic": tactic,
        "score": score,
        "comment": comments.join("\n"),
        "enabled": true,
        "metadata": [],
        "links": [],
        "showSubtechniques": id.contains('.'),
    })
}

/// A whole layer around its rows.
#[must_use]
pub fn frame(name: &str, description: &str, attack: &str, techniques: &[Value]) -> Value {
    let top = techniques.iter().filter_map(|row| row["score"].as_u64()).max().unwrap_or(0).max(1);
    json!({
        "name": if name.is_empty() { "shieldx" } else { name },
        "versions": { "attack": attack, "navigator": NAVIGATOR, "layer": LAYER_FORMAT },
        "domain": "enterprise-attack",
        "description": description,
        "filters": { "platforms": ["Linux", "Containers"] },
        "sorting": 3,
        "hideDisabled": false,
        "techniques": techniques,
        "gradient": {
            "colors": ["#fff3c4ff", "#f9a03fff", "#c0392bff"],
            "minValue": 0,
            "maxValue": top,
        },
        "legendItems": [],
        "metadata": [],
        "links": [],
        "showTacticRowBackground": false,
        "tacticRowBackground": "#dddddd",
        "selectTechniquesAcrossTactics": false,
        "selectSubtechniquesWithParent": false,
        "selectVisibleTechniques": false,
    })
}
