//! Settings of the ledger, and the numbers that are none.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use slo::history::{BACKFILL, GONE};

use crate::LedgerError;

/// Settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `slo.yaml`; absent: the objectives that come with ShieldX.
    pub file: Option<PathBuf>,
    /// How often counts are kept and objectives evaluated.
    pub interval_ms: u64,
    /// Which replica this is, where several feed one history [default: `shieldx`].
    pub instance: Option<String>,
    /// URLs that get every change of an alert as JSON.
    pub webhooks: Vec<String>,
    /// A file with the secret that webhooks are signed with; absent: they are not.
    pub webhook_secret_file: Option<PathBuf>,
    /// Base URLs of Alertmanagers (v2 API).
    pub alertmanagers: Vec<String>,
    /// How often Alertmanagers are told of what still fires.
    pub resend_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: None,
            interval_ms: 10_000,
            instance: None,
            webhooks: Vec::new(),
            webhook_secret_file: None,
            alertmanagers: Vec::new(),
            resend_ms: 60_000,
        }
    }
}

impl Config {
    /// What could be written, but not worked with.
    pub(crate) fn check(&self) -> Result<(), LedgerError> {
        let setting = |name, value, why| Err(LedgerError::Setting { name, value, why });
        if !INTERVAL_MS.contains(&self.interval_ms) {
            let why = "it is 100 to 60000: alerts look at windows of minutes";
            return setting("interval_ms", self.interval_ms.to_string(), why);
        }
        if !RESEND_MS.contains(&self.resend_ms) {
            let why = "it is 1000 to 3600000";
            return setting("resend_ms", self.resend_ms.to_string(), why);
        }
        let instance = self.instance();
        if [BACKFILL, GONE].contains(&instance) {
            let why = "the ledger uses this name itself, and would count nothing under it";
            return setting("instance", instance.to_owned(), why);
        }
        let plain = !instance.chars().any(char::is_control);
        if !(1..=INSTANCE_BYTES_MAX).contains(&instance.len()) || !plain {
            let why = "a replica's name is one line of 1 to 200 bytes";
            return setting("instance", instance.escape_debug().to_string(), why);
        }
        Ok(())
    }

    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.max(1))
    }

    pub(crate) fn resend(&self) -> Duration {
        Duration::from_millis(self.resend_ms.max(1))
    }

    pub(crate) fn instance(&self) -> &str {
        self.instance.as_deref().unwrap_or("shieldx")
    }
}

const INTERVAL_MS: RangeInclusive<u64> = 100..=60_000;
const RESEND_MS: RangeInclusive<u64> = 1000..=3_600_000;
/// Of a replica's name; it is in every sample.
const INSTANCE_BYTES_MAX: usize = 200;
/// How often everything is written anew, so that a start has little to read.
pub(crate) const SNAPSHOT_EVERY_US: i64 = 3_600_000_000;
/// Samples that are held while the disk takes none: 10 minutes of them, usually.
pub(crate) const PENDING_MAX: usize = 60;
/// Deploy marks that are remembered.
pub(crate) const MARKS_MAX: usize = 256;
/// Uses of overrides that are remembered; each is in the log, too.
pub(crate) const OVERRIDES_MAX: usize = 1024;
/// Of a mark's or an override's texts.
pub(crate) const TEXT_MAX_CHARS: usize = 200;
