//! What the files are that a run left: typed by their bytes, scanned, and looked into where they
//! are archives.
//!
//! Everything here was made by the sample, which reads this code: sizes in headers are believed
//! only as far as a bound, nothing is written anywhere, no name inside an archive is ever used as a
//! path. What a bound leaves out is said. This room does not know what a match is worth.

mod archive;
mod format;

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use types::ports::{Pattern, Scanner};
use types::{Kind, Text};

use archive::Opened;
pub(crate) use format::HEAD_BYTES;
pub use format::{Shape, format};

/// A file's bytes that are scanned, from its first; that there are more is said.
pub const SCAN_FILE_BYTES_MAX: u64 = 64 << 20;
/// All bytes that are scanned in one run, those inside of archives included.
const SCAN_BYTES_MAX: u64 = 1 << 30;
/// All scans of one run.
const SCAN_TIME_MAX: Duration = Duration::from_secs(30);
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
    started: Instant,
    bytes_left: u64,
    budget: archive::Budget,
    /// What was left out because of a bound, one sentence each.
    pub notes: Vec<String>,
    /// Scans that did not come to their end, one sentence each.
    pub faults: Vec<String>,
    matches: usize,
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
            started: Instant::now(),
            bytes_left: SCAN_BYTES_MAX,
            budget: archive::Budget::default(),
            notes: Vec::new(),
            faults: Vec::new(),
            matches: 0,
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

    /// Scans a file and, where it is an archive, what is in it. `bytes` is all that was wanted.
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
            if let Opened::Partly(why) = opened {
                self.note(format!("{path} was not unpacked whole: {why}"));
            }
        }
        found
    }

    /// What remains to be said when all files were given.
    pub fn finish(&mut self) {
        if self.unscanned > 0 {
            let unscanned = std::mem::take(&mut self.unscanned);
            self.notes.push(format!(
                "{unscanned} files were not scanned: a run's files are scanned for at most {} s \
                 and {} bytes",
                SCAN_TIME_MAX.as_secs(),
                SCAN_BYTES_MAX
            ));
        }
    }

    fn spent(&self) -> bool {
        self.started.elapsed() > SCAN_TIME_MAX || self.matches >= FOUND_MAX
    }

    fn scan(&mut self, target: &Text, bytes: &[u8], found: &mut Vec<Kind>) {
        let Some(scanner) = &self.scanner else { return };
        let size = bytes.len() as u64;
        if size > self.bytes_left || self.spent() {
            self.unscanned += 1;
            return;
        }
        self.bytes_left -= size;
        match scanner.scan(self.place, bytes) {
            Ok(patterns) => {
                let room = FOUND_MAX.saturating_sub(self.matches);
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

/// Adds a chunk of a file to what is scanned of it, up to the bound.
pub fn take(scanned: &mut Vec<u8>, chunk: &[u8]) {
    let room = SCAN_FILE_BYTES_MAX.saturating_sub(scanned.len() as u64);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    scanned.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
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
    let mut bytes = Vec::new();
    if inspector.wants(shown, meta.len()) {
        fs::File::open(path)?.take(SCAN_FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    }
    let found = inspector.inspect(shown, &bytes);
    inspector.finish();
    let shape = Shape::of(&bytes);
    Ok(Scanned {
        format: format(&bytes, &shape).map(str::to_owned),
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
