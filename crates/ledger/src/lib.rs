//! The ledger: reads the counts of every objective every ten seconds, keeps them so that they outlive
//! any crash, evaluates them, tells who is to be told, and answers whether to deploy.
//!
//! ```text
//! counters (runtime::sli) ─┐
//! probes ──────────────────┼─▶ sample ─▶ journal (fsync) ─▶ history ─▶ statuses ─┬─▶ alerts ─▶ webhook · Alertmanager
//! other counters, gauges ──┘                                                     └─▶ gate · console · API
//! ```
//!
//! One file per step: `measure`, `sample`, `keep`, [`Ledger::tick`], `tell`; [`api`] joins it to HTTP,
//! [`backfill`] and [`read`] work on the folder of a server that does not run. It computes nothing
//! itself: that is `slo`'s. **Invariant:** no sample is evaluated before it is durable.

use std::path::PathBuf;
use std::sync::Arc;

use runtime::clock::Clock;
use runtime::metrics::Metrics;
use runtime::sli::Sli;
use runtime::tasks::Tasks;
use slo::Catalog;
use store::journal::JournalError;

pub mod api;
pub mod backfill;

mod config;
mod engine;
mod gate;
mod keep;
mod measure;
mod meters;
mod offline;
mod record;
mod sample;
mod tell;
mod views;

pub use config::Config;
pub use engine::{Health, Ledger};
pub use measure::probe::ProbeStatus;
pub use offline::{Read, read};
pub use record::{Mark, OverrideUse};
pub use tell::{ReceiverKind, ReceiverStatus, SIGNATURE_HEADER};

/// What it is built from.
#[derive(Debug)]
pub struct Parts {
    /// Where it keeps its state: `DATA/ledger`.
    pub folder: PathBuf,
    pub catalog: Catalog,
    /// The counters of every service of this process.
    pub slis: Vec<Sli>,
    /// The metrics of every service, for ratios of other counters and for freshness.
    pub services: Vec<Metrics>,
    /// Where objectives that no other service counts are counted (probes, ratios, freshness): the
    /// console's, which also has the ledger's own metrics.
    pub own: Sli,
    pub metrics: Metrics,
    /// Base URL of ingress' public door, for probes.
    pub ingress_url: String,
    /// Base URL of the console, for links in alerts.
    pub console_url: String,
    pub clock: Arc<dyn Clock>,
    pub tasks: Tasks,
}

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("{path}: the ledger's state cannot be used")]
    Journal {
        path: PathBuf,
        #[source]
        source: JournalError,
    },
    #[error(
        "{path}: the ledger's snapshot is not understood; another version may have written it, and \
         moving the folder away begins a new history"
    )]
    Unreadable { path: PathBuf },
    #[error("{path}: the secret of webhooks cannot be read")]
    Secret {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: the secret of webhooks is empty")]
    NoSecret { path: PathBuf },
    #[error("ledger.{name} {value}: {why}")]
    Setting { name: &'static str, value: String, why: &'static str },
    #[error("{url:?} is no URL that alerts could be sent to: it begins with http:// or https://")]
    Receiver { url: String },
    #[error("nothing can be kept now: {reason}")]
    Unkept { reason: String },
}
