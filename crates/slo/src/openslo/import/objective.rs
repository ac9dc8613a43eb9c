//! One SLO document: an objective for each of its targets.

use jiff::civil::{DateTime, Weekday};

use super::{Documents, alerts, annotation, indicator, name, scalar, unread, value};
use crate::decimal::Share;
use crate::spec::tree::Node;

/// As a file may have it.
const DESCRIPTION_BYTES_MAX: usize = 300;

const METADATA: [&str; 4] = ["name", "displayName", "labels", "annotations"];
const SPEC: [&str; 8] = [
    "description",
    "service",
    "indicator",
    "indicatorRef",
    "timeWindow",
    "budgetingMethod",
    "objectives",
    "alertPolicies",
];
const OBJECTIVE: [&str; 3] = ["displayName", "target", "targetPercent"];
const COMPOSITE: [&str; 3] = ["indicator", "indicatorRef", "compositeWeight"];
/// Annotations of an objective, and the fields they stand for.
const ANNOTATED: [(&str, &str); 6] = [
    (super::super::MINIMUM_EVENTS, "minimum_events"),
    (super::super::COVERAGE_MIN, "coverage_min"),
    (super::super::GATE, "gate"),
    (super::super::VIEWS, "views"),
    (super::super::TEAM, "team"),
    (super::super::DATA_LOSS, "data_loss"),
];

/// None where it cannot be carried, which is said.
pub(super) fn slos(
    document: &Node,
    documents: &Documents<'_>,
    said: &mut Vec<String>,
) -> Vec<Node> {
    let place = format!("SLO {}", name(document));
    match common(document, documents, &place, said) {
        Ok(common) => targets(document, &common, &place, said),
        Err(why) => {
            said.push(format!("{place}: left out: {why}"));
            Vec::new()
        }
    }
}

/// All fields but the name and the target.
fn common(
    document: &Node,
    documents: &Documents<'_>,
    place: &str,
    said: &mut Vec<String>,
) -> Result<Vec<(String, Node)>, String> {
    let spec = document.get("spec").ok_or("it has no spec")?;
    match spec.text("budgetingMethod").unwrap_or("Occurrences") {
        "Occurrences" => {}
        method => {
            return Err(format!("budgetingMethod {method}: only Occurrences (events) are counted"));
        }
    }
    let objectives = spec.list("objectives");
    if objectives.iter().any(|one| COMPOSITE.iter().any(|field| one.get(field).is_some())) {
        return Err("it is composite, of several indicators; each can be an SLO of its own".into());
    }
    let service = spec.text("service").ok_or("it names no service")?;
    let mut fields = vec![("service".to_owned(), scalar(service))];
    fields.extend(description(document, place, said));
    fields.push(("window".to_owned(), scalar(window(spec, place, said)?)));
    fields.push(indicator::sli(document, documents, place, said)?);
    let (alerting, no_data) = alerts::alerting(document, documents, place, said);
    fields.push(("alerting".to_owned(), alerting));
    for (key, field) in ANNOTATED {
        if let Some(node) = annotation(document, key).and_then(|text| value(text, key, said)) {
            fields.push((field.to_owned(), node));
        }
    }
    let has =
        |fields: &[(String, Node)], field: &str| fields.iter().any(|(known, _)| known == field);
    if no_data && !has(&fields, "data_loss") {
        fields.push(("data_loss".to_owned(), scalar("alert")));
    }
    let metadata = document.get("metadata");
    for (label, value) in
        metadata.and_then(|node| node.get("labels")).map_or(&[][..], Node::entries)
    {
        // A label is a text, or a list of them.
        let one = match value {
            Node::List(list) if list.len() == 1 => list.first().unwrap_or(value),
            value => value,
        };
        match one {
            Node::Scalar(team) if label == "team" && !has(&fields, "team") => {
                fields.push(("team".to_owned(), scalar(team)));
            }
            _ => said.push(format!("{place}: label {label} is not carried")),
        }
    }
    let annotations = metadata.and_then(|node| node.get("annotations"));
    let ours: Vec<&str> = ANNOTATED.iter().map(|(key, _)| *key).collect();
    let ours = [ours, vec![super::super::BAD_EVENTS_MIN]].concat();
    unread(annotations, &ours, &format!("{place}: annotations"), said);
    unread(metadata, &METADATA, &format!("{place}: metadata"), said);
    unread(Some(spec), &SPEC, place, said);
    Ok(fields)
}

fn targets(
    document: &Node,
    common: &[(String, Node)],
    place: &str,
    said: &mut Vec<String>,
) -> Vec<Node> {
    let objectives = document.get("spec").map_or(&[][..], |spec| spec.list("objectives"));
    if objectives.is_empty() {
        said.push(format!("{place}: left out: it has no objective"));
    }
    if objectives.len() > 1 {
        let count = objectives.len();
        said.push(format!("{place}: its {count} targets become objectives of their own, numbered"));
    }
    let mut slos = Vec::new();
    for (index, objective) in objectives.iter().enumerate() {
        let number = if index == 0 { String::new() } else { format!("-{}", index + 1) };
        let place = format!("{place}: objectives[{index}]");
        let Some(target) = target(objective) else {
            let form = "either target, as a ratio, or targetPercent, both exact decimals";
            said.push(format!("{place}: left out: it needs {form}"));
            continue;
        };
        unread(Some(objective), &OBJECTIVE, &place, said);
        if objectives.len() == 1 && objective.text("displayName").is_some() {
            said.push(format!("{place}: displayName is not carried"));
        }
        let mut fields = vec![
            ("name".to_owned(), scalar(format!("{}{number}", name(document)))),
            ("target".to_owned(), scalar(target.percent())),
        ];
        fields.extend_from_slice(common);
        slos.push(Node::Map(fields));
    }
    slos
}

fn target(objective: &Node) -> Option<Share> {
    match (objective.text("target"), objective.text("targetPercent")) {
        (Some(ratio), None) => Share::from_ratio(ratio),
        (None, Some(percent)) => Share::from_percent(percent),
        _ => None,
    }
}

/// One line; the display name where nothing is described.
fn description(document: &Node, place: &str, said: &mut Vec<String>) -> Option<(String, Node)> {
    let described = document.get("spec").and_then(|spec| spec.text("description"));
    let display = document.get("metadata").and_then(|metadata| metadata.text("displayName"));
    if described.is_some() && display.is_some() {
        said.push(format!("{place}: displayName is not carried; the description is"));
    }
    let text = described.or(display)?;
    let line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut end = line.len().min(DESCRIPTION_BYTES_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    if end < line.len() {
        said.push(format!("{place}: its description is cut at {DESCRIPTION_BYTES_MAX} bytes"));
    }
    let line = line.get(..end).unwrap_or_default().trim_end();
    (!line.is_empty()).then(|| ("description".to_owned(), scalar(line)))
}

fn window(spec: &Node, place: &str, said: &mut Vec<String>) -> Result<String, String> {
    let window = match spec.list("timeWindow") {
        [] => {
            said.push(format!("{place}: it has no timeWindow; 30 days rolling are taken"));
            return Ok("30d".to_owned());
        }
        [window] => window,
        _ => return Err("it has more than one timeWindow".to_owned()),
    };
    let duration = window.text("duration").ok_or("its timeWindow has no duration")?;
    let Some(calendar) = window.get("calendar") else {
        return match crate::spec::window_from(duration) {
            Some(window) => Ok(window.to_string()),
            None => {
                Err(format!("timeWindow {duration}: a rolling window has whole days, like 30d"))
            }
        };
    };
    let (unit, begins) = match duration {
        "1w" | "7d" => ("week", "on Monday"),
        "1M" => ("month", "on the first"),
        "1Q" | "3M" => ("quarter", "on the first of January, April, July or October"),
        "1Y" | "12M" => ("year", "on the first of January"),
        other => return Err(format!("timeWindow {other}: a calendar window is 1w, 1M, 1Q or 1Y")),
    };
    let zone = calendar.text("timeZone").unwrap_or("UTC");
    if !matches!(zone, "UTC" | "Etc/UTC" | "GMT") {
        said.push(format!("{place}: its calendar {unit} begins at midnight UTC here, not {zone}"));
    }
    let start = calendar.text("startTime").unwrap_or_default();
    if !starts(unit, start) {
        said.push(format!(
            "{place}: its calendar {unit} begins {begins} at midnight, not {start:?}"
        ));
    }
    Ok(format!("calendar {unit}"))
}

/// Whether a moment (`2024-01-01 00:00:00`) is one at which such a window begins.
fn starts(unit: &str, moment: &str) -> bool {
    let Ok(moment) = moment.parse::<DateTime>() else { return false };
    let midnight = moment.time() == jiff::civil::Time::midnight();
    midnight
        && match unit {
            "week" => moment.date().weekday() == Weekday::Monday,
            "month" => moment.day() == 1,
            "quarter" => moment.day() == 1 && matches!(moment.month(), 1 | 4 | 7 | 10),
            _ => moment.day() == 1 && moment.month() == 1,
        }
}
