//! Archives, read where they lie: zip, tar and gzip, one in another.
//!
//! A bomb is an archive that claims, or unfolds to, far more than it is. So nothing is unfolded past
//! what is left of a budget for the whole run: members, bytes, depth, time; and a stream that grows
//! more than [`RATIO_MAX`] times is left alone once it is past [`RATIO_FREE_BYTES`].

mod tar;
mod zip;

use std::io::{self, Read};
use std::time::{Duration, Instant};

use types::Text;

/// An archive in an archive in an archive …
const DEPTH_MAX: usize = 4;
/// Members of all archives of a run.
const MEMBERS_MAX: u64 = 20_000;
/// One member, unfolded.
const MEMBER_BYTES_MAX: u64 = 64 << 20;
/// Everything unfolded in a run.
const UNFOLDED_BYTES_MAX: u64 = 512 << 20;
/// The most that a stream may grow. Deflate reaches 1,032 on zeros; text rarely 20.
const RATIO_MAX: u64 = 200;
/// Small streams may grow as they like.
const RATIO_FREE_BYTES: u64 = 1 << 20;
/// Unfolding in a run, without the scanning.
const TIME_MAX: Duration = Duration::from_secs(20);
/// Longest name of a member that is shown, in bytes.
const NAME_BYTES_MAX: usize = 1024;

/// What is left of the bounds of a run.
#[derive(Debug)]
pub(super) struct Budget {
    members: u64,
    bytes: u64,
    time: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { members: MEMBERS_MAX, bytes: UNFOLDED_BYTES_MAX, time: TIME_MAX }
    }
}

/// How far an archive was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Opened {
    Whole,
    /// Not all of it, for this reason.
    Partly(String),
}

/// Hears every member; says false when no more are wanted.
pub(super) type Member<'m> = &'m mut dyn FnMut(&Text, &[u8]) -> bool;

/// Whether the bytes are an archive that can be read here.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    kind(bytes).is_some()
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Zip,
    Gzip,
    Tar,
}

fn kind(bytes: &[u8]) -> Option<Form> {
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return Some(Form::Zip);
    }
    if bytes.starts_with(b"\x1f\x8b\x08") {
        return Some(Form::Gzip);
    }
    tar::is_one(bytes).then_some(Form::Tar)
}

/// Reads an archive and the archives in it. Members are named `a.zip!/b/c`.
pub(super) fn open(name: &Text, bytes: &[u8], budget: &mut Budget, member: Member<'_>) -> Opened {
    let mut reading = Reading { budget, member, why: None, stopped: false };
    reading.archive(name, bytes, 0);
    reading.why.map_or(Opened::Whole, Opened::Partly)
}

/// What stands in the way of a member, or of all that follow.
#[derive(Debug)]
enum Stop {
    /// This member only.
    Member(String),
    /// The rest of the archive.
    Archive(String),
}

struct Reading<'a, 'm> {
    budget: &'a mut Budget,
    member: Member<'m>,
    /// The first reason for which something was left out.
    why: Option<String>,
    stopped: bool,
}

impl Reading<'_, '_> {
    fn archive(&mut self, name: &Text, bytes: &[u8], depth: usize) {
        let Some(form) = kind(bytes) else { return };
        if depth >= DEPTH_MAX {
            return self.leave_out(format!("archives are opened {DEPTH_MAX} deep"));
        }
        let read = match form {
            Form::Zip => self.zip(name, bytes, depth),
            Form::Tar => self.tar(name, bytes, depth),
            Form::Gzip => self.gzip(name, bytes, depth),
        };
        if let Err(Stop::Archive(why) | Stop::Member(why)) = read {
            self.leave_out(why);
        }
    }

    fn zip(&mut self, name: &Text, bytes: &[u8], depth: usize) -> Result<(), Stop> {
        for entry in zip::entries(bytes).map_err(Stop::Archive)? {
            let inner = below(name, &entry.name);
            self.count()?;
            let content = entry.content(bytes).map_err(Stop::Member);
            let content = content.and_then(|content| match content {
                zip::Content::Stored(stored) => self.copied(stored),
                zip::Content::Deflated(packed) => {
                    self.unfold(flate2::read::DeflateDecoder::new(packed), packed.len())
                }
            });
            self.tell(&inner, content, depth)?;
        }
        Ok(())
    }

    fn tar(&mut self, name: &Text, bytes: &[u8], depth: usize) -> Result<(), Stop> {
        let mut reader = tar::Reader::new(bytes);
        while let Some(entry) = reader.next().map_err(Stop::Archive)? {
            self.count()?;
            let inner = below(name, &entry.name);
            // The bytes are part of the archive itself: nothing unfolds.
            self.tell(&inner, Ok(entry.content.to_vec()), depth)?;
        }
        Ok(())
    }

    fn gzip(&mut self, name: &Text, bytes: &[u8], depth: usize) -> Result<(), Stop> {
        self.count()?;
        let content = self.unfold(flate2::read::MultiGzDecoder::new(bytes), bytes.len());
        let shown = name.file_name().to_lossy().into_owned();
        let stem = shown.strip_suffix(".tgz").map(|stem| format!("{stem}.tar"));
        let stem = stem.or_else(|| shown.strip_suffix(".gz").map(str::to_owned));
        let inner = below(name, stem.as_deref().unwrap_or("content").as_bytes());
        self.tell(&inner, content, depth)
    }

    fn count(&mut self) -> Result<(), Stop> {
        if self.stopped {
            return Err(Stop::Archive("no more is scanned in this run".to_owned()));
        }
        if self.budget.members == 0 {
            let why = format!("a run's archives are read for {MEMBERS_MAX} members");
            return Err(Stop::Archive(why));
        }
        self.budget.members -= 1;
        Ok(())
    }

    fn copied(&self, bytes: &[u8]) -> Result<Vec<u8>, Stop> {
        if bytes.len() as u64 > MEMBER_BYTES_MAX {
            return Err(Stop::Member(format!("a member is larger than {MEMBER_BYTES_MAX} bytes")));
        }
        Ok(bytes.to_vec())
    }

    /// Hands a member on, and opens it where it is an archive itself.
    fn tell(
        &mut self,
        name: &Text,
        content: Result<Vec<u8>, Stop>,
        depth: usize,
    ) -> Result<(), Stop> {
        let content = match content {
            Ok(content) => content,
            Err(Stop::Member(why)) => {
                self.leave_out(why);
                return Ok(());
            }
            Err(stop) => return Err(stop),
        };
        if !content.is_empty() {
            self.stopped = !(self.member)(name, &content) || self.stopped;
            self.archive(name, &content, depth + 1);
        }
        Ok(())
    }

    /// Reads a packed stream as far as every bound allows.
    fn unfold(&mut self, mut packed: impl Read, packed_bytes: usize) -> Result<Vec<u8>, Stop> {
        let started = Instant::now();
        let result = self.unfold_until(&mut packed, packed_bytes as u64, started);
        self.budget.time = self.budget.time.saturating_sub(started.elapsed());
        result
    }

    fn unfold_until(
        &mut self,
        packed: &mut impl Read,
        packed_bytes: u64,
        started: Instant,
    ) -> Result<Vec<u8>, Stop> {
        let mut content = Vec::new();
        let mut chunk = [0; 16 << 10];
        loop {
            let count = match packed.read(&mut chunk) {
                Ok(0) => return Ok(content),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Stop::Member(format!("it is damaged: {error}"))),
            };
            let size = content.len() as u64 + count as u64;
            if count as u64 > self.budget.bytes {
                let why = format!("a run's archives are unfolded to {UNFOLDED_BYTES_MAX} bytes");
                return Err(Stop::Archive(why));
            }
            self.budget.bytes -= count as u64;
            if size > MEMBER_BYTES_MAX {
                let why = format!("a member is larger than {MEMBER_BYTES_MAX} bytes");
                return Err(Stop::Member(why));
            }
            if size > RATIO_FREE_BYTES && size / packed_bytes.max(1) > RATIO_MAX {
                let why = format!("a member grows more than {RATIO_MAX} times, as a bomb does");
                return Err(Stop::Member(why));
            }
            if started.elapsed() > self.budget.time {
                let why = format!("a run's archives are read for {} s", TIME_MAX.as_secs());
                return Err(Stop::Archive(why));
            }
            content.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
    }

    fn leave_out(&mut self, why: String) {
        self.why.get_or_insert(why);
    }
}

/// `a.zip` and `b/c` → `a.zip!/b/c`.
fn below(archive: &Text, member: &[u8]) -> Text {
    let member = member.get(..NAME_BYTES_MAX).unwrap_or(member);
    let member = member.strip_prefix(b"./").unwrap_or(member);
    let mut name = archive.as_bytes().to_vec();
    name.extend_from_slice(b"!/");
    name.extend_from_slice(member);
    Text::new(name)
}
