//! One trace: its spans in time, what decided how long it took, and what each of them says.

use std::collections::BTreeMap;

use maud::{Markup, html};
use runtime::telemetry::{Kind, Span, Trace};

use super::listing;
use crate::show;

mod path;

use path::{Critical, Tree};

/// Characters of a value.
const VALUE_CHARS: usize = 2000;
const NAME_CHARS: usize = 120;
/// Deeper spans are indented no further.
const DEPTH_MAX: usize = 12;
/// Colours of services; their names are always written, too.
const COLOURS: usize = 8;

pub(crate) fn title(trace: &Trace) -> String {
    let root = root(trace);
    root.map_or_else(|| trace.trace_id.clone(), |span| show::clip(&span.name, NAME_CHARS))
}

fn root(trace: &Trace) -> Option<&Span> {
    let id = trace.root.as_deref();
    trace.spans.iter().find(|span| Some(span.span_id.as_str()) == id).or(trace.spans.first())
}

/// What all rows need to know.
struct Scene<'a> {
    start_us: i64,
    length_us: i64,
    colours: BTreeMap<&'a str, usize>,
    critical: Critical,
}

impl Scene<'_> {
    fn colour(&self, service: &str) -> String {
        format!("c{}", self.colours.get(service).copied().unwrap_or(0))
    }

    /// A moment as a percentage of the width.
    #[expect(clippy::cast_precision_loss, reason = "spans of a trace in microseconds")]
    fn percent(&self, us: i64) -> f64 {
        (us as f64 / self.length_us as f64 * 100.0).clamp(0.0, 100.0)
    }
}

pub(crate) fn body(trace: &Trace) -> Markup {
    let tree = Tree::new(&trace.spans);
    let mut services: Vec<&str> = trace.spans.iter().map(|span| span.service.as_str()).collect();
    services.sort_unstable();
    services.dedup();
    let colours = services.iter().enumerate().map(|(index, name)| (*name, index % COLOURS));
    let scene = Scene {
        start_us: trace.spans.first().map_or(0, |span| span.start_us),
        length_us: trace.duration_us.max(1),
        colours: colours.collect(),
        critical: Critical::of(&trace.spans, &tree),
    };
    // The failure that is deepest is nearest to the cause.
    let failed = tree.rows.iter().filter(|(index, _)| trace.spans[*index].error);
    let cause = failed.rev().max_by_key(|(_, depth)| *depth).map(|(index, _)| *index);
    html! {
        (head(trace))
        (shares(trace, &scene))
        section aria-labelledby="spans" {
            h2 #spans { "Spans" }
            p.muted { "Open one for what it says. " b.critical-sign { "◆" } " is on the critical path: had it been faster, so had the whole." }
            (ruler(&scene))
            ol.waterfall {
                @for (index, depth) in &tree.rows {
                    (row(&trace.spans[*index], *index, *depth, &scene, cause == Some(*index)))
                }
            }
            @if trace.spans_dropped > 0 { p.warn { "⚠ " (trace.spans_dropped) " spans were too many to keep." } }
        }
    }
}

fn head(trace: &Trace) -> Markup {
    let error = trace.spans.iter().any(|span| span.error);
    let bad =
        trace.spans.iter().any(|span| span.attributes.get("shieldx.slo.bad") == Some(&true.into()));
    let services: std::collections::BTreeSet<&str> =
        trace.spans.iter().map(|span| span.service.as_str()).collect();
    html! {
        p.crumbs { a href="/traces" { "Traces" } " / " code { (trace.trace_id) } }
        h1.long { (title(trace)) }
        dl.tiles {
            div { dt { "Duration" } dd { (show::micros(trace.duration_us)) } }
            div { dt { "Started" } dd { @if let Some(span) = trace.spans.first() { (show::time(span.start_us)) } } }
            div { dt { "Outcome" } dd { (listing::outcome(error, bad)) } }
            div { dt { "Spans" } dd { (trace.spans.len()) " in " (services.len()) " services" } }
            div { dt { "Tenant" } dd { @match &trace.tenant { Some(tenant) => (show::clip(tenant, 60)), None => "none named" } } }
            div { dt { "Kept because" } dd { (listing::because(trace.kept_because)) } }
        }
    }
}

/// Whose work the critical path was.
fn shares(trace: &Trace, scene: &Scene<'_>) -> Markup {
    let mut by_service: BTreeMap<&str, i64> = BTreeMap::new();
    for (index, us) in &scene.critical.own_us {
        *by_service.entry(trace.spans[*index].service.as_str()).or_default() += us;
    }
    let mut shares: Vec<(&str, i64)> = by_service.into_iter().collect();
    shares.sort_by_key(|(service, us)| (std::cmp::Reverse(*us), *service));
    let mut from = 0;
    let parts: Vec<(&str, i64, i64)> = shares
        .into_iter()
        .map(|(service, us)| {
            let part = (service, from, us);
            from += us;
            part
        })
        .collect();
    html! {
        section aria-labelledby="where" {
            h2 #where { "Where the time went" }
            svg.shares width="100%" height="14" aria-hidden="true" {
                @for (service, from, us) in &parts {
                    rect class=(scene.colour(service)) x=(format!("{:.2}%", scene.percent(*from))) width=(format!("{:.2}%", scene.percent(*us))) height="14" {}
                }
            }
            ul.shares { @for (service, _, us) in &parts {
                li { span class=(format!("swatch {}", scene.colour(service))) aria-hidden="true" {} (show::clip(service, 40)) " " b { (show::micros(*us)) } " " span.muted { (format!("{:.0} %", scene.percent(*us))) } }
            } }
        }
    }
}

fn ruler(scene: &Scene<'_>) -> Markup {
    let quarters = [0_i64, 1, 2, 3, 4];
    html! {
        div.ruler aria-hidden="true" {
            span {}
            svg width="100%" height="16" {
                @for quarter in quarters {
                    @let (anchor, class) = match quarter { 0 => ("start", "tick"), 4 => ("end", "tick"), 2 => ("middle", "tick"), _ => ("middle", "tick minor") };
                    text class=(class) x=(format!("{}%", quarter * 25)) y="12" text-anchor=(anchor) { (show::micros(scene.length_us * quarter / 4)) }
                }
            }
            span {}
        }
    }
}

fn row(span: &Span, index: usize, depth: usize, scene: &Scene<'_>, open: bool) -> Markup {
    let from = scene.percent(span.start_us - scene.start_us);
    let width = scene.percent(span.duration_us).max(0.15);
    let critical = scene.critical.own_us.contains_key(&index);
    let classes = format!(
        "span d{}{}{}",
        depth.min(DEPTH_MAX),
        if span.error { " failed" } else { "" },
        if critical { " critical" } else { "" }
    );
    html! {
        li class=(classes) #(format!("s-{}", span.span_id)) {
            details open[open] {
                summary {
                    span.who {
                        span.indent {}
                        @if span.error { span.bad title="failed" { "✕" span.sr { " failed " } } }
                        span class=(format!("swatch {}", scene.colour(&span.service))) aria-hidden="true" {}
                        span.service { (show::clip(&span.service, 40)) } " "
                        span.what { (show::clip(&span.name, NAME_CHARS)) }
                    }
                    svg.track width="100%" height="18" aria-hidden="true" {
                        @for quarter in [25, 50, 75] { line.grid x1=(format!("{quarter}%")) x2=(format!("{quarter}%")) y1="0" y2="18" {} }
                        rect class=(format!("bar {}", scene.colour(&span.service))) x=(format!("{:.2}%", from.min(99.85))) width=(format!("{width:.2}%")) y="3" height="12" rx="2" {}
                        @for (from, to) in scene.critical.parts(index) {
                            line.critical-line x1=(format!("{:.2}%", scene.percent(from - scene.start_us))) x2=(format!("{:.2}%", scene.percent(to - scene.start_us))) y1="16.5" y2="16.5" {}
                        }
                    }
                    span.length { @if critical { b.critical-sign title="on the critical path" { "◆" span.sr { " on the critical path" } } " " } (show::micros(span.duration_us)) }
                }
                (inside(span, scene))
            }
        }
    }
}

fn inside(span: &Span, scene: &Scene<'_>) -> Markup {
    let kind = match span.kind {
        Kind::Internal => "internal",
        Kind::Server => "server",
        Kind::Client => "client",
        Kind::Producer => "producer",
        Kind::Consumer => "consumer",
    };
    html! {
        div.inside {
            @if let Some(message) = &span.message { p.bad { "✕ " (show::clip(message, VALUE_CHARS)) } }
            dl.facts {
                div { dt { "service" } dd { (show::clip(&span.service, 60)) } }
                div { dt { "kind" } dd { (kind) } }
                div { dt { "starts after" } dd { (show::micros(span.start_us - scene.start_us)) } }
                div { dt { "takes" } dd { (show::micros(span.duration_us)) } }
                div { dt { "span" } dd { code { (span.span_id) } } }
                @if let Some(parent) = &span.parent_id { div { dt { "part of" } dd { code { (parent) } } } }
            }
            @if !span.attributes.is_empty() { (attributes(&span.attributes)) }
            @if !span.events.is_empty() {
                h3 { "Events" }
                ul.events { @for event in &span.events {
                    li {
                        code { "+" (show::micros(event.time_us - span.start_us)) } " " (show::clip(&event.name, VALUE_CHARS))
                        @if !event.attributes.is_empty() { (attributes(&event.attributes)) }
                    }
                } }
            }
            @if !span.links.is_empty() {
                h3 { "Has to do with" }
                ul { @for link in &span.links {
                    li { a href=(format!("/traces/{}#s-{}", show::encoded(&link.trace_id), show::encoded(&link.span_id))) { "trace " code { (show::clip(&link.trace_id, 32)) } } }
                } }
            }
        }
    }
}

fn attributes(pairs: &BTreeMap<String, serde_json::Value>) -> Markup {
    html! {
        table.attributes {
            tbody { @for (name, value) in pairs {
                tr { th scope="row" { (show::clip(name, NAME_CHARS)) } td { (value_text(value)) } }
            } }
        }
    }
}

fn value_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => show::clip(text, VALUE_CHARS),
        other => show::clip(&other.to_string(), VALUE_CHARS),
    }
}
