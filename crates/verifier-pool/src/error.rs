//! Why the verifier pool did not do what it was asked. Words for callers are in `respond`.

use store::StoreError;
use store::domain::State;

use crate::identify::Refused;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// A parameter (of the query, a form field, a header) says something that cannot be.
    #[error("parameter {name}: {reason}")]
    Parameter { name: &'static str, reason: String },
    /// The body is no `multipart/form-data` as RFC 7578 has it, or has parts nobody knows.
    #[error("malformed form: {reason}")]
    Form { reason: String },
    /// The connection ended before the artifact did.
    #[error("the upload broke off after {received_bytes} bytes: {reason}")]
    Truncated { received_bytes: u64, reason: String },
    #[error("nothing came for {idle_ms} ms")]
    Idle { idle_ms: u64 },
    #[error("the artifact has more than {limit_bytes} bytes")]
    TooLarge { limit_bytes: u64 },
    #[error("the artifact cannot be executed")]
    NotExecutable {
        #[source]
        source: Refused,
    },
    #[error("runner {runner} is not available: {reason}")]
    Runner { runner: String, reason: String },
    #[error("the idempotency key was used for another request")]
    Conflict { id: String },
    #[error("{queued} verifications are unfinished, and {limit} is the limit")]
    QueueFull {
        queued: u64,
        limit: u64,
        /// The tenant's own fill, not everybody's.
        own: bool,
    },
    #[error("{limit} {what} are open, and that is the limit")]
    Busy {
        what: &'static str,
        limit: u32,
        /// The tenant's own share, not everybody's.
        own: bool,
    },
    #[error("there is no such verification")]
    NotFound,
    #[error("the verification runs")]
    Running,
    #[error("the verification is {}", state.as_str())]
    Unfinished { state: State },
    #[error("the verification failed: {failure}")]
    NoReport { failure: String },
    #[error("the report cannot be shown: {reason}")]
    Unshowable { reason: String },
    #[error("the store failed")]
    Store {
        #[source]
        source: StoreError,
    },
}

impl From<StoreError> for PoolError {
    fn from(source: StoreError) -> Self {
        Self::Store { source }
    }
}
