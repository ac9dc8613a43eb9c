//! Every answer, and what may never be answered.

use super::{Answer, Ask, Claims, Decision, Memory, decide, new_signing_key, sign_override};
use crate::spec::{Catalog, DataLoss, OnUnknown, Severity, Slo, read};
use crate::status::{AlertState, AlertStatus, Budget, Counts, Refund, Scope, Status};

mod page;
mod random;

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;
const NOW_US: i64 = 1_900_000_000 * SECOND_US;

fn catalog() -> Catalog {
    let text = "\
version: 1
slos:
  - {name: front, service: gateway, target: 99.9, availability: {}}
  - {name: quick, service: gateway, target: 99, latency: {threshold: 250ms}}
  - {name: taken, service: verifier-pool, target: 99.9, window: calendar month, availability: {}}
  - {name: aside, service: gateway, target: 99, availability: {}, gate: false}
";
    read(text).unwrap()
}

/// Well, and covered; `left` of its budget.
fn status(slo: &Slo, left: f64) -> Status {
    Status {
        slo: slo.name.clone(),
        service: slo.service.clone(),
        description: String::new(),
        scope: Scope::All,
        target_percent: slo.target.percent(),
        window: slo.window.to_string(),
        kind: String::new(),
        at_us: NOW_US,
        from_us: NOW_US - 30 * DAY_US,
        until_us: NOW_US + 3 * DAY_US,
        events: Counts { good: 1_000_000, bad: 10, excluded: 0 },
        error_ratio: None,
        coverage: 1.0,
        begins_us: Some(NOW_US - 50 * DAY_US),
        budget: Budget {
            left: Some(left),
            events: 0.0,
            events_left: 0.0,
            minutes: 0.0,
            minutes_left: 0.0,
        },
        burns: Vec::new(),
        exhausts_at_us: None,
        refunds: Vec::new(),
        alerts: Vec::new(),
        few_events: false,
        data_loss: DataLoss::Freeze,
    }
}

fn page(state: AlertState, severity: Severity) -> AlertStatus {
    AlertStatus {
        severity,
        long_s: 3600,
        short_s: 300,
        factor: "14.4".to_owned(),
        state,
        since_us: NOW_US,
        long_rate: Some(22.31),
        short_rate: Some(31.0),
    }
}

struct Case {
    catalog: Catalog,
    statuses: Vec<Status>,
    memory: Memory,
}

impl Case {
    /// The three gated objectives with so much left.
    fn new(left: [f64; 3]) -> Self {
        let catalog = catalog();
        let statuses = catalog.slos.iter().zip(left).map(|(slo, left)| status(slo, left)).collect();
        Self { catalog, statuses, memory: Memory::default() }
    }

    fn decide(&self, ask: &Ask) -> Decision {
        decide(&self.catalog, &self.statuses, &self.memory, ask, NOW_US)
    }

    fn answer(&self) -> Answer {
        self.decide(&Ask::default()).answer
    }
}

#[test]
fn budgets_decide() {
    for (left, answer) in [
        (1.0, Answer::Allow),
        (0.25, Answer::Allow),
        (0.2499, Answer::Slow),
        (0.1, Answer::Slow),
        (0.0999, Answer::Freeze),
        (0.0, Answer::Freeze),
        (-3.0, Answer::Freeze),
    ] {
        assert_eq!(Case::new([1.0, left, 1.0]).answer(), answer, "{left}");
    }
    let decision = Case::new([0.5, 0.0999, 1.0]).decide(&Ask::default());
    assert_eq!(decision.reasons.len(), 3);
    assert_eq!(decision.reasons[0].slo.as_str(), "quick");
    assert_eq!(decision.reasons[0].text, "9.99% of its error budget is left: frozen below 10%");
    assert_eq!(decision.reasons[1].text, "50% of its error budget is left");
}

#[test]
fn the_worst_answer_wins() {
    let mut case = Case::new([0.2, 0.2, 0.2]);
    assert_eq!(case.answer(), Answer::Slow);
    case.statuses[1].coverage = 0.5;
    assert_eq!(case.answer(), Answer::Unknown);
    case.statuses[2].budget.left = Some(0.0);
    assert_eq!(case.answer(), Answer::Freeze);
    // Of one service, the others do not matter, nor does what is not gated.
    let ask = Ask { service: Some("gateway".to_owned()), ..Ask::default() };
    assert_eq!(case.decide(&ask).answer, Answer::Unknown);
    case.statuses[1].coverage = 1.0;
    assert_eq!(case.decide(&ask).answer, Answer::Slow);
    let aside = status(&case.catalog.slos[3], -1.0);
    case.statuses.push(aside);
    assert_eq!(case.decide(&ask).answer, Answer::Slow);
    // Nor do views of a part.
    let part =
        Status { scope: Scope::Tenant("t".to_owned()), ..status(&case.catalog.slos[0], -1.0) };
    case.statuses.insert(0, part);
    assert_eq!(case.decide(&ask).answer, Answer::Slow);
}

#[test]
fn what_freezes_opens_at_fifteen() {
    let mut case = Case::new([1.0; 3]);
    for (left, answer) in [
        (0.12, Answer::Slow),
        (0.09, Answer::Freeze),
        (0.12, Answer::Freeze),
        (0.1499, Answer::Freeze),
        (0.15, Answer::Slow),
        (0.12, Answer::Slow),
        (0.09, Answer::Freeze),
        (0.5, Answer::Allow),
    ] {
        case.statuses[0].budget.left = Some(left);
        case.memory.step(&case.catalog, &case.statuses);
        assert_eq!(case.answer(), answer, "{left}");
    }
}

#[test]
fn a_page_freezes_and_a_ticket_does_not() {
    let mut case = Case::new([0.12, 0.9, 0.9]);
    case.statuses[1].alerts = vec![
        page(AlertState::Inactive, Severity::Page),
        page(AlertState::Firing, Severity::Ticket),
    ];
    assert_eq!(case.answer(), Answer::Slow);
    case.statuses[1].alerts.push(page(AlertState::Firing, Severity::Page));
    let decision = case.decide(&Ask::default());
    assert_eq!(decision.answer, Answer::Freeze);
    assert_eq!(
        decision.reasons[0].text,
        "a page burns: 22.3 × over 1h and 31.0 × over 5m (page at 14.4 ×)"
    );
    // It ends when its short window is past the failures.
    assert_eq!(decision.opens_at_us, Some(NOW_US + 300 * SECOND_US));
    case.statuses[1].alerts[2].state = AlertState::Frozen;
    let decision = case.decide(&Ask::default());
    assert_eq!((decision.answer, decision.opens_at_us), (Answer::Freeze, None));
    // Missing data does not end it; the end of the page does, at 90 % left.
    case.statuses[1].coverage = 0.1;
    assert_eq!(case.answer(), Answer::Freeze);
    case.memory.step(&case.catalog, &case.statuses);
    case.statuses[1].alerts.clear();
    assert_eq!(case.answer(), Answer::Freeze, "frozen before its data went missing");
    case.statuses[1].coverage = 1.0;
    case.memory.step(&case.catalog, &case.statuses);
    assert_eq!(case.answer(), Answer::Slow);
    case.statuses[1].alerts.push(page(AlertState::Firing, Severity::Page));
    case.catalog.gate.freeze_on_page = false;
    assert_eq!(case.answer(), Answer::Slow);
}

#[test]
fn what_is_not_known_is_said() {
    let mut case = Case::new([0.9; 3]);
    case.statuses[0].coverage = 0.899;
    let decision = case.decide(&Ask::default());
    assert_eq!(decision.answer, Answer::Unknown);
    assert_eq!(
        decision.reasons[0].text,
        "89.9% of its window (30d) is covered, and it takes 90% to know the budget; of what is \
         known, 90% is left"
    );
    for (setting, answer) in [
        (OnUnknown::Unknown, Answer::Unknown),
        (OnUnknown::Freeze, Answer::Freeze),
        (OnUnknown::Allow, Answer::Allow),
    ] {
        case.catalog.gate.on_unknown = setting;
        assert_eq!(case.answer(), answer);
    }
    // Allowed where nothing is known, but not where what is known says otherwise.
    case.statuses[0].budget.left = Some(-1.0);
    assert_eq!(case.answer(), Answer::Unknown);

    let mut case = Case::new([0.9, -0.5, 0.9]);
    case.statuses[1].few_events = true;
    case.statuses[1].events = Counts { good: 0, bad: 1, excluded: 4 };
    let decision = case.decide(&Ask::default());
    assert_eq!(decision.answer, Answer::Unknown);
    assert_eq!(
        decision.reasons[0].text,
        "1 event in its window, and it takes 100 for one failure not to decide"
    );
    case.catalog.gate.on_few_events = OnUnknown::Allow;
    assert_eq!(case.answer(), Answer::Allow);

    case.statuses.clear();
    assert_eq!(case.answer(), Answer::Unknown);
    let ask = Ask { service: Some("contauth".to_owned()), ..Ask::default() };
    let decision = case.decide(&ask);
    assert_eq!(decision.answer, Answer::Unknown);
    assert_eq!(
        decision.note.as_deref(),
        Some("no gated objective is \"contauth\"'s; there are some of gateway, verifier-pool")
    );
}

/// What was before anybody counted is not missing.
#[test]
fn a_young_server_can_answer() {
    let mut case = Case::new([0.9; 3]);
    for status in &mut case.statuses {
        status.coverage = 3.0 / 30.0;
        status.begins_us = Some(NOW_US - 3 * DAY_US);
    }
    let decision = case.decide(&Ask::default());
    assert_eq!(decision.answer, Answer::Allow);
    assert_eq!(
        decision.reasons[0].text,
        "90% of its error budget is left (counted since 2030-03-14T17:46:40Z)"
    );
    case.statuses[0].coverage = 2.0 / 30.0;
    let decision = case.decide(&Ask::default());
    assert_eq!(decision.answer, Answer::Unknown);
    assert!(decision.reasons[0].text.starts_with("66.66% of its window (30d, since 2030-03-14"));
    case.statuses[0].begins_us = Some(NOW_US);
    assert_eq!(case.answer(), Answer::Unknown);
}

#[test]
fn it_says_when_it_opens() {
    let mut case = Case::new([0.02, 0.9, 0.9]);
    assert_eq!(case.decide(&Ask::default()).opens_at_us, None, "no refund is known");
    let refund = |days, budget| Refund { at_us: NOW_US + days * DAY_US, bad: 1, budget };
    case.statuses[0].refunds =
        vec![refund(1, 0.05), refund(2, 0.06), refund(4, 0.02), refund(9, 0.5)];
    assert_eq!(case.decide(&Ask::default()).opens_at_us, Some(NOW_US + 4 * DAY_US));
    // The last one to open opens it; a calendar window ends.
    case.statuses[2].budget.left = Some(0.0);
    assert_eq!(case.decide(&Ask::default()).opens_at_us, Some(NOW_US + 4 * DAY_US));
    case.statuses[0].refunds.truncate(2);
    assert_eq!(case.decide(&Ask::default()).opens_at_us, None);
    case.statuses[0].budget.left = Some(0.5);
    assert_eq!(case.decide(&Ask::default()).opens_at_us, Some(NOW_US + 3 * DAY_US));
    case.statuses[2].budget.left = Some(0.2);
    assert_eq!(case.decide(&Ask::default()).opens_at_us, None, "slow is open");
}

#[test]
fn exempt_changes_and_overrides_lift() {
    let mut case = Case::new([0.0, 0.9, 0.9]);
    let ask = |change: &str| Ask { change: Some(change.to_owned()), ..Ask::default() };
    let decision = case.decide(&ask("security"));
    assert_eq!((decision.answer, decision.answer_of_budgets), (Answer::Allow, Answer::Freeze));
    assert_eq!(decision.lifted_by.as_deref(), Some("exempt: security"));
    assert_eq!(case.decide(&ask("feature")).answer, Answer::Freeze);
    let near = case.decide(&ask("securty"));
    assert_eq!(near.answer, Answer::Freeze);
    assert!(near.note.unwrap().contains("did you mean \"security\"?"));

    let key = new_signing_key([3; 32]).unwrap();
    let text = format!(
        "version: 1\ngate: {{override_keys: [{{name: alice, public: {}}}]}}\n\
         slos: [{{name: a, service: gateway, target: 99, availability: {{}}}}]",
        key.public
    );
    case.catalog.gate = read(&text).unwrap().gate;
    let claims = Claims {
        id: "o-1".to_owned(),
        who: "alice".to_owned(),
        service: None,
        reason: "the fix".to_owned(),
        not_before_us: NOW_US,
        expires_us: NOW_US + DAY_US,
    };
    let token = sign_override(&key.secret, &claims).unwrap();
    let mut ask = Ask { override_token: Some(token), ..Ask::default() };
    let decision = case.decide(&ask);
    assert_eq!((decision.answer, decision.answer_of_budgets), (Answer::Allow, Answer::Freeze));
    assert!(decision.lifted_by.unwrap().starts_with("override o-1 by alice until"));
    let late = decide(&case.catalog, &case.statuses, &case.memory, &ask, NOW_US + DAY_US);
    assert_eq!((late.answer, late.lifted_by), (Answer::Freeze, None));
    assert!(late.override_refused.unwrap().contains("expired"));
    ask.override_token = Some("forged".to_owned());
    let decision = case.decide(&ask);
    assert_eq!(decision.answer, Answer::Freeze);
    assert!(decision.override_refused.unwrap().contains("malformed"));
    // Nothing to lift: nothing is lifted.
    case.statuses[0].budget.left = Some(1.0);
    let security = Ask { change: Some("security".to_owned()), ..Ask::default() };
    assert_eq!(case.decide(&security).lifted_by, None);
}
