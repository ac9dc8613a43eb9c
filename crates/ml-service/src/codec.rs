//! How a batch lies in a segment's payload: own format, version 1.
//!
//! ```text
//! "SXF" 0x01            magic and version
//! crc32        u32 LE   IEEE, of everything that follows
//! created_us   i64 LE
//! rows, entities, columns                     varints
//! entities     each: length varint, UTF-8
//! rows         each: index of its entity, varint
//! event times  each: difference to the one before in µs, zigzag varint (the first: to 0)
//! columns      each:
//!   name       length varint, UTF-8
//!   kind       u8: 0 only nulls, 1 number, 2 string, 3 bool
//!   cells      u8: 0 every row has a value; 1 two bits per row, four rows per byte, lowest first:
//!              0 nothing said, 1 null, 2 a value
//!   values     those rows that have one, in order
//!     number   u8: 0 all integers, each zigzag varint; 1 all doubles, each 8 bytes LE;
//!              2 mixed, each with a byte 0 or 1 before it
//!     string   each: length varint, UTF-8
//!     bool     one bit each, eight per byte, lowest first
//! ```
//!
//! Varints are LEB128, at most ten bytes. Nothing follows the last column. Reading trusts nothing:
//! any bytes give a batch or a [`CodecError`], never a panic, and reserve memory only in proportion
//! to the bytes that are there.

mod crc;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::Decoder;
pub use write::encode;

/// Magic and version.
const HEAD: [u8; 4] = *b"SXF\x01";
/// Where the part that the checksum covers begins.
const BODY_AT: usize = 8;
/// More rows than any batch that was ever accepted.
const ROWS_MAX: usize = 1_000_000;
/// More columns than any view may have.
const COLUMNS_MAX: usize = 4_096;

const KIND_NULLS: u8 = 0;
const KIND_NUMBER: u8 = 1;
const KIND_STRING: u8 = 2;
const KIND_BOOL: u8 = 3;

const CELLS_ALL: u8 = 0;
const CELLS_MARKED: u8 = 1;
const MARK_NOTHING: u8 = 0;
const MARK_NULL: u8 = 1;
const MARK_VALUE: u8 = 2;

const NUMBERS_INTEGER: u8 = 0;
const NUMBERS_DOUBLE: u8 = 1;
const NUMBERS_MIXED: u8 = 2;

/// Why bytes are no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("the payload ends early")]
    Short,
    #[error("the payload is of another format or version")]
    Version,
    #[error("the checksum is {stored:08x}, the bytes have {computed:08x}")]
    Checksum { stored: u32, computed: u32 },
    #[error("the payload says something that cannot be: {what}")]
    Malformed { what: &'static str },
}
