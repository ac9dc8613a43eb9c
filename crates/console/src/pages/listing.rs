//! The newest traces, and what is said of one that is gone.

use maud::{Markup, html};
use runtime::telemetry::{KeptBecause, Summary};

use crate::api::{Filter, TRACES_MAX};
use crate::show;

const NAME_CHARS: usize = 80;

pub(crate) fn body(found: &[Summary], filter: &Filter, services: &[&str], now_us: i64) -> Markup {
    let longest = found.iter().map(|trace| trace.duration_us).max().unwrap_or(1).max(1);
    html! {
        h1 { "Traces" }
        (form(filter, services))
        section #traces data-live aria-label="Newest traces" {
            @if found.is_empty() {
                p.empty { "No trace is kept that fits. Kept are all that failed or were bad for an objective, the slowest of each route and minute, and a share of the others." }
            } @else {
                p.muted { (found.len()) " traces, newest first" @if found.len() >= TRACES_MAX { "; older ones are not listed" } }
                table.traces role="table" {
                    thead role="rowgroup" { tr role="row" {
                        @for name in ["Request", "Started", "Duration", "Spans", "Outcome", "Kept because"] {
                            th scope="col" role="columnheader" { (name) }
                        }
                    } }
                    tbody role="rowgroup" { @for trace in found { (row(trace, longest, now_us)) } }
                }
            }
        }
    }
}

fn form(filter: &Filter, services: &[&str]) -> Markup {
    let only = [("", "all"), ("errors", "failed"), ("bad", "bad for an objective")];
    html! {
        form.filters method="get" action="/traces" {
            label { "Service " select name="service" {
                option value="" selected[filter.service.is_empty()] { "any" }
                @for service in services { option value=(service) selected[*service == filter.service] { (show::clip(service, 60)) } }
            } }
            label { "Only " select name="only" {
                @for (value, name) in only { option value=(value) selected[value == filter.only] { (name) } }
            } }
            label { "At least " input type="number" name="slower_ms" min="0" max="3600000" value=(show::clip(&filter.slower_ms, 10)) placeholder="0" inputmode="numeric"; " ms" }
            button type="submit" { "Show" }
        }
    }
}

fn row(trace: &Summary, longest_us: i64, now_us: i64) -> Markup {
    let permille = trace.duration_us.saturating_mul(1000) / longest_us;
    let class = if trace.error {
        "fill bad"
    } else if trace.bad {
        "fill warn"
    } else {
        "fill"
    };
    html! {
        tr role="row" {
            th.name scope="row" role="rowheader" {
                a href=(format!("/traces/{}", show::encoded(&trace.trace_id))) { (show::clip(&trace.name, NAME_CHARS)) }
                span.muted { (show::clip(&trace.services.join(" · "), NAME_CHARS)) }
            }
            td role="cell" data-name="Started" { (show::clock(trace.start_us)) span.muted { (show::distance(trace.start_us, now_us)) } }
            td.took role="cell" data-name="Duration" {
                b { (show::micros(trace.duration_us)) }
                svg.bar width="100%" height="6" aria-hidden="true" {
                    rect class=(class) width=(format!("{}.{}%", permille / 10, permille % 10)) height="6" rx="2" {}
                }
            }
            td role="cell" data-name="Spans" { (trace.spans) }
            td role="cell" data-name="Outcome" { (outcome(trace.error, trace.bad)) }
            td role="cell" data-name="Kept because" { span.muted { (because(trace.kept_because)) } }
        }
    }
}

pub(super) fn outcome(error: bool, bad: bool) -> Markup {
    html! {
        @if error { span.badge.bad { "✕ failed" } " " }
        @if bad { span.badge.warn { "△ bad for an objective" } " " }
        @if !error && !bad { span.badge.good { "✓ good" } }
    }
}

pub(super) fn because(why: KeptBecause) -> &'static str {
    match why {
        KeptBecause::Recent => "it is new",
        KeptBecause::Error => "a span failed",
        KeptBecause::SloBad => "bad for an objective",
        KeptBecause::Slowest => "slowest of its route and minute",
        KeptBecause::Exemplar => "a metric names it",
        KeptBecause::Sampled => "one of a share",
    }
}

pub(crate) fn expired(id: &str) -> Markup {
    html! {
        p { "No trace " code { (show::clip(id, 64)) } " is kept any more." }
        p {
            "Of all requests, the newest traces are in memory; kept longer are those that failed, those that "
            "were bad for an objective, the slowest of each route and minute, those that a metric names, and a share of the others. "
            "This one was none of these, or had to make room for newer ones, or its request was not sampled. "
            "A collector set with " code { "OTEL_EXPORTER_OTLP_ENDPOINT" } " may still have it."
        }
        p { a href="/traces" { "The traces that are kept" } }
    }
}

pub(crate) fn no_id(id: &str) -> Markup {
    html! {
        p { code { (show::clip(id, 64)) } " is no trace id: one has 32 hexadecimal digits, not all of them 0." }
        p { a href="/traces" { "The traces that are kept" } }
    }
}
