//! The command line of `shieldx run`, as typed.

use std::ffi::OsString;
use std::path::PathBuf;

use super::FormatArgs;
use crate::exit::{self, FailOn};
use crate::package::Ecosystem;
use crate::request::{ColorChoice, Need, Watch};
use crate::runners::RunnerName;

const RUN_EXAMPLES: &str = "\
Examples:
  shieldx run ./sample                          a program, its output passed through
  shieldx run -- sh -c 'id; cat /etc/passwd'    a shell line
  shieldx run --html report.html -- npm ci      with a page to read afterwards
  shieldx run --fail-on suspicious -- make      a gate in a pipeline
  shieldx run --mount ./data:/data:rw -- ./etl  a folder of the host, writable
  shieldx run --net sink --pcap w.pcapng -- ./x everything is answered, nothing leaves
  shieldx run --rootfs image.tar -- /bin/app    another root than the host's
  shieldx run --runner microvm -- ./sample      on a kernel of its own
  shieldx run --package npm ./left-pad.tgz      install a package, then import it

The command sees the host's files read-only; what it writes stays in memory, is listed and thrown
away (--keep DIR saves it). It does not see your home or your environment: PATH, language, time
zone and TERM pass, anything else with --env. The report goes to standard error, so the command's
own output can be piped.";

/// Run one command in a sandbox and print a verdict with its evidence.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples and exit codes: shieldx run --help")]
#[command(after_long_help = format!("{RUN_EXAMPLES}\n\n{}", exit::HELP))]
pub struct RunArgs {
    /// Install a package, then import it, each watched by itself: an archive, a folder, or (with
    /// `--net allow=`) a name that a registry knows. Files for each phase get its name: `r.html`
    /// becomes `r.install.html` and `r.import.html`; --report and --json hold both.
    #[arg(long, value_enum, value_name = "ECOSYSTEM", help_heading = "Packages")]
    pub package: Option<Ecosystem>,

    /// A folder with the packages that this one needs: wheels and sdists, .tgz files of npm, or
    /// what `cargo vendor` made.
    #[arg(long, value_name = "DIR", requires = "package", help_heading = "Packages")]
    pub with: Option<PathBuf>,

    /// How the command is isolated.
    #[arg(long, value_enum, default_value_t = RunnerName::Process, help_heading = "Isolation")]
    pub runner: RunnerName,

    /// Network inside: `none`, `loopback`, `sink` (everything is answered, nothing leaves) or
    /// `allow=HOST:PORT,…` (these, through a proxy that logs).
    #[arg(long, value_name = "NET", default_value = "none", help_heading = "Isolation")]
    pub net: String,

    /// Root folder of the command instead of the host's: a folder, a tar file or an OCI layout
    /// (`DIR:NAME` for one image of several).
    #[arg(long, value_name = "PATH", help_heading = "Isolation")]
    pub rootfs: Option<PathBuf>,

    /// Image of the Docker daemon to run in (`--runner docker`).
    #[arg(long, value_name = "NAME", conflicts_with = "rootfs", help_heading = "Isolation")]
    pub image: Option<String>,

    /// A tar file laid over the root, as `--snapshot` writes it; repeatable, in order.
    #[arg(long = "layer", value_name = "TAR", help_heading = "Isolation")]
    pub layers: Vec<PathBuf>,

    /// Plant no decoys (credentials, keys, documents) for the command to touch.
    #[arg(long, help_heading = "Isolation")]
    pub no_decoys: bool,

    /// Show a file or folder of the host at DST (default: the same path), read-only unless `:rw`.
    #[arg(long = "mount", value_name = "SRC[:DST][:rw]", help_heading = "Isolation")]
    pub mounts: Vec<OsString>,

    /// Set a variable for the command; KEY alone passes the caller's value.
    #[arg(long = "env", short = 'e', value_name = "KEY[=VALUE]", help_heading = "Isolation")]
    pub env: Vec<OsString>,

    /// Working folder of the command [default: the current one].
    #[arg(long, value_name = "DIR", help_heading = "Isolation")]
    pub cwd: Option<PathBuf>,

    /// Give the command our standard input; otherwise it reads from /dev/null.
    #[arg(short = 'i', long = "stdin", help_heading = "Isolation")]
    pub stdin: bool,

    /// Give a WebAssembly module a capability: `args`, `env`, `stdin`, `clock`, `random`,
    /// `filesystem:DIR[:rw]`, `network:HOST:PORT`; repeatable.
    #[arg(long = "grant", value_name = "CAPABILITY", help_heading = "WebAssembly")]
    pub grants: Vec<String>,

    /// What the module says it needs; everything else it imports is refused.
    #[arg(long, value_name = "FILE", help_heading = "WebAssembly")]
    pub manifest: Option<PathBuf>,

    /// Public key (Ed25519) that the manifest must be signed with.
    #[arg(long, value_name = "FILE", requires = "manifest", help_heading = "WebAssembly")]
    pub trusted_key: Option<PathBuf>,

    /// Units of work (wasmtime's fuel) the module may use.
    #[arg(long, value_name = "N", help_heading = "WebAssembly")]
    pub fuel: Option<u64>,

    /// Clocks that stand still and random numbers that are always the same.
    #[arg(long, help_heading = "WebAssembly")]
    pub deterministic: bool,

    /// Stop everything after this long (500ms, 90s, 5m, 1h30m).
    #[arg(long, value_name = "TIME", default_value = "60s", help_heading = "Limits")]
    pub timeout: String,

    /// Memory of the whole process tree.
    #[arg(long, value_name = "SIZE", default_value = "2G", help_heading = "Limits")]
    pub memory: String,

    /// Processes and threads at one time [default: 512].
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub pids: Option<u32>,

    /// CPU in percent of one core (150 = one and a half cores); 0 for no limit.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, help_heading = "Limits")]
    pub cpu: u32,

    /// What the command may write to files.
    #[arg(long, value_name = "SIZE", default_value = "1G", help_heading = "Limits")]
    pub disk: String,

    /// Captured output, for each of standard output and error.
    #[arg(long, value_name = "SIZE", default_value = "10M", help_heading = "Limits")]
    pub output_limit: String,

    /// Which kernel monitor watches: the best there is, eBPF (tier B), seccomp notification
    /// (tier C) or none.
    #[arg(long, value_enum, default_value_t = Watch::Auto, help_heading = "Evidence")]
    pub monitor: Watch,

    /// `full`: evidence of a lesser tier makes the run inconclusive.
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Need::Reduced)]
    #[arg(help_heading = "Evidence")]
    pub require_evidence: Need,

    /// Sigma (*.yml) and YARA (*.yar) rules of your own, beside the built-in ones.
    #[arg(long, value_name = "DIR", help_heading = "Evidence")]
    pub rules: Option<PathBuf>,

    /// Do not look into the memory of the command's processes.
    #[arg(long, help_heading = "Evidence")]
    pub no_memory_scan: bool,

    /// Let the verdict decide the exit code from here on: 10 suspicious, 20 malicious,
    /// 30 inconclusive.
    #[arg(long, value_enum, value_name = "VERDICT", help_heading = "Evidence")]
    pub fail_on: Option<FailOn>,

    /// Copy the regular files the command wrote to this new or empty folder.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub keep: Option<PathBuf>,

    /// Write everything the command wrote as a tar file (an OCI layer).
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub snapshot: Option<PathBuf>,

    /// Write what went over the wires of `--net sink` or `allow=` as pcapng.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub pcap: Option<PathBuf>,

    /// Write core files of processes with findings in memory to this new or empty folder.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub cores: Option<PathBuf>,

    /// Print the report as JSON to standard output and nothing else; the command's output is in it.
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Write the JSON report to a file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub report: Option<PathBuf>,

    /// Write a self-contained page.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,

    /// Write the events as NDJSON (a header line, one line per event, a trailer line).
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub events: Option<PathBuf>,

    #[command(flatten)]
    pub formats: FormatArgs,

    /// Write the verdict as one line of JSON, the same bytes as `replay --json` prints.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub verdict: Option<PathBuf>,

    /// Print no report and no notes, only the command's own output.
    #[arg(long, short = 'q', help_heading = "Output")]
    pub quiet: bool,

    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, help_heading = "Output")]
    pub color: ColorChoice,

    /// The command and its arguments, or the package. An OCI image may say it itself.
    #[arg(trailing_var_arg = true, value_name = "COMMAND", required_unless_present = "rootfs")]
    pub command: Vec<OsString>,
}
