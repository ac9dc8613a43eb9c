//! `shieldx run`: check the program, run it, judge the recording, show and write the report.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use runtime::clock::{Clock as _, System, rfc3339};
use sandbox::runner::NO_INTERPRETER;
use sandbox::runner::process::cgroup::Cgroups;
use sandbox::{Decoy, EVENTS_MAX, Root, RunError, Spec};
use types::{Assessment, Recording};

use super::package;
use crate::decoys;
use crate::engine;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::{self, Failure};
use crate::matching::{self, Artifact, InRoot, Matching};
use crate::output::{self, OutputError};
use crate::preflight::{self, Program};
use crate::progress::Progress;
use crate::report::document::{self, AssessOptions};
use crate::report::terminal::{self, Style};
use crate::report::{Judged, html, navigator, sarif, stix, words};
use crate::request::RunRequest;
use crate::runners::RunnerName;
use crate::view::clean;

/// Runs the command of a request.
///
/// # Errors
/// When nothing could be run, or a report could not be written after the run.
pub fn run(request: &RunRequest, environment: &Environment) -> Result<Exit, Failure> {
    if let Some(asked) = &request.package {
        return package::package(request, asked, environment);
    }
    let done = perform(request, environment, |_| {})?;
    let judged = done.judged();
    let written = write_files(request, &judged);
    show(request, environment, &judged).map_err(|error| Failure::of(Exit::Failed, &error))?;
    written?;
    passed_on(&done.recording)?;
    all_written(&done.recording)?;
    Ok(exit(request, &done.recording, &done.assessment))
}

/// A run that is over, and its verdict.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) recording: Recording,
    pub(super) assessment: Assessment,
    pub(super) options: AssessOptions,
}

impl Done {
    pub(super) fn judged(&self) -> Judged<'_> {
        let (recording, assessment) = (&self.recording, &self.assessment);
        Judged { recording, assessment, options: self.options }
    }
}

/// Runs the command and judges what was recorded; `adjust` has the last word about the walls.
pub(super) fn perform(
    request: &RunRequest,
    environment: &Environment,
    adjust: impl FnOnce(&mut Spec),
) -> Result<Done, Failure> {
    if request.runner == RunnerName::Process {
        Cgroups::expect();
    }
    let program = program(request)?;
    let arguments = request.command.get(1..).unwrap_or_default();
    if !request.quiet && !request.json {
        let hidden = preflight::hidden_arguments(arguments, &request.base, &request.view);
        for note in request.notes.iter().chain(&hidden) {
            failure::note(note);
        }
    }
    let rules = matching::load(request.rules.clone())?;
    let mut spec = spec(request, program);
    spec.scanner = Some(rules.scanner());
    adjust(&mut spec);
    let matching = Matching::start(rules, artifact(request, &spec))?;
    let made_keep = make_keep(request)?;
    let progress = Progress::start(request, environment);
    let result = engine::execute(request.runner, &request.around, &spec);
    progress.stop();
    let mut recording = result.map_err(|error| {
        if let (true, Some(folder)) = (made_keep, &request.keep) {
            // Nothing ran, so nothing of ours stays; a folder that is not empty is not removed.
            let _ = std::fs::remove_dir(folder);
        }
        refused(&error, request)
    })?;
    matching.finish(&mut recording);
    let options = AssessOptions { require_full: request.require_full };
    let assessment = engine::assess(&recording, options);
    Ok(Done { recording, assessment, options })
}

/// What is started. A root that is not the host's is looked into by its runner.
fn program(request: &RunRequest) -> Result<Program, Failure> {
    let name = request.command.first().map(std::ffi::OsString::as_os_str).unwrap_or_default();
    let path = Path::new(name).to_path_buf();
    match (request.runner, &request.root) {
        (RunnerName::Wasm, _) => module(&request.base.join(path)),
        (_, Root::Host) => Ok(preflight::check(name, &request.base, &request.view)?),
        _ => Ok(Program { path, mount: None }),
    }
}

/// A module is a file and nothing that is looked up.
fn module(path: &Path) -> Result<Program, Failure> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Failure::new(Exit::NotFound, format!("{}: no such file", path.display()))
                .hint("--runner wasm takes the path of a module or component"))
        }
        _ => Ok(Program { path: path.to_owned(), mount: None }),
    }
}

/// What is judged: the program, or the script that an interpreter is given.
fn artifact(request: &RunRequest, spec: &Spec) -> Artifact {
    if let Some(named) = &request.artifact {
        return Artifact::on_host(named.clone());
    }
    let inside = clean(&spec.cwd.join(&spec.program));
    let mounted = request.view.mounts.iter().any(|mount| inside.starts_with(&mount.target));
    let given = request.root != Root::Host && !mounted;
    let inside = (given || !request.layers.is_empty()).then(|| {
        let path = request.env.iter().rev().find(|(name, _)| name == "PATH");
        InRoot {
            root: request.root.clone(),
            layers: request.layers.clone(),
            command: request.command.clone(),
            interprets: is_interpreter(&spec.program),
            cwd: spec.cwd.clone(),
            path: path.map(|(_, path)| std::env::split_paths(path).collect()).unwrap_or_default(),
            bytes_max: request.limits.disk_bytes,
        }
    });
    Artifact { on_host: (!given).then(|| on_host(request, spec)), inside }
}

fn on_host(request: &RunRequest, spec: &Spec) -> PathBuf {
    let named = request.command.iter().skip(1).map(|word| request.base.join(word));
    let script = named.take_while(|_| is_interpreter(&spec.program)).find(|path| path.is_file());
    script.unwrap_or_else(|| request.view.on_host(&spec.program))
}

/// Whether a program of this name does what a file says.
fn is_interpreter(program: &Path) -> bool {
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned());
    name.is_some_and(|name| {
        ["sh", "bash", "dash", "zsh", "node", "perl", "ruby", "php", "lua", "luajit"]
            .contains(&name.as_str())
            || name.starts_with("python")
    })
}

/// What was asked for beside the report and was not written. The run is told all the same.
pub(super) fn unwritten(recording: &Recording) -> impl Iterator<Item = &str> {
    let lost = ["snapshot", "keep", "capture"];
    let walls = recording.run.isolation.walls.iter();
    walls
        .filter(move |wall| !wall.on && lost.contains(&wall.name.as_str()))
        .map(|wall| wall.detail.as_str())
}

/// As a report that could not be written: the verdict stands, and the exit code is not the command's.
pub(super) fn all_written(recording: &Recording) -> Result<(), Failure> {
    match unwritten(recording).next() {
        None => Ok(()),
        Some(lost) => Err(Failure::new(Exit::Failed, words::safe(lost))
            .hint("the command did run; its verdict and report are as told")),
    }
}

fn exit(request: &RunRequest, recording: &Recording, assessment: &Assessment) -> Exit {
    let by_verdict = request.fail_on.and_then(|threshold| Exit::of_verdict(assessment, threshold));
    by_verdict.unwrap_or_else(|| Exit::of_ending(&recording.run.ending))
}

/// Output that did not arrive must not look like a command that printed nothing.
pub(super) fn passed_on(recording: &Recording) -> Result<(), Failure> {
    match recording.output.as_ref().and_then(|output| output.not_passed_on.as_ref()) {
        None => Ok(()),
        Some(reason) => Err(Failure::new(Exit::Failed, reason)
            .hint("the command did run, but not all that it printed has arrived")),
    }
}

/// A module sees no home; what the caller shows in the command's home stays the caller's.
fn decoys(request: &RunRequest) -> Vec<Decoy> {
    if !request.decoys || request.runner == RunnerName::Wasm {
        return Vec::new();
    }
    let mut all = decoys::plant(&request.env);
    let mounts = &request.view.mounts;
    all.retain(|decoy| !mounts.iter().any(|mount| decoy.path.starts_with(&mount.target)));
    all
}

fn spec(request: &RunRequest, program: Program) -> Spec {
    let view = &request.view;
    let mut mounts = view.mounts.clone();
    mounts.extend(program.mount);
    Spec {
        id: uuid::Uuid::now_v7().to_string(),
        started_at: rfc3339(System.now_us()),
        program: program.path,
        command: request.command.clone(),
        env: request.env.clone(),
        cwd: view.cwd.clone(),
        cwd_is_new: request.cwd_is_new,
        copies: request.copies.clone(),
        hidden: view.hidden.clone(),
        tools: view.tools.clone(),
        mounts,
        net: request.net,
        allow: request.allow.clone(),
        root: request.root.clone(),
        layers: request.layers.clone(),
        pause: None,
        decoys: decoys(request),
        scanner: None,
        memory: request.memory,
        demand: None,
        artifacts: request.artifacts.clone(),
        wasm: request.wasm.clone(),
        limits: request.limits.clone(),
        stdin: request.stdin,
        keep: request.keep.clone(),
        monitor: request.monitor,
        pass_output: !request.json,
        events_max: EVENTS_MAX,
        observer: None,
    }
}

/// Creates the folder of `--keep` before the run, so that it cannot fail after it. Whether it was
/// created now.
fn make_keep(request: &RunRequest) -> Result<bool, Failure> {
    let Some(folder) = &request.keep else { return Ok(false) };
    match std::fs::create_dir(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => {
            let shown = crate::request::show(folder);
            Err(Failure::new(Exit::Failed, format!("--keep {shown}: {error}")))
        }
    }
}

fn refused(error: &RunError, request: &RunRequest) -> Failure {
    match error {
        RunError::Setup { step, .. } if step == NO_INTERPRETER => {
            Failure::of(Exit::NotExecutable, error).hint(
                "the file is there: what its first line or its ELF header names is looked up in \
                 the same root, and must be put there, too",
            )
        }
        RunError::Setup { step, source }
            if step.starts_with("start the program")
                && source.kind() == std::io::ErrorKind::NotFound =>
        {
            let name = request.command.first().map(|name| name.to_string_lossy().into_owned());
            Failure::of(Exit::NotFound, error).hint(format!(
                "{} is looked up in the root that was given, not on the host",
                name.unwrap_or_default()
            ))
        }
        RunError::Setup { step, .. } if step.starts_with("start the program") => {
            Failure::of(Exit::NotExecutable, error).hint(
                "the command runs as an unprivileged user of its own: the file must be readable \
                 and executable for others",
            )
        }
        RunError::Setup { .. } => {
            Failure::of(Exit::Failed, error).hint("`shieldx doctor` shows what this host lacks")
        }
        RunError::Refused { .. } => Failure::of(Exit::NotExecutable, error),
        RunError::Unsupported(_) => {
            Failure::of(Exit::Failed, error).hint("`shieldx doctor` shows what this host lacks")
        }
        RunError::Monitor { .. } => Failure::of(Exit::Failed, error).hint(
            "--monitor auto takes the best there is; `shieldx doctor` shows what that is here",
        ),
    }
}

fn show(
    request: &RunRequest,
    environment: &Environment,
    judged: &Judged<'_>,
) -> Result<(), OutputError> {
    if request.json {
        return output::to_stdout(|out| document::write_report(judged, out));
    }
    if request.quiet {
        return Ok(());
    }
    let style = Style {
        color: environment.color(request.color, environment.stderr_terminal),
        width: environment.width(),
        hint: Some(
            "--html FILE shows every event, --report FILE keeps the run for `shieldx replay`",
        ),
    };
    let mut text = String::new();
    if environment.stderr_terminal && printed_something(judged.recording) {
        text.push('\n');
    }
    text.push_str(&terminal::render(judged, style));
    // The person may have closed the terminal; the exit code still tells the result.
    let _ = io::stderr().lock().write_all(text.as_bytes());
    Ok(())
}

fn printed_something(recording: &Recording) -> bool {
    recording.output.as_ref().is_some_and(|out| out.stdout_bytes + out.stderr_bytes > 0)
}

/// Writes every file that was asked for; tells the first that failed after trying all.
pub(super) fn write_files(request: &RunRequest, judged: &Judged<'_>) -> Result<(), Failure> {
    type Content<'a> = &'a dyn Fn(&mut dyn io::Write) -> io::Result<()>;
    let value =
        |value: serde_json::Value, out: &mut dyn io::Write| document::write_value(&value, out);
    let files: [(_, Content<'_>); 7] = [
        (&request.report, &|out| document::write_report(judged, out)),
        (&request.events, &|out| document::write_events(judged, out)),
        (&request.html, &|out| out.write_all(html::render(judged).as_bytes())),
        (&request.formats.navigator, &|out| value(navigator::layer(judged), out)),
        (&request.formats.sarif, &|out| value(sarif::log(judged), out)),
        (&request.formats.stix, &|out| value(stix::bundle(judged), out)),
        (&request.verdict, &|out| {
            out.write_all(&document::verdict_line(judged.assessment)?)?;
            out.write_all(b"\n")
        }),
    ];
    let mut result = Ok(());
    for (destination, content) in files {
        if let Some(destination) = destination
            && let Err(error) = destination.write(content)
            && result.is_ok()
        {
            result = Err(Failure::of(Exit::Failed, &error)
                .hint("the command did run; its verdict is in the other outputs"));
        }
    }
    result
}
