//! What objectives ask to be counted, in the words of those who count.

use std::sync::Arc;

use runtime::sli::{Group, GroupRoute, Objective, Plan, Rule, Tenants};
use slo::spec::{Catalog, Sli, Slo, TenantBound};

/// The service in whose metrics everything is counted that no service counts itself.
pub(super) const BY_HAND: &str = "console";

/// The plan of a catalog.
pub(super) fn plan(catalog: &Catalog) -> Arc<Plan> {
    let groups = catalog.route_groups.iter().map(|group| Group {
        name: group.name.clone(),
        routes: group
            .routes
            .iter()
            .map(|route| GroupRoute {
                service: route.service.clone(),
                methods: route.methods.clone(),
                route: route.route.clone(),
            })
            .collect(),
    });
    let tenants = match &catalog.tenants {
        TenantBound::Listed(names) => Tenants::Listed(names.clone()),
        TenantBound::First(count) => Tenants::First(*count),
    };
    Arc::new(Plan {
        objectives: catalog.slos.iter().map(objective).collect(),
        groups: groups.collect(),
        tenants,
        seen: runtime::sli::Seen::default(),
    })
}

fn objective(slo: &Slo) -> Objective {
    let (rule, requests) = match &slo.sli {
        Sli::Availability { requests } => (Rule::Availability, Some(requests)),
        Sli::Latency { requests, threshold, le } => {
            (Rule::Latency { threshold: *threshold, le: *le }, Some(requests))
        }
        Sli::Freshness { .. } | Sli::Ratio { .. } | Sli::Probe { .. } => (Rule::ByHand, None),
    };
    let service = if requests.is_some() { slo.service.as_str() } else { BY_HAND };
    let requests = requests.cloned().unwrap_or_default();
    Objective {
        slo: slo.name.to_string(),
        service: service.to_owned(),
        rule,
        only: requests.only,
        except: requests.except,
        by_tenant: slo.views.tenants,
        by_route_group: slo.views.route_groups,
    }
}
