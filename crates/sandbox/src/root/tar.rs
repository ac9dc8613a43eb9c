//! The tar format, as POSIX.1-2024 (pax) and GNU tar write it: what both directions share.

pub(crate) mod read;
pub(crate) mod write;

/// Everything in a tar file is padded to this many bytes.
pub(crate) const BLOCK: usize = 512;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Symlink,
    HardLink,
    /// A character or block device.
    Device,
    Fifo,
    /// Something this reader does not know; it has no content of interest.
    Other(u8),
}

/// Fields of a header, `(offset, length)`; POSIX.1-2024, pax, "ustar Interchange Format".
pub(crate) mod field {
    pub(crate) const NAME: (usize, usize) = (0, 100);
    pub(crate) const MODE: (usize, usize) = (100, 8);
    pub(crate) const UID: (usize, usize) = (108, 8);
    pub(crate) const GID: (usize, usize) = (116, 8);
    pub(crate) const SIZE: (usize, usize) = (124, 12);
    pub(crate) const MTIME: (usize, usize) = (136, 12);
    pub(crate) const CHECKSUM: (usize, usize) = (148, 8);
    pub(crate) const TYPE: usize = 156;
    pub(crate) const LINK: (usize, usize) = (157, 100);
    pub(crate) const MAGIC: (usize, usize) = (257, 6);
    pub(crate) const VERSION: (usize, usize) = (263, 2);
    pub(crate) const PREFIX: (usize, usize) = (345, 155);
}

/// The header's checksum: the sum of its bytes with the checksum's own taken as spaces.
pub(crate) fn checksum(header: &[u8; BLOCK]) -> u64 {
    let (start, len) = field::CHECKSUM;
    let own = start..start + len;
    let byte = |(at, &byte): (usize, &u8)| u64::from(if own.contains(&at) { b' ' } else { byte });
    header.iter().enumerate().map(byte).sum()
}
