//! Made-up people who type, for tests: there are no public recordings at hand that may be shipped.
//!
//! Spreads between people follow Dhakal, Feit, Kristensson & Oulasvirta, "Observations on Typing from
//! 136 Million Keystrokes" (CHI 2018): keys are held 116 ms (SD 24), 239 ms from press to press
//! (SD 112), a quarter of the keys overlap. Each person has their own scatter, habit of pausing and
//! hold of each key; each *session* is a little off (mood, chair, task), and within one, pace drifts.
//! Which keys are pressed is drawn, so that two windows of one person differ as text does.

/// Keys a typist has; each with a hold and a reach of its own.
const KEYS: usize = 30;

/// SplitMix64 (Steele, Lea & Flood, OOPSLA 2014): the same numbers on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0…1
    pub(crate) fn even(&mut self) -> f64 {
        let high = u32::try_from(self.bits() >> 32).unwrap_or(0);
        (f64::from(high) + 0.5) / 4_294_967_296.0
    }

    /// Mean 0, deviation 1 (Box & Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.even().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.even()).cos()
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.bits() % u64::try_from(n).unwrap_or(1)).unwrap_or(0)
    }
}

/// One person.
#[derive(Debug, Clone)]
pub(crate) struct Typist {
    /// Logarithms of milliseconds.
    pub(crate) hold: f64,
    pub(crate) hold_scatter: f64,
    pub(crate) pace: f64,
    pub(crate) pace_scatter: f64,
    pub(crate) key_holds: Vec<f64>,
    pub(crate) key_reaches: Vec<f64>,
    pub(crate) hesitates: f64,
}

/// How far one day is from the other, as deviations of the logarithms.
const SESSION_HOLD: f64 = 0.05;
const SESSION_PACE: f64 = 0.08;
/// How far pace wanders within a session, per keystroke.
const WANDER: f64 = 0.006;

impl Typist {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let hold_scatter = 0.22 * (0.25 * dice.normal()).exp();
        let pace_scatter = 0.38 * (0.2 * dice.normal()).exp();
        Self {
            hold: f64::ln(114.0) + 0.2 * dice.normal(),
            hold_scatter,
            pace: f64::ln(205.0) + 0.38 * dice.normal(),
            pace_scatter,
            key_holds: (0..KEYS).map(|_| 0.12 * dice.normal()).collect(),
            key_reaches: (0..KEYS).map(|_| 0.2 * dice.normal()).collect(),
            hesitates: 0.05 * (0.5 * dice.normal()).exp(),
        }
    }

    /// Sits down to type: a session with its own mood.
    pub(crate) fn session(&self, seed: u64) -> Sitting {
        let mut dice = Dice::new(seed ^ 0x5e55);
        let mut person = self.clone();
        person.hold += SESSION_HOLD * dice.normal();
        person.pace += SESSION_PACE * dice.normal();
        Sitting { person, dice, wander: 0.0, now_ms: 0.0 }
    }
}

/// A person at a keyboard.
#[derive(Debug, Clone)]
pub(crate) struct Sitting {
    person: Typist,
    dice: Dice,
    wander: f64,
    now_ms: f64,
}

impl Sitting {
    /// The next keystrokes: (down, up) in milliseconds, in order.
    pub(crate) fn types(&mut self, keystrokes: usize) -> Vec<(f64, f64)> {
        (0..keystrokes).map(|_| self.stroke()).collect()
    }

    fn stroke(&mut self) -> (f64, f64) {
        let (person, dice) = (&self.person, &mut self.dice);
        let key = dice.below(KEYS);
        self.wander = 0.995 * self.wander + WANDER * dice.normal();
        let pace = person.pace + person.key_reaches[key] + self.wander;
        let mut period = (pace + person.pace_scatter * dice.normal()).exp();
        if dice.even() < person.hesitates {
            period += 300.0 - 500.0 * dice.even().ln();
        }
        let hold = person.hold + person.key_holds[key] + person.hold_scatter * dice.normal();
        self.now_ms += period;
        (self.now_ms, self.now_ms + hold.exp().min(900.0))
    }
}
