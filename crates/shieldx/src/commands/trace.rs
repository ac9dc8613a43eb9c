//! `shieldx trace`: the spans of one request as a tree with a waterfall.

use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::report::words::safe;
use crate::request::service::TraceRequest;

/// Characters of the waterfall.
const WIDTH: usize = 40;

#[derive(Debug, Serialize, Deserialize)]
struct Trace {
    trace_id: String,
    spans: Vec<Span>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Span {
    span_id: String,
    #[serde(default)]
    parent_id: Option<String>,
    name: String,
    service: String,
    /// Microseconds since 1970.
    start_us: i64,
    duration_us: i64,
    #[serde(default)]
    error: bool,
}

/// Prints a trace.
///
/// # Errors
/// When the server does not have it (any more) or does not answer.
pub fn trace(request: &TraceRequest) -> Result<Exit, Failure> {
    let client = Client::new(&request.server);
    // An id with dashes is a verification's; it names its trace.
    let id = if request.id.contains('-') {
        let found: serde_json::Value = client.json(&format!("/v1/verifications/{}", request.id))?;
        found["trace_id"].as_str().map(str::to_owned).ok_or_else(|| {
            Failure::new(Exit::Failed, "that verification was submitted outside a trace")
        })?
    } else {
        request.id.clone()
    };
    let trace: Trace = client.json(&format!("/v1/traces/{}", safe(&id)))?;
    let printed = output::to_stdout(|out| {
        if request.json {
            serde_json::to_writer_pretty(&mut *out, &trace)?;
            return writeln!(out);
        }
        out.write_all(draw(&trace).as_bytes())
    });
    printed.map_err(|error| Failure::of(Exit::Failed, &error))?;
    Ok(Exit::Success)
}

fn draw(trace: &Trace) -> String {
    let mut spans: Vec<&Span> = trace.spans.iter().collect();
    spans.sort_by_key(|span| (span.start_us, std::cmp::Reverse(span.duration_us)));
    let start = spans.first().map_or(0, |span| span.start_us);
    let end = spans.iter().map(|span| span.start_us + span.duration_us).max().unwrap_or(start);
    let known = |id: &str| spans.iter().any(|span| span.span_id == id);
    let is_root = |span: &&&Span| span.parent_id.as_deref().is_none_or(|id| !known(id));
    let total = (end - start).max(1);
    let mut text =
        format!("trace {}  {}  {} spans\n", safe(&trace.trace_id), time(end - start), spans.len());
    for root in spans.iter().filter(is_root) {
        branch(root, &spans, 0, (start, total), &mut text);
    }
    text
}

/// Spans name their parents, and a hostile list could name a circle; real traces are not this deep.
const DEPTH_MAX: usize = 64;

fn branch(span: &Span, spans: &[&Span], depth: usize, window: (i64, i64), text: &mut String) {
    let mark = if span.error { "!" } else { " " };
    let name = format!("{}{}", "  ".repeat(depth), safe(&span.name));
    let bar = bar(span, window);
    text.push_str(&format!(
        "{mark} {:<14} {name:<44} {bar} {:>10}\n",
        safe(&span.service),
        time(span.duration_us)
    ));
    if depth < DEPTH_MAX {
        for child in spans.iter().filter(|child| child.parent_id.as_ref() == Some(&span.span_id)) {
            branch(child, spans, depth + 1, window, text);
        }
    }
}

/// Where in the whole trace a span lies.
fn bar(span: &Span, (start, total): (i64, i64)) -> String {
    let place = |us: i64| {
        let scaled = i128::from(us.clamp(0, total)) * WIDTH as i128 / i128::from(total);
        usize::try_from(scaled).unwrap_or(WIDTH)
    };
    let from = place(span.start_us - start).min(WIDTH - 1);
    let to = place(span.start_us - start + span.duration_us).clamp(from + 1, WIDTH);
    format!("{}{}{}", "·".repeat(from), "█".repeat(to - from), "·".repeat(WIDTH - to))
}

fn time(us: i64) -> String {
    match us {
        ..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        _ => format!("{}.{:02} s", us / 1_000_000, us % 1_000_000 / 10_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(
        id: &str,
        parent: Option<&str>,
        service: &str,
        start_us: i64,
        duration_us: i64,
    ) -> Span {
        Span {
            span_id: id.into(),
            parent_id: parent.map(str::to_owned),
            name: format!("work {id}"),
            service: service.into(),
            start_us,
            duration_us,
            error: false,
        }
    }

    #[test]
    fn a_child_is_drawn_below_its_parent_where_its_time_is() {
        let spans =
            vec![span("b", Some("a"), "gateway", 500, 500), span("a", None, "ingress", 0, 1000)];
        let text = draw(&Trace { trace_id: "t".into(), spans });
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("ingress") && lines[1].contains(&"█".repeat(WIDTH)));
        let half = format!("{}{}", "·".repeat(WIDTH / 2), "█".repeat(WIDTH / 2));
        assert!(lines[2].contains("  work b") && lines[2].contains(&half), "{text}");
    }

    #[test]
    fn spans_that_are_each_others_parent_do_not_hang() {
        let spans = vec![span("a", Some("b"), "x", 0, 1), span("b", Some("a"), "x", 0, 1)];
        assert!(draw(&Trace { trace_id: "t".into(), spans }).starts_with("trace t"));
    }
}
