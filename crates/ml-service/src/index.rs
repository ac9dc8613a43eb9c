//! The latest value of every feature of every entity, in memory, and what it takes.
//!
//! It holds nothing that the log does not: `rebuild` makes it again at every start. This
//! room knows no HTTP and no store.

mod latest;
mod usage;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use latest::{COLUMNS_MAX, Latest, Reading, Stamp};
pub use usage::{Growth, Limits, Reservation, Usage};

use types::Tenant;

use crate::error::MlError;

/// Views one tenant may have.
pub const VIEWS_MAX: usize = 256;

/// One tenant's view.
#[derive(Debug)]
pub struct View {
    pub tenant: Tenant,
    pub name: Box<str>,
    /// Held from the check of a batch until its latest values stand here, so that batches of a
    /// view are checked against everything accepted before them.
    pub writer: Arc<tokio::sync::Mutex<()>>,
    latest: RwLock<Latest>,
}

impl View {
    fn new(tenant: Tenant, name: &str) -> Arc<Self> {
        let (writer, latest) = (Arc::default(), RwLock::default());
        Arc::new(Self { tenant, name: name.into(), writer, latest })
    }

    pub fn read(&self) -> RwLockReadGuard<'_, Latest> {
        self.latest.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, Latest> {
        self.latest.write().unwrap_or_else(PoisonError::into_inner)
    }
}

type Views = HashMap<Box<str>, Arc<View>>;

/// All views.
#[derive(Debug, Default)]
pub struct Index {
    tenants: RwLock<HashMap<Tenant, Views>>,
}

impl Index {
    /// The view, where it has rows.
    #[must_use]
    pub fn find(&self, tenant: &Tenant, name: &str) -> Option<Arc<View>> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        let view = tenants.get(tenant)?.get(name)?;
        (view.read().rows() > 0).then(|| Arc::clone(view))
    }

    /// The view, made where there is none.
    ///
    /// # Errors
    /// [`MlError::TooManyViews`].
    pub fn open(&self, tenant: &Tenant, name: &str) -> Result<Arc<View>, MlError> {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let views = tenants.entry(tenant.clone()).or_default();
        if let Some(view) = views.get(name) {
            return Ok(Arc::clone(view));
        }
        if views.len() >= VIEWS_MAX {
            return Err(MlError::TooManyViews { max: VIEWS_MAX });
        }
        let view = View::new(tenant.clone(), name);
        views.insert(name.into(), Arc::clone(&view));
        Ok(view)
    }

    /// The view without the bound: what is in the log is shown.
    pub(crate) fn restore(&self, tenant: &Tenant, name: &str) -> Arc<View> {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let views = tenants.entry(tenant.clone()).or_default();
        let make = || View::new(tenant.clone(), name);
        Arc::clone(views.entry(name.into()).or_insert_with(make))
    }

    /// Drops a view that never got a row, so that refused batches use up no places. The caller's
    /// handle must be the only one outside the index.
    pub fn forget_empty(&self, view: Arc<View>) {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let Some(views) = tenants.get_mut(&view.tenant) else { return };
        if Arc::strong_count(&view) == 2 && view.read().rows() == 0 {
            views.remove(&view.name);
        }
    }

    /// The tenant's views that have rows, by name.
    #[must_use]
    pub fn views(&self, tenant: &Tenant) -> Vec<Arc<View>> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        let mut views: Vec<_> =
            tenants.get(tenant).into_iter().flat_map(HashMap::values).cloned().collect();
        views.retain(|view| view.read().rows() > 0);
        views.sort_by(|a, b| a.name.cmp(&b.name));
        views
    }
}
