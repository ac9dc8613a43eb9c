//! What is known of a subject: how they type and move on each kind of device, and which devices and
//! networks they come from.
//!
//! A profile holds figures of windows and hashes, never keystrokes (see [`crate::features`]).

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::features::{pointer, typing};
use crate::reference::{Calibration, Reference};
use crate::surroundings::{Acquaintances, Salt};
use crate::vector::Vector;

/// Kinds of devices a subject is known on.
const HANDS_MAX: usize = 4;
/// Windows of movement before the pointer is known; they come quicker and say less than typing's.
pub(crate) const POINTER_WINDOWS_MIN: usize = 20;
/// Windows one session adds: a tenth of a full profile, so that no single session can be most of it.
pub(crate) const LEARN_SESSION_MAX: u32 = 20;
/// Once the subject is known, a session adds one window for this many that were there before it.
pub(crate) const LEARN_SESSION_PART: u32 = 4;
/// Windows all sessions of a day add once the subject is known: a full profile is turned over in ten
/// days at the least. Whoever wants to walk it over to themselves must pass for the subject all the
/// while, a little less so every day.
pub(crate) const LEARN_DAY_MAX: u32 = 20;
const DAY_US: i64 = 86_400_000_000;

/// One subject of one tenant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Profile {
    pub(crate) salt: Salt,
    hands: Vec<Hand>,
    pub(crate) devices: Acquaintances,
    pub(crate) networks: Acquaintances,
    /// Days since 1970, and what was learned on that day.
    day: i64,
    learned_today: u32,
}

/// The subject on one kind of device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hand {
    /// See [`crate::surroundings::DevicePrints::keyboard`].
    keyboard: String,
    pub(crate) typing: Reference,
    pub(crate) pointer: Reference,
    /// Sessions that taught something.
    pub(crate) sessions: u32,
    last_us: i64,
    #[serde(skip)]
    pub(crate) typing_calibration: Option<Calibration>,
    #[serde(skip)]
    pub(crate) pointer_calibration: Option<Calibration>,
}

/// What one report teaches.
#[derive(Debug, Default)]
pub(crate) struct Lesson {
    pub(crate) keyboard: String,
    pub(crate) typing: Vec<Vector>,
    pub(crate) pointer: Vec<Vector>,
    /// The session taught nothing on this keyboard before.
    pub(crate) first: bool,
    /// A device or network to become acquainted with.
    pub(crate) device: Option<String>,
    pub(crate) network: Option<String>,
}

impl Lesson {
    pub(crate) fn is_empty(&self) -> bool {
        self.typing.is_empty() && self.pointer.is_empty()
    }
}

impl Hand {
    /// Whether enough was learned from other sessions than the one that asks; one that taught
    /// something already does not vouch for itself.
    pub(crate) fn typing_known(&self, config: &Config, asker_taught: bool) -> bool {
        self.typing.len() >= at_least_one(config.learn_windows_min).max(2)
            && self.seen_enough(config, asker_taught)
    }

    pub(crate) fn pointer_known(&self, config: &Config, asker_taught: bool) -> bool {
        self.pointer.len() >= POINTER_WINDOWS_MIN && self.seen_enough(config, asker_taught)
    }

    fn seen_enough(&self, config: &Config, asker_taught: bool) -> bool {
        self.sessions.saturating_sub(u32::from(asker_taught)) >= config.learn_sessions_min.max(1)
    }

    fn calibrate(&mut self) {
        self.typing_calibration = self.typing.calibrate(&typing::FLOORS);
        self.pointer_calibration = self.pointer.calibrate(&pointer::FLOORS);
    }
}

impl Profile {
    pub(crate) fn new(salt: Salt) -> Self {
        Self { salt, ..Self::default() }
    }

    /// From the store's bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut profile: Self = serde_json::from_slice(bytes)?;
        profile.hands.iter_mut().for_each(Hand::calibrate);
        Ok(profile)
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    pub(crate) fn hand(&self, keyboard: &str) -> Option<&Hand> {
        self.hands.iter().find(|hand| hand.keyboard == keyboard)
    }

    /// Windows that may be learned today, of a subject that is known.
    pub(crate) fn left_today(&self, now_us: i64) -> u32 {
        let learned = if self.day == now_us.div_euclid(DAY_US) { self.learned_today } else { 0 };
        LEARN_DAY_MAX.saturating_sub(learned)
    }

    pub(crate) fn learn(&mut self, lesson: Lesson, config: &Config, now_us: i64) {
        let max = at_least_one(config.profile_windows_max);
        let today = now_us.div_euclid(DAY_US);
        if self.day != today {
            (self.day, self.learned_today) = (today, 0);
        }
        let windows = u32::try_from(lesson.typing.len()).unwrap_or(u32::MAX);
        self.learned_today = self.learned_today.saturating_add(windows);
        if let Some(device) = lesson.device {
            self.devices.meet_device(device, now_us);
        }
        if let Some(network) = lesson.network {
            self.networks.meet_network(network, now_us);
        }
        let hand = self.hand_to_teach(&lesson.keyboard);
        hand.sessions = hand.sessions.saturating_add(u32::from(lesson.first));
        let session = hand.sessions;
        lesson.typing.into_iter().for_each(|window| hand.typing.learn(window, session, max));
        lesson.pointer.into_iter().for_each(|window| hand.pointer.learn(window, session, max));
        hand.last_us = now_us;
        hand.calibrate();
    }

    /// The hand of that name; a new one takes the place of the one with the fewest windows when
    /// there are too many, so that somebody who brings devices of all kinds drives out no hand that
    /// is well known.
    fn hand_to_teach(&mut self, keyboard: &str) -> &mut Hand {
        let known = self.hands.iter().position(|hand| hand.keyboard == keyboard);
        let at = known.unwrap_or_else(|| {
            if self.hands.len() >= HANDS_MAX {
                let weight = |at: &usize| (self.hands[*at].typing.len(), self.hands[*at].last_us);
                let weakest = (0..self.hands.len()).min_by_key(weight);
                weakest.map(|at| self.hands.remove(at));
            }
            self.hands.push(Hand { keyboard: keyboard.to_owned(), ..Hand::default() });
            self.hands.len() - 1
        });
        &mut self.hands[at]
    }
}

pub(crate) fn at_least_one(number: u32) -> usize {
    usize::try_from(number.max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::{HANDS_MAX, LEARN_DAY_MAX, Lesson, Profile};
    use crate::config::Config;
    use crate::vector::Vector;

    fn lesson(keyboard: &str, windows: usize) -> Lesson {
        let window = |n| Vector::of(&[f64::from(u32::try_from(n).unwrap()); 15]);
        let typing = (0..windows).map(window).collect();
        Lesson { keyboard: keyboard.to_owned(), typing, first: true, ..Lesson::default() }
    }

    #[test]
    fn a_profile_reads_back_and_can_score_at_once() {
        let mut profile = Profile::default();
        profile.learn(lesson("a", 9), &Config::default(), 5);
        let again = Profile::decode(&profile.encode().unwrap()).unwrap();
        assert_eq!(again, profile);
        assert!(again.hand("a").unwrap().typing_calibration.is_some());
    }

    #[test]
    fn many_kinds_of_devices_do_not_drive_out_the_one_that_is_known() {
        let mut profile = Profile::default();
        profile.learn(lesson("own", 20), &Config::default(), 0);
        for n in 0..20 {
            profile.learn(lesson(&format!("other {n}"), 1), &Config::default(), n);
        }
        assert_eq!(profile.hands.len(), HANDS_MAX);
        assert_eq!(profile.hand("own").unwrap().typing.len(), 20);
    }

    #[test]
    fn a_day_has_its_fill_and_the_next_begins_anew() {
        let mut profile = Profile::default();
        profile.learn(lesson("a", 15), &Config::default(), 0);
        assert_eq!(profile.left_today(1), LEARN_DAY_MAX - 15);
        assert_eq!(profile.left_today(super::DAY_US), LEARN_DAY_MAX);
    }
}
