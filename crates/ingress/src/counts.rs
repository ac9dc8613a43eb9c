//! What the ingress counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use runtime::http::admission::Malformed;
use runtime::metrics::Metrics;

use crate::limit::Whose;
use crate::trace::Admission;

type Labels = [(&'static str, &'static str); 1];

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The gateway answered it.
    Forwarded,
    /// It cannot be understood in one way only.
    Malformed(Malformed),
    /// Too many of its address or key.
    Limited(Whose),
    /// Its body was too large, too slow or broke off.
    Body,
    /// The gateway did not answer.
    Failed,
}

#[derive(Debug)]
pub(crate) struct Counts {
    forwarded: Counter,
    malformed: [Counter; Malformed::ALL.len()],
    limited_address: Counter,
    limited_key: Counter,
    body: Counter,
    failed: Counter,
    traceparents: [Counter; Admission::ALL.len()],
}

impl Counts {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let help = "Requests by what became of them.";
        let requests = metrics.register(
            "shieldx_ingress_requests",
            help,
            Family::<Labels, Counter>::default(),
        );
        let help = "Requests by what became of their traceparent.";
        let traces = metrics.register(
            "shieldx_ingress_traceparents",
            help,
            Family::<Labels, Counter>::default(),
        );
        let outcome = |name| requests.get_or_create(&[("outcome", name)]).clone();
        Self {
            forwarded: outcome("forwarded"),
            malformed: Malformed::ALL.map(|malformed| outcome(malformed.as_str())),
            limited_address: outcome("limited_address"),
            limited_key: outcome("limited_key"),
            body: outcome("body"),
            failed: outcome("failed"),
            traceparents: Admission::ALL.map(|admission| {
                traces.get_or_create(&[("admission", admission.as_str())]).clone()
            }),
        }
    }

    pub(crate) fn outcome(&self, outcome: Outcome) {
        match outcome {
            Outcome::Forwarded => &self.forwarded,
            Outcome::Malformed(malformed) => {
                let index = Malformed::ALL.iter().position(|each| *each == malformed);
                &self.malformed[index.unwrap_or(0)]
            }
            Outcome::Limited(Whose::Address) => &self.limited_address,
            Outcome::Limited(Whose::Key) => &self.limited_key,
            Outcome::Body => &self.body,
            Outcome::Failed => &self.failed,
        }
        .inc();
    }

    pub(crate) fn traceparent(&self, admission: Admission) {
        let index = Admission::ALL.iter().position(|each| *each == admission);
        self.traceparents[index.unwrap_or(0)].inc();
    }
}
