//! The command line after validation: every value is in range, every folder exists, every
//! destination can be written. What is in here can be acted on without asking again.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::args::{Args, Command, DiffArgs, FormatArgs, ReplayArgs};
use crate::environment::Environment;
use crate::exit::{Exit, FailOn};
use crate::failure::Failure;
use crate::output::Destination;
use clap::ValueEnum;

mod limits;
mod network;
mod places;
pub mod rules;
mod run;
pub mod service;
pub mod slo;
mod variables;

use places::destinations;
pub use run::{PackageRequest, RunRequest};
use service::{
    ConfigRequest, GetRequest, HealthRequest, KeyRequest, ListRequest, LoadRequest, SubmitRequest,
    TraceRequest, UpRequest,
};
use slo::SloRequest;

/// What to do.
#[derive(Debug)]
pub enum Request {
    Run(Box<RunRequest>),
    Replay(ReplayRequest),
    Diff(DiffRequest),
    Doctor(InventoryRequest),
    Detectors(InventoryRequest),
    Rules(rules::RulesRequest),
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
    Worker {
        spare: bool,
        rules: Option<PathBuf>,
    },
    #[cfg(feature = "sandbox-microvm")]
    Guest,
}

/// One recording to judge again.
#[derive(Debug)]
pub struct ReplayRequest {
    pub source: Source,
    pub json: bool,
    pub html: Option<Destination>,
    pub formats: Formats,
    pub fail_on: Option<FailOn>,
    pub color: ColorChoice,
}

/// Two recordings to compare.
#[derive(Debug)]
pub struct DiffRequest {
    pub old: Source,
    pub new: Source,
    pub all: bool,
    pub json: bool,
    pub color: ColorChoice,
}

/// Where the formats of others are written.
#[derive(Debug)]
pub struct Formats {
    pub navigator: Option<Destination>,
    pub sarif: Option<Destination>,
    pub stix: Option<Destination>,
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

impl Request {
    /// Checks everything that can be checked before anything starts.
    ///
    /// # Errors
    /// The first thing that is wrong, with a hint.
    pub fn validate(args: Args, environment: &Environment) -> Result<Self, Failure> {
        Ok(match args.command {
            Command::Run(args) => Request::Run(Box::new(run::run(*args, environment)?)),
            Command::Replay(args) => Request::Replay(replay(args)?),
            Command::Diff(args) => Request::Diff(diff(args)),
            Command::Doctor(args) => Request::Doctor(InventoryRequest { json: args.json }),
            Command::Detectors(args) => Request::Detectors(InventoryRequest { json: args.json }),
            Command::Rules(args) => Request::Rules(rules::rules(args)?),
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
            Command::Worker { spare, rules } => Request::Worker { spare, rules },
            #[cfg(feature = "sandbox-microvm")]
            Command::Guest => Request::Guest,
        })
    }
}

fn replay(args: ReplayArgs) -> Result<ReplayRequest, Failure> {
    let [html] = destinations([&args.html])?;
    let formats = formats(&args.formats)?;
    let (source, json) = (source(args.file), args.json);
    Ok(ReplayRequest { source, json, html, formats, fail_on: args.fail_on, color: args.color })
}

fn diff(args: DiffArgs) -> DiffRequest {
    let DiffArgs { old, new, all, json, color } = args;
    DiffRequest { old: source(old), new: source(new), all, json, color }
}

fn source(file: PathBuf) -> Source {
    if file == Path::new("-") { Source::Stdin } else { Source::File(file) }
}

fn formats(args: &FormatArgs) -> Result<Formats, Failure> {
    let [navigator, sarif, stix] = destinations([&args.navigator, &args.sarif, &args.stix])?;
    Ok(Formats { navigator, sarif, stix })
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Usage, message)
}

/// A path for a message: safe on a terminal.
#[must_use]
pub fn show(path: &Path) -> types::Text {
    types::Text::from(path.as_os_str().as_bytes())
}
