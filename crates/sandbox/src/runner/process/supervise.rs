//! The supervisor's loop: messages, output, deadline and signals of one run.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use types::{Ending, Text, run::Output};

use super::inside::LINGER;
use super::wire::{Message, Outer};
use crate::memory::watch::{Handle, Trigger};
use crate::pause::Pause;
use crate::sys;

/// After a forwarded signal the command has this long to end by itself.
const GRACE: Duration = Duration::from_secs(2);
/// What is read from a pipe at once, in bytes.
const CHUNK: usize = 64 << 10;
/// Init kills what the command left in the background; this long before, its memory is looked at.
const BEFORE_LINGER_ENDS: Duration = Duration::from_millis(300);

/// How often a run that can be paused is asked whether it is.
const PAUSE_TICK: Duration = Duration::from_millis(200);

/// Where the signal handler writes; -1 when no run is supervised.
static SIGNAL_PIPE: AtomicI32 = AtomicI32::new(-1);

/// Forwards ending signals into a pipe while it lives.
pub struct Signals {
    read: OwnedFd,
    _write: OwnedFd,
    _previous: sys::Dispositions,
}

impl Signals {
    /// Only one caller of a process has the signals at a time.
    ///
    /// # Errors
    /// When there is no pipe.
    pub fn catch() -> io::Result<Self> {
        let (read, write) = sys::pipe()?;
        sys::set_nonblocking(read.as_fd())?;
        sys::set_nonblocking(write.as_fd())?;
        SIGNAL_PIPE.store(write.as_raw_fd(), Ordering::SeqCst);
        let previous = sys::catch_signals(on_signal);
        Ok(Self { read, _write: write, _previous: previous })
    }

    /// The next signal that came, without waiting.
    #[must_use]
    pub fn take(&self) -> Option<i32> {
        let mut byte = [0];
        match sys::read(self.read.as_fd(), &mut byte) {
            Ok(1) => Some(i32::from(byte[0])),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signals")
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        SIGNAL_PIPE.store(-1, Ordering::SeqCst);
    }
}

extern "C" fn on_signal(signal: libc::c_int) {
    sys::write_signal(SIGNAL_PIPE.load(Ordering::SeqCst), signal);
}

/// One captured stream.
pub(crate) struct Capture {
    fd: Option<OwnedFd>,
    /// The caller's own stream, when output is passed through.
    pass: Option<libc::c_int>,
    kept: Vec<u8>,
    total: u64,
    limit: u64,
    /// Why nothing more could be passed on.
    failed: Option<io::Error>,
}

impl Capture {
    pub(crate) fn new(fd: OwnedFd, pass: Option<libc::c_int>, limit: u64) -> Self {
        Self { fd: Some(fd), pass, kept: Vec::new(), total: 0, limit, failed: None }
    }

    fn pump(&mut self) {
        let Some(fd) = &self.fd else { return };
        let mut chunk = vec![0; CHUNK];
        let count = match sys::read(fd.as_fd(), &mut chunk) {
            Ok(0) | Err(_) => {
                self.fd = None;
                return;
            }
            Ok(count) => count,
        };
        chunk.truncate(count);
        let room = self.limit.saturating_sub(self.kept.len() as u64);
        let kept = usize::try_from(room).unwrap_or(usize::MAX).min(count);
        self.kept.extend_from_slice(chunk.get(..kept).unwrap_or(&[]));
        self.total += count as u64;
        if let Some(pass) = self.pass
            && let Err(error) = sys::write_stream(pass, &chunk)
        {
            // The reader of our output is gone: so is the reader of the command's.
            self.fd = None;
            self.failed = (error.kind() != io::ErrorKind::BrokenPipe).then_some(error);
        }
    }

    fn failure(&self, name: &str) -> Option<String> {
        self.failed.as_ref().map(|error| format!("{name} could not be written: {error}"))
    }
}

/// What the loop found out.
pub(crate) struct Watched {
    pub ending: Ending,
    pub output: Output,
    /// The init died without being told to and without a report.
    pub lost: bool,
    /// Something was still running when init gave up waiting for it.
    pub survivors: bool,
    /// It was paused for longer than a run may be.
    pub overslept: bool,
}

pub(crate) struct Loop<'a> {
    pub outer: &'a Outer,
    pub signals: &'a Signals,
    pub stdout: Capture,
    pub stderr: Capture,
    pub init: libc::pid_t,
    pub command: libc::pid_t,
    pub deadline: Instant,
    /// Looks at the memory of what is about to be killed.
    pub watch: Option<Handle>,
    pub pause: Option<Pause>,
}

#[derive(Default)]
struct State {
    status: Option<i32>,
    interrupted: Option<i32>,
    failed: Option<(String, i32)>,
    timed_out: bool,
    gone: bool,
    killed: bool,
    survivors: bool,
    overslept: bool,
    /// When what the command left in the background is looked at.
    look_at: Option<Instant>,
}

impl Loop<'_> {
    /// Runs until everything inside is gone and all output is read.
    ///
    /// # Errors
    /// `(step, error)` when the program could not be started.
    pub(crate) fn run(mut self) -> Result<Watched, (String, io::Error)> {
        let mut state = State::default();
        let mut deadline = self.deadline;
        while !state.gone || self.stdout.fd.is_some() || self.stderr.fd.is_some() {
            let now = Instant::now();
            let limit = deadline + self.stood_still();
            if self.pause.as_ref().is_some_and(Pause::is_spent) && !state.killed {
                state.overslept = true;
                self.kill(&mut state);
            }
            if now >= limit && !state.killed && !self.stands() {
                state.timed_out = state.interrupted.is_none() && state.status.is_none();
                self.look(Trigger::Timeout);
                self.kill(&mut state);
            }
            if state.look_at.is_some_and(|at| now >= at) && !state.killed && !state.gone {
                state.look_at = None;
                self.look(Trigger::Exit);
            }
            let wait = if state.killed || self.stands() {
                Duration::from_secs(1)
            } else {
                limit.saturating_duration_since(now)
            };
            let wait = if self.pause.is_some() { wait.min(PAUSE_TICK) } else { wait };
            let wait = state.look_at.map_or(wait, |at| wait.min(at.saturating_duration_since(now)));
            let mut fds = [
                pollfd(if state.gone { None } else { Some(self.outer.fd()) }),
                pollfd(Some(self.signals.read.as_fd())),
                pollfd(self.stdout.fd.as_ref().map(OwnedFd::as_fd)),
                pollfd(self.stderr.fd.as_ref().map(OwnedFd::as_fd)),
            ];
            let wait_ms = i32::try_from(wait.as_millis() + 1).unwrap_or(i32::MAX);
            sys::poll(&mut fds, wait_ms).map_err(|error| ("wait for the run".to_owned(), error))?;
            if fds[2].revents != 0 {
                self.stdout.pump();
            }
            if fds[3].revents != 0 {
                self.stderr.pump();
            }
            if fds[1].revents != 0 {
                self.forward(&mut state, &mut deadline);
            }
            if fds[0].revents != 0 {
                self.message(&mut state);
            }
        }
        if let Some((step, errno)) = state.failed {
            return Err((step, io::Error::from_raw_os_error(errno)));
        }
        Ok(self.watched(&state))
    }

    fn stood_still(&self) -> Duration {
        self.pause.as_ref().map_or(Duration::ZERO, Pause::stood_still)
    }

    fn stands(&self) -> bool {
        self.pause.as_ref().is_some_and(Pause::is_paused)
    }

    fn look(&self, trigger: Trigger) {
        if let Some(watch) = &self.watch {
            watch.all(trigger);
        }
    }

    fn message(&self, state: &mut State) {
        match self.outer.next() {
            Ok(Some(Message::Status(status))) => {
                state.status = Some(status);
                state.look_at = Some(Instant::now() + LINGER - BEFORE_LINGER_ENDS);
            }
            Ok(Some(Message::Survivors)) => state.survivors = true,
            Ok(Some(Message::Failed { step, errno })) => state.failed = Some((step, errno)),
            Ok(Some(Message::InitGone) | None) | Err(_) => state.gone = true,
            Ok(Some(_)) => {}
        }
    }

    /// The first signal is the command's; the second, or no answer, ends everything.
    fn forward(&self, state: &mut State, deadline: &mut Instant) {
        while let Some(signal) = self.signals.take() {
            if state.interrupted.replace(signal).is_some() {
                self.kill(state);
            } else {
                let _ = sys::kill(-self.command, signal);
                self.wake();
                *deadline = (*deadline).min(Instant::now() + GRACE - self.stood_still());
            }
        }
    }

    fn kill(&self, state: &mut State) {
        state.killed = true;
        let _ = sys::kill(self.init, libc::SIGKILL);
        self.wake();
    }

    /// Nobody pauses the run any more: it is to end.
    fn wake(&self) {
        if let Some(pause) = &self.pause {
            pause.detach();
        }
    }

    fn watched(self, state: &State) -> Watched {
        let ending = match (state.interrupted, state.timed_out, state.status) {
            (Some(signal), ..) => Ending::Interrupted { signal },
            (None, true, _) => Ending::TimedOut,
            (None, false, Some(status)) if libc::WIFEXITED(status) => {
                Ending::Exited { code: libc::WEXITSTATUS(status) }
            }
            (None, false, Some(status)) => Ending::Signaled { signal: libc::WTERMSIG(status) },
            (None, false, None) => Ending::Signaled { signal: libc::SIGKILL },
        };
        let lost = !state.killed && state.status.is_none();
        let failure = self.stdout.failure("standard output");
        let output = Output {
            not_passed_on: failure.or_else(|| self.stderr.failure("standard error")),
            truncated: self.stdout.total > self.stdout.kept.len() as u64
                || self.stderr.total > self.stderr.kept.len() as u64,
            stdout_bytes: self.stdout.total,
            stderr_bytes: self.stderr.total,
            stdout: Text::new(self.stdout.kept),
            stderr: Text::new(self.stderr.kept),
        };
        let State { survivors, overslept, .. } = *state;
        Watched { ending, output, lost, survivors, overslept }
    }
}

fn pollfd(fd: Option<BorrowedFd<'_>>) -> libc::pollfd {
    let fd = fd.map_or(-1, |fd| fd.as_raw_fd());
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}
