//! Writes a tar file in the pax format: ustar headers, and a record beside them for whatever does
//! not fit in one.

use std::io::{self, Read, Write};

use super::{BLOCK, Kind, checksum, field};

/// One entry without its content.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    pub kind: Kind,
    pub path: &'a [u8],
    pub link: &'a [u8],
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub size: u64,
    pub mtime: i64,
}

/// An archive that is being written.
pub(crate) struct Archive<W> {
    output: W,
    /// Bytes written so far.
    pub written: u64,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(output: W) -> Self {
        Self { output, written: 0 }
    }

    /// Writes one entry and exactly `size` bytes of content: a file that has become shorter is
    /// filled with zeros, one that has become longer is cut.
    pub(crate) fn append(&mut self, entry: &Entry<'_>, content: &mut impl Read) -> io::Result<()> {
        let mut records = Vec::new();
        let mut fits = |key: &str, value: &[u8], (_, len): (usize, usize)| {
            // A link of exactly the field's length is allowed, but not every reader knows.
            let fits = value.len() < len && value.is_ascii();
            if !fits {
                record(&mut records, key, value);
            }
        };
        fits("path", entry.path, field::NAME);
        fits("linkpath", entry.link, field::LINK);
        for (key, value, (_, len)) in [
            ("size", entry.size, field::SIZE),
            ("uid", entry.uid, field::UID),
            ("gid", entry.gid, field::GID),
        ] {
            if value >= limit(len) {
                record(&mut records, key, value.to_string().as_bytes());
            }
        }
        if u64::try_from(entry.mtime).map_or(true, |mtime| mtime >= limit(field::MTIME.1)) {
            record(&mut records, "mtime", entry.mtime.to_string().as_bytes());
        }
        if !records.is_empty() {
            let path = b"PaxHeaders/entry";
            let size = records.len() as u64;
            let about = Entry { path, link: b"", mode: 0o644, size, ..entry.clone() };
            self.header(&about, b'x')?;
            self.content(size, &mut records.as_slice())?;
        }
        self.header(entry, type_flag(entry.kind))?;
        self.content(entry.size, content)
    }

    /// Writes the end mark and gives the output back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.write(&[0; 2 * BLOCK])?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn header(&mut self, entry: &Entry<'_>, flag: u8) -> io::Result<()> {
        let mut header = [0; BLOCK];
        text(&mut header, field::NAME, entry.path);
        text(&mut header, field::LINK, entry.link);
        octal(&mut header, field::MODE, u64::from(entry.mode & 0o7777));
        octal(&mut header, field::UID, entry.uid);
        octal(&mut header, field::GID, entry.gid);
        octal(&mut header, field::SIZE, entry.size);
        octal(&mut header, field::MTIME, u64::try_from(entry.mtime).unwrap_or(0));
        header[field::TYPE] = flag;
        text(&mut header, field::MAGIC, b"ustar");
        text(&mut header, field::VERSION, b"00");
        let sum = format!("{:06o}\0 ", checksum(&header));
        text(&mut header, field::CHECKSUM, sum.as_bytes());
        self.write(&header)
    }

    fn content(&mut self, size: u64, content: &mut impl Read) -> io::Result<()> {
        let mut left = size;
        let mut buffer = vec![0; 64 << 10];
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let Some(chunk) = buffer.get_mut(..want) else { break };
            let count = match content.read(chunk) {
                Ok(0) => {
                    chunk.fill(0);
                    want
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.write(buffer.get(..count).unwrap_or(&[]))?;
            left -= count as u64;
        }
        let padding = usize::try_from(size.wrapping_neg() % BLOCK as u64).unwrap_or(0);
        self.write([0; BLOCK].get(..padding).unwrap_or(&[]))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// What an octal field of `len` bytes cannot hold.
fn limit(len: usize) -> u64 {
    8_u64.pow(u32::try_from(len - 1).unwrap_or(0))
}

fn type_flag(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::Device => b'3',
        Kind::Folder => b'5',
        Kind::Fifo => b'6',
        Kind::Other(flag) => flag,
    }
}

fn text(header: &mut [u8; BLOCK], (start, len): (usize, usize), value: &[u8]) {
    let value = value.get(..value.len().min(len)).unwrap_or(&[]);
    if let Some(place) = header.get_mut(start..start + value.len()) {
        place.copy_from_slice(value);
    }
}

fn octal(header: &mut [u8; BLOCK], place: (usize, usize), value: u64) {
    let (_, len) = place;
    // Too large: a pax record says it, and readers that know none see the largest there is.
    let value = value.min(limit(len) - 1);
    text(header, place, format!("{value:0width$o}", width = len - 1).as_bytes());
}

/// A pax record counts its own length, whose digits are part of it.
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    records.extend_from_slice(format!("{len} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}
