//! A file that takes the place of another one once its last byte is written, or not at all.
//!
//! For artifacts that are written when a run is over: what stood there stays until something whole
//! can stand there instead.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A file on its way to its name. Dropped before [`Beside::put`], nothing of it stays.
#[derive(Debug)]
pub struct Beside {
    file: File,
    path: PathBuf,
    /// Absent where `path` is a pipe or a device, which is written to as it is.
    temporary: Option<PathBuf>,
}

impl Beside {
    /// Opens a new file in the folder of `path`; `id` makes its name one that nobody else uses.
    ///
    /// # Errors
    /// When that cannot be done, or `path` is a folder.
    pub fn create(path: &Path, id: &str) -> io::Result<Self> {
        // A link stays one: what it names is replaced.
        let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut options = File::options();
        options.write(true).mode(0o600).custom_flags(libc::O_CLOEXEC);
        if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
            return Ok(Self { file: options.open(path)?, path: path.to_owned(), temporary: None });
        }
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{id}.tmp"));
        let temporary = path.with_file_name(name);
        let file = options.create_new(true).open(&temporary)?;
        Ok(Self { file, path: path.to_owned(), temporary: Some(temporary) })
    }

    /// What is written to.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When its bytes or its name could not be made durable; what stood there then still does.
    pub fn put(mut self) -> io::Result<()> {
        if let Some(temporary) = &self.temporary {
            // A name must never lead to bytes that a power cut can still take away.
            self.file.sync_all()?;
            fs::rename(temporary, &self.path)?;
            self.temporary = None;
        }
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::Beside;

    #[test]
    fn what_stood_there_stays_until_something_whole_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.tar");
        fs::write(&path, "old").unwrap();
        let beside = Beside::create(&path, "1").unwrap();
        beside.file().write_all(b"half").unwrap();
        drop(beside);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let beside = Beside::create(&path, "1").unwrap();
        beside.file().write_all(b"new").unwrap();
        beside.put().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("s.tar", &link).unwrap();
        Beside::create(&link, "1").unwrap().put().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"");
        let null = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &null).unwrap();
        Beside::create(&null, "1").unwrap().put().unwrap();
        assert!(Beside::create(folder.path(), "1").is_err());
        Beside::create("/dev/null".as_ref(), "1").unwrap().put().unwrap();
    }
}
