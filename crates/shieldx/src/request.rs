//! The command line after validation: every value is in range, every folder exists, every
//! destination can be written. What is in here can be acted on without asking again.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use sandbox::{MonitorChoice, Mount, Net, Stdin};
use types::Limits;

use crate::args::{Args, Command, NetArg, ReplayArgs, RunArgs};
use crate::environment::Environment;
use crate::exit::{Exit, FailOn};
use crate::failure::Failure;
use crate::output::Destination;
use crate::view::View;

mod limits;
mod places;
pub mod service;
pub mod slo;
mod variables;

use limits::limits;
use places::{destinations, keep, mount, shown_by_mount, working_folder};
use service::{
    ConfigRequest, GetRequest, HealthRequest, KeyRequest, ListRequest, LoadRequest, SubmitRequest,
    TraceRequest, UpRequest,
};
use slo::SloRequest;
use variables::command_env;

/// What to do.
#[derive(Debug)]
pub enum Request {
    Run(Box<RunRequest>),
    Replay(ReplayRequest),
    Doctor(InventoryRequest),
    Detectors(InventoryRequest),
    Completions(clap_complete::Shell),
    Submit(Box<SubmitRequest>),
    Get(GetRequest),
    List(ListRequest),
    Health(HealthRequest),
    Trace(TraceRequest),
    Slo(Box<SloRequest>),
    Load(LoadRequest),
    Up(Box<UpRequest>),
    Key(KeyRequest),
    Config(ConfigRequest),
    Worker,
}

/// One command to run.
#[derive(Debug)]
pub struct RunRequest {
    pub command: Vec<OsString>,
    /// What a relative path of the command is relative to.
    pub base: PathBuf,
    pub runner: RunnerName,
    pub net: Net,
    pub view: View,
    /// The complete environment of the command.
    pub env: Vec<(OsString, OsString)>,
    pub stdin: Stdin,
    pub limits: Limits,
    pub monitor: MonitorChoice,
    pub require_full: bool,
    pub fail_on: Option<FailOn>,
    pub keep: Option<PathBuf>,
    pub json: bool,
    pub report: Option<Destination>,
    pub html: Option<Destination>,
    pub events: Option<Destination>,
    pub verdict: Option<Destination>,
    pub quiet: bool,
    pub color: ColorChoice,
    /// What the person should know before the run.
    pub notes: Vec<String>,
}

/// One recording to judge again.
#[derive(Debug)]
pub struct ReplayRequest {
    pub source: Source,
    pub json: bool,
    pub html: Option<Destination>,
    pub fail_on: Option<FailOn>,
    pub color: ColorChoice,
}

/// Where a recording is read from.
#[derive(Debug)]
pub enum Source {
    Stdin,
    File(PathBuf),
}

/// `doctor` and `detectors`.
#[derive(Debug)]
pub struct InventoryRequest {
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RunnerName {
    /// Namespaces, seccomp, Landlock, cgroups.
    Process,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Watch {
    Auto,
    Ebpf,
    Notify,
    Off,
}

/// The least evidence a benign verdict may rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Need {
    Full,
    Reduced,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// The home of the command inside; the runner makes it empty and private.
pub const HOME: &str = "/home/sandbox";

const MOUNTS_MAX: usize = 64;

impl Request {
    /// Checks everything that can be checked before anything starts.
    ///
    /// # Errors
    /// The first thing that is wrong, with a hint.
    pub fn validate(args: Args, environment: &Environment) -> Result<Self, Failure> {
        Ok(match args.command {
            Command::Run(args) => Request::Run(Box::new(run(*args, environment)?)),
            Command::Replay(args) => Request::Replay(replay(args)?),
            Command::Doctor(args) => Request::Doctor(InventoryRequest { json: args.json }),
            Command::Detectors(args) => Request::Detectors(InventoryRequest { json: args.json }),
            Command::Completions { shell } => Request::Completions(shell),
            Command::Submit(args) => {
                Request::Submit(Box::new(service::submit(*args, environment)?))
            }
            Command::Get(args) => Request::Get(service::get(args, environment)?),
            Command::List(args) => Request::List(service::list(args, environment)?),
            Command::Health(args) => Request::Health(service::health(&args, environment)?),
            Command::Up(args) => Request::Up(Box::new(service::up(*args, environment)?)),
            Command::Key(args) => Request::Key(service::key(args, environment)?),
            Command::Config(args) => Request::Config(service::config(args, environment)?),
            Command::Trace(args) => Request::Trace(service::trace(args, environment)?),
            Command::Slo(args) => Request::Slo(Box::new(slo::slo(args, environment)?)),
            Command::Load(args) => Request::Load(service::load(&args, environment)?),
            Command::Worker => Request::Worker,
        })
    }
}

fn run(args: RunArgs, environment: &Environment) -> Result<RunRequest, Failure> {
    let limits = limits(&args)?;
    let mut notes = Vec::new();
    let mounts = args
        .mounts
        .iter()
        .map(|text| mount(text, environment))
        .collect::<Result<Vec<Mount>, Failure>>()?;
    if mounts.len() > MOUNTS_MAX {
        return Err(usage(format!("{} mounts; at most {MOUNTS_MAX} are allowed", mounts.len())));
    }
    let cwd = working_folder(args.cwd.as_deref(), &mounts, environment)?;
    let mut view = View::new(environment, cwd, mounts);
    let base = view.cwd.clone();
    if !shown_by_mount(&view.cwd, &view.mounts)
        && let Some(hidden) = view.uncovered_by_cwd()
    {
        let (cwd, hidden) = (show(&view.cwd), show(hidden));
        let why = if cwd == hidden { "is hidden" } else { &format!("holds {hidden}, hidden") };
        notes.push(format!(
            "{cwd} {why} from the command, which starts in an empty /tmp instead; start from a \
             folder below it, or name one with --cwd"
        ));
        view.cwd = PathBuf::from("/tmp");
    } else if view.cwd == Path::new("/tmp") {
        notes.push("/tmp is private to the command and empty; --mount /tmp/X shows X".into());
    }
    let env = command_env(&args.env, &view, environment)?;
    let outputs = [&args.report, &args.html, &args.events, &args.verdict];
    let [report, html, events, verdict] = destinations(outputs)?;
    Ok(RunRequest {
        command: args.command,
        base,
        runner: args.runner,
        net: match args.net {
            NetArg::None => Net::None,
            NetArg::Loopback => Net::Loopback,
        },
        view,
        env,
        stdin: if args.stdin { Stdin::Inherit } else { Stdin::Null },
        limits,
        monitor: match args.monitor {
            Watch::Auto => MonitorChoice::Auto,
            Watch::Ebpf => MonitorChoice::Ebpf,
            Watch::Notify => MonitorChoice::Notify,
            Watch::Off => MonitorChoice::Off,
        },
        require_full: args.require_evidence == Need::Full,
        fail_on: args.fail_on,
        keep: args.keep.as_deref().map(|dir| keep(dir, environment)).transpose()?,
        json: args.json,
        report,
        html,
        events,
        verdict,
        quiet: args.quiet,
        color: args.color,
        notes,
    })
}

fn replay(args: ReplayArgs) -> Result<ReplayRequest, Failure> {
    let [html] = destinations([&args.html])?;
    let source = if args.file == Path::new("-") { Source::Stdin } else { Source::File(args.file) };
    Ok(ReplayRequest { source, json: args.json, html, fail_on: args.fail_on, color: args.color })
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Usage, message)
}

/// A path for a message: safe on a terminal.
#[must_use]
pub fn show(path: &Path) -> types::Text {
    types::Text::from(path.as_os_str().as_bytes())
}
