//! From counters to samples: what every objective has counted so far, in every view.

use std::collections::BTreeMap;

use runtime::sli::{ALL_TENANTS, Sli, View};
use slo::Catalog;
use slo::history::{Sample, Series};
use slo::status::{Counts, Scope};

/// Reads the counters of one process.
#[derive(Debug)]
pub(crate) struct Sampler {
    instance: String,
    epoch: i64,
    /// What the last sample told.
    told: BTreeMap<Series, Counts>,
}

impl Sampler {
    pub(crate) fn new(instance: &str, epoch: i64) -> Self {
        Self { instance: instance.to_owned(), epoch, told: BTreeMap::new() }
    }

    /// The next sample names everything, whatever was told before.
    pub(crate) fn tell_all(&mut self) {
        self.told.clear();
    }

    /// What has been counted; a series that has not changed since the last sample is left out.
    pub(crate) fn take(&mut self, catalog: &Catalog, slis: &[Sli], at_us: i64) -> Sample {
        let mut sums: BTreeMap<Series, Counts> = BTreeMap::new();
        for total in slis.iter().flat_map(Sli::totals) {
            let Some(slo) = catalog.get(&total.slo) else { continue };
            let counts = Counts { good: total.good, bad: total.bad, excluded: total.excluded };
            let mut add = |scope| {
                let series = Series { slo: slo.name.clone(), revision: slo.revision, scope };
                let sum = sums.entry(series).or_default();
                *sum = sum.plus(counts);
            };
            match total.view {
                View::Tenant(tenant) => {
                    if slo.views.tenants && tenant != ALL_TENANTS {
                        add(Scope::Tenant(tenant));
                    }
                    add(Scope::All);
                }
                View::RouteGroup(group) => add(Scope::RouteGroup(group)),
            }
        }
        let changed = |(series, counts): &(Series, Counts)| self.told.get(series) != Some(counts);
        let series: Vec<_> = sums.into_iter().filter(changed).collect();
        self.told.extend(series.iter().cloned());
        Sample { instance: self.instance.clone(), epoch: self.epoch, at_us, series }
    }
}
