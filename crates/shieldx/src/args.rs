//! The command line as typed. Nothing here is checked beyond its spelling; `request` does that.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod service;
mod slo;

pub use service::{
    ConfigArgs, GetArgs, HealthArgs, KeyArgs, KeyCommand, ListArgs, LoadArgs, ServerArgs,
    SubmitArgs, TraceArgs, UpArgs,
};
pub use slo::{FileArgs, SloArgs, SloCommand};

use crate::environment::Environment;
use crate::exit::{self, Exit, FailOn};
use crate::request::{ColorChoice, Need, RunnerName, Watch};

/// Run code you do not trust and get a verdict with evidence.
#[derive(Debug, Parser)]
#[command(name = "shieldx", version, after_help = exit::HELP)]
#[command(after_long_help = exit::HELP)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(Box<RunArgs>),
    Up(Box<UpArgs>),
    Submit(Box<SubmitArgs>),
    Get(GetArgs),
    List(ListArgs),
    Health(HealthArgs),
    Trace(TraceArgs),
    Slo(SloArgs),
    Load(LoadArgs),
    Key(KeyArgs),
    Config(ConfigArgs),
    Replay(ReplayArgs),
    Doctor(DoctorArgs),
    Detectors(DetectorsArgs),
    /// One run for `shieldx up`, which starts this itself.
    #[command(hide = true)]
    Worker,
    /// Print completions for a shell.
    Completions {
        shell: clap_complete::Shell,
    },
}

const RUN_EXAMPLES: &str = "\
Examples:
  shieldx run ./sample                          a program, its output passed through
  shieldx run -- sh -c 'id; cat /etc/passwd'    a shell line
  shieldx run --html report.html -- npm ci      with a page to read afterwards
  shieldx run --fail-on suspicious -- make      a gate in a pipeline
  shieldx run --mount ./data:/data:rw -- ./etl  a folder of the host, writable

The command sees the host's files read-only; what it writes stays in memory, is listed and thrown
away (--keep DIR saves it). It does not see your home or your environment: PATH, language, time
zone and TERM pass, anything else with --env. The report goes to standard error, so the command's
own output can be piped.";

/// Run one command in a sandbox and print a verdict with its evidence.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples and exit codes: shieldx run --help")]
#[command(after_long_help = format!("{RUN_EXAMPLES}\n\n{}", exit::HELP))]
pub struct RunArgs {
    /// How the command is isolated.
    #[arg(long, value_enum, default_value_t = RunnerName::Process, help_heading = "Isolation")]
    pub runner: RunnerName,

    /// Network inside: nothing at all, or only its own loopback.
    #[arg(long, value_enum, default_value_t = NetArg::None, help_heading = "Isolation")]
    pub net: NetArg,

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

    /// Stop everything after this long (500ms, 90s, 5m, 1h30m).
    #[arg(long, value_name = "TIME", default_value = "60s", help_heading = "Limits")]
    pub timeout: String,

    /// Memory of the whole process tree.
    #[arg(long, value_name = "SIZE", default_value = "2G", help_heading = "Limits")]
    pub memory: String,

    /// Processes and threads at one time.
    #[arg(long, value_name = "N", default_value_t = 512, help_heading = "Limits")]
    pub pids: u32,

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

    /// Let the verdict decide the exit code from here on: 10 suspicious, 20 malicious,
    /// 30 inconclusive.
    #[arg(long, value_enum, value_name = "VERDICT", help_heading = "Evidence")]
    pub fail_on: Option<FailOn>,

    /// Copy the regular files the command wrote to this new or empty folder.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub keep: Option<PathBuf>,

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

    /// Write the verdict as one line of JSON, the same bytes as `replay --json` prints.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub verdict: Option<PathBuf>,

    /// Print no report and no notes, only the command's own output.
    #[arg(long, short = 'q', help_heading = "Output")]
    pub quiet: bool,

    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, help_heading = "Output")]
    pub color: ColorChoice,

    /// The command and its arguments.
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `--net`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum NetArg {
    None,
    Loopback,
}

const REPLAY_EXAMPLES: &str = "\
Examples:
  shieldx run --report r.json --verdict v.json -- ./sample
  shieldx replay r.json
  shieldx replay --json r.json | cmp - v.json && echo the same";

/// Compute the verdict of a recorded run again.
///
/// Reads a JSON report (`run --report` or `--json`) or an event file (`run --events`).
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{REPLAY_EXAMPLES}\n\n{}", exit::HELP))]
pub struct ReplayArgs {
    /// The file; `-` reads standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Print only the verdict as one line of JSON: the same bytes as `run --verdict` wrote.
    #[arg(long)]
    pub json: bool,

    /// Write a self-contained page.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Let the verdict decide the exit code: 10 suspicious, 20 malicious, 30 inconclusive.
    #[arg(long, value_enum, value_name = "VERDICT")]
    pub fail_on: Option<FailOn>,

    #[arg(long, value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

/// Show what this host can do, and what each missing thing costs.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// List the detectors with their ATT&CK techniques.
#[derive(Debug, clap::Args)]
pub struct DetectorsArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What came of reading the command line.
#[derive(Debug)]
pub enum Parsed {
    Args(Args),
    /// Help, the version or a usage error was printed; nothing is left to do.
    Answered(Exit),
}

impl Args {
    /// Reads the command line; unknown words are answered with the nearest known ones.
    #[must_use]
    pub fn read(environment: &Environment) -> Parsed {
        match Args::try_parse_from(&environment.args) {
            Ok(args) => Parsed::Args(args),
            Err(error) => {
                // A closed pipe behind `--help | head` is no failure.
                let _ = error.print();
                Parsed::Answered(if error.use_stderr() { Exit::Usage } else { Exit::Success })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory as _;
        super::Args::command().debug_assert();
    }
}
