//! Members of a zip file in memory, by its central directory (PKWARE APPNOTE 4.3).
//!
//! The directory is what every unpacker believes; the local headers are read only to find where the
//! bytes begin. Encrypted members and methods other than stored and deflate are left out with their
//! reason. Zip64 is needed for archives past 4 GiB, which are not read whole here anyway.

const END: &[u8] = b"PK\x05\x06";
const ENTRY: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
const END_BYTES: usize = 22;
/// The end of the directory may be followed by a comment of this length.
const COMMENT_MAX: usize = 0xffff;

pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    encrypted: bool,
    method: u16,
    packed_bytes: usize,
    local: usize,
}

pub(super) enum Content<'a> {
    Stored(&'a [u8]),
    Deflated(&'a [u8]),
}

/// The files of the directory, in its order.
///
/// # Errors
/// When there is no directory, or it is damaged.
pub(super) fn entries(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let from = bytes.len().saturating_sub(END_BYTES + COMMENT_MAX);
    let tail = bytes.get(from..).unwrap_or_default();
    let end = tail.windows(END.len()).rposition(|window| window == END);
    let end = from + end.ok_or("it has no directory")?;
    let damaged = || "its directory is damaged".to_owned();
    let count = u16_at(bytes, end + 10).ok_or_else(damaged)?;
    let mut at =
        usize::try_from(u32_at(bytes, end + 16).ok_or_else(damaged)?).unwrap_or(usize::MAX);
    let mut entries = Vec::new();
    for _ in 0..count {
        if !bytes.get(at..).is_some_and(|rest| rest.starts_with(ENTRY)) {
            return Err(damaged());
        }
        let length = |offset: usize| u16_at(bytes, at + offset).map(usize::from);
        let (name, extra, comment) = (length(28), length(30), length(32));
        let (Some(name), Some(extra), Some(comment)) = (name, extra, comment) else {
            return Err(damaged());
        };
        let entry = || {
            Some(Entry {
                name: bytes.get(at + 46..at + 46 + name)?.to_vec(),
                encrypted: u16_at(bytes, at + 8)? & 1 == 1,
                method: u16_at(bytes, at + 10)?,
                packed_bytes: usize::try_from(u32_at(bytes, at + 20)?).ok()?,
                local: usize::try_from(u32_at(bytes, at + 42)?).ok()?,
            })
        };
        let entry = entry().ok_or_else(damaged)?;
        if !entry.name.ends_with(b"/") {
            entries.push(entry);
        }
        at += 46 + name + extra + comment;
    }
    Ok(entries)
}

impl Entry {
    /// Where the bytes of the member lie.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub(super) fn content<'a>(&self, bytes: &'a [u8]) -> Result<Content<'a>, String> {
        if self.encrypted {
            return Err("a member is encrypted".to_owned());
        }
        let packed = self.packed(bytes).ok_or("the header of a member is damaged")?;
        match self.method {
            0 => Ok(Content::Stored(packed)),
            8 => Ok(Content::Deflated(packed)),
            other => Err(format!("a member is packed by method {other}")),
        }
    }

    fn packed<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let local = bytes.get(self.local..)?;
        let header = 30 + usize::from(u16_at(local, 26)?) + usize::from(u16_at(local, 28)?);
        if !local.starts_with(LOCAL) {
            return None;
        }
        local.get(header..header.checked_add(self.packed_bytes)?)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
