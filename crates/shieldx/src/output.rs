//! Files the program writes: checked before anything runs, written whole or not at all.
//!
//! A file appears under its name by `rename`, after its last byte. Between check and write nothing
//! is left in the folder, so a killed `shieldx` leaves no half file behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use types::Text;

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    #[error("cannot write to {path}")]
    Unwritable {
        path: Text,
        #[source]
        source: io::Error,
    },
    #[error("cannot write to {path}: it is a folder")]
    Folder { path: Text },
    #[error("{path} was not written")]
    Write {
        path: Text,
        #[source]
        source: io::Error,
    },
}

/// A place that could be written to when it was checked.
#[derive(Debug, Clone)]
pub struct Destination {
    path: PathBuf,
    /// False for a pipe or a device such as `/dev/stdout`: those are written to directly.
    replaces: bool,
}

impl Destination {
    /// Makes sure that the file can be created in its folder, and leaves the folder as it was.
    ///
    /// # Errors
    /// When it cannot.
    pub fn check(path: &Path) -> Result<Self, OutputError> {
        let shown = || Text::from(path.as_os_str().as_bytes());
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => return Err(OutputError::Folder { path: shown() }),
            Ok(meta) if !meta.is_file() => {
                return Ok(Self { path: path.to_path_buf(), replaces: false });
            }
            _ => {}
        }
        let unwritable = |source| OutputError::Unwritable { path: shown(), source };
        // A symbolic link keeps pointing where it points; the file behind it is replaced.
        let path = match fs::canonicalize(path) {
            Ok(resolved) => resolved,
            Err(_) if fs::symlink_metadata(path).is_ok() => {
                return Err(unwritable(io::Error::other("a symbolic link that points nowhere")));
            }
            Err(_) => absolute(path).map_err(unwritable)?,
        };
        if fs::metadata(&path).is_ok_and(|meta| meta.permissions().readonly()) {
            return Err(unwritable(io::ErrorKind::PermissionDenied.into()));
        }
        let destination = Self { path, replaces: true };
        let (probe, file) = destination.create_beside().map_err(unwritable)?;
        // One byte, because a full disk can still create empty files.
        let written = (&file).write_all(b"\n");
        let removed = fs::remove_file(&probe);
        written.and(removed).map_err(unwritable)?;
        Ok(destination)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is replaced as a whole (and not a pipe or device that is written to).
    #[must_use]
    pub fn replaces(&self) -> bool {
        self.replaces
    }

    /// Writes the file with `content` and puts it in place.
    ///
    /// # Errors
    /// When a byte could not be written; the folder then holds what it held before.
    pub fn write(
        &self,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        let failed = |source| OutputError::Write {
            path: Text::from(self.path.as_os_str().as_bytes()),
            source,
        };
        if !self.replaces {
            let file = OpenOptions::new().append(true).open(&self.path).map_err(failed)?;
            return fill(file, content).map(drop).map_err(failed);
        }
        let (temporary, file) = self.create_beside().map_err(failed)?;
        let result = fill(file, content)
            // A name must never lead to bytes that a power cut can still take away.
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&temporary, &self.path));
        result.map_err(|source| {
            // The first error is the one worth telling.
            let _ = fs::remove_file(&temporary);
            failed(source)
        })
    }

    /// A new file in the destination's folder, so that `rename` stays on one file system.
    fn create_beside(&self) -> io::Result<(PathBuf, File)> {
        let mut name = std::ffi::OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(format!(".{}.tmp", uuid::Uuid::now_v7().simple()));
        let path = self.path.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok((path, file))
    }
}

fn fill(file: File, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<File> {
    let mut writer = BufWriter::new(file);
    content(&mut writer)?;
    writer.into_inner().map_err(io::IntoInnerError::into_error)
}

/// The path with its folder resolved; the folder must exist and the name be a name.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("it has no file name"))?;
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return Err(io::Error::other("it ends in a slash"));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok(folder.canonicalize()?.join(name))
}

/// Writes to standard output. A reader that has gone away is not an error: `shieldx … | head` ends
/// quietly.
///
/// # Errors
/// Any other error of the stream.
pub fn to_stdout(
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), OutputError> {
    let stdout = io::stdout().lock();
    let mut writer = BufWriter::new(stdout);
    let result = content(&mut writer).and_then(|()| writer.flush());
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            // What is still in the buffer would be tried again on drop.
            let _ = writer.into_parts();
            Ok(())
        }
        Err(source) => {
            let _ = writer.into_parts();
            Err(OutputError::Write { path: Text::from("standard output"), source })
        }
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::Destination;
    use std::io;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        std::fs::write(&path, "old").unwrap();
        let destination = Destination::check(&path).unwrap();
        let error = destination
            .write(|out| {
                out.write_all(b"half")?;
                Err(io::ErrorKind::StorageFull.into())
            })
            .unwrap_err();
        assert!(error.to_string().contains("was not written"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        destination.write(|out| out.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn impossible_places_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "missing/x", "x/"] {
            assert!(Destination::check(&folder.path().join(name)).is_err(), "{name}");
        }
        assert!(Destination::check("/proc/nothing".as_ref()).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let null = Destination::check("/dev/null".as_ref()).unwrap();
        null.write(|out| out.write_all(b"x")).unwrap();
        assert!(!null.replaces());
    }
}
