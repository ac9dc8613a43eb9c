//! Knocks at a door from outside, over a connection of its own each time: what a dead front door cannot
//! count itself. Good is an answer of 2xx or 3xx in time.
//!
//! The public door is asked for `/openapi.json`, which needs no key and is answered by the gateway: an
//! answer proves that both are there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::clock::Clock;
use runtime::sli::{Outcome, Sli as Counters};
use runtime::tasks::Tasks;
use serde::Serialize;
use slo::spec::{ProbeTarget, Sli};
use slo::{Catalog, SloName};
use ureq::Agent;
use ureq::tls::TlsConfig;

use crate::meters::Meters;

/// Bytes of an answer that are read; whoever answers longer has answered.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// How a probe is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeStatus {
    pub slo: SloName,
    pub url: String,
    pub last_at_us: Option<i64>,
    /// Why the last one was bad; absent when it was good.
    pub last_error: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Probe {
    slo: SloName,
    url: String,
    interval: Duration,
    agent: Agent,
    last: Mutex<(Option<i64>, Option<String>)>,
}

/// The probes that a catalog asks for.
pub(crate) fn probes(catalog: &Catalog, ingress_url: &str) -> Vec<Arc<Probe>> {
    let probe = |slo: &slo::Slo| {
        let Sli::Probe { target, interval, timeout } = &slo.sli else { return None };
        let own = *target == ProbeTarget::Ingress;
        let url = match target {
            ProbeTarget::Ingress => format!("{}/openapi.json", ingress_url.trim_end_matches('/')),
            ProbeTarget::Url(url) => url.clone(),
        };
        // Whether our own door is open, not whether its certificate is for 127.0.0.1.
        let tls = TlsConfig::builder().disable_verification(own).build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .max_idle_connections(0)
            .timeout_global(Some(*timeout))
            .tls_config(tls)
            .user_agent(concat!("shieldx-probe/", env!("CARGO_PKG_VERSION")))
            .build();
        let (slo, interval) = (slo.name.clone(), *interval);
        let (agent, last) = (config.new_agent(), Mutex::default());
        Some(Arc::new(Probe { slo, url, interval, agent, last }))
    };
    catalog.slos.iter().filter_map(probe).collect()
}

impl Probe {
    pub(crate) fn start(
        self: &Arc<Self>,
        tasks: &Tasks,
        own: &Counters,
        meters: &Meters,
        clock: &Arc<dyn Clock>,
    ) {
        let (probe, own, meters) = (Arc::clone(self), own.clone(), meters.clone());
        let clock = Arc::clone(clock);
        tasks.every("ledger-probe", self.interval, move || {
            let (probe, own, meters) = (Arc::clone(&probe), own.clone(), meters.clone());
            let clock = Arc::clone(&clock);
            async move {
                let asked = Arc::clone(&probe);
                let asked = tokio::task::spawn_blocking(move || asked.ask()).await;
                let error = asked.unwrap_or_else(|error| Err(error.to_string())).err();
                probe.note(error, &own, &meters, clock.now_us());
            }
        });
    }

    fn ask(&self) -> Result<(), String> {
        let mut response = self.agent.get(&self.url).call().map_err(|error| error.to_string())?;
        let status = response.status();
        // An answer that breaks off is none.
        let reader = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        match reader.read_to_vec() {
            Ok(_) | Err(ureq::Error::BodyExceedsLimit(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
        let good = status.is_success() || status.is_redirection();
        good.then_some(()).ok_or_else(|| format!("it answers {status}"))
    }

    fn note(&self, error: Option<String>, own: &Counters, meters: &Meters, now_us: i64) {
        let (outcome, counter) = match &error {
            None => (Outcome::Good, &meters.probes_good),
            Some(_) => (Outcome::Bad, &meters.probes_bad),
        };
        own.add(self.slo.as_str(), outcome, None, 1);
        counter.inc();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let (None, Some(reason)) = (&last.1, &error) {
            tracing::warn!(slo = %self.slo, url = self.url, reason, "nobody answers");
        }
        *last = (Some(now_us), error);
    }

    pub(crate) fn status(&self) -> ProbeStatus {
        let (last_at_us, last_error) =
            self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ProbeStatus { slo: self.slo.clone(), url: self.url.clone(), last_at_us, last_error }
    }
}
