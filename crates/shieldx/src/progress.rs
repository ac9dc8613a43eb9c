//! One line on the terminal while a command runs, gone before anything else is printed.
//!
//! Only where it cannot disturb: standard error is a terminal and the command's own output does
//! not pass through to it.

use std::io::Write as _;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::environment::Environment;
use crate::request::{RunRequest, show};

/// A run this short shows nothing at all.
const DELAY: Duration = Duration::from_millis(400);
const TICK: Duration = Duration::from_millis(120);
const FRAMES: [char; 8] = ['⠋', '⠙', '⠸', '⠴', '⠦', '⠇', '⠏', '⠛'];
/// Back to the first column and clear to the end of the line.
const ERASE: &str = "\r\u{1b}[K";

/// A running status line.
#[derive(Debug)]
pub struct Progress {
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Starts it where it may be shown.
    #[must_use]
    pub fn start(request: &RunRequest, environment: &Environment) -> Self {
        let wanted = environment.stderr_terminal
            && !request.quiet
            && request.json
            && environment.variable("TERM").is_none_or(|term| term != "dumb");
        if !wanted {
            return Self { running: None };
        }
        let name = request.command.first().map(std::path::Path::new).map(show);
        let name = name.unwrap_or_default().file_name().to_string();
        let limit = Duration::from_millis(request.limits.timeout_ms);
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("progress".into()).spawn(move || {
            let start = Instant::now();
            let mut wait = DELAY;
            for frame in FRAMES.iter().cycle() {
                match stopped.recv_timeout(wait) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => break,
                }
                wait = TICK;
                let (elapsed, limit) = (start.elapsed().as_secs(), limit.as_secs());
                let mut stderr = std::io::stderr().lock();
                let _ =
                    write!(stderr, "{ERASE}{frame} {name:.40}  {elapsed} s of at most {limit} s");
                let _ = stderr.flush();
            }
            if wait == TICK {
                let _ = write!(std::io::stderr().lock(), "{ERASE}");
            }
        });
        // Without a thread there is no line, which is no reason not to run.
        Self { running: thread.ok().map(|thread| (stop, thread)) }
    }

    /// Erases the line.
    pub fn stop(self) {
        if let Some((stop, thread)) = self.running {
            drop(stop);
            let _ = thread.join();
        }
    }
}
