//! `shieldx worker`: for `shieldx up`, not for people; one job from standard input.

use std::path::PathBuf;

use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::worker::{self, Spare};

/// Does the job; a spare worker has made ready for it, with this folder of rules.
///
/// # Errors
/// When there is none, or nobody to answer to.
pub fn worker(environment: &Environment, spare: Option<Option<PathBuf>>) -> Result<Exit, Failure> {
    worker::work(environment, spare.map(Spare::prepare))
}
