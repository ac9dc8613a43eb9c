//! One line on the terminal while a command runs, gone before anything else is printed.
//!
//! It is shown only on a terminal, and only until the command itself prints something: the line and
//! the command's output must never mix. Where the output passes through to the same terminal, it is
//! led through a pipe of our own, so that the line can be erased before the first byte.
#![expect(unsafe_code, reason = "dup2(2) onto a standard stream has no safe wrapper in std")]

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sandbox::Stdin;

use crate::environment::Environment;
use crate::request::{RunRequest, show};

/// A run this short shows nothing at all.
const DELAY: Duration = Duration::from_millis(400);
const TICK: Duration = Duration::from_millis(120);
const FRAMES: [char; 8] = ['⠋', '⠙', '⠸', '⠴', '⠦', '⠇', '⠏', '⠛'];
/// Back to the first column and clear to the end of the line.
const ERASE: &[u8] = b"\r\x1b[K";
const CHUNK_BYTES: usize = 64 << 10;

/// A running status line; stopped and erased when dropped.
#[derive(Debug)]
pub struct Progress {
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
    tap: Option<Tap>,
}

/// The line's state, shared with the thread that passes output on.
#[derive(Debug)]
struct Line {
    terminal: File,
    shown: bool,
    over: bool,
}

impl Line {
    fn draw(&mut self, text: &str) {
        self.shown = true;
        let _ = self.terminal.write_all(&[ERASE, text.as_bytes()].concat());
    }

    fn finish(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = self.terminal.write_all(ERASE);
        }
        self.over = true;
    }
}

impl Progress {
    /// Starts it where it may be shown.
    #[must_use]
    pub fn start(request: &RunRequest, environment: &Environment) -> Self {
        let wanted = environment.stderr_terminal
            && !request.quiet
            // A person who types must see what they type.
            && request.stdin == Stdin::Null
            && environment.variable("TERM").is_none_or(|term| term != "dumb");
        let terminal = wanted.then(|| io::stderr().as_fd().try_clone_to_owned().ok()).flatten();
        let Some(terminal) = terminal else { return Self { ticker: None, tap: None } };
        let line = Line { terminal: File::from(terminal), shown: false, over: false };
        let line = Arc::new(Mutex::new(line));
        let tap = if request.json {
            None
        } else {
            let mut streams = vec![libc::STDERR_FILENO];
            if environment.stdout_terminal {
                streams.push(libc::STDOUT_FILENO);
            }
            match Tap::open(&streams, Arc::clone(&line)) {
                Ok(tap) => Some(tap),
                // Without a line there is nothing to keep apart.
                Err(_) => return Self { ticker: None, tap: None },
            }
        };
        let name = request.command.first().map(std::path::Path::new).map(show);
        let name = name.unwrap_or_default().file_name().to_string();
        let limit = Duration::from_millis(request.limits.timeout_ms);
        Self { ticker: tick(line, name, limit), tap }
    }

    /// Erases the line and gives the streams back.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.tap.take());
        if let Some((stop, thread)) = self.ticker.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

fn tick(
    line: Arc<Mutex<Line>>,
    name: String,
    limit: Duration,
) -> Option<(Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = mpsc::channel();
    let work = move || {
        let start = Instant::now();
        let mut wait = DELAY;
        for frame in FRAMES.iter().cycle() {
            let ended = stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout);
            wait = TICK;
            let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
            if ended || line.over {
                line.finish();
                return;
            }
            let (elapsed, limit) = (start.elapsed().as_secs(), limit.as_secs());
            line.draw(&format!("{frame} {name:.40}  {elapsed} s of at most {limit} s"));
        }
    };
    // Without a thread there is no line, which is no reason not to run.
    thread::Builder::new().name("progress".into()).spawn(work).ok().map(|thread| (stop, thread))
}

/// Standard streams that lead into a pipe of ours for a while.
#[derive(Debug)]
struct Tap {
    saved: Vec<(RawFd, OwnedFd)>,
    pump: Option<JoinHandle<()>>,
}

impl Tap {
    /// Leads all `streams`, which are the same terminal, through one pipe: their order stays.
    fn open(streams: &[RawFd], line: Arc<Mutex<Line>>) -> io::Result<Self> {
        let (mut reader, writer) = io::pipe()?;
        let mut saved = Vec::new();
        for &stream in streams {
            saved.push((stream, duplicate(stream)?));
        }
        let mut out = {
            let line = line.lock().unwrap_or_else(PoisonError::into_inner);
            line.terminal.try_clone()?
        };
        let work = move || {
            let mut chunk = vec![0; CHUNK_BYTES];
            loop {
                let count = match reader.read(&mut chunk) {
                    Ok(0) => return,
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => return,
                };
                line.lock().unwrap_or_else(PoisonError::into_inner).finish();
                // The terminal may be gone; the command still runs to its end.
                let _ = out.write_all(chunk.get(..count).unwrap_or_default());
            }
        };
        let pump = thread::Builder::new().name("output".into()).spawn(work)?;
        let tap = Self { saved, pump: Some(pump) };
        for &stream in streams {
            // On an error the drop of `tap` gives back what was taken already.
            redirect(stream, writer.as_fd())?;
        }
        Ok(tap)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        for (stream, old) in self.saved.drain(..) {
            let _ = redirect(stream, old.as_fd());
        }
        // No stream of ours leads into the pipe any more, so the pump has read its end.
        if let Some(pump) = self.pump.take() {
            let _ = pump.join();
        }
    }
}

fn duplicate(stream: RawFd) -> io::Result<OwnedFd> {
    if stream == libc::STDOUT_FILENO {
        io::stdout().as_fd().try_clone_to_owned()
    } else {
        io::stderr().as_fd().try_clone_to_owned()
    }
}

/// Makes the standard stream mean what `to` means.
fn redirect(stream: RawFd, to: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both are numbers of open descriptors: `to` is borrowed, and `stream` is 1 or 2, which
    // nothing in this program closes. dup2(2) replaces it in one step, so no other thread can get
    // the number in between, and std's handles keep using it by number.
    match unsafe { libc::dup2(to.as_raw_fd(), stream) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
