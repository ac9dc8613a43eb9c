//! What a trace shows of a verification.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Subscriber, subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};
use types::Calls;
use types::ports::Progress;
use verifier_pool::Config;

use crate::lab::{Lab, until};
use crate::played::recording;

/// Fields of each span of a run, by the run's own fields (which name the verification) and the
/// span's name. It is everybody's: a subscriber of one thread does not see callsites that another
/// thread met first.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<(String, String), String>>>);

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        context.span(id).unwrap().extensions_mut().insert(fields);
        self.note(id, &context);
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(fields) = context.span(id).unwrap().extensions_mut().get_mut::<Fields>() {
            record.record(fields);
        }
        self.note(id, &context);
    }
}

impl Seen {
    fn note<S: Subscriber + for<'a> LookupSpan<'a>>(&self, id: &Id, context: &Context<'_, S>) {
        let fields = |span: &tracing_subscriber::registry::SpanRef<'_, S>| {
            span.extensions().get::<Fields>().map(|fields| fields.0.clone()).unwrap_or_default()
        };
        let span = context.span(id).unwrap();
        if let Some(run) = span.scope().from_root().next().filter(|root| root.name() == "verify") {
            let key = (fields(&run), span.name().to_owned());
            self.0.lock().unwrap().insert(key, fields(&span));
        }
    }

    fn of(&self, id: &str) -> BTreeMap<String, String> {
        let seen = self.0.lock().unwrap();
        let of_run = seen.iter().filter(|((run, _), _)| run.contains(id));
        of_run.map(|((_, name), fields)| (name.clone(), fields.clone())).collect()
    }
}

#[tokio::test]
async fn every_phase_is_a_span_of_its_run_with_its_counts() {
    let seen = Seen::default();
    subscriber::set_global_default(Registry::default().with(seen.clone())).unwrap();
    let lab = Lab::new();
    lab.sandbox.play(|execution, listener| async move {
        for part in ["build", "run", "collect", "made up"] {
            listener(Progress::Phase(part));
        }
        let mut recording = recording(&execution.id);
        let calls = Calls { made: 5, blocked: 2 };
        recording.activity.calls.insert("ptrace".to_owned(), calls);
        Ok(recording)
    });
    let site = lab.site(Config::default());
    site.pool.start();
    let id = site.accepted("").await;
    site.ended(&id).await;
    until("the run's last span", || seen.of(&id).contains_key("finish")).await;
    let spans = seen.of(&id);
    for (name, field) in [
        ("verify", "attempt=1"),
        ("verify", "shieldx.tenant=\"acme\""),
        ("sandbox.build", ""),
        ("sandbox.run", ""),
        ("sandbox.collect", ""),
        ("run", "syscalls=5 syscalls.blocked=2 tier=B"),
        ("fetch", "artifact.bytes="),
        ("run", "events.seen=7 events.received=7 events.dropped=0"),
        ("features", "features=1"),
        ("anomaly", "anomaly.history_runs=25"),
        ("assess", "score=42"),
        ("finish", ""),
    ] {
        let fields = spans.get(name).unwrap_or_else(|| panic!("no span {name}: {spans:?}"));
        assert!(fields.contains(field), "{name}: {fields}");
    }
    site.stop().await;
}
