//! Why a folder is no policy.

use std::io;
use std::path::PathBuf;

/// Why there is no policy. Nothing of a folder is used when one file of it is bad.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("cannot read {path:?}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path:?} has a name that is no UTF-8")]
    Name { path: PathBuf },
    #[error("{path:?} is {what} more than the {max} that are taken")]
    TooMuch { path: PathBuf, what: &'static str, max: u64 },
    #[error("there is no *.rego file below {folder:?}")]
    Empty { folder: PathBuf },
    /// The message names file, line and column.
    #[error("the policy is no Rego v1: {message}")]
    Rego { message: String },
    #[error("{file}: {message}")]
    Data { file: String, message: String },
    #[error(".manifest: {message}")]
    Manifest { message: String },
    #[error("{file} is outside of the roots {roots:?} that .manifest names")]
    Outside { file: String, roots: Vec<String> },
    #[error("{file} makes this a delta bundle, which can only change a policy that is there")]
    Delta { file: String },
    #[error(
        "the policy is signed ({file}), and signatures of folders are not verified yet: \
         verify it with `opa` and remove the file, to say that you trust the folder as it is"
    )]
    Signed { file: String },
    #[error("{file}:{line}: {name} is not supported: {reason}")]
    Unsupported { file: String, line: usize, name: &'static str, reason: &'static str },
    #[error(
        "nothing in package shieldx defines the rule `decision`: write \
         `package shieldx` and `decision := {{\"action\": \"allow\", \"reason\": \"…\"}} if {{ … }}`"
    )]
    NoDecision,
}
