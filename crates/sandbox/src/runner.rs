//! The one interface of every runner.

pub mod process;

use types::Recording;

use crate::spec::Spec;

/// Runs commands in one kind of sandbox.
pub trait Runner {
    fn name(&self) -> &'static str;

    /// Runs the command to its end and returns everything that was recorded.
    ///
    /// # Errors
    /// When the sandbox could not be built or the command could not be started in it; a command
    /// that fails by itself is a recording, not an error.
    fn run(&self, spec: &Spec) -> Result<Recording, RunError>;
}

/// Why a run did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("could not {step}")]
    Setup {
        step: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the monitor that was asked for is not available: {reason}")]
    Monitor { reason: String },
}
