//! Listens to one worker: bounded lines from its standard output, the last of its standard error.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{ChildStderr, ChildStdout};
use types::Text;
use types::ports::{Listener, Progress};

use crate::worker::LINE_MAX_BYTES;
use crate::worker::job::{Message, RECORDING_START};

/// What is kept of standard error, from its end.
const STDERR_MAX_BYTES: usize = 4096;
/// Lines of it that are told.
const STDERR_LINES_MAX: usize = 3;
/// Above this a line is parsed where it does not hold up other work.
const PARSE_HERE_MAX_BYTES: usize = 256 << 10;
/// What a recording's line may have beyond the recording, in bytes.
const FRAME_BYTES: u64 = 64 << 10;

/// Why a worker cannot be listened to any longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("its output ended before its last word")]
    Ended,
    #[error("its output could not be read: {source}")]
    Io {
        #[source]
        source: std::io::Error,
    },
    #[error("a line is longer than {max_bytes} bytes")]
    TooLong { max_bytes: usize },
    #[error("a line is no message: {source}")]
    Malformed {
        #[source]
        source: serde_json::Error,
    },
}

pub(super) struct Conversation {
    stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
    /// The end of standard error.
    tail: Vec<u8>,
    stderr_ended: bool,
    recording_max_bytes: usize,
    line: Vec<u8>,
}

impl Conversation {
    pub(super) fn new(stdout: ChildStdout, stderr: ChildStderr, recording_max_bytes: u64) -> Self {
        let max = recording_max_bytes.saturating_add(FRAME_BYTES);
        Self {
            stdout: BufReader::with_capacity(64 << 10, stdout),
            stderr,
            tail: Vec::new(),
            stderr_ended: false,
            recording_max_bytes: usize::try_from(max).unwrap_or(usize::MAX),
            line: Vec::new(),
        }
    }

    /// Passes on what is told and answers with what comes last.
    pub(super) async fn last_message(&mut self, listener: &Listener) -> Result<Message, Broken> {
        loop {
            self.next_line().await?;
            let line = std::mem::take(&mut self.line);
            match parse(line).await? {
                Message::Phase(phase) => listener(Progress::Phase(phase.as_str())),
                Message::Event(event) => listener(Progress::Event(event)),
                last => return Ok(last),
            }
        }
    }

    /// Fills `line`, and takes what comes on standard error meanwhile.
    async fn next_line(&mut self) -> Result<(), Broken> {
        let mut said = [0; 1024];
        loop {
            let chunk = tokio::select! {
                chunk = self.stdout.fill_buf() => chunk.map_err(|source| Broken::Io { source })?,
                read = self.stderr.read(&mut said), if !self.stderr_ended => {
                    let read = read.unwrap_or(0);
                    self.stderr_ended = read == 0;
                    keep(&mut self.tail, said.get(..read).unwrap_or_default());
                    continue;
                }
            };
            if chunk.is_empty() {
                return Err(Broken::Ended);
            }
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
            self.line.extend_from_slice(part);
            let used = part.len() + usize::from(end.is_some());
            self.stdout.consume(used);
            let recording = self.line.starts_with(RECORDING_START);
            let max_bytes = if recording { self.recording_max_bytes } else { LINE_MAX_BYTES };
            if self.line.len() > max_bytes {
                return Err(Broken::TooLong { max_bytes });
            }
            if end.is_some() {
                return Ok(());
            }
        }
    }

    /// The last of standard error, for the end of a sentence; empty when nothing was said. The
    /// worker must be gone or about to go.
    pub(super) async fn last_words(&mut self) -> String {
        let rest = async {
            let mut said = [0; 1024];
            while let Ok(read @ 1..) = self.stderr.read(&mut said).await {
                keep(&mut self.tail, said.get(..read).unwrap_or_default());
            }
        };
        // Somebody else may hold the other end open.
        let _ = tokio::time::timeout(std::time::Duration::from_millis(200), rest).await;
        let lines: Vec<&[u8]> =
            self.tail.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
        let first = lines.len().saturating_sub(STDERR_LINES_MAX);
        let told: Vec<String> =
            lines.iter().skip(first).map(|line| Text::from(*line).to_string()).collect();
        if told.is_empty() { String::new() } else { format!(": {}", told.join(" | ")) }
    }
}

fn keep(tail: &mut Vec<u8>, said: &[u8]) {
    tail.extend_from_slice(said);
    let excess = tail.len().saturating_sub(STDERR_MAX_BYTES);
    tail.drain(..excess);
}

async fn parse(line: Vec<u8>) -> Result<Message, Broken> {
    if line.len() <= PARSE_HERE_MAX_BYTES {
        return serde_json::from_slice(&line).map_err(|source| Broken::Malformed { source });
    }
    let parsed = tokio::task::spawn_blocking(move || serde_json::from_slice(&line)).await;
    match parsed {
        Ok(message) => message.map_err(|source| Broken::Malformed { source }),
        Err(error) => Err(Broken::Io { source: std::io::Error::other(error) }),
    }
}
