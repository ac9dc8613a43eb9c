//! The exit codes of the program, in one place.
//!
//! A command's own code passes through, so every number of ours lies where commands rarely go and
//! where other wrappers (`timeout`, `docker run`, `env`) already put the same meaning.

use std::process::ExitCode;

use types::{Assessment, Ending, Verdict};

/// What `--help` prints about exit codes.
pub const HELP: &str = "\
Exit codes of `run`:
  N        the command's own code (128+N when signal N ended it)
  124      the time limit was reached
  10/20/30 with --fail-on: suspicious / malicious / inconclusive
  64       the command line of shieldx is wrong
  125      shieldx itself failed: no sandbox, or output or a report could not be written
  126      the command was found but cannot be run
  127      the command was not found
Exit codes of `replay`:
  0        the recorded verdict was computed again, bit for bit
  1        the verdict computed now is another one
  65       the recording is damaged, cut off or from a newer version
Exit codes of `slo gate`:
  0        deploy
  10/20/30 slowly / not now / unknown
Exit codes of everything else:
  0        done
  1        `health`: something is not ready; `slo generate --check`, `diff`: something
           differs; `rules test`: nothing matches
  10/20/30 `submit --fail-on`: suspicious / malicious / inconclusive
  64       the command line or a setting is wrong
  125      it failed: the line says what, and what to do";

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Success,
    /// `replay` computed another verdict than the recorded one.
    Differs,
    Suspicious,
    Malicious,
    Inconclusive,
    /// `slo gate`: deploy in small steps.
    GateSlow,
    /// `slo gate`: do not deploy.
    GateFreeze,
    /// `slo gate`: nobody knows.
    GateUnknown,
    /// `EX_USAGE` of sysexits.h.
    Usage,
    /// `EX_DATAERR` of sysexits.h.
    BadData,
    TimedOut,
    Failed,
    NotExecutable,
    NotFound,
    /// The command's own code.
    Command(u8),
}

impl Exit {
    /// The code as the parent process sees it.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Differs => 1,
            Exit::Suspicious | Exit::GateSlow => 10,
            Exit::Malicious | Exit::GateFreeze => 20,
            Exit::Inconclusive | Exit::GateUnknown => 30,
            Exit::Usage => 64,
            Exit::BadData => 65,
            Exit::TimedOut => 124,
            Exit::Failed => 125,
            Exit::NotExecutable => 126,
            Exit::NotFound => 127,
            Exit::Command(code) => code,
        }
    }

    /// The code that tells how the command itself ended.
    #[must_use]
    pub fn of_ending(ending: &Ending) -> Self {
        match *ending {
            // The kernel keeps the low eight bits of a code.
            Ending::Exited { code } => Exit::Command(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
            Ending::Signaled { signal } | Ending::Interrupted { signal } => {
                Exit::Command(u8::try_from(signal).map_or(u8::MAX, |n| n.saturating_add(128)))
            }
            Ending::TimedOut => Exit::TimedOut,
        }
    }

    /// The code a verdict asks for under `--fail-on`; `None` leaves the command's own.
    ///
    /// An inconclusive run fails under both thresholds: a gate that opens when the evidence was
    /// lost could be opened by losing the evidence.
    #[must_use]
    pub fn of_verdict(assessment: &Assessment, threshold: FailOn) -> Option<Self> {
        Self::of(assessment.verdict, threshold)
    }

    /// As [`Exit::of_verdict`], for a verdict by itself.
    #[must_use]
    pub fn of(verdict: Verdict, threshold: FailOn) -> Option<Self> {
        match (verdict, threshold) {
            (Verdict::Benign, _) | (Verdict::Suspicious, FailOn::Malicious) => None,
            (Verdict::Suspicious, FailOn::Suspicious) => Some(Exit::Suspicious),
            (Verdict::Malicious, _) => Some(Exit::Malicious),
            (Verdict::Inconclusive, _) => Some(Exit::Inconclusive),
        }
    }
}

/// From which verdict on `--fail-on` decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FailOn {
    Suspicious,
    Malicious,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, Exit};

    #[test]
    fn endings_become_shell_codes() {
        assert_eq!(Exit::of_ending(&Ending::Exited { code: 3 }).code(), 3);
        assert_eq!(Exit::of_ending(&Ending::Exited { code: 256 }).code(), 0);
        assert_eq!(Exit::of_ending(&Ending::Exited { code: -1 }).code(), 255);
        assert_eq!(Exit::of_ending(&Ending::Signaled { signal: 9 }).code(), 137);
        assert_eq!(Exit::of_ending(&Ending::Interrupted { signal: 2 }).code(), 130);
        assert_eq!(Exit::of_ending(&Ending::TimedOut).code(), 124);
    }

    #[test]
    fn help_names_every_fixed_code() {
        for exit in [Exit::Differs, Exit::Usage, Exit::BadData, Exit::TimedOut, Exit::Failed] {
            assert!(super::HELP.contains(&exit.code().to_string()), "{exit:?}");
        }
    }
}
