//! Where the request would go.

use std::sync::Arc;

use runtime::http::{Facts, Problem};

use super::admit::Admitted;
use crate::routing::Route;
use crate::service::Shared;
use crate::{paths, respond};

/// A request that is on a route, and whose path can be read in one way only, where the route did not
/// say otherwise.
#[derive(Debug)]
pub(super) struct Routed {
    admitted: Admitted,
    route: Arc<Route>,
}

impl Routed {
    pub(super) fn route(&self) -> &Arc<Route> {
        &self.route
    }

    pub(super) fn open(self) -> (Admitted, Arc<Route>) {
        (self.admitted, self.route)
    }
}

/// Also puts the route's label where the request's metrics find it.
#[tracing::instrument(skip_all, name = "route", fields(shieldx.route = tracing::field::Empty))]
pub(super) fn route(
    gateway: &Shared,
    admitted: Admitted,
    label: &mut Option<Arc<str>>,
) -> Result<Routed, Problem> {
    let route = gateway.table.find(admitted.host(), admitted.path());
    let route = Arc::clone(route.ok_or_else(respond::no_route)?);
    tracing::Span::current().record("shieldx.route", &*route.name);
    *label = Some(Arc::clone(&route.label));
    Facts::tell_route(admitted.extensions(), &route.label);
    if !route.raw_paths {
        paths::check(admitted.path()).map_err(respond::ambiguous_path)?;
    }
    Ok(Routed { admitted, route })
}
