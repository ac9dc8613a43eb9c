//! What a risk must always be, whatever a session went through.

use types::RiskLevel;
use types::ports::Surroundings;

use super::{ELEVATED, HIGH, PRIOR, assess, unheard_of};
use crate::config::Config;
use crate::evidence::{BEHAVIOUR_MAX, Ledger, POINTER, TYPING};
use crate::session::{Session, Standing};
use crate::surroundings::{Acquaintance, DevicePrints, Salt};
use crate::telemetry::Device;

const MINUTE_US: i64 = 60_000_000;

fn known_session() -> Session {
    let mut session = Session::new("ada".to_owned(), Salt::random().unwrap());
    session.observed_us = 0;
    session.standing = Standing { known: true, ..Standing::default() };
    session.typing = Ledger { sum: -2.0, windows: 5, ..Ledger::default() };
    session
}

fn at(session: &Session, now_us: i64) -> types::SessionRisk {
    assess(session, &Config::default(), now_us, &Surroundings::default())
}

#[test]
fn contributions_add_up_to_the_logit_of_the_risk() {
    let mut session = known_session();
    let device = Device { user_agent: Some("Firefox/1".to_owned()), ..Device::default() };
    session.device.prints = Some(DevicePrints::of(&device, &session.salt));
    session.network.now = Some("203.0.113.0/24".to_owned());
    session.network.public = true;
    let known = Some(Acquaintance { sessions: 3, of: 9, ratio: -0.4 });
    let new = Some(Acquaintance { sessions: 0, of: 9, ratio: 1.9 });
    let requests = [None, Some("Firefox/2"), Some("curl/8")];
    for typed in [TYPING.floor, 0.0, TYPING.cap] {
        for (acquaintance, agent, changes) in
            requests.iter().flat_map(|agent| [(known, agent, 0), (new, agent, 1), (None, agent, 0)])
        {
            session.typing.sum = typed;
            session.pointer = Ledger { sum: POINTER.cap, windows: 1, ..Ledger::default() };
            (session.device.acquaintance, session.device.changes) = (acquaintance, changes);
            (session.network.acquaintance, session.network.changes) = (acquaintance, changes);
            session.replays = changes;
            let surroundings = Surroundings {
                address: Some("198.51.100.7".to_owned()),
                user_agent: agent.map(ToOwned::to_owned),
            };
            let risk = assess(&session, &Config::default(), 3 * MINUTE_US, &surroundings);
            let sum: f64 = risk.signals.iter().map(|signal| signal.contribution).sum();
            // Near 1 a risk has few digits left of its distance to 1.
            let logit = (risk.risk / (1.0 - risk.risk)).ln();
            assert!((sum - logit).abs() < 1e-6, "{sum} {logit}");
            assert_eq!(risk.signals.last().unwrap().name, "prior");
        }
    }
    let sum: f64 = unheard_of().signals.iter().map(|signal| signal.contribution).sum();
    assert!((sum - PRIOR).abs() < 1e-12 && (unheard_of().risk - 0.01).abs() < 1e-12);
}

#[test]
fn behaviour_alone_is_never_high_and_with_a_changed_device_it_is() {
    let mut session = known_session();
    session.typing.sum = TYPING.cap;
    session.pointer = Ledger { sum: POINTER.cap, windows: 9, ..Ledger::default() };
    let risk = at(&session, 0);
    assert_eq!(risk.level, RiskLevel::Elevated);
    assert!(risk.risk < HIGH && BEHAVIOUR_MAX + PRIOR < f64::ln(HIGH / (1.0 - HIGH)));
    assert_eq!(risk.signals[0].name, "typing");
    session.device.changes = 1;
    session.device.acquaintance = Some(Acquaintance { sessions: 1, of: 1, ratio: -0.4 });
    assert_eq!(at(&session, 0).level, RiskLevel::High);
}

#[test]
fn silence_ends_trust_but_not_suspicion() {
    let mut session = known_session();
    assert_eq!(at(&session, 0).level, RiskLevel::Low);
    assert!(at(&session, 0).risk < at(&session, 5 * MINUTE_US).risk);
    assert_eq!(at(&session, 14 * MINUTE_US).level, RiskLevel::Low);
    assert_eq!(at(&session, 15 * MINUTE_US).level, RiskLevel::Unknown);
    session.typing.sum = TYPING.cap;
    let (now, later) = (at(&session, 0), at(&session, 600 * MINUTE_US));
    assert_eq!((now.risk, now.level), (later.risk, later.level));
}

#[test]
fn a_session_whose_subject_is_not_known_is_unknown_however_well_it_looks() {
    let mut session = known_session();
    session.standing = Standing { windows: 3, ..Standing::needing(&Config::default()) };
    let risk = at(&session, 0);
    assert_eq!(risk.level, RiskLevel::Unknown);
    let enrolment = risk.signals.iter().find(|signal| signal.name == "enrolment").unwrap();
    assert!(enrolment.detail.contains("75 of 200 keystrokes"), "{}", enrolment.detail);
    assert_eq!(enrolment.contribution, 0.0);
}

#[test]
fn typing_vouches_for_no_request_from_another_user_agent() {
    let mut session = known_session();
    session.typing.sum = TYPING.floor;
    let device = Device { user_agent: Some("Firefox/128.0".to_owned()), ..Device::default() };
    session.device.prints = Some(DevicePrints::of(&device, &session.salt));
    let from = |agent: &str| {
        let user_agent = Some(agent.to_owned());
        let surroundings = Surroundings { address: None, user_agent };
        assess(&session, &Config::default(), 0, &surroundings)
    };
    assert_eq!(from("Firefox/129.0.2").level, RiskLevel::Low);
    let stolen = from("python-requests/2.32");
    assert_eq!(stolen.level, RiskLevel::Elevated);
    assert!(stolen.risk >= ELEVATED && stolen.signals[0].name == "request-agent");
}
