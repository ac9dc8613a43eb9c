//! The command line of everything around the services, as typed: the server itself, its clients, its
//! keys and settings.

use std::path::PathBuf;

use clap::Subcommand;

use crate::exit::FailOn;
use crate::request::ColorChoice;

const UP_EXAMPLES: &str = "\
Examples:
  shieldx up                                        all services on their ports of 127.0.0.1
  shieldx up --upstream http://127.0.0.1:3000       protect an application
  shieldx up --data /var/lib/shieldx --config shieldx.toml
  shieldx config > shieldx.toml                     every setting with its default and meaning
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 shieldx up    traces to a collector

The first start prints one admin API key. SIGTERM or Ctrl-C ends it: no new requests, what runs is
finished or goes back to the queue.";

/// Start all services: ingress, gateway, contauth, verifier-pool, ml-service and the console.
#[derive(Debug, clap::Args)]
#[command(after_help = UP_EXAMPLES)]
pub struct UpArgs {
    /// Folder of the state [default: shieldx in the user's data folder; SHIELDX_DATA].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Settings (TOML); `shieldx config` prints them all [SHIELDX_CONFIG].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Forward everything that is not ShieldX's own API to this application.
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,

    /// Where the policy may divert a caller of `--upstream` to.
    #[arg(long, value_name = "URL", requires = "upstream")]
    pub decoy: Option<String>,

    /// Rego files to decide with, instead of the policy that is built in.
    #[arg(long, value_name = "DIR")]
    pub policy: Option<PathBuf>,
}

/// How to reach the server.
#[derive(Debug, Clone, clap::Args)]
pub struct ServerArgs {
    /// Base URL of ingress [default: what `shieldx up` wrote into the data folder; SHIELDX_SERVER].
    #[arg(long, value_name = "URL", help_heading = "Server")]
    pub server: Option<String>,

    /// Data folder of a server on this machine: its address and key are taken from there
    /// [SHIELDX_DATA].
    #[arg(long, value_name = "DIR", help_heading = "Server")]
    pub data: Option<PathBuf>,
}

const SUBMIT_EXAMPLES: &str = "\
Examples:
  shieldx submit ./install.sh
  shieldx submit --arg --all --arg --quiet tool.py
  shieldx submit --fail-on suspicious --json build.sh > report.json
  SHIELDX_API_KEY=sx_… shieldx submit --server https://shieldx.example sample

The key comes from SHIELDX_API_KEY or from the data folder of a server on this machine.";

/// Hand a file to the server, follow its run and print the report.
#[derive(Debug, clap::Args)]
#[command(after_help = SUBMIT_EXAMPLES)]
pub struct SubmitArgs {
    #[command(flatten)]
    pub server: ServerArgs,

    /// An argument for the program; repeatable.
    #[arg(long = "arg", value_name = "TEXT", allow_hyphen_values = true)]
    pub arguments: Vec<String>,

    /// What the file is called inside [default: its own name].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Run it with this program instead of what its content says: python3, node, sh, bash.
    #[arg(long, value_name = "PROGRAM")]
    pub interpreter: Option<String>,

    /// Stop everything after this long (500ms, 90s, 5m) [default: the server's].
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<String>,

    /// The same key and file give the same verification: safe to try again.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,

    /// Print its id and do not wait.
    #[arg(long)]
    pub no_wait: bool,

    /// Print the report as JSON to standard output and nothing else.
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

    /// The file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Print the report of a verification.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  shieldx get 0198f0c2-…\n  shieldx get --json 0198f0c2-… | jq .verdict\n  shieldx get --html report.html 0198f0c2-…"
)]
pub struct GetArgs {
    #[command(flatten)]
    pub server: ServerArgs,

    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,

    /// Write a self-contained page.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    #[arg(long, value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,

    #[arg(value_name = "ID")]
    pub id: String,
}

/// List verifications, newest first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  shieldx list\n  shieldx list --state done --limit 100\n  shieldx list --json | jq -r '.items[].id'"
)]
pub struct ListArgs {
    #[command(flatten)]
    pub server: ServerArgs,

    /// Only these: queued, running, done, failed.
    #[arg(long, value_name = "STATE")]
    pub state: Option<String>,

    /// How many.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,

    /// Only those older than this id.
    #[arg(long, value_name = "ID")]
    pub before: Option<String>,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Ask everything whether it works: services, their metrics, collector, Prometheus, Alertmanager.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code 0 when everything works, 1 when not.\n\nExamples:\n  shieldx health\n  shieldx health --prometheus http://127.0.0.1:9090\n  shieldx health --server https://shieldx.example"
)]
pub struct HealthArgs {
    #[command(flatten)]
    pub server: ServerArgs,

    /// Also this Prometheus [default: the one in the server's settings].
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,

    /// Also this Alertmanager; repeatable [default: those in the server's settings].
    #[arg(long = "alertmanager", value_name = "URL")]
    pub alertmanagers: Vec<String>,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

const LOAD_EXAMPLES: &str = "\
Examples:
  shieldx load                          a minute of everything, 20 requests a second
  shieldx load --for 10m --rate 50
  shieldx load --for 30s --json | jq .flows

Everything it sends is synthetic and says so (User-Agent: shieldx-load). It counts like other
requests do: do not aim it at a server whose budgets matter to you.";

/// Send synthetic traffic through every flow, so that pages and dashboards have something to show.
#[derive(Debug, clap::Args)]
#[command(after_help = LOAD_EXAMPLES)]
pub struct LoadArgs {
    #[command(flatten)]
    pub server: ServerArgs,

    /// For how long (30s, 5m).
    #[arg(long = "for", value_name = "TIME", default_value = "60s")]
    pub lasts: String,

    /// Requests a second; one artifact is submitted for about every forty.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub rate: u32,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Show where a request spent its time, by the trace id in its answer or log line.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  shieldx trace 4bf92f3577b34da6a3ce929d0e0e4736\n  shieldx trace --json 4bf92f3577b34da6a3ce929d0e0e4736"
)]
pub struct TraceArgs {
    #[command(flatten)]
    pub server: ServerArgs,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,

    /// 32 hexadecimal digits, or the id of a verification.
    #[arg(value_name = "TRACE")]
    pub id: String,
}

/// Make, list and revoke API keys, in the data folder itself.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  shieldx key create --tenant acme --role member --name ci\n  shieldx key list\n  shieldx key revoke k1a2b3c4"
)]
pub struct KeyArgs {
    #[command(subcommand)]
    pub command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and print it, once.
    Create {
        /// Folder of the state [default: as for `up`; SHIELDX_DATA].
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Whose data it opens (a-z, 0-9, -).
        #[arg(long)]
        tenant: String,
        /// reader, member or admin.
        #[arg(long, default_value = "member")]
        role: String,
        /// What it is for.
        #[arg(long, default_value = "")]
        name: String,
        /// When it ends by itself (12h, 30d) [default: never].
        #[arg(long, value_name = "TIME")]
        expires_in: Option<String>,
    },
    /// List all keys, without their secrets.
    List {
        /// Folder of the state [default: as for `up`; SHIELDX_DATA].
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End a key now.
    Revoke {
        /// Folder of the state [default: as for `up`; SHIELDX_DATA].
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// Print every setting with its default and meaning; with `--config` check a file.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// Check this file and the SHIELDX_ variables, and print what would be used.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
