//! How records and headers are written: lengths and checksums, so that whatever is read is either what
//! was written or known to be something else.

use crc32fast::Hasher;

use super::JournalError;

const MAGIC: [u8; 7] = *b"SHXJRNL";
/// The version of the format, the digit after the magic.
const VERSION: u8 = b'1';
/// Magic, version, number, CRC-32.
pub(super) const HEADER_BYTES: u64 = 20;
/// Length and CRC-32.
const FRAME_BYTES: usize = 8;

/// What a file begins with.
pub(super) fn header(number: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    bytes.extend(number.to_le_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// What is found where a header should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    Good,
    OtherVersion,
    Bad,
}

/// Looks at a file's header and gives what comes after it.
pub(super) fn check_header(bytes: &[u8], number: u64) -> (Head, &[u8]) {
    let expected = header(number);
    let (head, rest) = bytes.split_at(bytes.len().min(expected.len()));
    if head == expected {
        return (Head::Good, rest);
    }
    let digit = |version: &u8| version.is_ascii_digit() && *version != VERSION;
    if head.starts_with(&MAGIC) && head.get(MAGIC.len()).is_some_and(digit) {
        return (Head::OtherVersion, rest);
    }
    (Head::Bad, rest)
}

/// Appends a record as a frame.
pub(super) fn put(out: &mut Vec<u8>, record: &[u8], max_bytes: u32) -> Result<(), JournalError> {
    let len = u32::try_from(record.len()).ok().filter(|len| *len <= max_bytes);
    let Some(len) = len else {
        let (bytes, max_bytes) = (record.len() as u64, u64::from(max_bytes));
        return Err(JournalError::TooLarge { bytes, max_bytes });
    };
    out.extend(len.to_le_bytes());
    out.extend(checksum(len, record).to_le_bytes());
    out.extend(record);
    Ok(())
}

/// The first frame's record and what comes after it; `None` where there is no good one.
pub(super) fn take(bytes: &[u8], max_bytes: u32) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(FRAME_BYTES)?;
    let (len, sum) = head.split_first_chunk::<4>()?;
    let (len, sum) = (u32::from_le_bytes(*len), u32::from_le_bytes(sum.try_into().ok()?));
    if len > max_bytes {
        return None;
    }
    let (record, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    (checksum(len, record) == sum).then_some((record, rest))
}

/// Over the length, too: of zeros, as an interrupted write may leave them, it is not zero.
fn checksum(len: u32, record: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&len.to_le_bytes());
    hasher.update(record);
    hasher.finalize()
}
