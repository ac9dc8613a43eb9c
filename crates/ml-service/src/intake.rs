//! How much may be on its way in at once, of everybody and of each tenant, so that waiting batches
//! take bounded memory and one tenant's flood leaves room for the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use types::Tenant;

/// A bound on something that is held for a while: rows, bytes of bodies.
#[derive(Debug)]
pub(crate) struct Intake {
    max: u64,
    tenant_max: u64,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    total: u64,
    /// Only tenants that hold something.
    tenants: HashMap<Tenant, u64>,
}

/// What a tenant holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    intake: Arc<Intake>,
    tenant: Tenant,
    amount: u64,
}

impl Intake {
    pub(crate) fn new(max: u64, tenant_max: u64) -> Arc<Self> {
        Arc::new(Self { max, tenant_max, held: Mutex::default() })
    }

    /// `None` when it does not fit now.
    pub(crate) fn take(self: &Arc<Self>, tenant: &Tenant, amount: u64) -> Option<Share> {
        let mut held = self.held();
        let of_tenant = held.tenants.get(tenant).copied().unwrap_or(0);
        if held.total + amount > self.max || of_tenant + amount > self.tenant_max {
            return None;
        }
        held.total += amount;
        held.tenants.insert(tenant.clone(), of_tenant + amount);
        Some(Share { intake: Arc::clone(self), tenant: tenant.clone(), amount })
    }

    /// What is held now.
    pub(crate) fn total(&self) -> u64 {
        self.held().total
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.intake.held();
        held.total = held.total.saturating_sub(self.amount);
        let left = held.tenants.get(&self.tenant).map_or(0, |has| has.saturating_sub(self.amount));
        if left == 0 {
            held.tenants.remove(&self.tenant);
        } else {
            held.tenants.insert(self.tenant.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Intake;

    #[test]
    fn one_tenants_flood_leaves_room_for_another_and_all_is_given_back() {
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        let intake = Intake::new(10, 6);
        let first = intake.take(&a, 4).unwrap();
        let second = intake.take(&a, 2).unwrap();
        assert!(intake.take(&a, 1).is_none(), "the tenant's own bound");
        let third = intake.take(&b, 4).unwrap();
        assert!(intake.take(&b, 1).is_none(), "everybody's bound");
        drop(first);
        let fourth = intake.take(&b, 2).unwrap();
        drop((second, third, fourth));
        assert!(intake.held().tenants.is_empty());
        assert_eq!(intake.held().total, 0);
    }
}
