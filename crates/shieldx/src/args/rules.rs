//! The command line of `shieldx rules`, as typed.

use std::path::PathBuf;

use clap::Subcommand;

const EXAMPLES: &str = "\
Examples:
  shieldx rules list                                 detectors, Sigma and YARA rules in one table
  shieldx rules test sigma/rules/linux               which rules apply here, which do not, and why
  shieldx rules test mine.yml --recording r.json     which events of a run a rule matches
  shieldx rules test mine.yar --file ./sample        which rules match a file
  shieldx rules coverage --navigator layer.json      a layer for the ATT&CK Navigator

Exit codes of `test`:
  0    every rule is sound (and, with --recording or --file, something matches)
  1    every rule is sound and nothing matches
  65   a rule is broken, or the recording is
  125  it failed";

/// What is looked for: native detectors, Sigma rules, YARA rules.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RulesArgs {
    #[command(subcommand)]
    pub command: RulesCommand,
}

#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// List detectors and rules.
    List {
        /// Sigma (*.yml) and YARA (*.yar) rules of your own, beside the built-in ones.
        #[arg(long, value_name = "DIR")]
        rules: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check rules, and what they match.
    Test {
        /// A folder of rules, or one file.
        #[arg(value_name = "DIR|FILE")]
        path: PathBuf,
        /// A report of `run`: which rules apply to which of its events.
        #[arg(long, value_name = "REPORT")]
        recording: Option<PathBuf>,
        /// A file: which YARA rules match its bytes.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tell which ATT&CK techniques are looked for.
    Coverage {
        /// Rules of your own, beside the built-in ones.
        #[arg(long, value_name = "DIR")]
        rules: Option<PathBuf>,
        /// Write a layer for the ATT&CK Navigator.
        #[arg(long, value_name = "FILE")]
        navigator: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}
