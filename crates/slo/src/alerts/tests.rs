//! Alerts, step by step: fire, stay, freeze, resolve, and all over again after a restart.

use super::{Alerts, Kind, Notice};
use crate::evaluate::status;
use crate::history::{History, Sample, Series};
use crate::spec::{self, Catalog, Severity};
use crate::status::{AlertState, Counts, Scope, Status};

const S: i64 = 1_000_000;
const T0: i64 = 1_767_225_600 * S;

/// A server that is sampled every ten seconds, and what its alerts say.
struct World {
    catalog: Catalog,
    history: History,
    alerts: Alerts,
    now: i64,
    counted: Counts,
    epoch: i64,
}

impl World {
    fn new(rest: &str) -> Self {
        let yaml = format!(
            "version: 1\nslos:\n  - name: door\n    service: ingress\n    description: Answers.\n    \
             target: 99.9\n    window: 30d\n{rest}"
        );
        Self {
            catalog: spec::read(&yaml).unwrap(),
            history: History::default(),
            alerts: Alerts::default(),
            now: T0,
            counted: Counts::default(),
            epoch: T0,
        }
    }

    fn usual() -> Self {
        Self::new("    availability: {}\n")
    }

    /// Ten seconds with so many events; gives what is said.
    fn step(&mut self, good: u64, bad: u64) -> Vec<Notice> {
        self.sample(good, bad);
        self.look()
    }

    fn sample(&mut self, good: u64, bad: u64) {
        self.now += 10 * S;
        self.counted = self.counted.plus(Counts { good, bad, excluded: 0 });
        let slo = &self.catalog.slos[0];
        let series = Series { slo: slo.name.clone(), revision: slo.revision, scope: Scope::All };
        self.history.add(&Sample {
            instance: "a".to_owned(),
            epoch: self.epoch,
            at_us: self.now,
            series: vec![(series, self.counted)],
        });
    }

    /// Three days in which all was well.
    fn well(mut self) -> Self {
        (0..3 * 8640).for_each(|_| self.sample(100, 0));
        self
    }

    fn look(&mut self) -> Vec<Notice> {
        let mut statuses = self.statuses();
        self.alerts.step(&self.catalog, &mut statuses, self.now)
    }

    fn statuses(&self) -> Vec<Status> {
        let slo = &self.catalog.slos[0];
        vec![status(slo, &Scope::All, &self.history, self.now)]
    }

    fn steps(&mut self, steps: u32, good: u64, bad: u64) -> Vec<Notice> {
        (0..steps).flat_map(|_| self.step(good, bad)).collect()
    }

    fn states(&mut self) -> Vec<AlertState> {
        let mut statuses = self.statuses();
        self.alerts.clone().step(&self.catalog, &mut statuses, self.now);
        statuses[0].alerts.iter().map(|alert| alert.state).collect()
    }

    /// The process is gone for so long, and comes back with empty counters.
    fn gone(&mut self, seconds: i64) {
        self.now += seconds * S;
        self.epoch = self.now;
        self.counted = Counts::default();
        let kept = serde_json::to_string(&self.alerts).unwrap();
        self.alerts = serde_json::from_str(&kept).unwrap();
        self.history = History::restore(&self.history.snapshot()).unwrap();
    }
}

fn said(notices: &[Notice]) -> Vec<(Kind, Severity, bool)> {
    notices.iter().map(|notice| (notice.kind, notice.severity, notice.firing)).collect()
}

#[test]
fn an_outage_pages_once_and_resolves() {
    let mut world = World::usual().well();
    assert_eq!(world.look(), []);
    let (mut told, mut after) = (Vec::new(), 0);
    while told.is_empty() {
        told = world.step(0, 100);
        after += 10;
    }
    // Of an hour's events 1.44 % have to be bad: 52 s, and the next sample sees it.
    assert_eq!(after, 60);
    assert_eq!(said(&told), [(Kind::Burn, Severity::Page, true)]);
    assert!(told[0].summary.starts_with("99.9% of door: budget burns "), "{}", told[0].summary);
    assert!(told[0].summary.ends_with("(page at 14.4)"), "{}", told[0].summary);
    assert!(told[0].description.contains("600 of 36000 events were bad in the last 1h"));
    assert_eq!(told[0].since_us, world.now);
    // It is not told again, though another pair joins in; it is kept as it is now. A tenth of a
    // percent of three days is 260 s of outage: a ticket.
    let also = world.steps(30, 0, 100);
    assert_eq!(said(&also), [(Kind::Burn, Severity::Ticket, true)]);
    assert_eq!(also[0].since_us - told[0].since_us, 200 * S);
    assert_eq!(world.alerts.firing().len(), 2);
    assert_eq!(world.alerts.firing()[0].since_us, told[0].since_us);
    assert_ne!(world.alerts.firing()[0].summary, told[0].summary);
    // The outage ended after 360 s. 0.6 % of 30 minutes is one sample and a bit, so the page is over
    // when the sample at 350 s has left them; a tenth of a percent of 6 hours is two, so the ticket is
    // over with that at 340 s.
    let over = world.steps(8 * 360, 100, 0);
    assert_eq!(
        said(&over),
        [(Kind::Burn, Severity::Page, false), (Kind::Burn, Severity::Ticket, false)]
    );
    let lasted = |notice: &Notice| (notice.ended_us.unwrap() - told[0].since_us) / S;
    assert_eq!((lasted(&over[0]), lasted(&over[1])), (350 - 60 + 1_800, 340 - 60 + 21_600));
    assert_eq!(over[0].since_us, told[0].since_us);
    assert_eq!(world.alerts.firing(), []);
}

#[test]
fn exactly_the_factor_does_not_fire() {
    // 1.44 % bad is 14.4 times a budget of 0.1 %; 0.6 % would be 6 times.
    let mut world = World::new(
        "    availability: {}\n    alerting:\n      pairs:\n        - {severity: page, long: 1h, short: 5m, factor: 14.4}\n",
    );
    assert_eq!(world.steps(400, 9_856, 144), []);
    assert_eq!(world.states(), [AlertState::Inactive]);
    assert_eq!(world.steps(1, 9_800, 200).len(), 1);
}

#[test]
fn few_events_do_not_page() {
    // One failure in the 10 requests of an hour is 100 times the budget, and nothing.
    let mut world = World::usual();
    let mut told = Vec::new();
    for hour in 0..30 {
        told.extend(world.step(9, u64::from(hour % 2 == 0)));
        told.extend(world.steps(359, 0, 0));
    }
    assert_eq!(told, []);
}

#[test]
fn missing_data_freezes_and_does_not_resolve() {
    let mut world = World::usual().well();
    let told = world.steps(30, 0, 100);
    assert_eq!(told[0].severity, Severity::Page);
    // The process is gone for half an hour. What was known is out of the short window.
    world.gone(1_800);
    let frozen = world.look();
    assert_eq!(said(&frozen), [(Kind::Burn, Severity::Page, true)], "not to know is news");
    assert!(frozen[0].frozen && frozen[0].changed_us == world.now);
    assert_eq!(frozen[0].since_us, told[0].since_us);
    assert_eq!(world.states()[0], AlertState::Frozen);
    assert_eq!(
        world.step(100, 0),
        [],
        "a good sample after half an hour of nothing resolves nothing"
    );
    assert!(world.alerts.firing()[0].frozen);
    assert_eq!(world.states()[..2], [AlertState::Frozen, AlertState::Frozen]);
    // It goes on failing: fires again, which is told once.
    let again = world.steps(6, 0, 100);
    assert_eq!(said(&again)[0], (Kind::Burn, Severity::Page, true));
    assert!(again.iter().all(|notice| !notice.frozen), "{again:?}");
    assert_eq!(again.iter().filter(|notice| notice.severity == Severity::Page).count(), 1);
    assert_ne!(again[0].changed_us, told[0].changed_us, "another change than the first");
    assert_eq!(world.states()[0], AlertState::Firing);
    // Well for as long as it takes to know it of both windows of every pair.
    let over = world.steps(3 * 360, 100, 0);
    assert_eq!(said(&over), [(Kind::Burn, Severity::Page, false)]);
}

#[test]
fn a_short_window_that_is_known_to_be_well_ends_an_alert() {
    let pairs = "    availability: {}\n    alerting:\n      pairs:\n        - {severity: page, long: 6h, short: 30m, factor: 6}\n        - {severity: ticket, long: 3d, short: 6h, factor: 1}\n";
    let mut world = World::new(pairs).well();
    assert_eq!(world.steps(60, 0, 100).len(), 2);
    // Two hours off. Of six hours a third will not be known for hours to come; the half hour after
    // the start will: it is well, so both windows cannot be burning.
    world.gone(7_200);
    assert!(world.look()[0].frozen);
    assert_eq!(world.steps(160, 100, 0), [], "26 minutes are not nine tenths of 30");
    let over = world.steps(20, 100, 0);
    assert_eq!(said(&over), [(Kind::Burn, Severity::Page, false)]);
    assert_eq!(world.states()[1], AlertState::Firing, "that was counted");
}

/// An hour holds 360 knocks, and a thousand would have to be for one not to be the whole budget.
#[test]
fn a_door_that_is_knocked_at_pages_within_a_minute() {
    let mut world = World::new("    probe: {target: ingress, interval: 10s, timeout: 2s}\n");
    (0..8640).for_each(|_| world.sample(1, 0));
    assert_eq!(world.steps(5, 0, 1), []);
    assert_eq!(said(&world.step(0, 1)), [(Kind::Burn, Severity::Page, true)]);
}

#[test]
fn a_young_service_fires_and_resolves() {
    let mut world = World::usual();
    world.steps(12, 100, 0);
    let told = world.steps(6, 0, 100);
    assert_eq!(told[0].severity, Severity::Page);
    let over = world.steps(360 * 7, 100, 0);
    assert!(over.iter().any(|notice| notice.severity == Severity::Page && !notice.firing));
}

#[test]
fn data_that_is_ignored_resolves() {
    let mut world = World::new("    availability: {}\n    data_loss: ignore\n");
    world.steps(400, 100, 0);
    world.steps(30, 0, 100);
    world.gone(1_900);
    let over = world.look();
    assert_eq!(said(&over), [(Kind::Burn, Severity::Page, false)]);
}

#[test]
fn no_data_is_said_where_it_is_wanted() {
    let mut world = World::new(
        "    probe: {target: ingress, interval: 10s, timeout: 2s}\n    data_loss: alert\n",
    );
    assert_eq!(world.steps(100, 1, 0), []);
    // The prober is stuck; the process goes on.
    let told = world.steps(100, 0, 0);
    assert_eq!(said(&told), [(Kind::NoData, Severity::Page, true)]);
    assert_eq!(told[0].summary, "99.9% of door: no data");
    let over = world.step(1, 0);
    assert_eq!(said(&over), [(Kind::NoData, Severity::Page, false)]);
    // A start after a night off says nothing: five minutes later there is data.
    world.gone(36_000);
    assert_eq!(world.look(), []);
    assert_eq!(world.steps(100, 1, 0), []);
}

#[test]
fn what_is_no_longer_promised_is_over() {
    let mut world = World::usual();
    world.steps(400, 100, 0);
    world.steps(30, 0, 100);
    let mut catalog = world.catalog.clone();
    catalog.slos[0].alerting.pairs.retain(|pair| pair.severity == Severity::Page);
    let mut statuses = world.statuses();
    let over = world.alerts.clone().step(&catalog, &mut statuses, world.now);
    assert_eq!(said(&over), [(Kind::Burn, Severity::Ticket, false)]);
    catalog.slos.clear();
    let over = world.alerts.step(&catalog, &mut [], world.now);
    assert_eq!(over.len(), 2);
    assert_eq!(world.alerts, Alerts::default());
}

#[test]
fn views_have_no_alerts() {
    let mut world = World::usual();
    world.steps(400, 0, 100);
    let slo = &world.catalog.slos[0];
    let tenant = Scope::Tenant("acme".to_owned());
    let mut statuses = [status(slo, &tenant, &world.history, world.now)];
    assert_eq!(Alerts::default().step(&world.catalog, &mut statuses, world.now), []);
    assert_eq!(statuses[0].alerts, []);
}
