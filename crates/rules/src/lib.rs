//! Rule sets: Sigma over the events of a run, YARA over bytes.
//!
//! A [`Set`] is what ShieldX ships plus, where the caller names one, a folder of the user's own. It
//! says which rules it took, which it did not and why; gives runners a [`types::ports::Scanner`];
//! and states which rules apply to a recording. This room knows no score and no verdict: a match is
//! a fact about a recording, and what it weighs is decided in `verdict`. No file is read but those
//! of the folder and of the cache that the caller names.

mod built_in;
mod coverage;
mod folder;
mod report;
mod set;
mod sigma;
mod yara;

pub use coverage::{ATTACK_SPEC, Covered, layer};
pub use report::{Report, Skipped};
pub use set::{Evaluation, LoadError, Options, Rule, Set};
pub use yara::Cache;
