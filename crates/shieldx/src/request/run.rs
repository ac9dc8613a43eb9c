//! `shieldx run`, checked.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sandbox::{Allowed, Artifacts, Copied, Memory, MonitorChoice, Mount, Net, Root, Stdin, Wasm};
use types::Limits;

use super::limits::limits;
use super::places::{absolute, destinations, empty_folder, mount, shown_by_mount, working_folder};
use super::variables::command_env;
use super::{ColorChoice, Formats, Need, Watch, formats, network, show, usage};
use crate::args::RunArgs;
use crate::environment::Environment;
use crate::exit::FailOn;
use crate::failure::Failure;
use crate::output::Destination;
use crate::runners::{RunnerName, Surroundings};
use crate::view::View;

mod given;
mod package;

pub use package::PackageRequest;

const MOUNTS_MAX: usize = 64;

/// One command to run.
#[derive(Debug)]
pub struct RunRequest {
    pub command: Vec<OsString>,
    /// What a relative path of the command is relative to.
    pub base: PathBuf,
    /// A package that is installed and imported instead of the command.
    pub package: Option<Box<PackageRequest>>,
    /// The file that is judged, where the command does not tell.
    pub artifact: Option<PathBuf>,
    /// Files given to the command, in the new folder that it starts in.
    pub copies: Vec<Copied>,
    pub cwd_is_new: bool,
    pub runner: RunnerName,
    /// Where the things are that runners need.
    pub around: Surroundings,
    pub net: Net,
    pub allow: Vec<Allowed>,
    pub root: Root,
    pub layers: Vec<PathBuf>,
    pub decoys: bool,
    pub wasm: Wasm,
    pub memory: Memory,
    /// A folder with rules of the user's own.
    pub rules: Option<PathBuf>,
    pub artifacts: Artifacts,
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
    pub formats: Formats,
    pub verdict: Option<Destination>,
    pub quiet: bool,
    pub color: ColorChoice,
    /// What the person should know before the run.
    pub notes: Vec<String>,
}

pub(super) fn run(args: RunArgs, environment: &Environment) -> Result<RunRequest, Failure> {
    match args.package {
        Some(ecosystem) => package::package(&args, ecosystem, environment),
        None => plain(args, environment),
    }
}

/// One command.
fn plain(args: RunArgs, environment: &Environment) -> Result<RunRequest, Failure> {
    let limits = limits(&args)?;
    let (net, allow) = network::net(&args.net)?;
    fits_runner(&args)?;
    let mut notes = Vec::new();
    let root = root(&args, environment)?;
    let given = given::Given::read(&args, &root)?;
    let mut view = view(&args, &root, &given, environment)?;
    let base = view.cwd.clone();
    // The folders of another root are its own affair.
    if root == Root::Host {
        notes.extend(move_from_hidden(&mut view));
    }
    let asked: Vec<OsString> = given.env.iter().cloned().chain(args.env.clone()).collect();
    let env = command_env(&asked, &view, environment)?;
    let outputs =
        [&args.report, &args.html, &args.events, &args.verdict, &args.snapshot, &args.pcap];
    let [report, html, events, verdict, snapshot, pcap] = destinations(outputs)?;
    let keep = args.keep.as_deref().map(|dir| empty_folder("--keep", dir, environment));
    let layers = layers(&args, environment)?;
    let (wasm, rules) = (wasm(&args, environment)?, rules(&args, environment)?);
    let path = |file: Option<Destination>| file.map(|file| file.path().to_owned());
    let cores = args.cores.as_deref().map(|dir| empty_folder("--cores", dir, environment));
    let artifacts =
        Artifacts { snapshot: path(snapshot), packets: path(pcap), cores: cores.transpose()? };
    Ok(RunRequest {
        command: given.command(args.command)?,
        base,
        package: None,
        artifact: None,
        copies: Vec::new(),
        cwd_is_new: false,
        runner: args.runner,
        around: Surroundings::of(environment),
        net,
        allow,
        root,
        layers,
        decoys: !args.no_decoys,
        wasm,
        memory: Memory { scan: !args.no_memory_scan, ..Memory::default() },
        rules,
        artifacts,
        view,
        env,
        stdin: if args.stdin { Stdin::Inherit } else { Stdin::Null },
        limits,
        monitor: monitor(args.monitor),
        require_full: args.require_evidence == Need::Full,
        fail_on: args.fail_on,
        keep: keep.transpose()?,
        json: args.json,
        report,
        html,
        events,
        formats: formats(&args.formats)?,
        verdict,
        quiet: args.quiet,
        color: args.color,
        notes,
    })
}

/// What the command sees.
fn view(
    args: &RunArgs,
    root: &Root,
    given: &given::Given,
    environment: &Environment,
) -> Result<View, Failure> {
    let mounts = args.mounts.iter().map(|text| mount(text, environment));
    let mounts = mounts.collect::<Result<Vec<Mount>, Failure>>()?;
    if mounts.len() > MOUNTS_MAX {
        return Err(usage(format!("{} mounts; at most {MOUNTS_MAX} are allowed", mounts.len())));
    }
    match root {
        Root::Host => {
            let cwd = working_folder(args.cwd.as_deref(), &mounts, environment)?;
            Ok(View::new(environment, cwd, mounts))
        }
        _ => given.view(args, mounts),
    }
}

/// Lets the command start in /tmp where its folder is not shown, and says so.
fn move_from_hidden(view: &mut View) -> Option<String> {
    if !shown_by_mount(&view.cwd, &view.mounts)
        && let Some(hidden) = view.uncovered_by_cwd()
    {
        let (cwd, hidden) = (show(&view.cwd), show(hidden));
        let why = if cwd == hidden { "is hidden" } else { &format!("holds {hidden}, hidden") };
        let note = format!(
            "{cwd} {why} from the command, which starts in an empty /tmp instead; start from a \
             folder below it, or name one with --cwd"
        );
        view.cwd = PathBuf::from("/tmp");
        return Some(note);
    }
    (view.cwd == Path::new("/tmp"))
        .then(|| "/tmp is private to the command and empty; --mount /tmp/X shows X".to_owned())
}

fn monitor(watch: Watch) -> MonitorChoice {
    match watch {
        Watch::Auto => MonitorChoice::Auto,
        Watch::Ebpf => MonitorChoice::Ebpf,
        Watch::Notify => MonitorChoice::Notify,
        Watch::Off => MonitorChoice::Off,
    }
}

/// Options that only some runners know: what would be ignored is refused.
fn fits_runner(args: &RunArgs) -> Result<(), Failure> {
    let only = |option: &str, runner: RunnerName| {
        let (known, given) = (runner.as_str(), args.runner.as_str());
        Err(usage(format!("{option} is for --runner {known}, and this is {given}")))
    };
    let runner = args.runner;
    if args.image.is_some() && runner != RunnerName::Docker {
        return only("--image", RunnerName::Docker);
    }
    let wasm = [
        ("--grant", !args.grants.is_empty()),
        ("--manifest", args.manifest.is_some()),
        ("--fuel", args.fuel.is_some()),
        ("--deterministic", args.deterministic),
    ];
    if let Some((option, _)) = wasm.iter().find(|(_, given)| *given)
        && runner != RunnerName::Wasm
    {
        return only(option, RunnerName::Wasm);
    }
    if args.cores.is_some() && runner != RunnerName::Process {
        return only("--cores", RunnerName::Process);
    }
    fits_evidence(args)?;
    if runner == RunnerName::Wasm {
        fits_module(args)?;
    }
    let with_files = [
        ("--snapshot", args.snapshot.is_some()),
        ("--layer", !args.layers.is_empty()),
        ("--pcap", args.pcap.is_some()),
    ];
    let has_files = matches!(runner, RunnerName::Process | RunnerName::Microvm);
    match with_files.iter().find(|(_, given)| *given) {
        Some((option, _)) if !has_files => {
            let given = runner.as_str();
            Err(usage(format!("{option} is for --runner process or microvm, and this is {given}")))
        }
        _ => Ok(()),
    }
}

/// What is made of something that another option takes away is refused and not left out.
fn fits_evidence(args: &RunArgs) -> Result<(), Failure> {
    if args.cores.is_some() {
        let without = [
            ("--no-memory-scan", args.no_memory_scan),
            ("--monitor off", args.monitor == Watch::Off),
        ];
        if let Some((option, _)) = without.iter().find(|(_, given)| *given) {
            return Err(usage(format!(
                "--cores writes what looks into memory find, and with {option} there are none"
            ))
            .hint(format!("leave out {option}, or --cores")));
        }
    }
    if args.pcap.is_some() && args.net != "sink" && !args.net.starts_with("allow=") {
        return Err(usage("--pcap has nothing to write without --net sink or allow=HOST:PORT"));
    }
    Ok(())
}

/// What a module would get nothing of is refused, with the grant that gives it.
fn fits_module(args: &RunArgs) -> Result<(), Failure> {
    let granted =
        |name: &str| args.grants.iter().any(|grant| grant.split(':').next() == Some(name));
    let needs = [
        ("an argument", args.command.len() > 1, "args"),
        ("--env", !args.env.is_empty(), "env"),
        ("--stdin", args.stdin, "stdin"),
        ("--mount", !args.mounts.is_empty(), "filesystem"),
    ];
    if let Some((option, _, grant)) =
        needs.iter().find(|(_, given, grant)| *given && !granted(grant))
    {
        let form = if *grant == "filesystem" { "filesystem:DIR" } else { *grant };
        return Err(usage(format!("a module gets nothing of {option} without --grant {form}")));
    }
    if args.cpu > 0 {
        return Err(usage("--cpu is not for --runner wasm; --fuel and --timeout bound a module"));
    }
    if args.pids.is_some() {
        return Err(usage("--pids is not for --runner wasm: a module has no processes or threads"));
    }
    Ok(())
}

/// A file or folder that has to be there.
fn existing(option: &str, path: &Path, environment: &Environment) -> Result<PathBuf, Failure> {
    let path = absolute(path, environment)?;
    path.canonicalize().map_err(|error| usage(format!("{option} {}: {error}", show(&path))))
}

/// `DIR`, `FILE`, or an OCI layout `DIR[:NAME]`.
fn root(args: &RunArgs, environment: &Environment) -> Result<Root, Failure> {
    if let Some(image) = &args.image {
        return Ok(Root::Image(image.clone()));
    }
    let Some(given) = &args.rootfs else { return Ok(Root::Host) };
    let is_layout = |path: &Path| path.join("oci-layout").is_file();
    let whole = existing("--rootfs", given, environment);
    if let Ok(path) = &whole {
        return Ok(match path {
            path if is_layout(path) => Root::Oci(path.clone(), None),
            path if path.is_dir() => Root::Folder(path.clone()),
            path => Root::Tar(path.clone()),
        });
    }
    let bytes = given.as_os_str().as_bytes();
    if let Some(colon) = bytes.iter().rposition(|&byte| byte == b':') {
        let (folder, name) = (OsStr::from_bytes(&bytes[..colon]), &bytes[colon + 1..]);
        let folder = existing("--rootfs", Path::new(folder), environment)?;
        if is_layout(&folder) {
            let name = String::from_utf8(name.to_vec())
                .map_err(|_| usage("--rootfs: the image's name is not UTF-8"))?;
            return Ok(Root::Oci(folder, Some(name)));
        }
    }
    whole.map(Root::Folder)
}

fn layers(args: &RunArgs, environment: &Environment) -> Result<Vec<PathBuf>, Failure> {
    args.layers.iter().map(|path| existing("--layer", path, environment)).collect()
}

fn rules(args: &RunArgs, environment: &Environment) -> Result<Option<PathBuf>, Failure> {
    args.rules.as_deref().map(|path| existing("--rules", path, environment)).transpose()
}

fn wasm(args: &RunArgs, environment: &Environment) -> Result<Wasm, Failure> {
    let file = |option: &str, path: &Option<PathBuf>| {
        path.as_deref().map(|path| existing(option, path, environment)).transpose()
    };
    Ok(Wasm {
        grants: args.grants.clone(),
        manifest: file("--manifest", &args.manifest)?,
        trusted_key: file("--trusted-key", &args.trusted_key)?,
        fuel: args.fuel,
        deterministic: args.deterministic,
    })
}
