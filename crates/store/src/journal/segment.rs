//! A file that is appended to, and one that is written whole.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::frame::{HEADER_BYTES, header};
use super::{JournalError, io_error};

#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    path: PathBuf,
    /// How much of it is durable.
    bytes: u64,
}

impl Segment {
    /// Makes a file with a header, on the disk but for its name in the folder.
    pub(super) fn create(path: &Path, number: u64) -> Result<Self, JournalError> {
        let file = write_new(path, &header(number), false)?;
        Ok(Self { file, path: path.to_owned(), bytes: HEADER_BYTES })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Durable when it returns `Ok`. After an error nothing more may be appended.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.bytes = self.bytes.saturating_add(bytes.len() as u64);
                Ok(())
            }
            Err(source) => {
                // What is left of it would be passed over when it is read; without it, it need not.
                drop(self.file.set_len(self.bytes));
                Err(io_error("append to", &self.path, source))
            }
        }
    }
}

/// Writes a file of one frame and syncs it; whatever had its name before is replaced.
pub(super) fn write_whole(path: &Path, number: u64, framed: &[u8]) -> Result<(), JournalError> {
    let mut bytes = header(number);
    bytes.extend_from_slice(framed);
    write_new(path, &bytes, true).map(drop)
}

fn write_new(path: &Path, bytes: &[u8], replace: bool) -> Result<File, JournalError> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if replace {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut file = options.open(path).map_err(|source| io_error("make", path, source))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(source) = written {
        drop(std::fs::remove_file(path));
        return Err(io_error("write", path, source));
    }
    Ok(file)
}

#[cfg(test)]
impl Segment {
    /// From now on every append fails.
    pub(super) fn break_for_test(&mut self, path: &Path) {
        self.file = File::open(path).unwrap();
    }
}
