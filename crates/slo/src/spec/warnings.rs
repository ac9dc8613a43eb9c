//! What works, but perhaps not as meant.

use super::{Catalog, SERVICES, Severity, Sli, Slo, span};
use std::time::Duration;

/// A page that takes longer than this after everything has failed comes late.
const LATE: Duration = Duration::from_secs(15 * 60);

impl Catalog {
    /// What is allowed and yet worth a thought, one sentence each, naming the objective.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for slo in &self.slos {
            let of = [self.late(slo), few_events(slo), stranger(slo), silent(slo)];
            warnings.extend(of.into_iter().flatten().map(|text| format!("{}: {text}", slo.name)));
        }
        if !self.slos.iter().any(|slo| slo.gated) {
            let text = "no objective is gated (`gate: true`), so the gate always answers unknown";
            warnings.push(text.to_owned());
        }
        warnings
    }

    /// A loose target pages late, unless something else of the service pages in time.
    fn late(&self, slo: &Slo) -> Option<String> {
        let (takes, factor) = outage_pages_after(slo)?;
        let sooner = |other: &&Slo| {
            let availability = matches!(other.sli, Sli::Availability { .. } | Sli::Probe { .. });
            availability && outage_pages_after(other).is_some_and(|(takes, _)| takes <= LATE)
        };
        if takes <= LATE || self.of_service(&slo.service).any(|other| sooner(&other)) {
            return None;
        }
        let minutes = (takes.as_secs() + 30) / 60;
        let budget = slo.budget().ratio();
        Some(format!(
            "pages late: a total outage takes {minutes} min to reach {factor}× ({factor} × {budget} \
             of the long window); give {} an availability objective with a higher target, too",
            slo.service
        ))
    }

    /// The objectives of a service.
    pub fn of_service<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Slo> {
        self.slos.iter().filter(move |slo| slo.service == service)
    }
}

/// How long everything has to fail, at constant traffic, until the soonest page; with its factor.
/// The long window's error ratio grows with time, and reaches factor × budget after that share of it.
fn outage_pages_after(slo: &Slo) -> Option<(Duration, String)> {
    let pages = slo.alerting.pairs.iter().filter(|pair| pair.severity == Severity::Page);
    let after = |tenths: u32, long: Duration| {
        long.mul_f64(slo.budget().as_f64() * f64::from(tenths) / 10.0)
    };
    pages
        .map(|pair| (after(pair.factor_tenths, pair.long), pair.factor()))
        .min_by(|(first, _), (second, _)| first.cmp(second))
}

fn few_events(slo: &Slo) -> Option<String> {
    let enough = super::check::enough_events(slo.target);
    (slo.gated && slo.minimum_events < enough).then(|| {
        format!(
            "minimum_events {}: below 1 / {} = {enough} events a single failure overspends the \
             whole budget and freezes deploys",
            slo.minimum_events,
            slo.budget().ratio()
        )
    })
}

fn stranger(slo: &Slo) -> Option<String> {
    let known = SERVICES.contains(&slo.service.as_str());
    (!known).then(|| format!("service {:?} is none of ShieldX's own", slo.service))
}

fn silent(slo: &Slo) -> Option<String> {
    let slowest = slo.alerting.pairs.iter().map(|pair| pair.long).max();
    match slowest {
        None => Some("alerting: none: nobody is told, however fast its budget burns".to_owned()),
        Some(long) if !slo.alerting.pairs.iter().any(|pair| pair.severity == Severity::Page) => {
            let long = span::text(long);
            Some(format!("no pair pages: an outage is at most a ticket (longest window {long})"))
        }
        Some(_) => None,
    }
}
