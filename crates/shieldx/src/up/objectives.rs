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

#[cfg(test)]
mod tests {
    use super::plan;

    /// `slo` may not know `runtime`, so a few words and numbers are said twice: here they are one.
    #[test]
    fn objectives_and_counters_mean_the_same() {
        let bounds = runtime::metrics::DURATION_BUCKETS_S.iter();
        let counted: Vec<String> = bounds.map(|bound| (bound * 1000.0).to_string()).collect();
        assert_eq!(counted, slo::spec::LATENCY_BOUNDS_MS.map(|bound| bound.to_string()));
        assert_eq!(slo::spec::NO_TENANT, runtime::sli::NO_TENANT);
        assert_eq!(slo::spec::OTHER_TENANTS, runtime::sli::OTHER_TENANTS);
        assert_eq!(slo::spec::OTHER_ROUTES, runtime::sli::OTHER_ROUTES);
    }

    #[test]
    fn every_shipped_objective_is_counted_by_a_service_that_runs() {
        let catalog = slo::spec::read(slo::spec::SHIPPED).unwrap();
        let plan = plan(&catalog);
        assert_eq!(plan.objectives.len(), catalog.slos.len());
        let services =
            ["ingress", "gateway", "contauth", "verifier-pool", "ml-service", super::BY_HAND];
        for objective in &plan.objectives {
            assert!(services.contains(&objective.service.as_str()), "{objective:?}");
        }
    }
}
