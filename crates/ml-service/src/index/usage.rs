//! What the latest values take, of all tenants and of each, and the bounds on it.
//!
//! A batch reserves what it may add before it is written, so that many at once cannot pass a bound
//! together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use types::Tenant;

use crate::config::Config;
use crate::error::MlError;
use crate::metrics::MlMetrics;

/// What a batch adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Growth {
    pub entities: u64,
    pub bytes: u64,
    /// Bytes of values that were replaced.
    pub freed: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub entities: u64,
    pub tenant_entities: u64,
    pub bytes: u64,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            entities: config.entities_max,
            tenant_entities: config.tenant_entities_max,
            bytes: config.index_bytes_max,
        }
    }
}

#[derive(Debug, Default)]
struct Totals {
    entities: u64,
    bytes: u64,
    tenants: HashMap<Tenant, u64>,
}

/// The running totals.
#[derive(Debug)]
pub struct Usage {
    limits: Limits,
    totals: Mutex<Totals>,
    metrics: MlMetrics,
}

impl Usage {
    #[must_use]
    pub fn new(limits: Limits, metrics: MlMetrics) -> Arc<Self> {
        Arc::new(Self { limits, totals: Mutex::default(), metrics })
    }

    /// Keeps room for what a batch may add.
    ///
    /// # Errors
    /// [`MlError::TooManyEntities`], [`MlError::TooManyValues`]. What adds nothing always fits.
    pub fn reserve(
        self: &Arc<Self>,
        tenant: &Tenant,
        growth: Growth,
    ) -> Result<Reservation, MlError> {
        let mut totals = self.totals();
        let of_tenant = totals.tenants.get(tenant).copied().unwrap_or(0);
        let bounds = [
            (totals.entities, self.limits.entities, "entities_max"),
            (of_tenant, self.limits.tenant_entities, "tenant_entities_max"),
        ];
        for (has, max, limit) in bounds {
            if growth.entities > 0 && has + growth.entities > max {
                return Err(MlError::TooManyEntities { added: growth.entities, max, limit });
            }
        }
        if growth.bytes > 0 && totals.bytes + growth.bytes > self.limits.bytes {
            return Err(MlError::TooManyValues { limit: "index_bytes_max" });
        }
        totals.add(tenant, growth);
        Ok(Reservation { usage: Arc::clone(self), tenant: tenant.clone(), growth })
    }

    /// Counts what is in the log, whatever the bounds are now.
    pub fn restore(&self, tenant: &Tenant, growth: Growth) {
        let mut totals = self.totals();
        totals.add(tenant, growth);
        self.show(&totals);
    }

    fn show(&self, totals: &Totals) {
        self.metrics.index_size(totals.entities, totals.bytes);
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    fn add(&mut self, tenant: &Tenant, growth: Growth) {
        self.entities += growth.entities;
        self.bytes = (self.bytes + growth.bytes).saturating_sub(growth.freed);
        if growth.entities > 0 {
            *self.tenants.entry(tenant.clone()).or_default() += growth.entities;
        }
    }

    fn take(&mut self, tenant: &Tenant, growth: Growth) {
        self.entities = self.entities.saturating_sub(growth.entities);
        self.bytes = self.bytes.saturating_sub(growth.bytes);
        if let Some(entities) = self.tenants.get_mut(tenant) {
            *entities = entities.saturating_sub(growth.entities);
        }
    }
}

/// Room that is kept; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    usage: Arc<Usage>,
    tenant: Tenant,
    growth: Growth,
}

impl Reservation {
    /// The batch is in and added this.
    pub fn settle(mut self, added: Growth) {
        let usage = Arc::clone(&self.usage);
        let mut totals = usage.totals();
        totals.take(&self.tenant, std::mem::take(&mut self.growth));
        totals.add(&self.tenant, added);
        usage.show(&totals);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.growth != Growth::default() {
            self.usage.totals().take(&self.tenant, self.growth);
        }
    }
}
