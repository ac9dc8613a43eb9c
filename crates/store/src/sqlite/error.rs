//! SQLite's errors and the system's, as [`StoreError`]: the one place that tells a full disk from a
//! read-only one. It knows no table.

use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::ErrorCode;

use crate::domain::StoreError;

/// What [`probe`] tries to write: more than SQLite needs to begin a transaction (32 KiB of shared
/// memory and a page of log).
const PROBE_BYTES: usize = 64 * 1024;

/// `place` is the database file.
pub(crate) fn from_sqlite(place: &Path, error: &rusqlite::Error) -> StoreError {
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { place: shown(place) },
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied,
        ) => ask_the_disk(place, error, reason),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(place, &reason),
        Some(_) => StoreError::Unavailable { reason: format!("{}: {reason}", place.display()) },
        None => match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..) => damaged(place, &reason),
            _ => StoreError::Unavailable { reason: format!("{}: {reason}", place.display()) },
        },
    }
}

/// An error of the file system at `place`.
pub(crate) fn from_io(place: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            StoreError::Full { place: shown(place) }
        }
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::NotFound => {
            StoreError::ReadOnly { place: shown(place), reason: error.to_string() }
        }
        _ => StoreError::Unavailable { reason: format!("{}: {error}", place.display()) },
    }
}

/// Writes to the folder, so that the system says itself what is wrong with it.
pub(crate) fn probe(folder: &Path) -> Result<(), StoreError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!(".probe-{}-{count}", std::process::id()));
    let written = std::fs::File::create_new(&path).and_then(|mut file| {
        let written = file.write_all(&[0; PROBE_BYTES]).and_then(|()| file.sync_data());
        written.and(std::fs::remove_file(&path))
    });
    written.map_err(|error| {
        // Nothing may be there to remove, and what failed is told already.
        drop(std::fs::remove_file(&path));
        from_io(folder, &error)
    })
}

/// SQLite reports most failures of system calls as one "I/O error" or "cannot open", and keeps errno
/// to itself; a write next to the file gets the same answer from the system.
fn ask_the_disk(place: &Path, error: &rusqlite::Error, reason: String) -> StoreError {
    let folder = place.parent().unwrap_or(place);
    match (probe(folder), error.sqlite_error_code()) {
        (Err(told), _) => told,
        (Ok(()), Some(ErrorCode::SystemIoFailure)) => {
            StoreError::Unavailable { reason: format!("{}: {reason}", place.display()) }
        }
        (Ok(()), _) => StoreError::ReadOnly { place: shown(place), reason },
    }
}

fn damaged(place: &Path, reason: &str) -> StoreError {
    let file = place.file_name().unwrap_or_default().display();
    StoreError::Damaged {
        place: shown(place),
        reason: format!(
            "{reason}; stop shieldx and move {file}* out of the folder to begin with an empty one, \
             or put back a copy; `sqlite3 {file} .recover` saves what can be read"
        ),
    }
}

fn shown(place: &Path) -> String {
    place.display().to_string()
}
