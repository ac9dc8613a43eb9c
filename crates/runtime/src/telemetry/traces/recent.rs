//! Lists of traces: which ones somebody wants to see.

use super::shape::{KeptBecause, Summary};

/// Which traces are listed; what is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceFilter {
    /// Those that are this tenant's and nobody else's.
    pub tenant: Option<String>,
    /// Those it took part in.
    pub service: Option<String>,
    /// Those whose root's name has this in it, as `/v1/verifications`.
    pub name: Option<String>,
    /// Only those with a span that failed.
    pub errors: bool,
    /// Only those with a request that was bad for an objective.
    pub bad: bool,
    pub kept_because: Option<KeptBecause>,
    /// Those that took at least that long.
    pub duration_us_min: i64,
}

impl TraceFilter {
    pub(super) fn wants(&self, trace: &Summary) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        is(&self.tenant, trace.tenant.as_deref())
            && self.service.as_ref().is_none_or(|service| trace.services.contains(service))
            && self.name.as_ref().is_none_or(|name| trace.name.contains(&**name))
            && (!self.errors || trace.error)
            && (!self.bad || trace.bad)
            && self.kept_because.is_none_or(|why| trace.kept_because == why)
            && trace.duration_us >= self.duration_us_min
    }

    /// Whether a trace can be wanted, by what is known of it at a glance.
    pub(super) fn may_want(&self, tenant: Option<&str>, error: bool, bad: bool) -> bool {
        self.tenant.as_deref().is_none_or(|wanted| tenant == Some(wanted))
            && (!self.errors || error)
            && (!self.bad || bad)
    }
}
