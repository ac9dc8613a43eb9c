//! Archives, read where they lie: zip, tar and gzip, one in another.
//!
//! A bomb is an archive that claims, or unfolds to, far more than it is. So nothing is unfolded past
//! what is left of a budget for the whole run: members, bytes, depth, time. How many times a stream
//! grows tells nothing: an empty disk image grows a thousand times.

mod tar;
mod zip;

use std::io::{self, Read};
use std::time::Duration;

use types::Text;

use super::on_processor;

/// An archive in an archive in an archive …
const DEPTH_MAX: usize = 8;
/// Members of all archives of a run.
const MEMBERS_MAX: u64 = 200_000;
/// One member, unfolded.
const MEMBER_BYTES_MAX: u64 = 256 << 20;
/// Everything unfolded in a run.
const UNFOLDED_BYTES_MAX: u64 = 1 << 30;
/// Unfolding in a run, without the scanning, in time on the processor.
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
    /// All but what is encrypted, damaged or packed in a way that is not known here.
    Closed(String),
    /// Not all of it, for this reason.
    Partly(String),
}

/// Hears every member; says false when no more are wanted.
pub(super) type Member<'m> = &'m mut dyn FnMut(&Text, &[u8]) -> bool;

/// Whether the bytes begin an archive whose members do not lie open in it.
pub(super) fn is_packed(bytes: &[u8]) -> bool {
    matches!(kind(bytes), Some(Form::Zip | Form::Gzip))
}

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
    let mut reading = Reading { budget, member, why: None, closed: None, stopped: false };
    reading.archive(name, bytes, 0);
    match (reading.why, reading.closed) {
        (Some(why), _) => Opened::Partly(why),
        (None, Some(closed)) => Opened::Closed(closed),
        (None, None) => Opened::Whole,
    }
}

/// What stands in the way of a member, or of all that follow.
#[derive(Debug)]
enum Stop {
    /// This member only.
    Member(String),
    /// The rest of the archive.
    Archive(String),
    /// This member, or the archive: it is encrypted, damaged or of an unknown kind.
    Closed(String),
}

struct Reading<'a, 'm> {
    budget: &'a mut Budget,
    member: Member<'m>,
    /// The first reason for which something was left out.
    why: Option<String>,
    /// The first reason for which something could not be read.
    closed: Option<String>,
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
        match read {
            Ok(()) => {}
            Err(Stop::Archive(why) | Stop::Member(why)) => self.leave_out(why),
            Err(Stop::Closed(why)) => self.pass(why),
        }
    }

    fn zip(&mut self, name: &Text, bytes: &[u8], depth: usize) -> Result<(), Stop> {
        for entry in zip::entries(bytes).map_err(Stop::Closed)? {
            let inner = below(name, &entry.name);
            self.count()?;
            let content = entry.content(bytes).map_err(Stop::Closed);
            let content = content.and_then(|content| match content {
                zip::Content::Stored(stored) => self.copied(stored),
                zip::Content::Deflated(packed) => {
                    self.unfold(flate2::read::DeflateDecoder::new(packed))
                }
            });
            self.tell(&inner, content, depth)?;
        }
        Ok(())
    }

    fn tar(&mut self, name: &Text, bytes: &[u8], depth: usize) -> Result<(), Stop> {
        let mut reader = tar::Reader::new(bytes);
        while let Some(entry) = reader.next().map_err(Stop::Closed)? {
            self.count()?;
            let inner = below(name, &entry.name);
            // The bytes are part of the archive itself: nothing unfolds.
            self.tell(&inner, Ok(entry.content.to_vec()), depth)?;
        }
        Ok(())
    }

    fn gzip(&mut self, name: &Text, bytes: &[u8], depth: usize) -> Result<(), Stop> {
        self.count()?;
        let content = self.unfold(flate2::read::MultiGzDecoder::new(bytes));
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
            Err(Stop::Closed(why)) => {
                self.pass(why);
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
    fn unfold(&mut self, mut packed: impl Read) -> Result<Vec<u8>, Stop> {
        let started = on_processor();
        let result = self.unfold_until(&mut packed, started);
        let taken = on_processor().saturating_sub(started);
        self.budget.time = self.budget.time.saturating_sub(taken);
        result
    }

    fn unfold_until(&mut self, packed: &mut impl Read, started: Duration) -> Result<Vec<u8>, Stop> {
        let mut content = Vec::new();
        let mut chunk = [0; 16 << 10];
        loop {
            let count = match packed.read(&mut chunk) {
                Ok(0) => return Ok(content),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Stop::Closed(format!("it is damaged: {error}"))),
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
            if on_processor().saturating_sub(started) > self.budget.time {
                let why = format!("a run's archives are read for {} s", TIME_MAX.as_secs());
                return Err(Stop::Archive(why));
            }
            content.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
    }

    fn pass(&mut self, why: String) {
        self.closed.get_or_insert(why);
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
