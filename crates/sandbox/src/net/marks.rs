//! Finds the content of planted files in what a command sends.
//!
//! Looks for whole lines of them, as they are and as base64 or hexadecimal would carry them. Other
//! disguises (compression, encryption) are not seen through.

use aho_corasick::AhoCorasick;

/// A line shorter than this could be anybody's.
const LINE_LEN_MIN: usize = 16;
/// The part of a line that is looked for, in bytes: its end, for settings begin with their names.
const PART_LEN: usize = 24;
/// Lines of one file that are looked for.
const LINES_MAX: usize = 16;

/// The planted files and how they are recognised. Made once, shared by all connections.
#[derive(Debug, Default)]
pub(super) struct Marks {
    search: Option<AhoCorasick>,
    /// By pattern, the file.
    owners: Vec<usize>,
    files: Vec<Vec<u8>>,
    longest: usize,
}

impl Marks {
    /// `files`: path and content.
    pub(super) fn new<'f>(files: impl IntoIterator<Item = (&'f [u8], &'f [u8])>) -> Self {
        let mut marks = Self::default();
        let mut patterns = Vec::new();
        for (index, (path, content)) in files.into_iter().enumerate() {
            marks.files.push(path.to_vec());
            let lines = content.split(|byte| *byte == b'\n');
            let ends =
                lines.map(|line| line.get(line.len().saturating_sub(PART_LEN)..).unwrap_or(line));
            for end in ends.filter(|end| is_telling(end)).take(LINES_MAX) {
                for pattern in disguises(end) {
                    patterns.push(pattern);
                    marks.owners.push(index);
                }
            }
        }
        marks.longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
        marks.search = AhoCorasick::new(&patterns).ok().filter(|_| !patterns.is_empty());
        marks
    }
}

/// A line that says something: not short, and not a border or a header that other files have, too.
fn is_telling(line: &[u8]) -> bool {
    line.len() >= LINE_LEN_MIN
        && !line.starts_with(b"-----")
        && line.iter().collect::<std::collections::BTreeSet<_>>().len() >= 8
}

/// The bytes as they are, in hexadecimal, and in base64 at each of the three places a group of
/// three can begin, without the characters that also depend on the neighbours.
fn disguises(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hexadecimal = |upper: bool| -> Vec<u8> {
        let digits = bytes.iter().map(|byte| match upper {
            true => format!("{byte:02X}"),
            false => format!("{byte:02x}"),
        });
        digits.collect::<String>().into_bytes()
    };
    let mut all = vec![bytes.to_vec(), hexadecimal(false), hexadecimal(true)];
    for shift in 0..3_usize {
        let start = (3 - shift) % 3;
        let groups = bytes.get(start..).unwrap_or(&[]).chunks_exact(3);
        all.push(groups.flat_map(|group| base64(group[0], group[1], group[2])).collect());
    }
    all
}

fn base64(a: u8, b: u8, c: u8) -> [u8; 4] {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = u32::from_be_bytes([0, a, b, c]);
    [18, 12, 6, 0].map(|shift| ALPHABET[((bits >> shift) & 63) as usize])
}

/// The search in one stream of bytes.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// The end of what was read, for a pattern across two pieces.
    tail: Vec<u8>,
    found: Vec<usize>,
}

impl Trace {
    pub(super) fn read(&mut self, marks: &Marks, bytes: &[u8]) {
        let Some(search) = &marks.search else { return };
        self.tail.extend_from_slice(bytes);
        for hit in search.find_overlapping_iter(&self.tail) {
            if let Some(&file) = marks.owners.get(hit.pattern().as_usize())
                && !self.found.contains(&file)
            {
                self.found.push(file);
            }
        }
        let keep = marks.longest.saturating_sub(1);
        self.tail.drain(..self.tail.len().saturating_sub(keep));
    }

    /// The paths of the files that were found since the last time.
    pub(super) fn take(&mut self, marks: &Marks) -> Vec<Vec<u8>> {
        let found = std::mem::take(&mut self.found);
        found.into_iter().filter_map(|file| marks.files.get(file).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Marks, Trace};

    const KEY: &[u8] =
        b"-----BEGIN KEY-----\nq8Zl0vXw4nTtR7yKc2MfJ9sBdE5hGaUo\n-----END KEY-----\n";

    fn check(sent: &[&[u8]], found: bool) {
        let marks = Marks::new([(&b"/home/u/.ssh/id"[..], KEY), (b"/other", b"short\n")]);
        let mut trace = Trace::default();
        for piece in sent {
            trace.read(&marks, piece);
        }
        assert_eq!(!trace.take(&marks).is_empty(), found, "{sent:?}");
    }

    #[test]
    fn content_is_found_plain_cut_in_two_and_disguised() {
        check(&[b"x=", KEY], true);
        check(&[&KEY[..30], &KEY[30..]], true);
        // As `base64` and `xxd -p` print it, at each offset.
        check(&[b"cThabDB2WHc0blR0Ujd5S2MyTWZKOXNCZEU1aEdhVW8="], true);
        check(&[b"eHE4WmwwdlhYdzRuVHRSN3lLYzJNZko5c0I="], false);
        check(&[b"71385a6c307658773"], false);
        check(&[b"71385a6c30765877346e5474523779", b"4b63324d664a397342644535684761556f"], true);
        check(&[b"-----BEGIN KEY-----\n", b"ordinary words of a request"], false);
        check(&[b"short\n"], false);
    }
}
