//! The state of one session: evidence so far, the window that is not full yet, and what was told of
//! device and network. Everything a risk needs is here, so reading one touches no profile.

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::evidence::Ledger;
use crate::features::pointer::Step;
use crate::features::typing::{Stroke, WINDOW_STROKES};
use crate::surroundings::{Acquaintance, DevicePrints, Salt};

/// One session of one tenant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Session {
    pub(crate) subject: String,
    /// The profile's, to compare what a request tells.
    pub(crate) salt: Salt,
    pub(crate) sequence: Option<u64>,
    /// When the newest telemetry was sent, as far as we believe it; never later than it came.
    pub(crate) observed_us: i64,
    /// When the newest report came.
    pub(crate) touched_us: i64,
    /// The window of typing that is not full yet.
    pub(crate) strokes: Vec<Stroke>,
    pub(crate) steps: Vec<Step>,
    pub(crate) typing: Ledger,
    pub(crate) pointer: Ledger,
    pub(crate) device: Device,
    pub(crate) network: Network,
    /// Kind of device that is typed on now.
    pub(crate) keyboard: String,
    /// Kind of device this session taught the profile.
    pub(crate) taught: Option<String>,
    /// Windows that were known already, to the last digit.
    pub(crate) replays: u32,
    pub(crate) standing: Standing,
}

/// What the profile knew on the kind of device in use when the newest report came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) windows: u32,
    /// Other than this one.
    pub(crate) sessions: u32,
    pub(crate) windows_min: u32,
    pub(crate) sessions_min: u32,
    /// Enough to tell the subject from others by typing or pointer.
    pub(crate) known: bool,
}

impl Standing {
    /// Nothing is known, and so much is needed.
    pub(crate) fn needing(config: &Config) -> Self {
        let (windows_min, sessions_min) = (config.learn_windows_min, config.learn_sessions_min);
        Self { windows_min, sessions_min, ..Self::default() }
    }

    pub(crate) fn detail(&self) -> String {
        let strokes = u32::try_from(WINDOW_STROKES).unwrap_or(u32::MAX);
        let of = |windows: u32| windows.saturating_mul(strokes);
        format!(
            "the subject is not known well enough on this kind of device: {} of {} keystrokes, from \
             {} of {} earlier sessions",
            of(self.windows.min(self.windows_min)),
            of(self.windows_min),
            self.sessions.min(self.sessions_min),
            self.sessions_min
        )
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Device {
    pub(crate) prints: Option<DevicePrints>,
    pub(crate) fingerprint: Option<String>,
    pub(crate) acquaintance: Option<Acquaintance>,
    /// The profile knows it from this session.
    pub(crate) met: Option<String>,
    /// Became another device within the session, so often.
    pub(crate) changes: u32,
    /// Changed its screen, language or time zone within the session.
    pub(crate) moves: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Network {
    pub(crate) now: Option<String>,
    /// Reached over the internet.
    pub(crate) public: bool,
    pub(crate) acquaintance: Option<Acquaintance>,
    pub(crate) met: Option<String>,
    /// Became a network that is new to the subject within the session, so often.
    pub(crate) changes: u32,
}

impl Session {
    pub(crate) fn new(subject: String, salt: Salt) -> Self {
        Self { subject, salt, observed_us: i64::MIN, ..Self::default() }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Knows nothing of devices, networks and what was taught; what was typed against the subject
    /// stays.
    pub(crate) fn begin_again(&mut self, salt: Salt) {
        self.salt = salt;
        self.device = Device::default();
        self.network = Network::default();
        self.taught = None;
    }

    /// Whether the profile learned from this session, on the kind of device in use.
    pub(crate) fn has_taught(&self) -> bool {
        self.taught.as_ref() == Some(&self.keyboard)
    }

    /// Somebody may sit at another keyboard now: what was typed on the old one vouches for nothing
    /// here, and what spoke against the session still does.
    pub(crate) fn change_keyboard(&mut self, keyboard: String) {
        if self.keyboard == keyboard {
            return;
        }
        self.keyboard = keyboard;
        self.strokes.clear();
        self.steps.clear();
        for ledger in [&mut self.typing, &mut self.pointer] {
            let (sum, learned) = (ledger.sum.max(0.0), ledger.learned);
            *ledger = Ledger { sum, learned, ..Ledger::default() };
        }
    }
}
