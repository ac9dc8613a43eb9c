//! From a job to a spec: what the artifact will see, what starts it, and whether it can start.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
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
    let unopened = |error| failed(format!("the artifact could not be opened: {error}"));
    let script = is_script(job, &source).map_err(unopened)?;
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
    let root = root(job, script)?;
    let program = match (&root, &job.interpreter) {
        // What an image has is looked up in it.
        (Root::Image(_), interpreter) => interpreter.as_ref().map(PathBuf::from),
        _ => program(job.runner, &command, &seen).map_err(|error| unrunnable(&error))?,
    };
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
        root,
        layers: Vec::new(),
        pause: None,
        decoys: decoys::plant(&env),
        scanner: None,
        memory: Memory::default(),
        demand: None,
        artifacts: Artifacts::default(),
        wasm: wasm(job),
        limits: job.limits.clone(),
        stdin: Stdin::Null,
        keep: None,
        monitor: MONITOR,
        pass_output: false,
        events_max: job.events_max,
        observer: Some(observer),
    })
}

/// Whether an interpreter runs the artifact.
fn is_script(job: &Job, artifact: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(artifact)?.take(2).read_to_end(&mut start)?;
    Ok(job.interpreter.is_some() || start == b"#!")
}

/// What the artifact runs in. A container has nothing of this host but a program and its libraries,
/// so a script needs an image.
fn root(job: &Job, script: bool) -> Result<Root, Refusal> {
    match (&job.docker_image, job.runner) {
        (Some(image), RunnerName::Docker) if script => Ok(Root::Image(image.clone())),
        (None, RunnerName::Docker) if script => Err(Refusal {
            kind: ErrorKind::Runner,
            reason: "it has no interpreter for a script as long as `docker_image` in \
                     [verifier-pool] of the server's settings names no image that has one"
                .to_owned(),
        }),
        _ => Ok(Root::Host),
    }
}

/// A module gets nothing but what came with it: arguments, where there are any.
fn wasm(job: &Job) -> Wasm {
    let args = (!job.arguments.is_empty()).then(|| "args".to_owned());
    Wasm { grants: args.into_iter().collect(), ..Wasm::default() }
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
