//! One container from the word to its last byte of output: streams, deadline, signals.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bollard::query_parameters::KillContainerOptionsBuilder;
use futures_util::StreamExt as _;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use sandbox::pause::Pause;
use sandbox::runner::process::cgroup::Usage;
use sandbox::runner::process::supervise::Signals;
use sandbox::{RunError, Spec, Stdin};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::engine::{Engine, failed};
use crate::gate::{self, TOKEN_LEN};
use crate::output::{Capture, Reports, Stream as To};
use crate::watch::{Groups, Watcher};

/// After a forwarded signal the command has this long to end by itself.
const GRACE: Duration = Duration::from_secs(2);
/// How often signals and the deadline are looked at.
const TICK: Duration = Duration::from_millis(20);
/// The books are read this often while the container runs, for one that ends without a report.
const BOOKS: Duration = Duration::from_millis(500);
/// Output that is still on its way when the container is dead arrives within this.
const DRAIN: Duration = Duration::from_secs(10);
/// A daemon that is asked to kill does so within this.
const KILL: Duration = Duration::from_secs(5);
const INPUT_CHUNK: usize = 64 << 10;

/// The container's first process, as a process of this host. It, and with it the container, dies
/// when this goes away.
#[derive(Debug)]
pub(crate) struct First {
    pub pid: u32,
    handle: OwnedFd,
}

impl First {
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let number = raw.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(Self { pid, handle: rustix::process::pidfd_open(number, PidfdFlags::empty())? })
    }

    fn kill(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.handle, Signal::KILL);
    }

    /// Whether it, and with it everything in its pid namespace, is dead within the time.
    pub(crate) fn is_dead_within(&self, time: Duration) -> bool {
        let timeout = rustix::event::Timespec::try_from(time).ok();
        let mut fds = [PollFd::new(&self.handle, PollFlags::IN)];
        rustix::event::poll(&mut fds, timeout.as_ref()).is_ok_and(|ready| ready > 0)
    }

    /// Its first child, the command, by the number it has on this host.
    fn command(&self) -> Option<Pid> {
        let list = format!("/proc/{0}/task/{0}/children", self.pid);
        let text = std::fs::read_to_string(list).ok()?;
        Pid::from_raw(text.split_ascii_whitespace().next()?.parse().ok()?)
    }
}

impl Drop for First {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What was seen until the end.
pub(crate) struct Followed {
    pub stdout: Capture,
    pub stderr: Capture,
    pub report: Option<gate::Report>,
    pub usage: Usage,
    pub timed_out: bool,
    pub interrupted: Option<i32>,
    pub killed: bool,
    /// It was paused for longer than a run may be.
    pub overslept: bool,
    pub duration: Duration,
}

/// Everything that is needed to follow.
pub(crate) struct Follow<'a> {
    pub engine: &'a Engine,
    pub id: &'a str,
    pub spec: &'a Spec,
    pub signals: &'a Signals,
    pub first: Option<&'a First>,
    pub groups: Option<&'a Groups>,
    pub watcher: &'a Watcher,
    pub token: [u8; TOKEN_LEN],
}

struct State {
    seen: Followed,
    reports: Reports,
    deadline: Instant,
    began: Instant,
    books: Instant,
}

impl Follow<'_> {
    /// Gives the word and follows until the container is dead and all output is read.
    ///
    /// # Errors
    /// When the daemon is gone or the command could not be started.
    pub(crate) async fn run(self, attached: AttachContainerResults) -> Result<Followed, RunError> {
        let AttachContainerResults { mut output, input } = attached;
        let word = gate::word(self.spec.stdin == Stdin::Null, &self.token);
        let reader = (self.spec.stdin == Stdin::Inherit).then(Reader::start).transpose();
        let mut reader = reader.map_err(setup("share standard input"))?;
        let chunks = reader.as_mut().map(|reader| &mut reader.chunks);
        let mut feeding = pin!(feed(input, word, chunks));
        let mut fed = false;
        let mut state = self.begin();
        let mut ticks = tokio::time::interval(TICK);
        let lost = loop {
            tokio::select! {
                frame = output.next() => match frame {
                    Some(Ok(frame)) => state.frame(frame),
                    Some(Err(error)) => break Some(error),
                    None => break None,
                },
                _ = ticks.tick() => if self.look(&mut state).await {
                    break Some(Error::RequestTimeoutError);
                },
                () = &mut feeding, if !fed => fed = true,
            }
            if state.reports.report.is_some() && !state.seen.killed {
                self.end(&mut state).await;
            }
        };
        let held = state.reports.rest();
        state.seen.stderr.take(&held);
        self.close(state, lost).await
    }

    fn begin(&self) -> State {
        let limits = &self.spec.limits;
        let pass = |to| self.spec.pass_output.then_some(to);
        let began = Instant::now();
        State {
            seen: Followed {
                stdout: Capture::new(pass(To::Out), limits.output_bytes),
                stderr: Capture::new(pass(To::Err), limits.output_bytes),
                report: None,
                usage: Usage::default(),
                timed_out: false,
                interrupted: None,
                killed: false,
                overslept: false,
                duration: Duration::ZERO,
            },
            reports: Reports::new(self.token),
            deadline: began + Duration::from_millis(limits.timeout_ms),
            began,
            books: began + BOOKS,
        }
    }

    /// Signals, the deadline, the books. Tells whether the output of a dead container has kept us
    /// waiting for too long.
    async fn look(&self, state: &mut State) -> bool {
        let now = Instant::now();
        while let Some(signal) = self.signals.take() {
            if state.seen.interrupted.replace(signal).is_some() {
                self.end(state).await;
            } else {
                self.forward(signal);
                state.deadline = state.deadline.min(now + GRACE);
            }
        }
        let pause = self.spec.pause.as_ref();
        let late = pause.map_or(Duration::ZERO, Pause::stood_still);
        if pause.is_some_and(Pause::is_spent) && !state.seen.killed {
            state.seen.overslept = true;
            self.end(state).await;
        }
        let due = now >= state.deadline + late && !pause.is_some_and(Pause::is_paused);
        if due && !state.seen.killed {
            state.seen.timed_out = state.seen.interrupted.is_none();
            self.watcher.look();
            self.end(state).await;
        }
        if now >= state.books && !state.seen.killed {
            state.books = now + BOOKS;
            self.read_books(state);
        }
        state.seen.killed && now >= state.deadline + DRAIN
    }

    /// The first signal is the command's; where it cannot be reached, the end follows in a moment.
    fn forward(&self, signal: i32) {
        let command = self.first.and_then(First::command);
        let signal = Signal::from_named_raw(signal);
        if let (Some(command), Some(signal)) = (command, signal) {
            let _ = rustix::process::kill_process_group(command, signal);
        }
    }

    /// Reads the books and kills: in the container nobody runs but the gate, or its time is up.
    async fn end(&self, state: &mut State) {
        if !state.seen.killed {
            state.seen.duration = state.began.elapsed();
            self.read_books(state);
        }
        if let Some(pause) = &self.spec.pause {
            // What stands still under v1 does not die.
            pause.detach();
        }
        state.seen.killed = true;
        state.deadline = Instant::now();
        if let Some(first) = self.first {
            first.kill();
            return;
        }
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        let asked = self.engine.client.kill_container(self.id, Some(options));
        // What the daemon does not kill is told of where the container is removed.
        let _ = tokio::time::timeout(KILL, asked).await;
    }

    fn read_books(&self, state: &mut State) {
        if let Some(groups) = self.groups {
            let usage = groups.usage();
            if usage.cpu_us.is_some() || usage.memory_peak_bytes.is_some() {
                state.seen.usage = usage;
            }
        }
    }

    /// What the daemon says of the end, where the gate said nothing.
    async fn close(&self, mut state: State, lost: Option<Error>) -> Result<Followed, RunError> {
        let step = "follow the container: the Docker daemon went away during the run";
        let inspected = self.engine.client.inspect_container(self.id, None).await;
        let alive = self.first.is_some_and(|first| {
            first.kill();
            !first.is_dead_within(DRAIN)
        });
        let inspected = inspected.map_err(failed(step))?;
        if let Some(error) = lost {
            return Err(failed(step)(error));
        }
        let container = inspected.state.unwrap_or_default();
        if container.oom_killed == Some(true) && state.seen.usage.oom_kills == 0 {
            state.seen.usage.oom_kills = 1;
        }
        if state.seen.duration.is_zero() {
            state.seen.duration = state.began.elapsed();
        }
        state.seen.report = state.reports.report;
        if let Some((step, errno)) = state.reports.report.and_then(|report| report.failed) {
            return Err(setup(step)(io::Error::from_raw_os_error(errno)));
        }
        if alive {
            return Err(setup("end the container")(io::Error::other("it does not die")));
        }
        Ok(state.seen)
    }
}

impl State {
    fn frame(&mut self, frame: LogOutput) {
        match frame {
            LogOutput::StdErr { message } => {
                let chunk = self.reports.filter(&message);
                self.seen.stderr.take(&chunk);
            }
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                self.seen.stdout.take(&message);
            }
            LogOutput::StdIn { .. } => {}
        }
    }
}

/// Gives the word, then passes on what comes until its end.
async fn feed(
    mut input: Pin<Box<dyn AsyncWrite + Send>>,
    word: Vec<u8>,
    chunks: Option<&mut mpsc::Receiver<Vec<u8>>>,
) {
    if input.write_all(&word).await.is_err() || input.flush().await.is_err() {
        return;
    }
    if let Some(chunks) = chunks {
        while let Some(chunk) = chunks.recv().await {
            if input.write_all(&chunk).await.is_err() || input.flush().await.is_err() {
                return;
            }
        }
    }
    let _ = input.shutdown().await;
}

/// Reads our standard input on a thread, which ends when this goes away.
struct Reader {
    chunks: mpsc::Receiver<Vec<u8>>,
    _stop: io::PipeWriter,
}

impl Reader {
    fn start() -> io::Result<Self> {
        let (sender, chunks) = mpsc::channel(4);
        let (stopped, stop) = io::pipe()?;
        std::thread::Builder::new().name("docker-stdin".to_owned()).spawn(move || {
            let stdin = io::stdin();
            let stdin = stdin.as_fd();
            let mut buffer = vec![0; INPUT_CHUNK];
            loop {
                let mut fds =
                    [PollFd::new(&stdin, PollFlags::IN), PollFd::new(&stopped, PollFlags::empty())];
                if rustix::event::poll(&mut fds, None).is_err() || !fds[1].revents().is_empty() {
                    return;
                }
                match rustix::io::read(stdin, &mut buffer) {
                    Ok(0) | Err(_) => return,
                    Ok(count) => {
                        let chunk = buffer.get(..count).unwrap_or_default().to_vec();
                        if sender.blocking_send(chunk).is_err() {
                            return;
                        }
                    }
                }
            }
        })?;
        Ok(Self { chunks, _stop: stop })
    }
}

fn setup(step: impl Into<String>) -> impl FnOnce(io::Error) -> RunError {
    let step = step.into();
    move |source| RunError::Setup { step, source }
}
