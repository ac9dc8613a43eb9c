//! The one interface of every runner.

pub mod process;

use std::collections::BTreeMap;

use types::Recording;

use crate::spec::Spec;

/// Runs commands in one kind of sandbox.
pub trait Runner {
    fn name(&self) -> &'static str;

    /// What a run here is carried by (`vmm`, `acceleration`, `api` …; empty where that is this
    /// host's kernel). Tried, not guessed; may take seconds, so callers keep the answer.
    ///
    /// # Errors
    /// Why this host cannot do it, and what would help.
    fn capability(&self) -> Result<BTreeMap<String, String>, Unsupported>;

    /// Runs the command to its end and returns everything that was recorded.
    ///
    /// # Errors
    /// When the sandbox could not be built or the command could not be started in it; a command
    /// that fails by itself is a recording, not an error.
    fn run(&self, spec: &Spec) -> Result<Recording, RunError>;
}

/// The step that fails when the program is there and what starts it is not: its interpreter or its
/// loader, for which the kernel says the same `ENOENT`.
pub const NO_INTERPRETER: &str = "start the program: the root lacks its interpreter or loader";

/// Why a run did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("could not {step}")]
    Setup {
        step: String,
        #[source]
        source: std::io::Error,
    },
    /// The runner does not run this at all; trying again is useless.
    #[error("{reason}")]
    Refused { reason: String },
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    #[error("the monitor that was asked for is not available: {reason}")]
    Monitor { reason: String },
}

/// This host cannot carry the runner.
#[derive(Debug, Clone, thiserror::Error)]
#[error("runner {runner} is not available: {reason}")]
pub struct Unsupported {
    pub runner: &'static str,
    pub reason: String,
}
