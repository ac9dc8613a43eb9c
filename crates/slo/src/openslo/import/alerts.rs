//! Alert policies as pairs of windows.

use std::time::Duration;

use super::{Documents, annotation, name, scalar, unread};
use crate::spec::tree::Node;
use crate::spec::{read, span_from, span_text};

const SEVERITIES: [(&str, &str); 4] =
    [("page", "page"), ("critical", "page"), ("ticket", "ticket"), ("warning", "ticket")];
const SHORT_MIN: Duration = Duration::from_secs(60);

/// The field `alerting`, and whether missing data is to alert, too.
pub(super) fn alerting(
    slo: &Node,
    documents: &Documents<'_>,
    place: &str,
    said: &mut Vec<String>,
) -> (Node, bool) {
    let policies = slo.get("spec").map_or(&[][..], |spec| spec.list("alertPolicies"));
    let bad_events_min = annotation(slo, super::super::BAD_EVENTS_MIN);
    if policies.is_empty() && bad_events_min.is_none() {
        let way_out = "take `alerting` out of the file for the usual four pairs";
        said.push(format!("{place}: it has no alertPolicies, so nobody is told; {way_out}"));
    }
    let mut pairs = Vec::new();
    let mut no_data = false;
    for (index, policy) in policies.iter().enumerate() {
        let place = format!("{place}: alertPolicies[{index}]");
        match pair(policy, documents, &place, said) {
            Ok((pair, when_no_data)) => {
                no_data |= when_no_data;
                pairs.push(pair);
            }
            Err(why) => said.push(format!("{place}: left out: {why}")),
        }
    }
    let mut fields = vec![("pairs".to_owned(), Node::List(pairs))];
    if let Some(events) = bad_events_min {
        fields.push(("bad_events_min".to_owned(), scalar(events)));
    }
    (Node::Map(fields), no_data)
}

fn pair(
    policy: &Node,
    documents: &Documents<'_>,
    place: &str,
    said: &mut Vec<String>,
) -> Result<(Node, bool), String> {
    let policy = resolved(policy, "alertPolicyRef", "AlertPolicy", documents)?;
    let spec = policy.get("spec").ok_or("the policy has no spec")?;
    if spec.text("alertWhenBreaching") == Some("false") {
        return Err("it does not alert when the condition is met (alertWhenBreaching)".to_owned());
    }
    if spec.text("alertWhenResolved") == Some("false") {
        said.push(format!("{place}: the end of an alert is told, too, here"));
    }
    let [condition] = spec.list("conditions") else {
        return Err("a policy has one condition".to_owned());
    };
    let condition = resolved(condition, "conditionRef", "AlertCondition", documents)?;
    let pair = condition_pair(condition, place, said)?;
    let severity = pair.text("severity").unwrap_or_default();
    for target in spec.list("notificationTargets") {
        let called = target.text("targetRef").unwrap_or_else(|| name(target));
        if called != severity {
            let way_out = "receivers are named in the settings of the ledger";
            said.push(format!("{place}: notification target {called} is not carried; {way_out}"));
        }
    }
    let known = [
        "description",
        "alertWhenNoData",
        "alertWhenResolved",
        "alertWhenBreaching",
        "conditions",
        "notificationTargets",
    ];
    unread(Some(spec), &known, place, said);
    Ok((pair, spec.text("alertWhenNoData") == Some("true")))
}

/// By name, or as it stands there.
fn resolved<'a>(
    node: &'a Node,
    by: &str,
    kind: &'static str,
    documents: &Documents<'a>,
) -> Result<&'a Node, String> {
    match node.text(by) {
        Some(called) => documents
            .find(kind, called)
            .ok_or_else(|| format!("there is no {kind} {called}, which is named")),
        None if node.get("spec").is_some() => Ok(node),
        None => Err(format!("it neither names an {kind} nor is one")),
    }
}

fn condition_pair(node: &Node, place: &str, said: &mut Vec<String>) -> Result<Node, String> {
    let spec = node.get("spec").ok_or("the condition has no spec")?;
    let written = spec.text("severity").ok_or("the condition has no severity")?;
    let severity = SEVERITIES.iter().find(|(known, _)| known.eq_ignore_ascii_case(written));
    let (_, severity) = severity
        .ok_or_else(|| format!("severity {written} is none of page, critical, ticket, warning"))?;
    let condition = spec.get("condition").ok_or("the condition is empty")?;
    if !matches!(condition.text("kind"), None | Some("burnrate")) {
        return Err("the condition is no burnrate".to_owned());
    }
    match condition.text("op").unwrap_or("none") {
        "gt" => {}
        "gte" => said.push(format!("{place}: fires above its threshold here, not already at it")),
        op => return Err(format!("op {op}: an alert is for budgets that burn faster (gt)")),
    }
    let factor = condition.text("threshold").ok_or("the condition has no threshold")?;
    if read::tenths(factor).is_none() {
        return Err(format!("threshold {factor} has more than one decimal, or is no burn rate"));
    }
    let long_text =
        condition.text("lookbackWindow").ok_or("the condition has no lookbackWindow")?;
    let long = span_from(long_text)
        .ok_or_else(|| format!("lookbackWindow {long_text} is no time like 1h or 3d"))?;
    if !matches!(condition.text("alertAfter"), None | Some("0" | "0s" | "0m")) {
        said.push(format!("{place}: alertAfter is not carried: the short window does that here"));
    }
    let short = annotation(node, super::super::SHORT_WINDOW).map_or_else(
        || {
            // The usual share: SRE Workbook, chapter 5.
            let short = span_text(Duration::from_secs(long.as_secs() / 12).max(SHORT_MIN));
            said.push(format!("{place}: a short window of {short} is added, to end soon after"));
            short
        },
        str::to_owned,
    );
    let fields = [
        ("severity", (*severity).to_owned()),
        ("long", span_text(long)),
        ("short", short),
        ("factor", factor.to_owned()),
    ];
    Ok(Node::Map(fields.into_iter().map(|(name, text)| (name.to_owned(), scalar(text))).collect()))
}
