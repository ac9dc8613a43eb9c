//! How the console sees what it shows: services, background tasks.

use std::sync::Arc;

use async_trait::async_trait;
use console::{Probe, Receiver, Service, ServicesView, Task, TaskState};
use ledger::{Ledger, ReceiverKind};
use runtime::http::ops::{self, Ops};
use runtime::tasks::{Status, Tasks};

/// The services of this process.
#[derive(Debug)]
pub(super) struct Seen {
    /// Each with the address of its internal listener.
    pub(super) services: Vec<(Ops, Option<String>)>,
    pub(super) tasks: Tasks,
    pub(super) ledger: Arc<Ledger>,
}

#[async_trait]
impl ServicesView for Seen {
    async fn services(&self) -> Vec<Service> {
        let mut found = Vec::new();
        for (ops, url) in &self.services {
            let readiness = ops::readiness(ops).await;
            found.push(Service {
                name: ops.metrics.service().to_owned(),
                url: url.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                readiness,
            });
        }
        found
    }

    fn tasks(&self) -> Vec<Task> {
        self.tasks.status().into_iter().map(|(name, status)| task(name, &status)).collect()
    }

    fn receivers(&self) -> Vec<Receiver> {
        let receivers = self.ledger.receivers().into_iter();
        let receivers = receivers.map(|receiver| Receiver {
            kind: match receiver.kind {
                ReceiverKind::Webhook => "webhook".to_owned(),
                ReceiverKind::Alertmanager => "alertmanager".to_owned(),
            },
            url: receiver.url,
            last_sent_us: receiver.last_delivered_us,
            failing: receiver.last_error,
        });
        receivers.collect()
    }

    fn probes(&self) -> Vec<Probe> {
        let probes = self.ledger.probes().into_iter();
        let probes = probes.map(|probe| Probe {
            slo: probe.slo.to_string(),
            url: probe.url,
            last_run_us: probe.last_at_us,
            last: probe.last_at_us.map(|_| probe.last_error.map_or(Ok(()), Err)),
        });
        probes.collect()
    }
}

fn task(name: &str, status: &Status) -> Task {
    let state = if status.running > 0 {
        TaskState::Running
    } else if status.panicked > 0 {
        TaskState::Panicked
    } else {
        TaskState::Ended
    };
    Task {
        name: name.to_owned(),
        state,
        running: status.running,
        ended: status.ended,
        panicked: status.panicked,
        period: status.period,
        last_run_us: status.last_run_us,
        last_took: status.last_took,
    }
}
