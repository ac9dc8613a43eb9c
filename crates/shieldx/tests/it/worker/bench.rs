//! An artifact store and an executor for one test.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use shieldx::executor::{Settings, WorkerExecutor};
use shieldx::runners::{RunnerName, Surroundings};
use shieldx::worker::job::Job;
use tempfile::TempDir;
use tokio::sync::Notify;
use types::ports::{ExecuteError, Execution, Executor as _, Listener, Progress};
use types::{Limits, Recording, Text};

/// A state folder as the server keeps it: for its owner only.
pub(super) struct Bench {
    root: TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        let root = tempfile::Builder::new()
            .prefix("lab-worker-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in("/var/tmp")
            .expect("a temporary folder");
        Self { root }
    }

    pub(super) fn store(&self) -> PathBuf {
        self.root.path().to_owned()
    }

    /// Text that is in the path of everything of this bench.
    pub(super) fn mark(&self) -> String {
        self.root.path().file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// An artifact as the store keeps it: readable for its owner, not executable.
    pub(super) fn artifact(&self, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root.path().join(uuid::Uuid::now_v7().to_string());
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("permissions");
        path
    }

    /// A program of the host.
    pub(super) fn script(&self, content: &str) -> PathBuf {
        let path = self.artifact(content);
        fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("permissions");
        path
    }

    pub(super) fn settings(&self) -> Settings {
        Settings::new(around(), vec![self.store()])
    }

    /// What the worker of this user says about a job.
    pub(super) fn worker_of_user(id: u32, program: &Path, job: &Job) -> String {
        use std::os::unix::process::CommandExt as _;
        let mut child = Command::new(program)
            .arg("worker")
            .env_clear()
            .uid(id)
            .gid(id)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a worker");
        let mut leash = child.stdin.take().unwrap();
        leash.write_all(&job.line().unwrap()).expect("input");
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).expect("text");
        drop(leash);
        child.wait().expect("an end");
        said
    }

    pub(super) fn executor(&self) -> WorkerExecutor {
        Self::executor_with(self.settings())
    }

    pub(super) fn executor_with(settings: Settings) -> WorkerExecutor {
        WorkerExecutor::new(settings)
    }
}

pub(super) fn execution(artifact: &Path, file_name: &str) -> Execution {
    Execution {
        id: uuid::Uuid::now_v7().to_string(),
        artifact: artifact.to_owned(),
        file_name: file_name.to_owned(),
        interpreter: None,
        arguments: Vec::new(),
        runner: "process".to_owned(),
        timeout_ms: 60_000,
        memory_bytes: 512 << 20,
        output_bytes: 1 << 20,
    }
}

/// What was told, and a bell for whoever waits for something.
#[derive(Clone, Default)]
pub(super) struct Told {
    all: Arc<Mutex<Vec<Progress>>>,
    bell: Arc<Notify>,
}

impl Told {
    pub(super) fn listener(&self) -> Listener {
        let told = self.clone();
        Arc::new(move |progress| {
            told.all.lock().unwrap().push(progress);
            told.bell.notify_one();
        })
    }

    pub(super) fn take(&self) -> Vec<Progress> {
        std::mem::take(&mut self.all.lock().unwrap())
    }

    /// Waits until something was told.
    pub(super) async fn until(&self, wanted: impl Fn(&Progress) -> bool) {
        loop {
            if self.all.lock().unwrap().iter().any(&wanted) {
                return;
            }
            self.bell.notified().await;
        }
    }
}

pub(super) fn deaf() -> Listener {
    Arc::new(|_| {})
}

pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(future)
}

pub(super) async fn start(
    executor: &WorkerExecutor,
    job: Execution,
    listener: Listener,
) -> Result<Recording, ExecuteError> {
    executor.execute(job, listener).await
}

/// One run to its end.
pub(super) fn run(executor: &WorkerExecutor, job: Execution) -> Result<Recording, ExecuteError> {
    block_on(start(executor, job, deaf()))
}

pub(super) fn run_told(
    executor: &WorkerExecutor,
    job: Execution,
    told: &Told,
) -> Result<Recording, ExecuteError> {
    block_on(start(executor, job, told.listener()))
}

/// The reason of a failure that may pass.
pub(super) fn reason(error: &ExecuteError) -> &str {
    match error {
        ExecuteError::Failed { reason } => reason,
        other => panic!("{other}"),
    }
}

/// Nothing but this program.
fn around() -> Surroundings {
    Surroundings {
        docker_socket: "/nonexistent/docker.sock".into(),
        guest: "/nonexistent/guest".into(),
        program: env!("CARGO_BIN_EXE_shieldx").into(),
    }
}

/// The job that an executor would make of it.
pub(super) fn job(execution: Execution, hidden: Vec<PathBuf>) -> Job {
    let text = |path: &Path| Text::from(path.to_str().expect("an ASCII path"));
    Job {
        id: execution.id,
        runner: RunnerName::Process,
        around: around(),
        artifact: text(&execution.artifact),
        file_name: execution.file_name,
        interpreter: execution.interpreter,
        arguments: execution.arguments,
        limits: Limits {
            timeout_ms: execution.timeout_ms,
            memory_bytes: execution.memory_bytes,
            pids: 100,
            cpu_percent: 0,
            output_bytes: execution.output_bytes,
            disk_bytes: 16 << 20,
        },
        hidden: hidden.iter().map(|folder| text(folder)).collect(),
        path: "/usr/bin:/bin".to_owned(),
        docker_image: None,
        rules: None,
        events_max: 1000,
        recording_max_bytes: 1 << 20,
    }
}

/// Gives a worker this input and its end; its code and what it says on standard error.
pub(super) fn speak_to_worker(input: &str) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_shieldx"))
        .arg("worker")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a worker");
    child.stdin.take().unwrap().write_all(input.as_bytes()).expect("input");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).expect("text");
    (child.wait().expect("an end").code(), said)
}
