//! One trace as bytes of a segment.
//!
//! ```text
//! bytes  0 ..  4   TRC1
//! bytes  4 ..  8   length of the summary
//! bytes  8 .. 12   length of the trace
//! bytes 12 .. 28   key
//! bytes 28 .. 32   CRC-32 of the trace
//! bytes 32 .. 36   CRC-32 of bytes 0 .. 32 and the summary
//! then             summary, trace
//! ```
//!
//! Integers are little-endian. Head and summary have a sum of their own, so that a folder can be looked
//! through without reading every trace.

use crc32fast::Hasher;
use runtime::telemetry::TraceKey;

const MAGIC: [u8; 4] = *b"TRC1";
/// Of what comes before the summary.
pub(super) const HEAD_BYTES: usize = 36;

/// What a record says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) key: TraceKey,
    pub(super) summary_len: u32,
    pub(super) trace_len: u32,
    trace_sum: u32,
    head_sum: u32,
}

impl Head {
    /// `None` when these bytes do not begin a record.
    pub(super) fn read(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let word = |at: usize| {
            let word = bytes.get(at..at + 4)?;
            Some(u32::from_le_bytes(word.try_into().ok()?))
        };
        (bytes.get(..4)? == MAGIC).then_some(())?;
        Some(Self {
            key: bytes.get(12..28)?.try_into().ok()?,
            summary_len: word(4)?,
            trace_len: word(8)?,
            trace_sum: word(28)?,
            head_sum: word(32)?,
        })
    }

    /// Bytes of the whole record.
    pub(super) fn record_bytes(&self) -> u64 {
        HEAD_BYTES as u64 + u64::from(self.summary_len) + u64::from(self.trace_len)
    }

    /// Whether head and summary are what was written.
    pub(super) fn fits(&self, summary: &[u8]) -> bool {
        self.head_sum == head_sum(&self.bytes(), summary)
    }

    /// Whether this is the trace that was written.
    pub(super) fn fits_trace(&self, trace: &[u8]) -> bool {
        self.trace_sum == crc32fast::hash(trace)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.summary_len.to_le_bytes());
        bytes.extend(self.trace_len.to_le_bytes());
        bytes.extend(self.key);
        bytes.extend(self.trace_sum.to_le_bytes());
        bytes
    }
}

/// A record; `None` when one of its parts is longer than a length can say.
pub(super) fn encode(key: TraceKey, summary: &[u8], trace: &[u8]) -> Option<(Head, Vec<u8>)> {
    let mut head = Head {
        key,
        summary_len: u32::try_from(summary.len()).ok()?,
        trace_len: u32::try_from(trace.len()).ok()?,
        trace_sum: crc32fast::hash(trace),
        head_sum: 0,
    };
    let mut bytes = head.bytes();
    head.head_sum = head_sum(&bytes, summary);
    bytes.extend(head.head_sum.to_le_bytes());
    bytes.extend(summary);
    bytes.extend(trace);
    Some((head, bytes))
}

fn head_sum(head: &[u8], summary: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(head);
    hasher.update(summary);
    hasher.finalize()
}
