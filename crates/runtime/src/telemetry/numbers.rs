//! Keeps unsigned numbers numbers: the layer that makes OpenTelemetry's spans writes what is `u64` as
//! text, and a status code or a count that is text can be neither compared nor added up.
//!
//! Which fields were unsigned is noted with a span while it lives, and told to whoever takes its end.

use std::cell::Cell;
use std::fmt::Debug;

use opentelemetry::{KeyValue, Value};
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// With a span: the names of its unsigned fields. There is none with most.
#[derive(Debug, Default)]
struct Unsigned(Vec<&'static str>);

thread_local! {
    /// Those of the span that this thread is ending.
    static ENDING: Cell<Vec<&'static str>> = const { Cell::new(Vec::new()) };
}

/// Makes the unsigned fields of the span that this thread is ending what they were; asked once per span.
pub(super) fn restore(attributes: &mut [KeyValue]) {
    for name in ENDING.take() {
        for pair in attributes.iter_mut().filter(|pair| pair.key.as_str() == name) {
            // What is larger than a signed number stays text.
            if let Value::String(text) = &pair.value
                && let Ok(number) = text.as_str().parse()
            {
                pair.value = Value::I64(number);
            }
        }
    }
}

/// Notes which fields are unsigned. It has to stand before the layer that makes OpenTelemetry's spans.
#[derive(Debug)]
pub(super) struct Numbers;

impl<S> Layer<S> for Numbers
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let mut seen = Unsigned::default();
        attributes.record(&mut seen);
        if let Some(span) = ctx.span(id).filter(|_| !seen.0.is_empty()) {
            span.extensions_mut().insert(seen);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let mut seen = Unsigned::default();
        values.record(&mut seen);
        let Some(span) = ctx.span(id).filter(|_| !seen.0.is_empty()) else { return };
        let mut extensions = span.extensions_mut();
        if let Some(before) = extensions.get_mut::<Unsigned>() {
            seen.0.retain(|name| !before.0.contains(name));
            before.0.append(&mut seen.0);
        } else {
            extensions.insert(seen);
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let unsigned = ctx.span(&id).and_then(|span| span.extensions_mut().remove::<Unsigned>());
        ENDING.set(unsigned.unwrap_or_default().0);
    }
}

impl Visit for Unsigned {
    fn record_u64(&mut self, field: &Field, _value: u64) {
        self.0.push(field.name());
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn Debug) {}
}
