//! What to do with a request, asked of a policy written in Rego (v1), the language of Open Policy
//! Agent.
//!
//! A policy is a folder laid out as an unpacked OPA bundle, or the one that is built in; its answer
//! is `data.shieldx.decision`. The room knows no HTTP and no routes, and does no I/O once a policy is
//! loaded: what a decision rests on is in its [`DecisionInput`].
//!
//! Every failure is an error and no decision; who asks denies then (invariant 2).

mod bundle;
mod decide;
mod engines;
mod error;
mod facts;
mod lint;
mod manifest;

use std::fmt;
use std::path::Path;

use crate::bundle::{Bundle, File};
use crate::engines::Engines;
use crate::facts::Names;

pub use crate::error::PolicyError;
pub use types::decision::{Decision, DecisionInput};

/// The policy that decides when no folder is given.
pub const BUILTIN: &str = include_str!("../rego/shieldx.rego");

/// The spans that are made here, by name: all of them, which a test compares with the sources, and each
/// is made by a server that works, which another compares with one.
pub const SPANS: &[&str] = &["policy"];

/// A loaded policy. It never changes: a new version is a new value.
pub struct Policy {
    engines: Engines,
    names: Names,
    revision: String,
    digest: String,
    /// What a decision says decided it.
    label: String,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("label", &self.label).finish_non_exhaustive()
    }
}

impl Policy {
    /// The built-in policy.
    ///
    /// # Errors
    /// None that a test would not have found.
    pub fn builtin() -> Result<Self, PolicyError> {
        let file = File { name: "shieldx.rego".to_owned(), content: BUILTIN.into() };
        Self::of(Bundle::of(vec![file])?, Some("builtin"))
    }

    /// A folder laid out as an unpacked OPA bundle: every `*.rego` below it but `*_test.rego`,
    /// `data.json` and `data.yaml` at the place of `data` their folders name, and `.manifest`.
    ///
    /// # Errors
    /// When something cannot be read, is no Rego v1, is signed (signatures are not verified yet, and
    /// a signature nobody looks at is worse than none), or does not answer `data.shieldx.decision`.
    /// The text names the file, and the line where there is one.
    pub fn load(folder: &Path) -> Result<Self, PolicyError> {
        Self::of(Bundle::read(folder)?, None)
    }

    fn of(bundle: Bundle, named: Option<&str>) -> Result<Self, PolicyError> {
        let digest = bundle.digest();
        let revision = named.or(bundle.revision()).map_or_else(|| digest.clone(), str::to_owned);
        let label =
            if revision == digest { digest.clone() } else { format!("{revision} ({digest})") };
        let engines = Engines::of(&bundle)?;
        Ok(Self { engines, names: Names::new(), revision, digest, label })
    }

    /// `.manifest`'s revision, `builtin`, or the digest where there is neither.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// `sha256:` and the SHA-256, in hexadecimal, of the names and contents of all files.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}
