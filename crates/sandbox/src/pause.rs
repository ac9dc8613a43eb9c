//! A run that stands still and goes on, through the freezer of its control group.
//!
//! Whoever wants to pause a run keeps a copy of the handle that is in its spec. The time a run
//! stands still is not charged to its deadline, but bounded: a run that stood still for too long
//! is ended, and its evidence is incomplete. Who pauses and why is not known here.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long one run may stand still in total.
pub const PAUSED_MAX: Duration = Duration::from_secs(600);
/// A group's tasks stop within milliseconds; this bounds the wait for the last of them.
const SETTLE: Duration = Duration::from_secs(1);

/// Pauses one run. Copies are the same handle.
#[derive(Debug, Clone)]
pub struct Pause(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Absent before the command starts and after its end.
    brake: Option<Brake>,
    /// Asked for; without a brake it takes hold once there is one.
    wanted: bool,
    cannot: bool,
    since: Option<Instant>,
    earlier: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Self::new()
    }
}

impl Pause {
    #[must_use]
    pub fn new() -> Self {
        Self::bounded(PAUSED_MAX)
    }

    /// A handle whose run may stand still for `max` in total, at most [`PAUSED_MAX`].
    #[must_use]
    pub fn bounded(max: Duration) -> Self {
        let max = max.min(PAUSED_MAX);
        Self(Arc::new(Shared { max, state: Mutex::new(State::default()) }))
    }

    /// Stops every task of the run; returns when they stand. A run that has not started yet will
    /// stand as soon as it has; one that is over is left alone.
    ///
    /// # Errors
    /// When the kernel does not stop them, or this host's control groups cannot.
    pub fn pause(&self) -> io::Result<()> {
        let mut state = self.state();
        state.wanted = true;
        state.hold()
    }

    /// Lets the run go on.
    ///
    /// # Errors
    /// When the kernel does not let it.
    pub fn resume(&self) -> io::Result<()> {
        let mut state = self.state();
        state.wanted = false;
        state.release()
    }

    /// How long the run has stood still so far.
    #[must_use]
    pub fn stood_still(&self) -> Duration {
        self.state().stood_still()
    }

    /// Whether it stands still now.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.state().since.is_some()
    }

    /// For a runner that cannot stop its run: from now on a pause is an error, and not a wish.
    pub fn unavailable(&self) {
        self.state().cannot = true;
    }

    /// The run starts; `None` where there is no freezer.
    ///
    /// # Errors
    /// When it shall stand still and the kernel does not let it.
    pub fn attach(&self, brake: Option<Brake>) -> io::Result<()> {
        let mut state = self.state();
        state.cannot = brake.is_none();
        state.brake = brake;
        if state.wanted || state.cannot { state.hold() } else { Ok(()) }
    }

    /// The run is over, or must be able to end.
    pub fn detach(&self) {
        let mut state = self.state();
        let _ = state.release();
        state.brake = None;
        state.wanted = false;
        state.cannot = false;
    }

    /// Whether the run has stood still for longer than it may.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.stood_still() >= self.0.max
    }

    /// How long it may stand still in total.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.0.max
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hold(&mut self) -> io::Result<()> {
        if self.cannot {
            let why = "no control group with a freezer belongs to the run";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let Some(brake) = &mut self.brake else { return Ok(()) };
        if self.since.is_none() {
            brake.set(true)?;
            self.since = Some(Instant::now());
        }
        Ok(())
    }

    fn release(&mut self) -> io::Result<()> {
        let Some(since) = self.since else { return Ok(()) };
        if let Some(brake) = &mut self.brake {
            brake.set(false)?;
        }
        self.earlier += since.elapsed();
        self.since = None;
        Ok(())
    }

    fn stood_still(&self) -> Duration {
        self.earlier + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// The freezer of one control group.
#[derive(Debug)]
pub struct Brake {
    /// What is written to: v2's `cgroup.freeze` or v1's `freezer.state`.
    pub control: File,
    /// What tells whether all tasks stand: v2's `cgroup.events`; v1's own file tells it.
    pub state: std::path::PathBuf,
    pub words: [&'static str; 2],
    /// What the state file says once all tasks stand.
    pub stands: &'static str,
}

impl Brake {
    fn set(&mut self, on: bool) -> io::Result<()> {
        let [go, stop] = self.words;
        self.control.write_all(if on { stop } else { go }.as_bytes())?;
        let deadline = Instant::now() + SETTLE;
        while on && Instant::now() < deadline {
            let state = std::fs::read_to_string(&self.state).unwrap_or_default();
            if state.lines().any(|line| line == self.stands) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{PAUSED_MAX, Pause};
    use std::time::Duration;

    #[test]
    fn without_a_run_nothing_stands_still_and_the_wish_is_kept() {
        let pause = Pause::bounded(PAUSED_MAX * 2);
        assert_eq!(pause.max(), PAUSED_MAX);
        pause.pause().unwrap();
        assert!(!pause.is_paused());
        assert_eq!(pause.stood_still(), Duration::ZERO);
        pause.resume().unwrap();
        assert!(pause.attach(None).is_err());
        assert!(pause.pause().is_err());
        pause.detach();
        assert!(!pause.is_spent());
    }
}
