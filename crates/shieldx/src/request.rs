//! The command line after validation: every value is in range, every folder exists, every
//! destination can be written. What is in here can be acted on without asking again.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use shieldx_sandbox::{MonitorChoice, Mount, Net, Stdin};
use shieldx_types::Limits;

use crate::args::{Args, Command, NetArg, ReplayArgs, RunArgs};
use crate::environment::Environment;
use crate::exit::{Exit, FailOn};
use crate::failure::Failure;
use crate::output::Destination;
use crate::quantity;
use crate::view::{View, clean};

/// What to do.
#[derive(Debug)]
pub enum Request {
    Run(Box<RunRequest>),
    Replay(ReplayRequest),
    Doctor(InventoryRequest),
    Detectors(InventoryRequest),
    Completions(clap_complete::Shell),
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

const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);
/// Less does not hold a dynamic loader and a C library.
const MEMORY_MIN_BYTES: u64 = 8 << 20;
/// The kernel's own bound for pid_max.
const PIDS_MAX: u32 = 4_194_304;
/// 1,024 cores.
const CPU_MAX_PERCENT: u32 = 102_400;
/// The captured output is held in memory and in the report.
const OUTPUT_MAX_BYTES: u64 = 256 << 20;
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
    if !shown_by_mount(&view.cwd, &view.mounts) && view.hidden.contains(&view.cwd) {
        notes.push(format!(
            "{} is hidden from the command, which starts in /tmp instead; \
             start from a folder below it, or name one with --cwd",
            view.cwd.display()
        ));
        view.cwd = PathBuf::from("/tmp");
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

fn limits(args: &RunArgs) -> Result<Limits, Failure> {
    let timeout =
        quantity::duration(&args.timeout).map_err(|error| usage(format!("--timeout: {error}")))?;
    if timeout.is_zero() || timeout > TIMEOUT_MAX {
        return Err(usage("--timeout: must be more than nothing and at most 24h"));
    }
    let size = |option: &str, text: &str, range: std::ops::RangeInclusive<u64>| {
        let bytes = quantity::size(text).map_err(|error| usage(format!("{option}: {error}")))?;
        if range.contains(&bytes) {
            return Ok(bytes);
        }
        let (low, high) = (range.start(), range.end());
        Err(usage(format!("{option}: {text} is outside of {low} to {high} bytes")))
    };
    let number = |option: &str, value: u32, range: std::ops::RangeInclusive<u32>| {
        if range.contains(&value) {
            return Ok(value);
        }
        let (low, high) = (range.start(), range.end());
        Err(usage(format!("{option}: {value} is outside of {low} to {high}")))
    };
    Ok(Limits {
        timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        memory_bytes: size("--memory", &args.memory, MEMORY_MIN_BYTES..=1 << 50)?,
        pids: number("--pids", args.pids, 1..=PIDS_MAX)?,
        cpu_percent: number("--cpu", args.cpu, 0..=CPU_MAX_PERCENT)?,
        output_bytes: size("--output-limit", &args.output_limit, 0..=OUTPUT_MAX_BYTES)?,
        disk_bytes: size("--disk", &args.disk, 1 << 20..=1 << 50)?,
    })
}

/// `SRC[:DST][:rw|:ro]`. A colon cannot be part of a path here, as in every tool with this form.
fn mount(text: &OsStr, environment: &Environment) -> Result<Mount, Failure> {
    let shown = shieldx_types::Text::from(text.as_bytes());
    let wrong = |what: &str| {
        usage(format!("--mount {shown}: {what}"))
            .hint("the form is SRC[:DST][:rw], as in ./data:/data:rw")
    };
    let mut parts: Vec<&[u8]> = text.as_bytes().split(|&byte| byte == b':').collect();
    let writable = match parts.last() {
        Some(&b"rw") if parts.len() > 1 => parts.pop().is_some(),
        Some(&b"ro") if parts.len() > 1 => parts.pop().is_none(),
        _ => false,
    };
    let (source, target) = match parts.as_slice() {
        [source] => (*source, *source),
        [source, target] => (*source, *target),
        _ => return Err(wrong("too many parts")),
    };
    if source.is_empty() || target.is_empty() {
        return Err(wrong("a path is empty"));
    }
    let named = absolute(Path::new(OsStr::from_bytes(source)), environment)?;
    let source_path =
        named.canonicalize().map_err(|error| wrong(&format!("cannot use the source: {error}")))?;
    let target_path =
        if parts.len() == 1 { clean(&named) } else { clean(Path::new(OsStr::from_bytes(target))) };
    if !target_path.is_absolute() {
        return Err(wrong("DST must be an absolute path"));
    }
    if target_path == Path::new("/")
        || ["/proc", "/sys", "/dev"].iter().any(|dir| target_path.starts_with(dir))
    {
        return Err(wrong("DST may not be /, /proc, /sys or /dev"));
    }
    Ok(Mount { source: source_path, target: target_path, writable })
}

fn absolute(path: &Path, environment: &Environment) -> Result<PathBuf, Failure> {
    if path.is_absolute() {
        return Ok(path.to_path_buf());
    }
    match &environment.cwd {
        Some(cwd) => Ok(cwd.join(path)),
        None => Err(Failure::new(Exit::Failed, "the current folder does not exist any more")
            .hint("change to another folder, or use absolute paths")),
    }
}

fn shown_by_mount(path: &Path, mounts: &[Mount]) -> bool {
    mounts.iter().any(|mount| path.starts_with(&mount.target))
}

/// The working folder: of the host, or inside one of the mounts.
fn working_folder(
    named: Option<&Path>,
    mounts: &[Mount],
    environment: &Environment,
) -> Result<PathBuf, Failure> {
    let folder = absolute(named.unwrap_or(Path::new("")), environment)?;
    let inside = clean(&folder);
    if named.is_some() && shown_by_mount(&inside, mounts) {
        let view = View { mounts: mounts.to_vec(), ..View::default() };
        if view.on_host(&inside).is_dir() {
            return Ok(inside);
        }
    }
    match folder.canonicalize() {
        Ok(folder) if folder.is_dir() => Ok(folder),
        Ok(_) => Err(usage(format!("--cwd {}: not a folder", show(&folder)))),
        Err(error) => Err(usage(format!("--cwd {}: {error}", show(&folder)))),
    }
}

/// A clean, small environment; nothing of the caller's passes by accident.
fn command_env(
    asked: &[OsString],
    view: &View,
    environment: &Environment,
) -> Result<Vec<(OsString, OsString)>, Failure> {
    let mut env: Vec<(OsString, OsString)> = Vec::new();
    let path: Vec<&OsStr> = view.path.iter().map(|folder| folder.as_os_str()).collect();
    env.push(("PATH".into(), path.join(OsStr::new(":"))));
    for (key, value) in &environment.variables {
        let name = key.to_string_lossy();
        if matches!(&*name, "TERM" | "COLORTERM" | "LANG" | "LANGUAGE" | "TZ")
            || name.starts_with("LC_")
        {
            env.push((key.clone(), value.clone()));
        }
    }
    for (key, value) in
        [("HOME", HOME), ("USER", "sandbox"), ("LOGNAME", "sandbox"), ("SHELL", "/bin/sh")]
    {
        env.push((key.into(), value.into()));
    }
    env.extend(view.locations.iter().cloned());
    for text in asked {
        let shown = shieldx_types::Text::from(text.as_bytes());
        let bytes = text.as_bytes();
        let (key, value) = match bytes.iter().position(|&byte| byte == b'=') {
            Some(0) => return Err(usage(format!("--env {shown}: the name is empty"))),
            Some(at) => {
                let value = bytes.get(at + 1..).unwrap_or_default().to_vec();
                (bytes.get(..at).unwrap_or_default(), OsString::from_vec(value))
            }
            None => match environment.variables.iter().find(|(key, _)| key == text) {
                Some((_, value)) => (bytes, value.clone()),
                None => {
                    return Err(usage(format!("--env {shown}: not set here"))
                        .hint("KEY alone passes the caller's value; KEY=VALUE sets one"));
                }
            },
        };
        let key = OsString::from_vec(key.to_vec());
        env.retain(|(old, _)| *old != key);
        env.push((key, value));
    }
    Ok(env)
}

/// A new folder, or an empty one: what is saved must not mix with what was there.
fn keep(folder: &Path, environment: &Environment) -> Result<PathBuf, Failure> {
    let folder = absolute(folder, environment)?;
    let wrong = |what: String| usage(format!("--keep {}: {what}", show(&folder)));
    match std::fs::read_dir(&folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(folder),
            Some(_) => Err(wrong("the folder is not empty".into())
                .hint("name a new folder, so that nothing of yours is mixed with what is saved")),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match folder.parent() {
            Some(parent) if parent.is_dir() => Ok(folder),
            _ => Err(wrong("its parent folder does not exist".into())),
        },
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Checks that every file can be written later, and that no two are the same.
fn destinations<const N: usize>(
    asked: [&Option<PathBuf>; N],
) -> Result<[Option<Destination>; N], Failure> {
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut out = [const { None }; N];
    for (slot, path) in out.iter_mut().zip(asked) {
        let Some(path) = path else { continue };
        let destination = Destination::check(path).map_err(|error| {
            Failure::of(Exit::Failed, &error)
                .hint("nothing was run; name a file that can be written")
        })?;
        if destination.replaces() && seen.contains(&destination.path().to_path_buf()) {
            return Err(usage(format!("{} is named for two outputs", show(path))));
        }
        seen.push(destination.path().to_path_buf());
        *slot = Some(destination);
    }
    Ok(out)
}

/// A path for a message: safe on a terminal.
#[must_use]
pub fn show(path: &Path) -> shieldx_types::Text {
    shieldx_types::Text::from(path.as_os_str().as_bytes())
}
