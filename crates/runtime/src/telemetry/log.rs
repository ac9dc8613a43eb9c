//! Log lines on standard error: JSON for machines, text for people, each with its service and its
//! place in a trace.
//!
//! A line that cannot be written is lost and nothing else: whoever reads the log may go away.

use std::fmt;
use std::io::{self, Write as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use types::cause::chain;

use super::context;
use super::service::{self, Services};
use crate::clock::{self, Clock as _};

/// How logs are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// What is logged, as `tracing_subscriber::EnvFilter` writes it: `info,gateway=debug`.
    pub filter: String,
    /// One JSON object a line, instead of text.
    pub json: bool,
    /// Colours in text; only for a terminal.
    pub color: bool,
}

/// Writes events as lines.
pub(super) struct Lines<W> {
    pub(super) services: Services,
    pub(super) json: bool,
    pub(super) color: bool,
    pub(super) writer: W,
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let metadata = event.metadata();
        let mut said = Said::default();
        event.record(&mut said);
        let span = ctx.event_span(event);
        let line = Line {
            time: clock::rfc3339(clock::System.now_us()),
            level: *metadata.level(),
            service: service::of_target(self.services, metadata)
                .or_else(|| span.as_ref().and_then(service::of_span)),
            target: metadata.target(),
            span: span.as_ref().map(|span| span.name()),
            said,
        };
        let text = if self.json { line.json() } else { line.text(self.color) };
        // One write for the whole line, so that lines of several threads do not mix.
        let _ = self.writer.make_writer_for(metadata).write_all(text.as_bytes());
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    fields: Map<String, Value>,
}

impl Visit for Said {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.fields.insert(field.name().to_owned(), value.into());
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.fields.insert(field.name().to_owned(), chain(value).into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.fields.insert(field.name().to_owned(), text.into());
        }
    }
}

struct Line<'a> {
    time: String,
    level: Level,
    service: Option<&'static str>,
    target: &'a str,
    span: Option<&'static str>,
    said: Said,
}

impl Line<'_> {
    fn json(self) -> String {
        let mut line = Map::new();
        line.insert("timestamp".into(), self.time.into());
        line.insert("level".into(), self.level.as_str().into());
        line.insert("message".into(), self.said.message.into());
        if let Some(service) = self.service {
            line.insert("service".into(), service.into());
        }
        line.insert("target".into(), self.target.into());
        if let Some(span) = self.span {
            line.insert("span".into(), span.into());
        }
        if let Some(context) = context::current() {
            line.insert("trace_id".into(), context.trace_id().to_string().into());
            line.insert("span_id".into(), context.span_id().to_string().into());
        }
        if !self.said.fields.is_empty() {
            line.insert("fields".into(), self.said.fields.into());
        }
        format!("{}\n", Value::Object(line))
    }

    fn text(self, color: bool) -> String {
        let (paint, dim, plain) =
            if color { (color_of(self.level), "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        let mut text = format!(
            "{dim}{}{plain} {paint}{:>5}{plain} {dim}{}{plain} ",
            self.time,
            self.level.as_str(),
            self.service.unwrap_or(self.target),
        );
        push_printable(&mut text, &self.said.message);
        for (name, value) in &self.said.fields {
            text.push_str(&format!(" {dim}{name}={plain}"));
            match value {
                Value::String(value) => push_printable(&mut text, value),
                value => text.push_str(&value.to_string()),
            }
        }
        if let Some(context) = context::current() {
            let (trace, span) = (context.trace_id(), context.span_id());
            text.push_str(&format!(" {dim}trace_id={trace} span_id={span}{plain}"));
        }
        text.push('\n');
        text
    }
}

fn color_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[34m",
    }
}

/// A line stays one line, and a terminal is told nothing by what it shows.
fn push_printable(text: &mut String, said: &str) {
    for letter in said.chars() {
        if letter.is_control() {
            text.extend(letter.escape_default());
        } else {
            text.push(letter);
        }
    }
}

/// Standard error, whose going away is not our end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stderr;

impl MakeWriter<'_> for Stderr {
    type Writer = io::Stderr;

    fn make_writer(&self) -> io::Stderr {
        io::stderr()
    }
}
