//! Log lines: for people on a terminal, as JSON for everybody else, each with the ids of its trace.

use std::fmt::{self, Write as _};

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::{Clock as _, System, rfc3339};

/// How lines look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `level` or `target=level`, comma-separated.
    pub filter: String,
    pub json: bool,
    pub color: bool,
}

/// The layer that writes lines. A line that cannot be written is lost and nothing else.
pub(super) fn layer<S, W>(
    settings: &LogSettings,
    writer: W,
) -> impl Layer<S> + Send + Sync + use<S, W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let format = Format { json: settings.json };
    tracing_subscriber::fmt::layer()
        .log_internal_errors(false)
        .with_ansi(settings.color && !settings.json)
        .event_format(format)
        .with_writer(writer)
}

struct Format {
    json: bool,
}

impl<S, N> FormatEvent<S, N> for Format
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let context = Context::current();
        let span = context.span();
        let span = span.span_context();
        let ids =
            span.is_valid().then(|| (span.trace_id().to_string(), span.span_id().to_string()));
        let meta = event.metadata();
        let now = rfc3339(System.now_us());
        if self.json {
            let mut line = Map::new();
            line.insert("timestamp".to_owned(), now.into());
            line.insert("level".to_owned(), meta.level().as_str().into());
            line.insert("target".to_owned(), meta.target().into());
            if let Some((trace_id, span_id)) = ids {
                line.insert("trace_id".to_owned(), trace_id.into());
                line.insert("span_id".to_owned(), span_id.into());
            }
            line.extend(fields.0);
            return writeln!(writer, "{}", Value::Object(line));
        }
        pretty(&mut writer, *meta.level(), &now, meta.target(), fields.0, ids)
    }
}

fn pretty(
    writer: &mut Writer<'_>,
    level: Level,
    now: &str,
    target: &str,
    mut fields: Map<String, Value>,
    ids: Option<(String, String)>,
) -> fmt::Result {
    let (on, off) = match (writer.has_ansi_escapes(), level) {
        (false, _) => ("", ""),
        (true, Level::ERROR) => ("\u{1b}[31m", "\u{1b}[0m"),
        (true, Level::WARN) => ("\u{1b}[33m", "\u{1b}[0m"),
        (true, _) => ("\u{1b}[2m", "\u{1b}[0m"),
    };
    let time = now.get(11..19).unwrap_or(now);
    let message = fields.remove("message");
    let message = message.as_ref().and_then(Value::as_str).unwrap_or("");
    write!(writer, "{time} {on}{level:<5}{off} {target}: {}", Plain(message))?;
    for (name, value) in &fields {
        match value {
            Value::String(text) if text.bytes().all(plain) && !text.is_empty() => {
                write!(writer, " {name}={text}")?;
            }
            // JSON's quotes and escapes keep control characters from the terminal.
            value => write!(writer, " {name}={value}")?,
        }
    }
    if let Some((trace_id, _)) = ids {
        write!(writer, " trace_id={trace_id}")?;
    }
    writer.write_char('\n')
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"'
}

/// A message without control characters.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

/// An event's fields as JSON.
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
}
