//! What is found out of a request while it is handled, told at once: so that it is also known of a
//! request whose client leaves before there is an answer.

use std::sync::{Arc, OnceLock};

use http::Extensions;
use types::Tenant;

/// A place in the request's extensions. Cloning gives another handle to the same; what is told
/// first stays.
#[derive(Debug, Clone, Default)]
pub struct Facts(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    tenant: OnceLock<Tenant>,
    route: OnceLock<Arc<str>>,
}

impl Facts {
    /// Whose request it is, once its key has been checked.
    pub fn tell_tenant(extensions: &Extensions, tenant: &Tenant) {
        if let Some(Self(told)) = extensions.get() {
            told.tenant.get_or_init(|| tenant.clone());
        }
    }

    /// The route of a request that is routed by the service itself; from a closed set, as
    /// [`super::observe::Route`].
    pub fn tell_route(extensions: &Extensions, route: &Arc<str>) {
        if let Some(Self(told)) = extensions.get() {
            told.route.get_or_init(|| Arc::clone(route));
        }
    }

    pub(super) fn tenant(&self) -> Option<&str> {
        self.0.tenant.get().map(Tenant::as_str)
    }

    pub(super) fn route(&self) -> Option<&str> {
        self.0.route.get().map(|route| &**route)
    }
}
