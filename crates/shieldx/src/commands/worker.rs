//! `shieldx worker`: for `shieldx up`, not for people; one job from standard input.

use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::worker;

/// Does the job.
///
/// # Errors
/// When there is none, or nobody to answer to.
pub fn worker(environment: &Environment, spare: bool) -> Result<Exit, Failure> {
    worker::work(environment, spare)
}
