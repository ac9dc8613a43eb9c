//! From a job to a spec: what the artifact will see, what starts it, and whether it can start.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use runtime::clock::{Clock as _, System, rfc3339};
use sandbox::{
    Artifacts, Copied, Memory, MonitorChoice, Mount, Net, Observer, Root, Spec, Stdin, Wasm,
};

use super::job::{self, ErrorKind, Job, Refusal};
use crate::decoys;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::preflight::{self, Unrunnable};
use crate::request::HOME;
use crate::runners::RunnerName;
use crate::view::View;

/// The folder that the artifact lies and starts in: new, and its own.
const FOLDER: &str = "/artifact";

/// What every job's spec says of network and monitor.
pub(super) const NET: Net = Net::None;
pub(super) const MONITOR: MonitorChoice = MonitorChoice::Auto;

pub(super) fn spec(
    job: &Job,
    environment: &Environment,
    observer: Observer,
) -> Result<Spec, Refusal> {
    let name = Path::new(&job.file_name);
    if name.file_name() != Some(name.as_os_str()) {
        return Err(failed(format!("{:?} is no file name", job.file_name)));
    }
    let target = Path::new(FOLDER).join(name);
    let source = job::path(&job.artifact);
    std::fs::File::open(&source)
        .map_err(|error| failed(format!("the artifact could not be opened: {error}")))?;
    let copied = Copied { source: source.clone(), target: target.clone() };
    let view = view(job, environment);
    // A name that starts with a dash must not be taken for an option.
    let artifact = OsString::from(format!("./{}", job.file_name));
    let mut command: Vec<OsString> = job.interpreter.iter().map(OsString::from).collect();
    command.push(artifact);
    command.extend(job.arguments.iter().map(OsString::from));
    let seen = View {
        mounts: vec![Mount { source, target: target.clone(), writable: false }],
        given: Some(target.clone()),
        ..view.clone()
    };
    let program = program(job.runner, &command, &seen).map_err(|error| unrunnable(&error))?;
    let env = variables(&view);
    Ok(Spec {
        id: job.id.clone(),
        started_at: rfc3339(System.now_us()),
        program: program.unwrap_or(target),
        command,
        env: env.clone(),
        cwd: PathBuf::from(FOLDER),
        cwd_is_new: true,
        copies: vec![copied],
        hidden: view.hidden,
        tools: view.tools,
        mounts: Vec::new(),
        net: NET,
        allow: Vec::new(),
        root: Root::Host,
        layers: Vec::new(),
        pause: None,
        decoys: decoys::plant(&env),
        scanner: None,
        memory: Memory::default(),
        demand: None,
        artifacts: Artifacts::default(),
        wasm: Wasm::default(),
        limits: job.limits.clone(),
        stdin: Stdin::Null,
        keep: None,
        monitor: MONITOR,
        pass_output: false,
        events_max: job.events_max,
        observer: Some(observer),
    })
}

/// What starts the artifact; a module is started by nothing of the host.
fn program(
    runner: RunnerName,
    command: &[OsString],
    seen: &View,
) -> Result<Option<PathBuf>, Unrunnable> {
    if runner == RunnerName::Wasm {
        return Ok(None);
    }
    let first = command.first().map(OsString::as_os_str).unwrap_or_default();
    preflight::check(first, Path::new(FOLDER), seen).map(|program| Some(program.path))
}

/// The host without homes and without what the server hides; nothing is uncovered but tools that
/// PATH names.
fn view(job: &Job, environment: &Environment) -> View {
    let plain = Environment {
        variables: vec![("PATH".into(), job.path.clone().into())],
        passwd_home: environment.passwd_home.clone(),
        ..Environment::default()
    };
    let mut view = View::new(&plain, PathBuf::from(FOLDER), Vec::new());
    view.hidden.extend(job.hidden.iter().map(job::path));
    view
}

fn variables(view: &View) -> Vec<(OsString, OsString)> {
    let folders: Vec<&std::ffi::OsStr> = view.path.iter().map(|dir| dir.as_os_str()).collect();
    let path = folders.join(std::ffi::OsStr::new(":"));
    let mut variables: Vec<(OsString, OsString)> = vec![("PATH".into(), path)];
    let fixed = [
        ("LANG", "C.UTF-8"),
        ("HOME", HOME),
        ("USER", "sandbox"),
        ("LOGNAME", "sandbox"),
        ("SHELL", "/bin/sh"),
    ];
    variables.extend(fixed.map(|(name, value)| (name.into(), value.into())));
    variables.extend(view.locations.iter().cloned());
    variables
}

fn failed(reason: String) -> Refusal {
    Refusal { kind: ErrorKind::Failed, reason }
}

/// The hints of a command line would name options that whoever submitted this does not have.
fn unrunnable(error: &Unrunnable) -> Refusal {
    Refusal { kind: ErrorKind::Unrunnable, reason: Failure::of(Exit::NotExecutable, error).message }
}
