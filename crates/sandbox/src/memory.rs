//! Looks at the memory of a run's processes from outside: executable memory that belongs to no
//! file, text that is not its file's any more, threads that run there, images loaded by hand.
//!
//! A look copies first, while the process may be held, and thinks afterwards. It is bounded in
//! time and bytes, and says so where a bound was reached. What a finding means is not known here:
//! compilers at run time do most of these things every day.

mod capture;
mod content;
mod demand;
mod dump;
mod examine;
pub(crate) mod gate;
mod maps;
mod process;
pub mod watch;

use std::time::{Duration, Instant};

use types::ports::Scanner;

use self::capture::Bounds;
pub use self::demand::Demand;
pub use self::examine::{Findings, Found, Match};
use crate::spec::Memory;

/// Why a process was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Missed {
    #[error("the process was gone")]
    Gone,
    #[error("its memory may not be read")]
    Refused,
}

impl From<std::io::Error> for Missed {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            Self::Refused
        } else {
            Self::Gone
        }
    }
}

/// Looks at a live process, by its id here, without stopping it; data as well as code.
///
/// # Errors
/// When it is gone, or this user may not read it.
pub fn scan(pid: u32, memory: Memory, scanner: Option<&dyn Scanner>) -> Result<Findings, Missed> {
    let deadline = Instant::now() + Duration::from_millis(memory.hold_ms);
    let bounds = Bounds { deadline, read_bytes: memory.read_bytes, data: true };
    Ok(examine::examine(&capture::capture(pid, &bounds)?, scanner))
}
