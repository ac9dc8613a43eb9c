//! One report: what it adds to the session's evidence, and what the profile may learn from it. Pure:
//! whoever calls keeps the results or does not.
//!
//! **Learning without poisoning.** Until a subject is known, everything is learned (trust on first
//! use; the level says *unknown* all the while), but only so much per session. After that a window is
//! learned only if it is not among the strangest itself, if four more windows have come and the
//! session is not suspected even then, and if neither the session nor the day has had its fill. It is
//! not asked to be typical: a profile that learns only what it expects becomes narrower than its
//! subject, and alarms more and more.

use types::ports::Surroundings;

use crate::config::Config;
use crate::evidence::{Ledger, POINTER, Rule, TYPING};
use crate::features::{pointer, typing};
use crate::profile::{Hand, LEARN_SESSION_MAX, LEARN_SESSION_PART, Lesson, Profile};
use crate::reference::{Calibration, Reference};
use crate::risk;
use crate::session::{Session, Standing};
use crate::surroundings::{DevicePrints, Difference, network, public};
use crate::telemetry::Report;
use crate::vector::Vector;

/// Below this a window is called unusual in the metrics.
const UNUSUAL_P: f64 = 0.05;
/// Stranger windows are not learned by a profile that is known.
const LEARN_P_MIN: f64 = 0.01;
/// Windows that must come after one before it is learned.
const LEARN_AFTER_WINDOWS: usize = 4;

/// What came of a report.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) session: Session,
    /// Absent when nothing was learned.
    pub(crate) profile: Option<Profile>,
    pub(crate) typing: Tally,
    pub(crate) pointer: Tally,
}

/// Windows of one kind, counted by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) usual: u64,
    pub(crate) unusual: u64,
    /// Not weighed, since the subject is not known yet.
    pub(crate) enrolling: u64,
    /// Let go for too few flights.
    pub(crate) thin: u64,
    pub(crate) replayed: u64,
    pub(crate) learned: u64,
    pub(crate) refused: u64,
}

/// How windows of one kind are compared.
struct Scale<'a> {
    kind: Kind,
    reference: Option<&'a Reference>,
    /// Absent until the subject is known.
    calibration: Option<&'a Calibration>,
    /// More windows that may be learned.
    room: u32,
}

#[derive(Clone, Copy)]
enum Kind {
    Typing,
    Pointer,
}

impl Kind {
    fn rule(self) -> &'static Rule {
        match self {
            Kind::Typing => &TYPING,
            Kind::Pointer => &POINTER,
        }
    }

    fn ledger(self, session: &mut Session) -> &mut Ledger {
        match self {
            Kind::Typing => &mut session.typing,
            Kind::Pointer => &mut session.pointer,
        }
    }
}

#[tracing::instrument(skip_all, name = "contauth.observe")]
pub(crate) fn observe(
    config: &Config,
    mut session: Session,
    profile: &Profile,
    report: Report,
    now_us: i64,
) -> Observed {
    if session.salt != profile.salt {
        // The profile was forgotten, or never kept: what was hashed with its salt says nothing now.
        session.begin_again(profile.salt.clone());
    }
    settle(&mut session, config, &report, now_us);
    if let Some(device) = &report.device {
        see_device(&mut session, profile, &DevicePrints::of(device, &profile.salt));
    }
    see_keyboard(&mut session);
    if let Some(address) = report.address {
        session.network.public = public(address);
        see_network(&mut session, profile, network(address));
    }
    session.strokes.extend(typing::strokes(&report.keystrokes));
    session.steps.extend(pointer::steps(&report.pointer));
    let hand = profile.hand(&session.keyboard);
    let keyboard = session.keyboard.clone();
    let mut lesson = Lesson { keyboard, ..Lesson::default() };
    let typing = type_windows(&mut session, config, profile, hand, &mut lesson, now_us);
    let pointer = move_windows(&mut session, config, hand, &mut lesson, now_us);
    let profile = teach(&mut session, config, profile, lesson, now_us);
    Observed { session, profile, typing, pointer }
}

/// Time passes: what spoke for the subject has faded since the last report.
fn settle(session: &mut Session, config: &Config, report: &Report, now_us: i64) {
    let sent = report.sent_us.map_or(now_us, |sent| sent.min(now_us));
    let first = session.observed_us == i64::MIN;
    let observed = sent.max(session.observed_us).max(now_us - config.session_ttl_us());
    if !first {
        let trust = risk::trust(observed - session.observed_us, config);
        for ledger in [&mut session.typing, &mut session.pointer] {
            ledger.sum *= if ledger.sum < 0.0 { trust } else { 1.0 };
        }
    }
    session.observed_us = observed;
    session.touched_us = now_us;
    session.sequence = report.sequence.or(session.sequence);
}

fn see_device(session: &mut Session, profile: &Profile, newer: &DevicePrints) {
    let device = &mut session.device;
    let prints = device.prints.get_or_insert_default();
    match prints.update(newer.clone()) {
        Difference::Other => device.changes = device.changes.saturating_add(1),
        Difference::Moved => device.moves = device.moves.saturating_add(1),
        Difference::Same => {}
    }
    let fingerprint = prints.fingerprint(&profile.salt);
    // A device this session itself made known stays as it was judged then.
    if device.fingerprint.as_ref() != Some(&fingerprint)
        && device.met.as_ref() != Some(&fingerprint)
    {
        device.acquaintance = Some(profile.devices.acquaintance(&fingerprint));
    }
    device.fingerprint = Some(fingerprint);
}

fn see_keyboard(session: &mut Session) {
    let prints = session.device.prints.clone().unwrap_or_default();
    session.change_keyboard(prints.keyboard(&session.salt));
}

fn see_network(session: &mut Session, profile: &Profile, now: String) {
    let network = &mut session.network;
    let changed = network.now.as_ref().is_some_and(|before| *before != now);
    let seen_here = network.met.as_ref() == Some(&now);
    if network.now.is_none() || (changed && !seen_here) {
        let acquaintance = profile.networks.acquaintance(&now);
        network.changes += u32::from(changed && acquaintance.sessions == 0);
        network.acquaintance = Some(acquaintance);
    }
    network.now = Some(now);
}

fn type_windows(
    session: &mut Session,
    config: &Config,
    profile: &Profile,
    hand: Option<&Hand>,
    lesson: &mut Lesson,
    now_us: i64,
) -> Tally {
    let known = hand.filter(|hand| hand.typing_known(config, session.has_taught()));
    let room = |known: &Hand| {
        room_beside(known.typing.len(), session.typing.learned).min(profile.left_today(now_us))
    };
    let first_room = LEARN_SESSION_MAX.saturating_sub(session.typing.learned);
    let scale = Scale {
        kind: Kind::Typing,
        reference: hand.map(|hand| &hand.typing),
        calibration: known.and_then(|hand| hand.typing_calibration.as_ref()),
        room: known.map_or(first_room, room),
    };
    let windows = typing::windows(&mut session.strokes);
    weigh(session, config, &scale, windows, &mut lesson.typing, now_us)
}

fn move_windows(
    session: &mut Session,
    config: &Config,
    hand: Option<&Hand>,
    lesson: &mut Lesson,
    now_us: i64,
) -> Tally {
    let known = hand.filter(|hand| hand.pointer_known(config, session.has_taught()));
    let first_room = LEARN_SESSION_MAX.saturating_sub(session.pointer.learned);
    let room = |known: &Hand| room_beside(known.pointer.len(), session.pointer.learned);
    let scale = Scale {
        kind: Kind::Pointer,
        reference: hand.map(|hand| &hand.pointer),
        calibration: known.and_then(|hand| hand.pointer_calibration.as_ref()),
        room: known.map_or(first_room, room),
    };
    let windows = pointer::windows(&mut session.steps).into_iter().map(Some).collect();
    weigh(session, config, &scale, windows, &mut lesson.pointer, now_us)
}

/// What a session may still add to windows that are known, `learned` of which it added itself.
fn room_beside(known: usize, learned: u32) -> u32 {
    let others = u32::try_from(known).unwrap_or(u32::MAX).saturating_sub(learned);
    LEARN_SESSION_MAX.min(others / LEARN_SESSION_PART).saturating_sub(learned)
}

/// Weighs windows one after the other and puts those that may be learned into the lesson.
fn weigh(
    session: &mut Session,
    config: &Config,
    scale: &Scale<'_>,
    windows: Vec<Option<Vector>>,
    lesson: &mut Vec<Vector>,
    now_us: i64,
) -> Tally {
    let room = usize::try_from(scale.room).unwrap_or(usize::MAX);
    let mut tally = Tally::default();
    for window in windows {
        let Some(window) = window else {
            tally.thin += 1;
            continue;
        };
        let ledger = scale.kind.ledger(session);
        let known = scale.reference.is_some_and(|known| known.has(&window));
        if known || lesson.contains(&window) || ledger.waiting.contains(&window) {
            tally.replayed += 1;
            session.replays = session.replays.saturating_add(1);
            continue;
        }
        let learnable = match scale.calibration {
            None => {
                tally.enrolling += 1;
                not_suspected(session, config, now_us).then_some(window)
            }
            Some(calibration) => {
                let score = calibration.score(&window);
                ledger.weigh(scale.kind.rule(), &score, calibration.windows());
                tally.usual += u64::from(score.p >= UNUSUAL_P);
                tally.unusual += u64::from(score.p < UNUSUAL_P);
                let trusted = not_suspected(session, config, now_us);
                wait(scale.kind.ledger(session), window, score.p, trusted, &mut tally)
            }
        };
        match learnable {
            Some(window) if lesson.len() < room => {
                tally.learned += 1;
                lesson.push(window);
            }
            Some(_) => tally.refused += 1,
            None => tally.refused += u64::from(scale.calibration.is_none()),
        }
    }
    tally
}

/// A window of a subject who is known is learned only when some more have come and the session is
/// still trusted: by then a change of person shows, and the first windows of the other one go.
fn wait(
    ledger: &mut Ledger,
    window: Vector,
    p: f64,
    trusted: bool,
    tally: &mut Tally,
) -> Option<Vector> {
    if !trusted {
        tally.refused += 1 + u64::try_from(ledger.waiting.len()).unwrap_or(0);
        ledger.waiting.clear();
        return None;
    }
    if p < LEARN_P_MIN {
        tally.refused += 1;
        return None;
    }
    ledger.waiting.push(window);
    (ledger.waiting.len() > LEARN_AFTER_WINDOWS).then(|| ledger.waiting.remove(0))
}

fn not_suspected(session: &Session, config: &Config, now_us: i64) -> bool {
    risk::assess(session, config, now_us, &Surroundings::default()).risk < risk::ELEVATED
}

/// Lets the profile learn, and notes in the session where the profile stands.
fn teach(
    session: &mut Session,
    config: &Config,
    profile: &Profile,
    mut lesson: Lesson,
    now_us: i64,
) -> Option<Profile> {
    let learned = (!lesson.is_empty()).then(|| {
        let windows = |windows: &Vec<Vector>| u32::try_from(windows.len()).unwrap_or(u32::MAX);
        session.typing.learned = session.typing.learned.saturating_add(windows(&lesson.typing));
        session.pointer.learned = session.pointer.learned.saturating_add(windows(&lesson.pointer));
        lesson.first = !session.has_taught();
        session.taught = Some(session.keyboard.clone());
        lesson.device = session.device.fingerprint.clone().filter(|_| session.device.met.is_none());
        session.device.met = session.device.met.take().or_else(|| lesson.device.clone());
        lesson.network = session.network.now.clone().filter(|_| session.network.met.is_none());
        session.network.met = session.network.met.take().or_else(|| lesson.network.clone());
        let mut profile = profile.clone();
        profile.learn(lesson, config, now_us);
        profile
    });
    let now = learned.as_ref().unwrap_or(profile);
    session.standing = standing(session, now.hand(&session.keyboard), config);
    learned
}

fn standing(session: &Session, hand: Option<&Hand>, config: &Config) -> Standing {
    let needed = Standing::needing(config);
    let Some(hand) = hand else { return needed };
    let taught = session.has_taught();
    Standing {
        windows: u32::try_from(hand.typing.len()).unwrap_or(u32::MAX),
        sessions: hand.sessions.saturating_sub(u32::from(taught)),
        known: hand.typing_known(config, taught) || hand.pointer_known(config, taught),
        ..needed
    }
}
