//! What a server and its workers say to each other: one job, then messages, each one line of JSON.

use std::path::PathBuf;

use crate::runners::{RunnerName, Surroundings};
use serde::{Deserialize, Serialize};
use types::{Event, Limits, Recording, Text};

/// The job's line is refused above this. Arguments are bounded by the service far below it.
pub const JOB_MAX_BYTES: u64 = 4 << 20;

/// One run, as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The run's id.
    pub id: String,
    /// In what it runs.
    pub runner: RunnerName,
    /// Where the things are that runners need.
    pub around: Surroundings,
    /// Absolute path of the artifact on this host.
    pub artifact: Text,
    /// What it is called inside; one path component.
    pub file_name: String,
    /// What runs it; absent when it is run itself.
    pub interpreter: Option<String>,
    pub arguments: Vec<String>,
    pub limits: Limits,
    /// Folders of the host that the command must not see, beside every home.
    pub hidden: Vec<Text>,
    /// PATH of the command.
    pub path: String,
    /// The image of the Docker daemon's that a script runs in under the runner `docker`.
    pub docker_image: Option<String>,
    /// A folder of Sigma and YARA rules beside the built-in ones.
    pub rules: Option<Text>,
    /// Distinct events that the recording keeps, at most.
    pub events_max: usize,
    /// The recording is trimmed to about this much JSON.
    pub recording_max_bytes: u64,
}

impl Job {
    /// The job as its line.
    ///
    /// # Errors
    /// When the value cannot be serialised.
    pub fn line(&self) -> serde_json::Result<Vec<u8>> {
        line(self)
    }
}

/// One line from a worker. The last is a recording or an error; nothing follows it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Message {
    Phase(Phase),
    Event(Box<Event>),
    Recording(Box<Recording>),
    Error(Refusal),
}

/// How the line of a recording starts; every other line is short.
pub const RECORDING_START: &[u8] = b"{\"recording\":";

impl Message {
    /// The message as its line.
    ///
    /// # Errors
    /// When the value cannot be serialised.
    pub fn line(&self) -> serde_json::Result<Vec<u8>> {
        line(self)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Build,
    Run,
    Collect,
}

impl Phase {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Build => "build",
            Phase::Run => "run",
            Phase::Collect => "collect",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Phase::Build, Phase::Run, Phase::Collect].into_iter().find(|phase| phase.as_str() == name)
    }
}

/// Why there is no recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub kind: ErrorKind,
    /// One sentence, safe on a terminal.
    pub reason: String,
}

/// What kind of reason it is; the variants of `types::ports::ExecuteError`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    Unrunnable,
    Runner,
    Failed,
}

/// A path as it stands in a job.
#[must_use]
pub fn path(text: &Text) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(text.as_bytes()))
}

fn line(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::{ErrorKind, Message, Phase, Refusal};

    #[test]
    fn messages_are_one_line_each_and_look_as_documented() {
        let text = |message: Message| String::from_utf8(message.line().unwrap()).unwrap();
        assert_eq!(text(Message::Phase(Phase::Build)), "{\"phase\":\"build\"}\n");
        let reason = "two\nlines".to_owned();
        assert_eq!(
            text(Message::Error(Refusal { kind: ErrorKind::Unrunnable, reason })),
            "{\"error\":{\"kind\":\"unrunnable\",\"reason\":\"two\\nlines\"}}\n"
        );
        for phase in [Phase::Build, Phase::Run, Phase::Collect] {
            assert_eq!(Phase::named(phase.as_str()), Some(phase));
        }
    }
}
