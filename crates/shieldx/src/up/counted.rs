//! The metrics of every service, and in them the counters of its objectives. They are made first,
//! since the ledger reads them all.

use std::sync::Arc;

use runtime::metrics::Metrics;
use runtime::sli::{Plan, Sli};

/// What is counted of one service.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub metrics: Metrics,
    pub sli: Sli,
}

/// Of all of them.
#[derive(Debug)]
pub(super) struct CountedServices {
    pub ingress: Counted,
    pub gateway: Counted,
    pub contauth: Counted,
    pub verifier_pool: Counted,
    pub ml_service: Counted,
    /// The console's, which are the ledger's, too.
    pub console: Counted,
}

impl CountedServices {
    pub(super) fn new(plan: &Arc<Plan>) -> Self {
        let of = |service| {
            let metrics = Metrics::new(service);
            let sli = Sli::new(Arc::clone(plan), &metrics);
            Counted { metrics, sli }
        };
        Self {
            ingress: of("ingress"),
            gateway: of("gateway"),
            contauth: of("contauth"),
            verifier_pool: of("verifier-pool"),
            ml_service: of("ml-service"),
            console: of("console"),
        }
    }

    pub(super) fn all(&self) -> [&Counted; 6] {
        let Self { ingress, gateway, contauth, verifier_pool, ml_service, console } = self;
        [ingress, gateway, contauth, verifier_pool, ml_service, console]
    }
}
