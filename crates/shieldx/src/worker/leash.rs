//! Standard input: the job, and then the leash. Whoever holds the other end decides how long this
//! process lives.

use std::io::{self, BufRead as _, BufReader, Read};

use super::job::{JOB_MAX_BYTES, Job};

/// The exit code of a worker whose server is gone; nobody is there to read it.
const LET_GO: i32 = 1;

/// Why there is no job.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoJob {
    #[error("the job could not be read from standard input")]
    Io {
        #[source]
        source: io::Error,
    },
    #[error("standard input ended before the job did")]
    Ended,
    #[error("the job is longer than {JOB_MAX_BYTES} bytes")]
    TooLong,
    #[error("standard input has no job in its first line")]
    Malformed {
        #[source]
        source: serde_json::Error,
    },
}

/// Reads the job, and from then on ends the process when standard input ends.
pub(super) fn take_job() -> Result<Job, NoJob> {
    let mut input = BufReader::new(io::stdin());
    let mut line = Vec::new();
    let read = input.by_ref().take(JOB_MAX_BYTES + 1).read_until(b'\n', &mut line);
    read.map_err(|source| NoJob::Io { source })?;
    if line.len() as u64 > JOB_MAX_BYTES {
        return Err(NoJob::TooLong);
    }
    if !line.ends_with(b"\n") {
        return Err(NoJob::Ended);
    }
    let job = serde_json::from_slice(&line).map_err(|source| NoJob::Malformed { source })?;
    std::thread::Builder::new()
        .name("leash".to_owned())
        .spawn(move || hold(&mut input))
        .map_err(|source| NoJob::Io { source })?;
    Ok(job)
}

/// Waits for the end of the input. The run's keeper sees this process end, however it does, and
/// takes everything away (sandbox, `inside`).
#[expect(clippy::exit, reason = "the run must end now, wherever the other threads are")]
fn hold(input: &mut impl Read) {
    let mut ignored = [0; 64];
    loop {
        match input.read(&mut ignored) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => std::process::exit(LET_GO),
            Ok(_) => {}
        }
    }
}
