//! What can go wrong here. None of it is a denial: a risk is a value.

use store::StoreError;

/// Why contauth did not answer with a risk.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{field} {reason}")]
    Invalid { field: String, reason: String },
    #[error("the first report of a session names its subject")]
    SubjectMissing,
    #[error("the session belongs to another subject; a session's subject never changes")]
    SubjectDiffers,
    #[error("the store did not keep or give a session or profile")]
    Store {
        #[source]
        source: StoreError,
    },
    #[error("a stored {what} does not read back")]
    Damaged {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("the system has no random numbers for a salt")]
    Random {
        #[source]
        source: getrandom::Error,
    },
}
