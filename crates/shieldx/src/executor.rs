//! Runs artifacts for the verifier pool: each in a worker process of its own, which holds the
//! sandbox. The server never forks a sandbox itself, and a run that takes its process down takes
//! down nothing else.

mod conversation;
mod spares;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use types::ports::{ExecuteError, Execution, Executor, Listener};
use types::{Ending, Limits, Recording, Text};

use crate::runners::{self, RunnerName, Surroundings};
use crate::worker::job::{ErrorKind, Job, Message, Refusal};
use conversation::{Broken, Conversation};
pub use spares::SPARES_MAX;
use spares::Spares;

/// A worker that has said all it had to say is waited for this long before it is killed.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a runner is not available as long as nobody knows.
pub const BEING_TRIED: &str = "it is still being tried whether this host can do it";

/// Each runner, and why it is not available here.
type Offer = Vec<(RunnerName, Option<String>)>;

/// An emulated guest boots, packs and takes time to tell; the runner itself gives up within this.
const GUEST_GRACE: Duration = Duration::from_secs(600);

/// How workers are started and bounded.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The `shieldx` program.
    pub program: PathBuf,
    /// Folders of the host that no artifact may see: the state folder first of all.
    pub hidden: Vec<PathBuf>,
    /// Where the things are that runners need.
    pub around: Surroundings,
    /// PATH inside.
    pub path: String,
    /// Processes and threads of one run at one time.
    pub pids: u32,
    /// CPU of one run in percent of one core; 0 for no limit.
    pub cpu_percent: u32,
    /// What one run may write to files, in bytes.
    pub disk_bytes: u64,
    /// An image of the Docker daemon's that scripts run in under the runner `docker`.
    pub docker_image: Option<String>,
    /// A folder of Sigma and YARA rules beside the built-in ones.
    pub rules: Option<PathBuf>,
    /// Distinct events that a recording keeps.
    pub events_max: usize,
    /// A recording's JSON in bytes; more events make it incomplete.
    pub recording_max_bytes: u64,
    /// What a worker may need beyond the artifact's own time, to build and to collect.
    pub grace: Duration,
    /// Workers that wait for a job with the kernel's part of a run ready; at most
    /// [`SPARES_MAX`].
    pub spares: usize,
}

impl Settings {
    /// The defaults, for this program and these hidden folders.
    #[must_use]
    pub fn new(around: Surroundings, hidden: Vec<PathBuf>) -> Self {
        Self {
            program: around.program.clone(),
            around,
            hidden,
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            pids: 512,
            cpu_percent: 0,
            disk_bytes: 1 << 30,
            docker_image: None,
            rules: None,
            events_max: 100_000,
            recording_max_bytes: 64 << 20,
            grace: Duration::from_secs(60),
            spares: 0,
        }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct WorkerExecutor {
    settings: Settings,
    runners: Arc<Mutex<Offer>>,
    spares: Arc<Spares>,
}

impl WorkerExecutor {
    /// Tries what this host can do: the process runner at once, the others beside, since a guest
    /// boots for seconds; until then they say so.
    #[must_use]
    pub fn new(mut settings: Settings) -> Self {
        // A mount goes to where a folder really is.
        for folder in &mut settings.hidden {
            *folder = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        }
        let offer = RunnerName::ALL.map(|name| (name, Some(BEING_TRIED.to_owned())));
        let spares = Arc::new(Spares::new(settings.spares));
        let executor = Self { runners: Arc::new(Mutex::new(offer.into())), settings, spares };
        executor.try_runner(RunnerName::Process);
        let others = RunnerName::ALL.into_iter().filter(|name| *name != RunnerName::Process);
        for name in others {
            let trier = executor.clone();
            // Where no thread can be had, it stays untried and says so.
            let _ = std::thread::Builder::new()
                .name(format!("try-{}", name.as_str()))
                .spawn(move || trier.try_runner(name));
        }
        executor
    }

    fn try_runner(&self, name: RunnerName) {
        let found = runners::open(name, &self.settings.around);
        let reason = found.and_then(|runner| runner.capability()).err().map(|error| error.reason);
        if let Some(place) = self.offer().iter_mut().find(|(offered, _)| *offered == name) {
            place.1 = reason;
        }
    }

    fn offer(&self) -> MutexGuard<'_, Offer> {
        self.runners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runner by this name, if it is available.
    fn runner(&self, name: &str) -> Result<RunnerName, ExecuteError> {
        let unavailable = |reason: String| ExecuteError::Runner { runner: name.to_owned(), reason };
        let offer = self.offer();
        match offer.iter().find(|(runner, _)| runner.as_str() == name) {
            Some((runner, None)) => Ok(*runner),
            Some((_, Some(reason))) => Err(unavailable(reason.clone())),
            None => Err(unavailable("there is none of this name".to_owned())),
        }
    }

    fn job(&self, runner: RunnerName, execution: Execution) -> Job {
        let settings = &self.settings;
        let text = |path: &Path| Text::from(path.as_os_str().as_bytes());
        Job {
            id: execution.id,
            runner,
            around: settings.around.clone(),
            artifact: text(&execution.artifact),
            file_name: execution.file_name,
            interpreter: execution.interpreter,
            arguments: execution.arguments,
            limits: Limits {
                timeout_ms: execution.timeout_ms,
                memory_bytes: execution.memory_bytes,
                pids: settings.pids,
                cpu_percent: settings.cpu_percent,
                output_bytes: execution.output_bytes,
                disk_bytes: settings.disk_bytes,
            },
            hidden: settings.hidden.iter().map(|folder| text(folder)).collect(),
            path: settings.path.clone(),
            docker_image: settings.docker_image.clone(),
            rules: settings.rules.as_deref().map(text),
            events_max: settings.events_max,
            recording_max_bytes: settings.recording_max_bytes,
        }
    }

    /// Tries again what comes and goes beside this server: a daemon. May wait for it: not for a
    /// thread that serves.
    pub fn tend_runners(&self) {
        self.try_runner(RunnerName::Docker);
    }

    /// Replaces spare workers that were taken or ended. To be called every now and then, apart from
    /// jobs: making one takes the processor that a job wants.
    pub fn tend_spares(&self) {
        if self.runner(RunnerName::Process.as_str()).is_ok() {
            let rules = self.settings.rules.iter();
            let rules: Vec<&OsStr> =
                rules.flat_map(|rules| [OsStr::new("--rules"), rules.as_os_str()]).collect();
            let arguments = [&["worker", "--spare"].map(OsStr::new)[..], &rules].concat();
            self.spares.fill(|| self.start(&arguments));
        }
    }

    /// How many spare workers wait.
    #[must_use]
    pub fn spares_waiting(&self) -> usize {
        self.spares.waiting()
    }

    fn worker(&self, runner: RunnerName) -> std::io::Result<Child> {
        let spare = if runner == RunnerName::Process { self.spares.take() } else { None };
        spare.map_or_else(|| self.start(&[OsStr::new("worker")]), Ok)
    }

    fn start(&self, arguments: &[&OsStr]) -> std::io::Result<Child> {
        Command::new(&self.settings.program)
            .args(arguments)
            .env_clear()
            .env("LANG", "C.UTF-8")
            .current_dir("/")
            // Ctrl-C is for the server, which drains.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Where rules are kept that one of them compiled, when this user is not root.
            .envs(self.settings.hidden.first().map(|folder| ("XDG_CACHE_HOME", folder)))
            .kill_on_drop(true)
            .spawn()
    }

    /// Talks to one worker until it has said its last word.
    async fn talk(
        &self,
        child: &mut Child,
        runner: RunnerName,
        job: &[u8],
        listener: &Listener,
    ) -> Result<Recording, ExecuteError> {
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed("the worker has no standard streams"));
        };
        // A worker that does not take its job says on standard error why.
        let _ = give(&mut stdin, job).await;
        let mut conversation = Conversation::new(stdout, stderr, self.settings.recording_max_bytes);
        let last = conversation.last_message(listener).await;
        let answer = match last {
            Ok(Message::Recording(recording)) => whole(*recording),
            Ok(Message::Error(refusal)) => Err(refused(runner, refusal)),
            Ok(Message::Phase(_) | Message::Event(_)) => Err(failed("the worker went on talking")),
            Err(Broken::Ended) => {
                let status = tokio::time::timeout(FAREWELL, child.wait()).await;
                let status = match status {
                    Ok(Ok(status)) => status.to_string(),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "closed output".to_owned(),
                };
                let said = conversation.last_words().await;
                Err(failed(format!("the worker ended ({status}){said}")))
            }
            Err(error) => Err(failed(format!("the worker cannot be understood: {error}"))),
        };
        // The leash: while it is held the worker lives.
        drop(stdin);
        answer
    }
}

#[async_trait]
impl Executor for WorkerExecutor {
    fn runners(&self) -> Vec<(String, Option<String>)> {
        let told = |(name, reason): &(RunnerName, Option<String>)| {
            (name.as_str().to_owned(), reason.clone())
        };
        self.offer().iter().map(told).collect()
    }

    async fn execute(
        &self,
        execution: Execution,
        listener: Listener,
    ) -> Result<Recording, ExecuteError> {
        let runner = self.runner(&execution.runner)?;
        let grace = self.settings.grace.saturating_add(match runner {
            RunnerName::Microvm => GUEST_GRACE,
            _ => Duration::ZERO,
        });
        let limit = Duration::from_millis(execution.timeout_ms).saturating_add(grace);
        let job = self.job(runner, execution).line();
        let job = job.map_err(|error| failed(format!("the job cannot be written: {error}")))?;
        let mut child = self
            .worker(runner)
            .map_err(|error| failed(format!("no worker could be started: {error}")))?;
        let answer =
            tokio::time::timeout(limit, self.talk(&mut child, runner, &job, &listener)).await;
        // Whatever it still does, it is over: the keeper of its run sees it end.
        let ended = tokio::time::timeout(FAREWELL, child.wait()).await;
        if ended.is_err() {
            let _ = child.kill().await;
        }
        answer.unwrap_or_else(|_| {
            Err(failed(format!("the worker did not end within {} s", limit.as_secs())))
        })
    }
}

async fn give(stdin: &mut ChildStdin, job: &[u8]) -> std::io::Result<()> {
    stdin.write_all(job).await?;
    stdin.flush().await
}

/// A run that was cut short from outside says nothing about the artifact.
fn whole(recording: Recording) -> Result<Recording, ExecuteError> {
    match recording.run.ending {
        Ending::Interrupted { signal } => {
            Err(failed(format!("signal {signal} to the worker interrupted the run")))
        }
        _ => Ok(recording),
    }
}

fn refused(runner: RunnerName, refusal: Refusal) -> ExecuteError {
    let reason = refusal.reason;
    match refusal.kind {
        ErrorKind::Unrunnable => ExecuteError::Unrunnable { reason },
        ErrorKind::Runner => ExecuteError::Runner { runner: runner.as_str().to_owned(), reason },
        ErrorKind::Failed => ExecuteError::Failed { reason },
    }
}

fn failed(reason: impl Into<String>) -> ExecuteError {
    ExecuteError::Failed { reason: reason.into() }
}
