//! What an SLO measures, as one of the kinds there are here.

use super::{Documents, annotation, fragment, scalar, unread};
use crate::spec::Selector;
use crate::spec::tree::Node;

const RATIO: [&str; 4] = ["counter", "good", "bad", "total"];
/// What the names of metrics begin with that a ShieldX server has.
const OURS: [&str; 5] = ["shieldx_", "http_server_", "http_client_", "process_", "tokio_"];

/// The kind's name, and what is in it.
pub(super) fn sli(
    slo: &Node,
    documents: &Documents<'_>,
    place: &str,
    said: &mut Vec<String>,
) -> Result<(String, Node), String> {
    let spec = slo.get("spec").ok_or("it has no spec")?;
    let indicator = match (spec.get("indicator"), spec.text("indicatorRef")) {
        (Some(indicator), None) => indicator,
        (None, Some(called)) => documents
            .find("SLI", called)
            .ok_or_else(|| format!("there is no SLI {called}, which it names"))?,
        _ => return Err("it needs either indicator or indicatorRef".to_owned()),
    };
    // Our own export says what it is made of, which is more than the two counters it is read by.
    if let Some(text) = annotation(indicator, super::super::INDICATOR) {
        let made_of = fragment(text, super::super::INDICATOR, said);
        return match made_of.as_ref().map(Node::entries) {
            Some([(kind, node)]) => Ok((kind.clone(), node.clone())),
            _ => Err(format!("annotation {} is no indicator", super::super::INDICATOR)),
        };
    }
    let spec = indicator.get("spec").ok_or("its indicator has no spec")?;
    unread(Some(spec), &["ratioMetric", "description"], &format!("{place}: indicator"), said);
    let Some(ratio) = spec.get("ratioMetric") else {
        return Err(
            "its indicator has no ratioMetric; a thresholdMetric is no count of events".into()
        );
    };
    if ratio.get("raw").is_some() {
        return Err("its ratio is computed already (raw), and events cannot be told from it".into());
    }
    if ratio.text("counter") != Some("true") {
        return Err("its metrics are no counters (counter: true)".to_owned());
    }
    let (events, counted) = match (ratio.get("good"), ratio.get("bad")) {
        (Some(good), None) => ("good", good),
        (None, Some(bad)) => ("bad", bad),
        _ => return Err("its ratioMetric needs either good or bad".to_owned()),
    };
    let total = ratio.get("total").ok_or("its ratioMetric has no total")?;
    unread(Some(ratio), &RATIO, &format!("{place}: ratioMetric"), said);
    let mut fields = Vec::new();
    for (field, metric) in [(events, counted), ("total", total)] {
        let selector = selector(metric, documents).map_err(|why| format!("{field}: {why}"))?;
        if !OURS.iter().any(|prefix| selector.metric.starts_with(prefix)) {
            said.push(format!(
                "{place}: {} is no metric of ShieldX: nothing is counted for it, nor in \
                 the generated rules, which read what the server counts",
                selector.metric
            ));
        }
        fields.push((field.to_owned(), scalar(selector.to_string())));
    }
    Ok(("ratio".to_owned(), Node::Map(fields)))
}

fn selector(metric: &Node, documents: &Documents<'_>) -> Result<Selector, String> {
    let source = metric.get("metricSource").ok_or("it has no metricSource")?;
    let kind = source.text("type").or_else(|| {
        let named = documents.find("DataSource", source.text("metricSourceRef")?)?;
        named.get("spec")?.text("type")
    });
    match kind {
        Some(kind) if kind.eq_ignore_ascii_case("prometheus") => {}
        Some(kind) => return Err(format!("it is a query to {kind}; only Prometheus' are read")),
        None => {
            let called = source.text("metricSourceRef").map_or("none", |called| called);
            return Err(format!(
                "its metricSource has no type, and no DataSource says it ({called})"
            ));
        }
    }
    let query = source.get("spec").and_then(|spec| spec.text("query"));
    counter_of(query.ok_or("its metricSource has no spec.query")?)
}

/// The counter in a query: a selector, or the sum over one of its rate or increase. A ratio of sums of
/// rates over the same range is the ratio of sums of increases, which is what is counted here.
fn counter_of(query: &str) -> Result<Selector, String> {
    let mut inner = query.trim();
    for functions in [&["sum"][..], &["rate", "increase"]] {
        inner = functions.iter().find_map(|name| argument(inner, name)).unwrap_or(inner);
    }
    if let Some((selector, _range)) = inner.strip_suffix(']').and_then(|text| text.rsplit_once('['))
    {
        inner = selector.trim();
    }
    inner.parse().map_err(|error| {
        format!("{query:?} is no counter, nor sum(rate(counter[…])) or sum(increase(counter[…])): {error}")
    })
}

/// `f(x)` is x.
fn argument<'a>(text: &'a str, function: &str) -> Option<&'a str> {
    let inner = text.strip_prefix(function)?.trim_start().strip_prefix('(')?.strip_suffix(')')?;
    Some(inner.trim())
}

#[cfg(test)]
mod tests {
    use super::counter_of;

    #[test]
    fn counters_are_found_in_queries() {
        for (query, selector) in [
            ("a_total", "a_total"),
            ("a_total{b=\"c\"}", "a_total{b=\"c\"}"),
            ("sum(a_total)", "a_total"),
            ("sum (rate( a_total{b=\"c\"}[5m] ))", "a_total{b=\"c\"}"),
            ("sum(increase(a_total[{{.window}}]))", "a_total"),
            ("rate(a_total[1h])", "a_total"),
            ("a_total{b=\"[x]\"}", "a_total{b=\"[x]\"}"),
            ("sum(rate(a_total{c=~\"5[0-9]+\"}[5m]))", "a_total{c=~\"5[0-9]+\"}"),
            ("a_total{c!~\"5[0-9]\"}", "a_total{c!~\"5[0-9]\"}"),
        ] {
            assert_eq!(counter_of(query).unwrap().to_string(), selector, "{query}");
        }
        for query in [
            "sum by (code) (rate(a[5m]))",
            "sum(rate(a[5m])) by (code)",
            "sum(rate(a[5m])) + sum(rate(b[5m]))",
            "avg(rate(a[5m]))",
            "sum(rate(sum(a)[5m:]))",
            "histogram_quantile(0.9, a)",
            "a offset 5m",
            "a - b",
            "",
        ] {
            assert!(counter_of(query).is_err(), "{query}: {:?}", counter_of(query));
        }
    }
}
