//! Everything stands still while it is looked at. The pause that somebody ordered, and the
//! monitor's own freezing, are not undone here.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Trigger;

/// How long the freezer gets to stop everything.
const FREEZING: Duration = Duration::from_millis(50);

/// Everything in the run's group stands still while this lives.
pub(super) struct Freezer {
    file: File,
    thaw: bool,
}

impl Freezer {
    pub(super) fn freeze(group: Option<PathBuf>, trigger: Trigger) -> Option<Self> {
        let group = group?;
        // A run that somebody paused stays so.
        let control = group.join("cgroup.freeze");
        let stood_still = fs::read_to_string(&control).is_ok_and(|state| state.trim() == "1");
        let mut file = fs::OpenOptions::new().write(true).open(control).ok()?;
        file.write_all(b"1").ok()?;
        let began = Instant::now();
        let frozen = || {
            let mut text = String::new();
            File::open(group.join("cgroup.events"))
                .and_then(|mut file| file.read_to_string(&mut text))
                .is_ok_and(|_| text.contains("frozen 1"))
        };
        while !frozen() && began.elapsed() < FREEZING {
            std::thread::sleep(Duration::from_micros(200));
        }
        Some(Self { file, thaw: trigger != Trigger::Timeout && !stood_still })
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        if self.thaw {
            let _ = self.file.write_all(b"0");
        }
    }
}
