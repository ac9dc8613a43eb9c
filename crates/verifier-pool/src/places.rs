//! Places for what holds a connection open: uploads, event streams. Bounded in all, and one tenant
//! never has more than half of them, so that it cannot keep the others out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use types::Tenant;

use crate::error::PoolError;

/// One in so many of the places is the most that a tenant gets.
const TENANT_SHARE: u32 = 2;

type Taken = Arc<Mutex<HashMap<Tenant, u32>>>;

/// A number of places.
#[derive(Debug)]
pub(crate) struct Places {
    what: &'static str,
    limit: u32,
    taken: Taken,
}

/// One place; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    tenant: Tenant,
    taken: Taken,
}

impl Places {
    pub(crate) fn new(what: &'static str, limit: u32) -> Self {
        Self { what, limit, taken: Taken::default() }
    }

    pub(crate) fn take(&self, tenant: &Tenant) -> Result<Place, PoolError> {
        let what = self.what;
        let share = (self.limit / TENANT_SHARE).max(1);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<u32>() >= self.limit {
            return Err(PoolError::Busy { what, limit: self.limit, own: false });
        }
        let own = taken.entry(tenant.clone()).or_default();
        if *own >= share {
            return Err(PoolError::Busy { what, limit: share, own: true });
        }
        *own += 1;
        Ok(Place { tenant: tenant.clone(), taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use types::Tenant;

    use super::Places;
    use crate::error::PoolError;

    #[test]
    fn one_tenant_takes_half_and_leaves_the_rest() {
        let places = Places::new("uploads", 4);
        let [a, b, c] = ["a", "b", "c"].map(|name| name.parse::<Tenant>().unwrap());
        let held = (places.take(&a).unwrap(), places.take(&a).unwrap());
        let third = places.take(&a);
        assert!(matches!(third, Err(PoolError::Busy { own: true, limit: 2, .. })), "{third:?}");
        let others = (places.take(&b).unwrap(), places.take(&b).unwrap());
        let full = places.take(&c);
        assert!(matches!(full, Err(PoolError::Busy { own: false, limit: 4, .. })), "{full:?}");
        drop(held);
        assert!(places.take(&c).is_ok());
        drop(others);
        assert!(places.taken.lock().unwrap().is_empty());
    }
}
