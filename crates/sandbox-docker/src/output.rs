//! What a container prints: kept up to a bound, passed on, and freed of the gate's report.

use std::io;

use crate::gate::{REPORT_LEN, Report, TOKEN_LEN};

/// Where a stream is passed on to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// One captured stream.
#[derive(Debug)]
pub(crate) struct Capture {
    pass: Option<Stream>,
    pub kept: Vec<u8>,
    pub total: u64,
    limit: u64,
    failed: Option<io::Error>,
}

impl Capture {
    pub(crate) fn new(pass: Option<Stream>, limit: u64) -> Self {
        Self { pass, kept: Vec::new(), total: 0, limit, failed: None }
    }

    /// Whether whoever reads our output is still there; when not, neither is a reader of the
    /// command's.
    pub(crate) fn take(&mut self, chunk: &[u8]) {
        let room = self.limit.saturating_sub(self.kept.len() as u64);
        let kept = usize::try_from(room).unwrap_or(usize::MAX).min(chunk.len());
        self.kept.extend_from_slice(chunk.get(..kept).unwrap_or(&[]));
        self.total += chunk.len() as u64;
        let written = match self.pass {
            None => return,
            Some(Stream::Out) => write(&mut io::stdout(), chunk),
            Some(Stream::Err) => write(&mut io::stderr(), chunk),
        };
        if let Err(error) = written {
            self.pass = None;
            self.failed = (error.kind() != io::ErrorKind::BrokenPipe).then_some(error);
        }
    }

    pub(crate) fn truncated(&self) -> bool {
        self.total > self.kept.len() as u64
    }

    /// Why not everything was passed on; a reader that went away is no failure.
    pub(crate) fn failure(&self, name: &str) -> Option<String> {
        self.failed.as_ref().map(|error| format!("{name} could not be written: {error}"))
    }
}

fn write(to: &mut impl io::Write, chunk: &[u8]) -> io::Result<()> {
    to.write_all(chunk)?;
    to.flush()
}

/// Finds the report at the end of standard error. The token is random and unknown inside, so that
/// nothing a sample writes is taken for it.
#[derive(Debug)]
pub(crate) struct Reports {
    token: [u8; TOKEN_LEN],
    held: Vec<u8>,
    pub report: Option<Report>,
}

impl Reports {
    pub(crate) fn new(token: [u8; TOKEN_LEN]) -> Self {
        Self { token, held: Vec::new(), report: None }
    }

    /// Takes a chunk and returns what of it belongs to the command.
    pub(crate) fn filter(&mut self, chunk: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(chunk);
        let starts = |at: &usize| {
            let rest = self.held.get(*at..).unwrap_or_default();
            let len = rest.len().min(TOKEN_LEN);
            rest.get(..len) == self.token.get(..len)
        };
        let first = self.token.first();
        let candidates = (0..self.held.len()).filter(|&at| self.held.get(at) == first);
        let at = candidates.into_iter().find(starts).unwrap_or(self.held.len());
        let rest = self.held.split_off(at);
        let passed = std::mem::replace(&mut self.held, rest);
        if let Some(report) = self.held.get(..REPORT_LEN) {
            self.report = Report::parse(report, &self.token);
        }
        passed
    }

    /// What was held back and is no report, when the stream has ended.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        if self.report.is_some() { Vec::new() } else { std::mem::take(&mut self.held) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Capture, Reports};
    use crate::gate::Report;

    const TOKEN: [u8; 16] = *b"ttttkkkkeeeennnn";

    #[test]
    fn the_report_is_found_however_it_is_cut() {
        let mut text = b"some tttt of the command's ttttkkkkeeeennn".to_vec();
        let said = text.len();
        text.extend(TOKEN);
        text.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 1, 0, 0, 0]);
        for size in 1..text.len() {
            let mut reports = Reports::new(TOKEN);
            let passed: Vec<u8> = text.chunks(size).flat_map(|c| reports.filter(c)).collect();
            assert_eq!(passed, text[..said], "{size}");
            let wanted = Report { failed: None, status: 3 << 8, survivors: true };
            assert_eq!(reports.report, Some(wanted), "{size}");
            assert!(reports.rest().is_empty());
        }
    }

    #[test]
    fn what_only_looks_like_its_beginning_is_given_back_at_the_end() {
        let mut reports = Reports::new(TOKEN);
        let mut passed = reports.filter(b"abc tttt");
        assert_eq!(passed, b"abc ");
        passed.extend(reports.rest());
        assert_eq!((passed.as_slice(), reports.report), (&b"abc tttt"[..], None));
    }

    #[test]
    fn past_the_bound_bytes_are_counted_only() {
        let mut capture = Capture::new(None, 5);
        capture.take(b"abc");
        assert!(!capture.truncated());
        capture.take(b"defg");
        assert_eq!((capture.kept.as_slice(), capture.total), (&b"abcde"[..], 7));
        assert!(capture.truncated());
    }
}
