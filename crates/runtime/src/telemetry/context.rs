//! Where in a trace we are, as W3C Trace Context writes it: <https://www.w3.org/TR/trace-context/>.
//!
//! It knows one header, `traceparent`. `tracestate` belongs to who forwards it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::service::Attribution;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Characters of `00-<32>-<16>-<2>`.
const LENGTH: usize = 55;

/// The trace id of the current span, 32 hexadecimal digits; `None` outside a trace.
#[must_use]
pub fn current_trace_id() -> Option<String> {
    current().map(|context| context.trace_id().to_string())
}

/// The same where the trace is kept (sampled), so that what points to it, as an exemplar does, finds
/// it.
#[must_use]
pub fn current_sampled_trace_id() -> Option<String> {
    current().filter(SpanContext::is_sampled).map(|context| context.trace_id().to_string())
}

/// What an exemplar names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanIds {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
}

/// The ids of the current span where its trace is kept (sampled).
pub(crate) fn current_sampled_span() -> Option<SpanIds> {
    let context = current().filter(SpanContext::is_sampled)?;
    Some(SpanIds { trace_id: context.trace_id(), span_id: context.span_id() })
}

/// Says that somebody has read metrics that name these traces, so that what the exemplars point to is
/// kept.
pub(crate) fn exemplars_read<'a>(trace_ids: impl Iterator<Item = &'a str>) {
    let traces = tracing::dispatcher::get_default(|dispatch| {
        dispatch.downcast_ref::<Attribution>().map(|layer| Arc::clone(&layer.traces))
    });
    if let Some(traces) = traces {
        traces.shown(trace_ids);
    }
}

/// `traceparent` of the current span (W3C Trace Context), to hand to somebody else.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    current().map(|context| traceparent(&context))
}

/// Makes `span` a child of the remote span that `traceparent` names; a malformed one is ignored.
/// Only before `span` is entered for the first time.
pub fn continue_trace(span: &Span, traceparent: &str) {
    if let Some(parent) = parse(traceparent).filter(|_| propagates()) {
        // It fails where there is no telemetry, and then there is no trace to continue.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// Points from `span` to the span that `traceparent` names, of which it is no part: a job to who
/// submitted it, say. A malformed one is ignored; of more than eight the first are kept.
pub fn link(span: &Span, traceparent: &str) {
    if let Some(other) = parse(traceparent) {
        span.add_link(other);
    }
}

/// Sets `traceparent` to that of the current span; outside a trace nothing is changed.
pub fn inject(headers: &mut HeaderMap) {
    let value = current_traceparent()
        .filter(|_| propagates())
        .and_then(|text| HeaderValue::try_from(text).ok());
    if let Some(value) = value {
        headers.insert(TRACEPARENT, value);
    }
}

/// Whether traces are continued and handed on (`OTEL_PROPAGATORS`). The subscriber knows it, so that
/// nobody between has to.
fn propagates() -> bool {
    tracing::dispatcher::get_default(|dispatch| {
        dispatch.downcast_ref::<Attribution>().is_none_or(|layer| layer.propagate)
    })
}

/// The current span's own context. It is asked of OpenTelemetry and not of `tracing`, since it is
/// also asked while a log line is written, when `tracing` may not be.
pub(super) fn current() -> Option<SpanContext> {
    let context = Context::map_current(|context| context.span().span_context().clone());
    context.is_valid().then_some(context)
}

fn traceparent(context: &SpanContext) -> String {
    let flags = context.trace_flags() & TraceFlags::SAMPLED;
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), flags.to_u8())
}

/// §3.2.2. Of a later version the fields that are known are taken (§4.3), of the flags the one that
/// is known.
fn parse(text: &str) -> Option<SpanContext> {
    let (known, further) = text.as_bytes().split_at_checked(LENGTH)?;
    let hex = |range: std::ops::Range<usize>| {
        let part = std::str::from_utf8(known.get(range)?).ok()?;
        part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).then_some(part)
    };
    let (version, trace, parent, flags) = (hex(0..2)?, hex(3..35)?, hex(36..52)?, hex(53..55)?);
    let dashes = [2, 35, 52].iter().all(|at| known.get(*at) == Some(&b'-'));
    let ends = further.is_empty() || (version != "00" && further.starts_with(b"-"));
    if !dashes || !ends || version == "ff" {
        return None;
    }
    let trace_id = TraceId::from_hex(trace).ok()?;
    let span_id = SpanId::from_hex(parent).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let context = SpanContext::new(trace_id, span_id, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::{parse, traceparent};

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_read_is_written_again_and_a_later_version_becomes_ours() {
        let again = |text: &str| parse(text).map(|context| traceparent(&context));
        assert_eq!(again(GOOD).as_deref(), Some(GOOD));
        assert_eq!(again(&format!("cc{}-what", &GOOD[2..])).as_deref(), Some(GOOD));
        assert_eq!(again(&GOOD.replace("-01", "-ff")).as_deref(), Some(GOOD));
        let unsampled = GOOD.replace("-01", "-00");
        assert_eq!(again(&unsampled), Some(unsampled));
    }

    #[test]
    fn what_is_not_exactly_a_traceparent_is_none() {
        for text in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-"),
            &format!("{GOOD} "),
            &format!(" {GOOD}"),
            &GOOD.to_uppercase(),
            &GOOD.replace('-', "_"),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            &format!("ff{}", &GOOD[2..]),
            &format!("cc{}x", &GOOD[2..]),
            &GOOD.replace("b7", "é"),
            &GOOD.replace("0af7", "+af7"),
        ] {
            assert!(parse(text).is_none(), "{text:?}");
        }
    }
}
