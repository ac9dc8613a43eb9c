//! `shieldx worker`: one run in a process of its own, for a server that must outlive it.
//!
//! It reads one job from standard input, has it run, and tells on standard output how it goes and
//! how it ended, one JSON value a line. Standard input stays open as a leash: when it ends, the
//! server is gone or wants the run no more, and this process ends at once with everything in it.
//! It knows no queue, no tenant and no verdict.

pub mod job;
mod leash;
mod prepare;
mod trim;
mod voice;

use std::io::{self, Write as _};
use std::path::PathBuf;

use sandbox::runner::process::cgroup::Cgroups;
use sandbox::runner::process::{Prepared, Process};
use sandbox::{RunError, Spec, Unsupported};
use types::Recording;

use crate::engine;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::matching::{self, Artifact, Matching, Rules};
use crate::runners::RunnerName;
pub(crate) use voice::LINE_MAX_BYTES;

use job::{ErrorKind, Job, Message, Refusal};
use voice::Voice;

/// What a worker has ready before its job comes.
#[derive(Debug)]
pub struct Spare {
    prepared: Prepared,
    folder: Option<PathBuf>,
    rules: Result<Rules, Failure>,
}

impl Spare {
    /// Makes the kernel's part of a run, and reads the rules; what is wrong with them is the job's
    /// answer.
    #[must_use]
    pub fn prepare(folder: Option<PathBuf>) -> Self {
        let prepared = Process::new().prepare(prepare::NET, prepare::MONITOR);
        let rules = matching::load(folder.clone());
        if let Ok(rules) = &rules {
            // The first scan compiles the YARA rules; whether that works is the job's answer, too.
            let _compiled = rules.set().scanner().scan("artifact", b"");
        }
        Self { prepared, folder, rules }
    }
}

/// Does one job. What is wrong with the job or the artifact is an answer, not a failure.
///
/// # Errors
/// When there is no job to be read, or nobody to answer to.
pub fn work(environment: &Environment, spare: Option<Spare>) -> Result<Exit, Failure> {
    let job = leash::take_job().map_err(|error| {
        Failure::of(Exit::BadData, &error)
            .hint("`shieldx up` starts this command itself; people use `shieldx run`")
    })?;
    if job.runner == RunnerName::Process {
        Cgroups::expect();
    }
    let (voice, ear) = Voice::start().map_err(unheard)?;
    let result = prepare::spec(&job, environment, ear).and_then(|spec| run(&job, spec, spare));
    voice.end();
    let line = match result {
        Ok(recording) => recorded(&job, recording),
        Err(refusal) => Message::Error(refusal).line(),
    };
    let line = line.map_err(|error| Failure::of(Exit::Failed, &error))?;
    let mut out = io::stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).map_err(unheard)?;
    Ok(Exit::Success)
}

fn run(job: &Job, mut spec: Spec, spare: Option<Spare>) -> Result<Recording, Refusal> {
    let refusal = |failure: Failure| Refusal { kind: ErrorKind::Failed, reason: failure.message };
    let folder = job.rules.as_ref().map(job::path);
    let (prepared, rules) = match spare {
        Some(spare) if spare.folder == folder => (Some(spare.prepared), spare.rules),
        other => (other.map(|spare| spare.prepared), matching::load(folder)),
    };
    let rules = rules.map_err(refusal)?;
    spec.scanner = Some(rules.scanner());
    let matching =
        Matching::start(rules, Artifact::on_host(job::path(&job.artifact))).map_err(refusal)?;
    let mut recording = execute(job, &spec, prepared)?;
    matching.finish(&mut recording);
    Ok(recording)
}

fn execute(job: &Job, spec: &Spec, prepared: Option<Prepared>) -> Result<Recording, Refusal> {
    let recording = match prepared.filter(|_| job.runner == RunnerName::Process) {
        Some(prepared) => prepared.run(spec),
        None => engine::execute(job.runner, &job.around, spec),
    };
    recording.map_err(|error| {
        // Whoever hears this says which runner it is of.
        if let RunError::Unsupported(Unsupported { reason, .. }) = error {
            return Refusal { kind: ErrorKind::Runner, reason };
        }
        let kind = match &error {
            RunError::Setup { step, source } if is_the_artifacts(step, source) => {
                ErrorKind::Unrunnable
            }
            RunError::Setup { .. } => ErrorKind::Failed,
            RunError::Refused { .. } => ErrorKind::Unrunnable,
            RunError::Monitor { .. } | RunError::Unsupported(_) => ErrorKind::Runner,
        };
        Refusal { kind, reason: Failure::of(Exit::Failed, &error).message }
    })
}

/// Whether another try would end the same way: the kernel looked at the program (`execve(2)`) or at
/// its arguments and does not take them.
fn is_the_artifacts(step: &str, source: &io::Error) -> bool {
    let lasting = [
        libc::E2BIG,
        libc::EACCES,
        libc::EINVAL,
        libc::ELIBBAD,
        libc::ELOOP,
        libc::ENOENT,
        libc::ENOEXEC,
        libc::ENOTDIR,
    ];
    step.starts_with("pass the command's arguments")
        || (step.starts_with("start the program")
            && source.raw_os_error().is_some_and(|errno| lasting.contains(&errno)))
}

/// The line that tells the recording, with as many of its events as fit.
fn recorded(job: &Job, mut recording: Recording) -> serde_json::Result<Vec<u8>> {
    trim::to_size(&mut recording, job.recording_max_bytes)?;
    Message::Recording(Box::new(recording)).line()
}

fn unheard(error: io::Error) -> Failure {
    Failure::of(Exit::Failed, &error).hint("the server that started this worker does not listen")
}
