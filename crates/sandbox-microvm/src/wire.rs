//! What the host and the agent in a guest say to each other: one job, then messages, each one line
//! of JSON; behind the line of a file come its bytes.
//!
//! The guest is the hostile side. Whatever it says is bounded before it is read, and nothing it says
//! decides about anything outside the recording.

use std::ffi::OsString;
use std::io::{self, BufRead, Read as _, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use types::{Event, Limits, Recording, Text};

/// Names of the ports, as the guest finds them under /sys/class/virtio-ports.
pub const TALK: &str = "shieldx.talk";
pub const STDOUT: &str = "shieldx.stdout";
pub const STDERR: &str = "shieldx.stderr";

/// The same wires as ports of the host's vsock, and the word on the kernel's command line that says
/// to dial them.
pub const TALK_PORT: u32 = 1024;
pub const STDOUT_PORT: u32 = 1025;
pub const STDERR_PORT: u32 = 1026;
pub const VSOCK_WORD: &str = "shieldx.vsock";

/// Longest line of a job.
pub const JOB_MAX_BYTES: u64 = 16 << 20;
/// Longest line but a recording's.
pub const LINE_MAX_BYTES: u64 = 256 << 10;

/// One run, as the agent is asked for it. Paths are the guest's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    pub id: String,
    pub started_at: String,
    pub program: Text,
    pub command: Vec<Text>,
    pub env: Vec<(Text, Text)>,
    pub cwd: Text,
    pub cwd_is_new: bool,
    /// Targets of the files in the image's `copies`, by their number there.
    pub copies: Vec<Text>,
    /// The same of what is in the image's `mounts`.
    pub mounts: Vec<Text>,
    pub root: Root,
    /// How many tar files in the image's `layers` are laid over the root.
    pub layers: usize,
    pub hidden: Vec<Text>,
    pub tools: Vec<Text>,
    pub net: Net,
    pub monitor: Monitor,
    pub decoys: Vec<Decoy>,
    pub memory_scan: bool,
    pub memory_hold_ms: u64,
    pub memory_read_bytes: u64,
    pub limits: Limits,
    /// The image's `stdin` is the command's standard input.
    pub stdin: bool,
    /// Send the files that were changed.
    pub keep: bool,
    /// Send a tar file of everything that was written; send what went over the sink's wires.
    pub snapshot: bool,
    pub packets: bool,
    pub events_max: usize,
}

/// What the command's root is made of, as the image has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// The image's `root`.
    Image,
    /// A tar file: the image's `root.tar`.
    Tar,
    /// An OCI layout: the image's `oci`, and the name of the image in it.
    Oci(Option<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Net {
    None,
    Loopback,
    Sink,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    Auto,
    Ebpf,
    Notify,
    Off,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoy {
    pub path: Text,
    pub content: Text,
    pub mode: u32,
    pub modified: Duration,
}

/// One line of the agent's. The last is `End`; a line of a file is followed by `size` bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The agent is there and waits for its job.
    Hello {
        kernel: Text,
    },
    Phase(String),
    Event(Box<Event>),
    Recording(Box<Recording>),
    File {
        slot: Slot,
        path: Text,
        mode: u32,
        size: u64,
    },
    Error(Refusal),
    End,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    Keep,
    Snapshot,
    Packets,
}

/// Why there is no recording; the variants of `sandbox::RunError`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Refusal {
    Setup { step: String, errno: Option<i32>, reason: String },
    Refused { reason: String },
    Monitor { reason: String },
}

/// How the line of a recording starts.
pub const RECORDING_START: &[u8] = b"{\"recording\":";

/// Why a line could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("it ended before its last word")]
    Ended,
    #[error("it could not be read: {0}")]
    Io(io::Error),
    #[error("a line is longer than {0} bytes")]
    TooLong(u64),
    #[error("a line is no message: {0}")]
    Malformed(serde_json::Error),
}

/// Writes a value as its line.
///
/// # Errors
/// When it cannot be written.
pub fn send(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

/// Reads one line into a value; `recording_max_bytes` bounds a recording's line.
///
/// # Errors
/// When the stream ends or fails, or the line is too long or not a value of this type.
pub fn receive<T: for<'a> Deserialize<'a>>(
    input: &mut impl BufRead,
    line_max_bytes: u64,
    recording_max_bytes: u64,
) -> Result<T, Broken> {
    let mut line = Vec::new();
    let limit = line_max_bytes + 1;
    input.take(limit).read_until(b'\n', &mut line).map_err(Broken::Io)?;
    if !line.ends_with(b"\n") && line.starts_with(RECORDING_START) && line.len() as u64 == limit {
        let more = recording_max_bytes.saturating_sub(line_max_bytes);
        input.take(more).read_until(b'\n', &mut line).map_err(Broken::Io)?;
        if !line.ends_with(b"\n") && line.len() as u64 > recording_max_bytes {
            return Err(Broken::TooLong(recording_max_bytes));
        }
    } else if line.len() as u64 == limit && !line.ends_with(b"\n") {
        return Err(Broken::TooLong(line_max_bytes));
    }
    if !line.ends_with(b"\n") {
        return Err(Broken::Ended);
    }
    serde_json::from_slice(&line).map_err(Broken::Malformed)
}

/// A path as text, and back.
#[must_use]
pub fn text(path: impl AsRef<std::ffi::OsStr>) -> Text {
    Text::from(path.as_ref().as_bytes())
}

#[must_use]
pub fn path(text: &Text) -> PathBuf {
    PathBuf::from(OsString::from_vec(text.as_bytes().to_vec()))
}

/// A path that stays below the folder it is joined to: names only, no `..`, not empty.
#[must_use]
pub fn below(path: &Path) -> Option<PathBuf> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    let plain = relative.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    (plain && !relative.as_os_str().is_empty()).then(|| relative.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Broken, Message, below, receive, send};

    #[test]
    fn lines_are_bounded_and_come_back_as_they_went() {
        let mut bytes = Vec::new();
        send(&mut bytes, &Message::Phase("build".into())).unwrap();
        send(&mut bytes, &Message::End).unwrap();
        let mut input = bytes.as_slice();
        assert!(
            matches!(receive(&mut input, 100, 100), Ok(Message::Phase(name)) if name == "build")
        );
        assert!(matches!(receive(&mut input, 100, 100), Ok(Message::End)));
        assert!(matches!(receive::<Message>(&mut input, 100, 100), Err(Broken::Ended)));
        let long = [b"{\"phase\":\"".as_slice(), &[b'x'; 500], b"\"}\n"].concat();
        assert!(matches!(
            receive::<Message>(&mut long.as_slice(), 100, 1000),
            Err(Broken::TooLong(100))
        ));
        let recording = [super::RECORDING_START, &[b'x'; 500], b"\n"].concat();
        let read = |max| receive::<Message>(&mut recording.as_slice(), 100, max);
        assert!(matches!(read(1000), Err(Broken::Malformed(_))));
        assert!(matches!(read(200), Err(Broken::Ended | Broken::TooLong(_))));
    }

    #[test]
    fn files_of_a_guest_stay_in_their_folder() {
        assert_eq!(below(Path::new("/data/x")).unwrap(), Path::new("data/x"));
        for bad in ["/", "", "../x", "/a/../../x"] {
            assert!(below(Path::new(bad)).is_none(), "{bad}");
        }
    }
}
