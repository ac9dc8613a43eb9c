//! Where traces go that are to outlive memory and the process, as a trait: the rooms that know disks
//! are above this one.
//!
//! A record is bytes; what is in them is known here ([`Trace`] and [`Summary`] as JSON) and nowhere
//! else.

use std::fmt::Debug;
use std::io;

use super::shape::{Summary, Trace};

/// A trace's id, as the sixteen bytes it is.
pub type TraceKey = [u8; 16];

/// Keeps records by trace. Calls block; only [`Archive::put`] is to write, and it is called by one
/// thread.
pub trait Archive: Send + Sync + Debug {
    /// Keeps a trace. What was kept under the same key is replaced. Room is made by forgetting the
    /// oldest.
    ///
    /// # Errors
    /// When it is not kept; what was kept before still is.
    fn put(&self, key: TraceKey, summary: &[u8], trace: &[u8]) -> Result<(), ArchiveError>;

    /// A trace, `None` when there is none of this key.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    fn get(&self, key: TraceKey) -> Result<Option<Vec<u8>>, ArchiveError>;

    fn contains(&self, key: TraceKey) -> bool;

    /// The summaries of the traces kept last, the newest first; maybe not of all that are kept.
    fn newest(&self, limit: usize) -> Vec<Vec<u8>>;

    /// Bytes on disk.
    fn bytes(&self) -> u64;

    /// Traces that can be found.
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a trace was not archived, or not found again.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("a trace of {bytes} bytes is not archived: one may have {bytes_max}")]
    TooLarge { bytes: u64, bytes_max: u64 },
    #[error("the archive of traces cannot be written")]
    Write {
        #[source]
        source: io::Error,
    },
    #[error("the archive of traces cannot be read")]
    Read {
        #[source]
        source: io::Error,
    },
    #[error("a trace in the archive is damaged")]
    Damaged,
    #[error("a trace cannot be written as JSON")]
    Encode {
        #[source]
        source: serde_json::Error,
    },
}

/// Archives a trace; where an earlier part of it is there, both together.
pub(super) fn put(archive: &dyn Archive, key: TraceKey, trace: Trace) -> Result<(), ArchiveError> {
    // An earlier part that cannot be read again is lost either way.
    let earlier = get(archive, key).unwrap_or_default();
    let trace = match earlier {
        Some(earlier) => trace.joined(earlier),
        None => trace,
    };
    let encode = |source| ArchiveError::Encode { source };
    let summary = serde_json::to_vec(&trace.summary()).map_err(encode)?;
    let trace = serde_json::to_vec(&trace).map_err(encode)?;
    archive.put(key, &summary, &trace)
}

pub(super) fn get(archive: &dyn Archive, key: TraceKey) -> Result<Option<Trace>, ArchiveError> {
    let Some(bytes) = archive.get(key)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|_| ArchiveError::Damaged)
}

pub(super) fn newest(archive: &dyn Archive, limit: usize) -> Vec<Summary> {
    let summaries = archive.newest(limit);
    summaries.iter().filter_map(|bytes| serde_json::from_slice(bytes).ok()).collect()
}
