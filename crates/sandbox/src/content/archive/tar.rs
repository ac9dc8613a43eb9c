//! Members of a tar file in memory: POSIX ustar, pax and GNU names.

use std::ops::Range;

const BLOCK: usize = 512;
const NAME: Range<usize> = 0..100;
const SIZE: Range<usize> = 124..136;
const SUM: Range<usize> = 148..156;
const FLAG: usize = 156;
const PREFIX: Range<usize> = 345..500;
/// Names in extended headers, at most.
const LONG_NAME_MAX: usize = 64 << 10;

pub(super) struct Entry<'a> {
    pub(super) name: Vec<u8>,
    pub(super) content: &'a [u8],
}

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// A name from an extended header, for the next member.
    long: Option<Vec<u8>>,
}

/// Whether the first block is a header whose checksum is right.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.get(..BLOCK).is_some_and(is_header)
}

fn is_header(block: &[u8]) -> bool {
    let sum: u64 = block
        .iter()
        .enumerate()
        .map(|(index, &byte)| if SUM.contains(&index) { 32 } else { u64::from(byte) })
        .sum();
    block.get(SUM).and_then(number) == Some(sum) && block.first() != Some(&0)
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, long: None }
    }

    /// The next regular file.
    ///
    /// # Errors
    /// When the archive is damaged from here on.
    pub(super) fn next(&mut self) -> Result<Option<Entry<'a>>, String> {
        loop {
            let Some(header) = self.bytes.get(self.at..self.at.saturating_add(BLOCK)) else {
                return Ok(None);
            };
            if header.iter().all(|&byte| byte == 0) {
                return Ok(None);
            }
            if !is_header(header) {
                return Err("it is damaged: the checksum of a header is wrong".to_owned());
            }
            let size =
                header.get(SIZE).and_then(number).and_then(|size| usize::try_from(size).ok());
            let size = size.ok_or("it is damaged: the size of a member is no number")?;
            let start = self.at + BLOCK;
            let end = start.checked_add(size).filter(|&end| end <= self.bytes.len());
            let end = end.ok_or("it was cut off")?;
            let content = self.bytes.get(start..end).unwrap_or_default();
            self.at = end.next_multiple_of(BLOCK);
            match header.get(FLAG) {
                Some(b'L') => {
                    let name = content.get(..LONG_NAME_MAX).unwrap_or(content);
                    self.long = Some(until_zero(name).to_vec());
                }
                Some(b'x') => self.long = path_of(content).or(self.long.take()),
                Some(b'0' | b'7' | 0) => {
                    let name = self.long.take().unwrap_or_else(|| short_name(header));
                    return Ok(Some(Entry { name, content }));
                }
                Some(b'K' | b'g') => {}
                // Folders, links, devices: no content.
                _ => self.long = None,
            }
        }
    }
}

/// Octal digits, or a number in base 256 behind a set high bit.
fn number(field: &[u8]) -> Option<u64> {
    if field.first()? & 0x80 != 0 {
        let (first, rest) = field.split_first()?;
        let mut value = u64::from(first & 0x7f);
        for &byte in rest {
            value = value.checked_mul(256)?.checked_add(u64::from(byte))?;
        }
        return Some(value);
    }
    let text = std::str::from_utf8(until_zero(field)).ok()?.trim();
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

fn until_zero(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn short_name(header: &[u8]) -> Vec<u8> {
    let part = |range: Range<usize>| until_zero(header.get(range).unwrap_or_default());
    let (prefix, name) = (part(PREFIX), part(NAME));
    if prefix.is_empty() || header.get(257..262) != Some(b"ustar") {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

/// The record `path` of a pax header: `LENGTH path=NAME\n`.
fn path_of(records: &[u8]) -> Option<Vec<u8>> {
    records.split(|&byte| byte == b'\n').find_map(|record| {
        let space = record.iter().position(|&byte| byte == b' ')?;
        let name = record.get(space + 1..)?.strip_prefix(b"path=")?;
        Some(name.get(..LONG_NAME_MAX).unwrap_or(name).to_vec())
    })
}
