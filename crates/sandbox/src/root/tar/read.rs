//! Reads a tar file from a stream, one entry after the other, in bounded memory.
//!
//! It says what stands in the file. Whether a name may be used is its caller's question.

use std::io::{self, Read};

use super::{BLOCK, Kind, checksum, field};
use crate::root::{PATH_MAX, Refusal, shown};

/// What describes one entry beside its header (pax records, GNU long names), in bytes.
const EXTENSION_MAX: u64 = 1 << 20;
/// Descriptions in a row without an entry.
const EXTENSIONS_MAX: usize = 8;

/// One entry without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub kind: Kind,
    pub path: Vec<u8>,
    /// Where a link leads.
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Names of extended attributes that the entry asks for.
    pub attributes: Vec<String>,
}

/// What pax records and GNU entries say about the next entry.
#[derive(Debug, Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
    attributes: Vec<String>,
}

/// The entries of a stream.
pub(crate) struct Entries<R> {
    input: R,
    /// Content of the current entry that was not read yet, and its padding.
    left: u64,
    padding: u64,
}

impl<R: Read> Entries<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, left: 0, padding: 0 }
    }

    /// The next entry; what was not read of the one before is skipped. `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Refusal> {
        let mut extension = Extension::default();
        for _ in 0..=EXTENSIONS_MAX {
            self.skip()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let size = number(&header, field::SIZE).and_then(|size| u64::try_from(size).ok());
            let size = size.ok_or_else(|| malformed("a size is no number"))?;
            match header[field::TYPE] {
                b'x' => {
                    let records = self.extension(size)?;
                    extension.take(&records)?;
                }
                b'L' => extension.path = Some(text(&self.extension(size)?).to_vec()),
                b'K' => extension.link = Some(text(&self.extension(size)?).to_vec()),
                // Defaults for everything that follows, as git writes them: a comment.
                b'g' => drop(self.extension(size)?),
                b'S' => {
                    return Err(malformed(
                        "it has sparse files in GNU's own format; pack it without --sparse",
                    ));
                }
                kind => return self.entry(&header, kind, size, extension).map(Some),
            }
        }
        Err(malformed("too many descriptions stand before one entry"))
    }

    /// Reads content of the current entry; 0 at its end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..want).filter(|buffer| !buffer.is_empty()) else {
            return Ok(0);
        };
        let count = self.input.read(buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }

    /// The stream behind the archive.
    pub(crate) fn input(&self) -> &R {
        &self.input
    }

    fn entry(
        &mut self,
        header: &[u8; BLOCK],
        kind: u8,
        size: u64,
        extension: Extension,
    ) -> Result<Entry, Refusal> {
        let path = extension.path.unwrap_or_else(|| own_path(header));
        let whole = |given: Option<u64>, place, what| match given {
            Some(value) => Ok(value),
            None => number(header, place)
                .and_then(|value| u64::try_from(value).ok())
                .ok_or_else(|| malformed(what)),
        };
        let kind = match kind {
            b'\0' if path.ends_with(b"/") => Kind::Folder,
            // 7 is a contiguous file: a hint that nobody follows.
            b'0' | b'\0' | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' | b'4' => Kind::Device,
            b'5' => Kind::Folder,
            b'6' => Kind::Fifo,
            other => Kind::Other(other),
        };
        let size = extension.size.unwrap_or(size);
        // Links and folders have no content, whatever their size field says.
        let content = matches!(kind, Kind::File | Kind::Other(_));
        self.expect(if content { size } else { 0 });
        let mode = number(header, field::MODE).and_then(|mode| u32::try_from(mode).ok());
        Ok(Entry {
            kind,
            path,
            link: extension.link.unwrap_or_else(|| text(part(header, field::LINK)).to_vec()),
            mode: mode.ok_or_else(|| malformed("a mode is no number"))? & 0o7777,
            uid: whole(extension.uid, field::UID, "an owner is no number")?,
            gid: whole(extension.gid, field::GID, "a group is no number")?,
            size: if content { size } else { 0 },
            mtime: extension.mtime.or_else(|| number(header, field::MTIME)).unwrap_or(0),
            attributes: extension.attributes,
        })
    }

    /// The next header; `None` at the end mark or the end of the stream.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, Refusal> {
        let mut block = [0; BLOCK];
        let mut have = 0;
        while let Some(rest) = block.get_mut(have..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) if have == 0 => return Ok(None),
                Ok(0) => return Err(malformed("it ends inside a header")),
                Ok(count) => have += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unread(&error)),
            }
        }
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let sum = number(&block, field::CHECKSUM).and_then(|sum| u64::try_from(sum).ok());
        if sum != Some(checksum(&block)) {
            return Err(malformed("a header has the wrong checksum: is it a tar file?"));
        }
        Ok(Some(block))
    }

    /// The whole content of an entry that describes the next one.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Refusal> {
        if size > EXTENSION_MAX {
            return Err(malformed(&format!(
                "the description of an entry is {size} bytes long, and {EXTENSION_MAX} are read"
            )));
        }
        self.expect(size);
        let mut content = vec![0; usize::try_from(size).unwrap_or(0)];
        let mut have = 0;
        while let Some(rest) = content.get_mut(have..).filter(|rest| !rest.is_empty()) {
            have += self.read(rest).map_err(|error| unread(&error))?;
        }
        Ok(content)
    }

    fn expect(&mut self, size: u64) {
        self.left = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn skip(&mut self) -> Result<(), Refusal> {
        let rest = self.left + std::mem::take(&mut self.padding);
        self.left = 0;
        let skipped = io::copy(&mut self.input.by_ref().take(rest), &mut io::sink());
        match skipped {
            Ok(count) if count == rest => Ok(()),
            Ok(_) => Err(malformed("it ends inside an entry")),
            Err(error) => Err(unread(&error)),
        }
    }
}

impl Extension {
    /// Takes pax records: `LENGTH KEY=VALUE\n`, the length of the whole record in decimal.
    fn take(&mut self, mut records: &[u8]) -> Result<(), Refusal> {
        let broken = || malformed("its pax records cannot be read");
        while !records.is_empty() {
            let space = records.iter().position(|&byte| byte == b' ').ok_or_else(broken)?;
            let len: usize = decimal(records.get(..space).unwrap_or(&[])).ok_or_else(broken)?;
            let record = records.get(space + 1..len).ok_or_else(broken)?;
            let record = record.strip_suffix(b"\n").ok_or_else(broken)?;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(broken)?;
            let (key, value) = record.split_at(equals);
            self.record(key, value.get(1..).unwrap_or(&[]))?;
            records = records.get(len..).unwrap_or(&[]);
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        let count = || decimal(value).ok_or_else(|| malformed("a pax record is no number"));
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(count()?),
            b"uid" => self.uid = Some(count()?),
            b"gid" => self.gid = Some(count()?),
            b"mtime" => {
                let whole = value.split(|&byte| byte == b'.').next().unwrap_or(&[]);
                self.mtime = std::str::from_utf8(whole).ok().and_then(|text| text.parse().ok());
            }
            _ if key.starts_with(b"GNU.sparse.") => {
                return Err(malformed("it has sparse files; pack it without --sparse"));
            }
            _ => {
                let names = [&b"SCHILY.xattr."[..], b"LIBARCHIVE.xattr."];
                if let Some(name) = names.iter().find_map(|start| key.strip_prefix(*start)) {
                    self.attributes.push(shown(name));
                }
            }
        }
        Ok(())
    }
}

/// The path of a header without extension: the prefix field is ustar's, GNU uses it for times.
fn own_path(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = text(part(header, field::NAME));
    let prefix = text(part(header, field::PREFIX));
    if part(header, field::MAGIC) != b"ustar\0" || prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

fn part(header: &[u8; BLOCK], (start, len): (usize, usize)) -> &[u8] {
    header.get(start..start + len).unwrap_or(&[])
}

/// Up to the first NUL, and no longer than a path can be (the caller refuses what is longer).
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    field.get(..end.min(PATH_MAX + 1)).unwrap_or(&[])
}

/// A number field: octal text, or GNU's base 256 when the first bit is set.
fn number(header: &[u8; BLOCK], place: (usize, usize)) -> Option<i64> {
    let bytes = part(header, place);
    let first = *bytes.first()?;
    if first & 0x80 == 0 {
        let digits = text(bytes).trim_ascii();
        if digits.is_empty() {
            return Some(0);
        }
        return i64::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok();
    }
    let negative = first & 0x40 != 0;
    let mut value: i64 = if negative { -1 } else { 0 };
    for (index, &byte) in bytes.iter().enumerate() {
        let byte = if index == 0 && !negative { byte & 0x7f } else { byte };
        value = value.checked_mul(256)?.checked_add(i64::from(byte))?;
    }
    Some(value)
}

fn decimal<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn malformed(what: &str) -> Refusal {
    Refusal::new(format!("the tar file is refused: {what}"))
}

fn unread(error: &io::Error) -> Refusal {
    Refusal::new(format!("the tar file could not be read: {error}"))
}

#[cfg(test)]
mod tests;
