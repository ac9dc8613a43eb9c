//! The command line as typed. Nothing here is checked beyond its spelling; `request` does that.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod rules;
mod run;
mod service;
mod slo;

pub use rules::{RulesArgs, RulesCommand};
pub use run::RunArgs;
pub use service::{
    ConfigArgs, GetArgs, HealthArgs, KeyArgs, KeyCommand, ListArgs, LoadArgs, ServerArgs,
    SubmitArgs, TraceArgs, UpArgs,
};
pub use slo::{FileArgs, SloArgs, SloCommand};

use crate::environment::Environment;
use crate::exit::{self, Exit, FailOn};
use crate::request::ColorChoice;

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
    Diff(DiffArgs),
    Doctor(DoctorArgs),
    Detectors(DetectorsArgs),
    Rules(RulesArgs),
    /// One run for `shieldx up`, which starts this itself.
    #[command(hide = true)]
    Worker {
        /// Make ready what every run needs before the job is known.
        #[arg(long)]
        spare: bool,
        /// The folder of rules that the job will name.
        #[arg(long, requires = "spare")]
        rules: Option<PathBuf>,
    },
    /// The first process of a guest, which the guest's init starts.
    #[cfg(feature = "sandbox-microvm")]
    #[command(hide = true)]
    Guest,
    /// Print completions for a shell.
    Completions {
        shell: clap_complete::Shell,
    },
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

    #[command(flatten)]
    pub formats: FormatArgs,

    /// Let the verdict decide the exit code: 10 suspicious, 20 malicious, 30 inconclusive.
    #[arg(long, value_enum, value_name = "VERDICT")]
    pub fail_on: Option<FailOn>,

    #[arg(long, value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

/// Formats of others.
#[derive(Debug, Clone, clap::Args)]
pub struct FormatArgs {
    /// Write the techniques as a layer of the ATT&CK Navigator.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub navigator: Option<PathBuf>,

    /// Write the detections as SARIF 2.1.0.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub sarif: Option<PathBuf>,

    /// Write the run as a bundle of STIX 2.1.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub stix: Option<PathBuf>,
}

const DIFF_EXAMPLES: &str = "\
Examples:
  shieldx run --report old.json -- npm ci          then the same with the new version
  shieldx diff old.json new.json
  shieldx diff --json old.json new.json | jq '.added[]'";

/// Show what one recorded run did that another did not.
///
/// Reads reports and event files. Process ids, times, made-up names and ports that the kernel chose
/// are no behaviour. Exit code 0 when nothing differs, 1 when something does.
#[derive(Debug, clap::Args)]
#[command(after_help = DIFF_EXAMPLES)]
pub struct DiffArgs {
    /// The report to compare with.
    #[arg(value_name = "OLD-REPORT")]
    pub old: PathBuf,

    #[arg(value_name = "NEW-REPORT")]
    pub new: PathBuf,

    /// Show every difference.
    #[arg(long)]
    pub all: bool,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,

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
