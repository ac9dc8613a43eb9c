//! What the files are that a run left: typed by their bytes, scanned, and looked into where they
//! are archives.
//!
//! Everything here was made by the sample, which reads this code: sizes in headers are believed
//! only as far as a bound, nothing is written anywhere, no name inside an archive is ever used as a
//! path. What a bound leaves out is said. This room does not know what a match is worth.

mod archive;
mod format;
mod settings;

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest as _, Sha256};
use types::ports::{Pattern, Scanner};
use types::{Kind, Text};

use archive::Opened;
pub(crate) use format::HEAD_BYTES;
pub use format::{Shape, format};

/// A file's bytes that are scanned, from its first; that there are more is said.
pub const SCAN_FILE_BYTES_MAX: u64 = 1 << 30;
/// All bytes that are scanned in one run, those inside of archives included.
const SCAN_BYTES_MAX: u64 = 4 << 30;
/// Bytes that are held and scanned at once. A larger file is scanned piece by piece; archives of at
/// most this size are opened.
const PIECE_BYTES_MAX: usize = 64 << 20;
/// Every further piece is scanned behind the file's first bytes, because rules ask there what the
/// file is, and behind the end of the piece before, because a pattern may lie across.
const HEAD_AGAIN_BYTES: usize = 64 << 10;
const OVERLAP_BYTES: usize = 64 << 10;
/// All scans of one run, in time on the processor: what others do on the machine meanwhile must not
/// decide what is looked at.
const SCAN_TIME_MAX: Duration = Duration::from_secs(30);
/// An artifact is read in chunks of this size.
const READ_BYTES: u64 = 1 << 20;
/// Contents that are remembered in a run so as not to scan them again, and the size of each.
const KNOWN_MAX: usize = 100_000;
const KNOWN_BYTES_MAX: usize = 1 << 20;
/// Matches kept of one run.
const FOUND_MAX: usize = 2_000;
/// Sentences kept of a kind.
const SENTENCES_MAX: usize = 16;

/// Looks through the files of one run, one after the other.
#[derive(Debug)]
pub struct Inspector {
    scanner: Option<Arc<dyn Scanner>>,
    /// `file` or `artifact`.
    place: &'static str,
    time_left: Duration,
    bytes_left: u64,
    budget: archive::Budget,
    /// What was left out because of a bound, one sentence each.
    pub notes: Vec<String>,
    /// What lies behind a password or is damaged, one sentence each: no bound left it out.
    pub remarks: Vec<String>,
    /// Scans that did not come to their end, one sentence each.
    pub faults: Vec<String>,
    matches: usize,
    /// Contents in which nothing was found: a scan is a function of the bytes.
    clean: HashSet<[u8; 32]>,
    unscanned: u64,
}

impl Inspector {
    /// For files that a run left. Without a scanner nothing is opened or scanned.
    #[must_use]
    pub fn new(scanner: Option<Arc<dyn Scanner>>) -> Self {
        Self::at("file", scanner)
    }

    fn at(place: &'static str, scanner: Option<Arc<dyn Scanner>>) -> Self {
        Self {
            scanner,
            place,
            time_left: SCAN_TIME_MAX,
            bytes_left: SCAN_BYTES_MAX,
            budget: archive::Budget::default(),
            notes: Vec::new(),
            remarks: Vec::new(),
            faults: Vec::new(),
            matches: 0,
            clean: HashSet::new(),
            unscanned: 0,
        }
    }

    /// Whether the bytes of a file of this size are wanted: all, or the first
    /// [`SCAN_FILE_BYTES_MAX`], which is then said.
    pub fn wants(&mut self, path: &Text, size_bytes: u64) -> bool {
        let wanted = self.scanner.is_some() && size_bytes > 0;
        if wanted && size_bytes > SCAN_FILE_BYTES_MAX {
            self.note(format!(
                "of {path} the first {SCAN_FILE_BYTES_MAX} of {size_bytes} bytes were scanned"
            ));
        }
        wanted
    }

    /// Takes the next bytes of a file that is wanted.
    pub fn read(&mut self, path: &Text, reading: &mut Reading, mut chunk: &[u8]) {
        loop {
            let room = PIECE_BYTES_MAX.saturating_sub(reading.bytes.len());
            let (now, later) = chunk.split_at(room.min(chunk.len()));
            reading.bytes.extend_from_slice(now);
            if later.is_empty() {
                return;
            }
            self.piece(path, reading);
            reading.go_on();
            chunk = later;
        }
    }

    /// What is found in a file of which all bytes were read that are wanted, and in what is in it
    /// where it is an archive.
    pub fn end(&mut self, path: &Text, mut reading: Reading) -> Vec<Kind> {
        if reading.offset == 0 {
            return self.inspect(path, &reading.bytes);
        }
        self.piece(path, &mut reading);
        // A tar's members lie open in the bytes that were scanned.
        if archive::is_packed(&reading.bytes) {
            self.note(format!(
                "{path} was not unpacked: archives of at most {PIECE_BYTES_MAX} bytes are"
            ));
        }
        reading.found
    }

    fn piece(&mut self, path: &Text, reading: &mut Reading) {
        let fresh = reading.bytes.get(reading.again..).unwrap_or_default();
        // Disk images and sparse files: nothing is in a piece that is nothing.
        if reading.offset > 0 && fresh.iter().all(|&byte| byte == 0) {
            return;
        }
        let mut found = Vec::new();
        self.scan(path, &reading.bytes, &mut found);
        for mut kind in found {
            let Kind::PatternMatch { rule, offset, .. } = &mut kind else { continue };
            let again = reading.again as u64;
            *offset = if *offset < again { *offset } else { *offset - again + reading.offset };
            let told =
                |kind: &Kind| matches!(kind, Kind::PatternMatch { rule: r, .. } if r == rule);
            if !reading.found.iter().any(told) {
                reading.found.push(kind);
            }
        }
    }

    /// Scans a file and, where it is an archive, what is in it. `bytes` is the whole file.
    pub fn inspect(&mut self, path: &Text, bytes: &[u8]) -> Vec<Kind> {
        let mut found = Vec::new();
        self.scan(path, bytes, &mut found);
        if self.scanner.is_some() && archive::is_one(bytes) {
            let mut budget = std::mem::take(&mut self.budget);
            let mut member = |name: &Text, bytes: &[u8]| {
                self.scan(name, bytes, &mut found);
                !self.spent()
            };
            let opened = archive::open(path, bytes, &mut budget, &mut member);
            self.budget = budget;
            match opened {
                Opened::Whole => {}
                // Who hands in what cannot be opened learns that it was not; what a run packs away
                // under a password is its own and was seen before.
                Opened::Closed(why) if self.place == "file" => {
                    if self.remarks.len() < SENTENCES_MAX {
                        self.remarks.push(format!("{path} was not unpacked whole: {why}"));
                    }
                }
                Opened::Closed(why) | Opened::Partly(why) => {
                    self.note(format!("{path} was not unpacked whole: {why}"));
                }
            }
        }
        found
    }

    /// What remains to be said when all files were given.
    pub fn finish(&mut self) {
        if self.unscanned > 0 {
            let unscanned = std::mem::take(&mut self.unscanned);
            self.notes.push(format!(
                "{unscanned} files were not scanned: a run's files are scanned for at most {} s on \
                 the processor and {} bytes",
                SCAN_TIME_MAX.as_secs(),
                SCAN_BYTES_MAX
            ));
        }
    }

    fn spent(&self) -> bool {
        self.time_left.is_zero() || self.matches >= FOUND_MAX
    }

    fn scan(&mut self, target: &Text, bytes: &[u8], found: &mut Vec<Kind>) {
        let Some(scanner) = &self.scanner else { return };
        let size = bytes.len() as u64;
        if size > self.bytes_left || self.spent() {
            self.unscanned += 1;
            return;
        }
        self.bytes_left -= size;
        let before = on_processor();
        // A member of an archive is mostly a file beside it, too.
        let digest: Option<[u8; 32]> =
            (bytes.len() <= KNOWN_BYTES_MAX).then(|| Sha256::digest(bytes).into());
        let known = digest.is_some_and(|digest| self.clean.contains(&digest));
        let result = if known { Ok(Vec::new()) } else { scanner.scan(self.place, bytes) };
        if let (Some(digest), Ok([])) = (digest, result.as_deref())
            && self.clean.len() < KNOWN_MAX
        {
            self.clean.insert(digest);
        }
        let taken = on_processor().saturating_sub(before);
        self.time_left = self.time_left.saturating_sub(taken);
        match result {
            Ok(patterns) => {
                let room = FOUND_MAX.saturating_sub(self.matches);
                if let Some(more) = patterns.len().checked_sub(room).filter(|more| *more > 0) {
                    self.note(format!("{more} more patterns match {target} than are kept"));
                }
                let kinds = patterns.into_iter().take(room);
                let before = found.len();
                found.extend(kinds.map(|pattern| matched(pattern, self.place, target)));
                self.matches += found.len() - before;
            }
            Err(error) if self.faults.len() < SENTENCES_MAX => {
                self.faults.push(format!("the scan of {target} did not end: {}", error.reason));
            }
            Err(_) => {}
        }
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < SENTENCES_MAX {
            self.notes.push(note);
        }
    }
}

/// A file that is being read: what is held of it, and what was found in what came before.
#[derive(Debug, Default)]
pub struct Reading {
    bytes: Vec<u8>,
    /// How many of the bytes are the file's first once more.
    again: usize,
    /// Where the other bytes begin in the file.
    offset: u64,
    found: Vec<Kind>,
}

impl Reading {
    /// Whether this is a shell's text that only sets things (`shell-settings`, see
    /// [`crate::content::format`]).
    #[must_use]
    pub fn only_sets(&self) -> bool {
        self.offset == 0 && settings::only(&self.bytes)
    }

    /// Makes room for the next piece.
    fn go_on(&mut self) {
        let overlap = self.bytes.len().saturating_sub(OVERLAP_BYTES).max(self.again);
        self.offset += (overlap - self.again) as u64;
        self.bytes.drain(HEAD_AGAIN_BYTES.min(overlap)..overlap);
        self.again = HEAD_AGAIN_BYTES.min(overlap);
    }
}

/// Time that this thread had a processor.
fn on_processor() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let part = |number: i64| u64::try_from(number).unwrap_or_default();
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}

/// What a scan of one file before a run says.
#[derive(Debug, Default)]
pub struct Scanned {
    /// What the content is, by its first bytes.
    pub format: Option<String>,
    /// [`Kind::PatternMatch`] with place `artifact`.
    pub found: Vec<Kind>,
    pub notes: Vec<String>,
    pub faults: Vec<String>,
}

/// Scans a file of the host that is about to be run, and what is in it where it is an archive.
/// `shown` is what it is called in the recording.
///
/// # Errors
/// When the file cannot be read or is no regular file.
pub fn scan_artifact(scanner: &Arc<dyn Scanner>, path: &Path, shown: &Text) -> io::Result<Scanned> {
    let meta = fs::metadata(path)?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut inspector = Inspector::at("artifact", Some(Arc::clone(scanner)));
    let mut reading = Reading::default();
    let (mut head, mut shape) = (Vec::new(), Shape::of(&[]));
    if inspector.wants(shown, meta.len()) {
        let mut file = fs::File::open(path)?.take(SCAN_FILE_BYTES_MAX);
        let mut chunk = Vec::new();
        loop {
            chunk.clear();
            file.by_ref().take(READ_BYTES).read_to_end(&mut chunk)?;
            if chunk.is_empty() {
                break;
            }
            if head.is_empty() {
                shape = Shape::of(&chunk);
                head = chunk.get(..HEAD_BYTES).unwrap_or(&chunk).to_vec();
            }
            inspector.read(shown, &mut reading, &chunk);
        }
    }
    let found = inspector.end(shown, reading);
    inspector.finish();
    Ok(Scanned {
        format: format(&head, &shape).map(str::to_owned),
        found,
        notes: inspector.notes,
        faults: inspector.faults,
    })
}

fn matched(pattern: Pattern, place: &str, target: &Text) -> Kind {
    Kind::PatternMatch {
        rule: pattern.rule,
        title: pattern.title,
        place: place.to_owned(),
        target: target.clone(),
        level: pattern.level,
        techniques: pattern.techniques,
        offset: pattern.offset,
    }
}

#[cfg(test)]
mod tests;
