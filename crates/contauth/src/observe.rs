//! One report: what it adds to the session's evidence, and what the profile may learn from it. Pure:
//! whoever calls keeps the results or does not.
//!
//! **Learning without poisoning.** Until a subject is known, everything is learned (trust on first
//! use; the level says *unknown* all the while), but only so much per session. After that a window is
//! learned only if it is not among the strangest 5 % itself, the session's evidence does not speak
//! against the subject, the session is not suspected for other reasons, and neither the session nor
//! the day has had its fill.

use types::ports::Surroundings;

use crate::config::Config;
use crate::evidence::{Ledger, POINTER, Rule, TYPING};
use crate::features::{pointer, typing};
use crate::profile::{Hand, LEARN_SESSION_MAX, Lesson, Profile};
use crate::reference::{Calibration, Reference};
use crate::risk;
use crate::session::{Session, Standing};
use crate::surroundings::{DevicePrints, Difference, network, public};
use crate::telemetry::Report;
use crate::vector::Vector;

/// Below this a window is unusual, and not learned by a profile that is known.
const UNUSUAL_P: f64 = 0.05;
/// Evidence up to which a session may teach a profile that is known: not against the subject.
const LEARN_SUM_MAX: f64 = 0.5;

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
    rule: &'static Rule,
    reference: Option<&'a Reference>,
    /// Absent until the subject is known.
    calibration: Option<&'a Calibration>,
    /// More windows that may be learned.
    room: u32,
}

#[tracing::instrument(skip_all, name = "contauth.observe")]
pub(crate) fn observe(
    config: &Config,
    mut session: Session,
    profile: &Profile,
    report: Report,
    now_us: i64,
) -> Observed {
    settle(&mut session, config, &report, now_us);
    let now = session.observed_us;
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
    let typing = type_windows(&mut session, config, profile, hand, &mut lesson, now);
    let pointer = move_windows(&mut session, config, hand, &mut lesson, now);
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
    let known = hand.filter(|hand| hand.typing_known(config));
    let session_room = LEARN_SESSION_MAX.saturating_sub(session.learned);
    let day_room = if known.is_some() { profile.left_today(now_us) } else { u32::MAX };
    let scale = Scale {
        rule: &TYPING,
        reference: hand.map(|hand| &hand.typing),
        calibration: known.and_then(|hand| hand.typing_calibration.as_ref()),
        room: session_room.min(day_room),
    };
    let mut tally = Tally::default();
    for window in typing::windows(&mut session.strokes) {
        let Some(window) = window else {
            tally.thin += 1;
            continue;
        };
        let trusted = not_suspected(session, config, now_us);
        let mut ledger = std::mem::take(&mut session.typing);
        let replayed = weigh(&scale, window, &mut ledger, trusted, &mut lesson.typing, &mut tally);
        session.typing = ledger;
        session.replays = session.replays.saturating_add(u32::from(replayed));
    }
    tally
}

fn move_windows(
    session: &mut Session,
    config: &Config,
    hand: Option<&Hand>,
    lesson: &mut Lesson,
    now_us: i64,
) -> Tally {
    let known = hand.filter(|hand| hand.pointer_known(config));
    let scale = Scale {
        rule: &POINTER,
        reference: hand.map(|hand| &hand.pointer),
        calibration: known.and_then(|hand| hand.pointer_calibration.as_ref()),
        room: LEARN_SESSION_MAX.saturating_sub(session.pointer_learned),
    };
    let mut tally = Tally::default();
    for window in pointer::windows(&mut session.steps) {
        let trusted = not_suspected(session, config, now_us);
        let mut ledger = std::mem::take(&mut session.pointer);
        let replayed = weigh(&scale, window, &mut ledger, trusted, &mut lesson.pointer, &mut tally);
        session.pointer = ledger;
        session.replays = session.replays.saturating_add(u32::from(replayed));
    }
    tally
}

/// Weighs one window and puts it into the lesson if it may be learned; whether it was a replay.
fn weigh(
    scale: &Scale<'_>,
    window: Vector,
    ledger: &mut Ledger,
    trusted: bool,
    lesson: &mut Vec<Vector>,
    tally: &mut Tally,
) -> bool {
    if scale.reference.is_some_and(|known| known.has(&window)) || lesson.contains(&window) {
        tally.replayed += 1;
        return true;
    }
    let mut good = trusted;
    if let Some(calibration) = scale.calibration {
        let score = calibration.score(&window);
        let basis = u32::try_from(calibration.windows()).unwrap_or(u32::MAX);
        ledger.weigh(scale.rule, score.p, basis, score.odd);
        good &= score.p >= UNUSUAL_P && ledger.sum <= LEARN_SUM_MAX;
        tally.usual += u64::from(score.p >= UNUSUAL_P);
        tally.unusual += u64::from(score.p < UNUSUAL_P);
    } else {
        tally.enrolling += 1;
    }
    let room = usize::try_from(scale.room).unwrap_or(usize::MAX);
    if good && lesson.len() < room {
        lesson.push(window);
        tally.learned += 1;
    } else {
        tally.refused += 1;
    }
    false
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
        session.learned = session.learned.saturating_add(windows(&lesson.typing));
        session.pointer_learned = session.pointer_learned.saturating_add(windows(&lesson.pointer));
        lesson.first = session.taught.as_ref() != Some(&session.keyboard);
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
    session.standing = standing(now.hand(&session.keyboard), config);
    learned
}

fn standing(hand: Option<&Hand>, config: &Config) -> Standing {
    let needed = Standing::needing(config);
    let Some(hand) = hand else { return needed };
    Standing {
        windows: u32::try_from(hand.typing.len()).unwrap_or(u32::MAX),
        sessions: hand.sessions,
        known: hand.typing_known(config) || hand.pointer_known(config),
        ..needed
    }
}
