//! What an operator can set. What a risk means (prior, thresholds, weights) is not here: it is the
//! model, documented in `risk`, and the same everywhere.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// contauth's settings. Every value is valid; zero is taken for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the service listens.
    pub address: SocketAddr,
    /// Seconds without telemetry after which a session is *unknown* again unless it is suspected.
    pub stale_after_s: u32,
    /// Seconds without telemetry after which a session is forgotten.
    pub session_ttl_s: u32,
    /// Windows of 25 keystrokes to learn before a subject's typing is known.
    pub learn_windows_min: u32,
    /// Earlier sessions those windows come from at least: one session is one chair, one keyboard, one
    /// mood, and vouches for none but itself.
    pub learn_sessions_min: u32,
    /// Windows kept per subject and kind of device; the oldest make room.
    pub profile_windows_max: u32,
    /// Sessions held in memory, about 4 KB each.
    pub sessions_cached_max: u32,
    /// Profiles held in memory, about 50 KB each.
    pub profiles_cached_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 5002)),
            stale_after_s: 900,
            session_ttl_s: 86_400,
            learn_windows_min: 8,
            learn_sessions_min: 2,
            profile_windows_max: 200,
            sessions_cached_max: 16_384,
            profiles_cached_max: 1_024,
        }
    }
}

impl Config {
    pub(crate) fn stale_after_us(&self) -> i64 {
        i64::from(self.stale_after_s.max(1)) * 1_000_000
    }

    pub(crate) fn session_ttl_us(&self) -> i64 {
        i64::from(self.session_ttl_s.max(1)) * 1_000_000
    }
}
