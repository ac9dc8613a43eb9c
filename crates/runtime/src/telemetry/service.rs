//! Whose a span is, where one process holds several services: the service of the crate it was made
//! in, else the one it names itself, else its parent's.
//!
//! The service is kept with the span while it lives, and told to whoever takes its end.

use std::cell::Cell;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::traces::Traces;

/// The field by which a span names its service; the HTTP server's do, which serves all of them.
pub(super) const FIELD: &str = "service.name";

/// A service of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// `service.name` of its spans.
    pub name: &'static str,
    /// The crates, as module paths write them (`verifier_pool`), whose spans are its own. Crates
    /// that several services use are named nowhere.
    pub crates: &'static [&'static str],
}

/// All services of a process.
pub type Services = &'static [Service];

/// With a span: the name of its service.
#[derive(Debug, Clone, Copy)]
struct Of(&'static str);

thread_local! {
    /// The service of the span that this thread is ending.
    static ENDING: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// The service of the span that this thread is ending; asked once per span.
pub(super) fn take_ending() -> Option<&'static str> {
    ENDING.take()
}

/// The service of a span or of the nearest one around it.
pub(super) fn of_span<'a, S>(span: &SpanRef<'a, S>) -> Option<&'static str>
where
    S: Subscriber + LookupSpan<'a>,
{
    span.scope().find_map(|span| span.extensions().get::<Of>().map(|of| of.0))
}

/// The service whose crate something was said in.
pub(super) fn of_target(services: Services, metadata: &Metadata<'_>) -> Option<&'static str> {
    let target = metadata.target();
    let name = target.split_once("::").map_or(target, |(name, _)| name);
    services.iter().find(|service| service.crates.contains(&name)).map(|service| service.name)
}

/// Finds the service of each span. It has to stand before the layer that makes OpenTelemetry's spans,
/// whose end it prepares.
#[derive(Debug)]
pub(super) struct Attribution {
    pub(super) services: Services,
    /// Whether traces are continued and handed on.
    pub(super) propagate: bool,
    /// For those that only know the subscriber.
    pub(super) traces: Arc<Traces>,
}

impl<S> Layer<S> for Attribution
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let service = of_target(self.services, attributes.metadata())
            .or_else(|| self.named(attributes))
            .or_else(|| span.parent().as_ref().and_then(of_span));
        if let Some(service) = service {
            span.extensions_mut().insert(Of(service));
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let service = ctx.span(&id).and_then(|span| span.extensions().get::<Of>().map(|of| of.0));
        ENDING.set(service);
    }
}

impl Attribution {
    fn named(&self, attributes: &Attributes<'_>) -> Option<&'static str> {
        attributes.metadata().fields().field(FIELD)?;
        let mut named = Named { services: self.services, found: None };
        attributes.record(&mut named);
        named.found
    }
}

struct Named {
    services: Services,
    found: Option<&'static str>,
}

impl Visit for Named {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == FIELD {
            let known = self.services.iter().find(|service| service.name == value);
            self.found = known.map(|service| service.name);
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}
