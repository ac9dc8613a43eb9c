//! A span that has ended, with its service, made small enough to be held.

use std::borrow::Cow;
use std::mem::size_of;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{Link, Status};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::export::Queue;
use super::numbers;
use super::service::{self, FIELD};
use super::traces::Traces;

/// Bytes of one string in a span; longer ones are cut.
const TEXT_BYTES_MAX: usize = 1024;
/// What a value that is not on the heap, an allocation and a place in a list take, roughly.
const OVERHEAD_BYTES: usize = 32;

/// A span that has ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) service: &'static str,
    pub(super) data: SpanData,
}

impl Ended {
    fn new(service: &'static str, mut data: SpanData) -> Self {
        numbers::restore(&mut data.attributes);
        // The resource says it.
        data.attributes.retain(|pair| pair.key.as_str() != FIELD);
        cut_values(&mut data.attributes);
        cut(&mut data.name);
        for event in &mut data.events.events {
            cut(&mut event.name);
            cut_values(&mut event.attributes);
        }
        if let Status::Error { description } = &mut data.status {
            cut(description);
        }
        Self { service, data }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&Value> {
        self.data.attributes.iter().find(|pair| pair.key.as_str() == name).map(|pair| &pair.value)
    }

    pub(super) fn lasted(&self) -> Duration {
        self.data.end_time.duration_since(self.data.start_time).unwrap_or_default()
    }

    /// What it takes in memory, estimated.
    pub(super) fn bytes(&self) -> usize {
        let attributes = |pairs: &[KeyValue]| -> usize {
            pairs.iter().map(|pair| size_of::<KeyValue>() + text(&pair.value)).sum()
        };
        let events = self.data.events.iter();
        let events: usize = events
            .map(|event| OVERHEAD_BYTES * 2 + event.name.len() + attributes(&event.attributes))
            .sum();
        size_of::<Self>()
            + OVERHEAD_BYTES
            + self.data.name.len()
            + attributes(&self.data.attributes)
            + events
            + self.data.links.len() * size_of::<Link>()
    }
}

fn text(value: &Value) -> usize {
    match value {
        Value::String(value) => value.as_str().len(),
        Value::Array(_) => OVERHEAD_BYTES + value.to_string().len(),
        _ => 0,
    }
}

fn cut_values(attributes: &mut [KeyValue]) {
    for pair in attributes {
        if let Value::String(value) = &pair.value
            && let Some(cut) = shortened(value.as_str())
        {
            pair.value = Value::String(cut.into());
        }
    }
}

fn cut(text: &mut Cow<'static, str>) {
    if let Some(cut) = shortened(text) {
        *text = Cow::Owned(cut);
    }
}

/// What is kept of a text; `None` for all of it.
fn shortened(text: &str) -> Option<String> {
    (text.len() > TEXT_BYTES_MAX).then(|| {
        let kept = text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default();
        format!("{kept}…")
    })
}

/// Takes the spans that end: into memory, and into the queue to the collector where there is one.
#[derive(Debug)]
pub(super) struct Taker {
    /// For spans of no service: the process itself.
    pub(super) process: &'static str,
    pub(super) traces: Arc<Traces>,
    pub(super) queue: Option<Arc<Queue>>,
}

impl SpanProcessor for Taker {
    fn on_start(&self, _span: &mut Span, _cx: &Context) {}

    fn on_end(&self, span: SpanData) {
        let service = service::take_ending().unwrap_or(self.process);
        let ended = Arc::new(Ended::new(service, span));
        self.traces.add(&ended);
        if let Some(queue) = &self.queue {
            queue.push(ended);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        // `Telemetry::shutdown` ends the queue and knows how long that may take.
        Ok(())
    }
}
