//! The command line of `shieldx slo`, as typed.

use std::path::PathBuf;

use clap::Subcommand;

use super::service::ServerArgs;

const EXAMPLES: &str = "\
Examples:
  shieldx slo status                                how every objective stands, worst first
  shieldx slo explain gateway-latency               the numbers behind its budget, step by step
  shieldx slo gate --service gateway                may we deploy? the exit code says it
  shieldx slo check --file slo.yaml                 is the file right, and what will be slow to page
  shieldx slo generate --out observability          rules, tests, dashboards, runbooks";

const GATE_HELP: &str = "\
Exit codes:
  0    allow
  10   slow: deploy in small steps, watch each
  20   freeze: do not deploy
  30   unknown: too little data, or the server does not answer
  64   the command line is wrong
  125  it failed
A crash ends with 101 or 134 and a missing program with 127: none of them is an answer.

Examples:
  shieldx slo gate --service gateway
  shieldx slo gate --change security
  shieldx slo gate --override \"$TOKEN\" --json";

/// Objectives, budgets, and whether to deploy.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct SloArgs {
    #[command(subcommand)]
    pub command: SloCommand,
}

/// The file of objectives.
#[derive(Debug, Clone, clap::Args)]
pub struct FileArgs {
    /// The file of objectives [default: the ones that come with ShieldX].
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum SloCommand {
    /// How every objective stands, worst budget first.
    Status {
        #[command(flatten)]
        server: ServerArgs,
        /// Only this service's.
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// A report for people: every objective with its budget, burn, refunds and alerts (Markdown).
    Report {
        #[command(flatten)]
        server: ServerArgs,
        /// Only this service's.
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// The numbers behind a budget, step by step.
    Explain {
        #[command(flatten)]
        server: ServerArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[arg(value_name = "OBJECTIVE")]
        name: String,
    },
    /// May we deploy? The exit code says it.
    #[command(after_help = GATE_HELP)]
    Gate {
        #[command(flatten)]
        server: ServerArgs,
        /// What is to be deployed [default: everything].
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
        /// What kind of change: feature, security, reliability, rollback.
        #[arg(long, value_name = "KIND")]
        change: Option<String>,
        /// A signed override, as `shieldx slo override` prints it.
        #[arg(long = "override", value_name = "TOKEN")]
        override_token: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tell the server that something was deployed, for the charts.
    Mark {
        #[command(flatten)]
        server: ServerArgs,
        /// Of which service [default: all].
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
        /// What: a version, a commit, a sentence.
        #[arg(value_name = "TEXT")]
        text: String,
    },
    /// Check a file of objectives and say what will page late.
    Check {
        #[command(flatten)]
        file: FileArgs,
    },
    /// Print the file of objectives that comes with ShieldX, commented, to start from.
    Example,
    /// Write rules, their tests, dashboards, configurations and runbooks.
    #[command(
        after_help = "Examples:\n  shieldx slo generate --out observability\n  shieldx slo generate --out deploy/observability --check\n  shieldx slo generate --file slo.yaml --console https://shieldx.example --out observability"
    )]
    Generate {
        #[command(flatten)]
        file: FileArgs,
        /// Where to.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Write nothing: say which files are not what would be written, and end with 1.
        #[arg(long)]
        check: bool,
        /// Where people reach the console, for links [default: http://127.0.0.1:8088].
        #[arg(long, value_name = "URL")]
        console: Option<String>,
        /// Where Prometheus reaches a service: NAME=HOST:PORT; repeatable.
        #[arg(long = "target", value_name = "NAME=HOST:PORT")]
        targets: Vec<String>,
        /// How often Prometheus scrapes and evaluates, in seconds [default: 15].
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=60))]
        scrape_interval: Option<u32>,
    },
    /// Turn OpenSLO v1 documents into a file of objectives.
    Import {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Where to [default: standard output].
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Turn a file of objectives into OpenSLO v1 documents.
    Export {
        #[command(flatten)]
        file: FileArgs,
        /// Where to [default: standard output].
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Read history from a Prometheus that scraped this server, for the time before it was kept here.
    #[command(
        after_help = "The server has to be stopped: the state is written directly.\n\nExamples:\n  shieldx slo backfill --prometheus http://127.0.0.1:9090 --since 30d"
    )]
    Backfill {
        /// Folder of the state [default: as for `up`; SHIELDX_DATA].
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        #[command(flatten)]
        file: FileArgs,
        /// Base URL of the Prometheus.
        #[arg(long, value_name = "URL")]
        prometheus: String,
        /// How far back (90m, 12h, 30d).
        #[arg(long, value_name = "TIME", default_value = "30d")]
        since: String,
    },
    /// Make a key pair for overrides; the public half goes into the file of objectives.
    OverrideKey {
        /// Where the private key goes.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Whose.
        #[arg(long)]
        name: String,
    },
    /// Sign an override: lets deploys through a freeze, for a while, with a reason that is logged.
    #[command(
        after_help = "Examples:\n  shieldx slo override --key ops.key --who alice --service gateway --for 2h --reason 'rolls back the cause'"
    )]
    Override {
        /// The private key, as `override-key` wrote it.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Who signs: the name of the key in the file of objectives.
        #[arg(long, value_name = "NAME")]
        who: String,
        /// For which service [default: all].
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
        /// For how long (30m, 2h, 1d; at most 7d).
        #[arg(long = "for", value_name = "TIME")]
        lasts: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}
