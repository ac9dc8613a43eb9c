//! What a recording means: detectors, score, verdict.
//!
//! [`assess`] is a pure function: the same [`Recording`] and [`Options`] give the same bytes, today
//! or years later (`shieldx replay`). This room does no I/O, reads no clock, draws no random number,
//! and knows neither how events were gathered nor how a report looks.
//!
//! The way through: `timeline` prepares the recording once, every detector in `detectors` looks at
//! it and states a finding or nothing, `matched` adds what rules of others say, `score` turns findings into points that add up, `evidence`
//! says what the recording is worth, `assess` puts the verdict together.

mod anomaly;
mod assess;
mod attack;
mod detector;
mod detectors;
mod evidence;
mod features;
mod matched;
mod paths;
mod score;
mod timeline;

pub use assess::{
    DETECTORS_VERSION, MALICIOUS_POINTS, Options, SCORE_POINTS_MAX, SUSPICIOUS_POINTS, assess,
};
pub use attack::{ATTACK_VERSION, Attack, find as technique};
pub use detector::{Info, TierC};
pub use detectors::detectors;
pub use features::{FEATURES, features};

#[cfg(doc)]
use types::Recording;
