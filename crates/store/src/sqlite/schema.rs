//! Opens the database files: how SQLite is set up, and the steps from one schema to the next. A
//! file written by a newer shieldx is refused, never guessed at.

use std::cmp::Ordering;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::error::{from_io, from_sqlite};
use crate::domain::StoreError;

/// How long a statement waits for another process that writes (`shieldx key create`).
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How often opening is tried while other processes open or close the same file.
const OPEN_TRIES: u32 = 100;
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// Prepared statements kept per connection; more than the rooms here have.
const STATEMENTS_MAX: usize = 64;

/// What a file is for: its name and how its tables came to be, oldest step first. A step that was
/// released is never changed; `PRAGMA user_version` counts the steps done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schema {
    pub(crate) file: &'static str,
    steps: &'static [&'static str],
}

pub(crate) const CONTROL: Schema =
    Schema { file: "control.db", steps: &[include_str!("schema/control-1.sql")] };

pub(crate) const FEATURES: Schema =
    Schema { file: "features.db", steps: &[include_str!("schema/features-1.sql")] };

/// Makes the folder, for its owner alone. One that is there keeps its mode, unless it is empty:
/// somebody may have decided it, and every file in it is for its owner alone anyway.
pub(crate) fn prepare_folder(folder: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| from_io(folder, &error))?;
    let mut entries = std::fs::read_dir(folder).map_err(|error| from_io(folder, &error))?;
    if entries.next().is_none() {
        std::fs::set_permissions(folder, Permissions::from_mode(0o700))
            .map_err(|error| from_io(folder, &error))?;
    }
    Ok(())
}

/// The connection that writes, its tables as this version knows them.
pub(crate) fn open_writer(folder: &Path, schema: Schema) -> Result<Connection, StoreError> {
    let path = folder.join(schema.file);
    create_private(&path)?;
    let mut tries_left = OPEN_TRIES;
    loop {
        match open_and_migrate(&path, schema) {
            // Around turning WAL on and off SQLite says busy without waiting.
            Err(Refused::Sqlite(error)) if is_busy(&error) && tries_left > 0 => {
                tries_left -= 1;
                std::thread::sleep(OPEN_PAUSE);
            }
            Err(Refused::Sqlite(error)) => return Err(from_sqlite(&path, &error)),
            Err(Refused::Newer { version }) => return Err(newer(&path, version, schema)),
            Ok(connection) => return Ok(connection),
        }
    }
}

/// Why a file was not opened.
enum Refused {
    Sqlite(rusqlite::Error),
    Newer { version: usize },
}

fn open_and_migrate(path: &Path, schema: Schema) -> Result<Connection, Refused> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(Refused::Sqlite)?;
    let version = set_up_to_write(&connection).map_err(Refused::Sqlite)?;
    match version.cmp(&schema.steps.len()) {
        Ordering::Less => migrate(&mut connection, schema).map_err(Refused::Sqlite)?,
        Ordering::Equal => {}
        Ordering::Greater => return Err(Refused::Newer { version }),
    }
    Ok(connection)
}

/// Gives the version of the file.
fn set_up_to_write(connection: &Connection) -> Result<usize, rusqlite::Error> {
    set_up(connection)?;
    use_log(connection)?;
    // A commit is on the disk before it is told; NORMAL may lose the last ones with the power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    read_version(connection)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn newer(path: &Path, version: usize, schema: Schema) -> StoreError {
    StoreError::Unavailable {
        reason: format!(
            "{} was written by a newer shieldx (schema {version}, this one knows {}): use the newer \
             one, or another folder",
            path.display(),
            schema.steps.len()
        ),
    }
}

/// A connection that cannot write.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    set_up(&connection)?;
    Ok(connection)
}

/// SQLite gives its `-wal` and `-shm` files the mode of this one. A file that exists is not opened:
/// closing it would drop the locks that another connection of this process has on it
/// (<https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>).
fn create_private(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(path);
    let made = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        // A new name is durable when its folder is synced (fsync(2)).
        Ok(_) => File::open(folder).and_then(|folder| folder.sync_all()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    };
    made.map_err(|error| from_io(folder, &error))
}

fn set_up(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)
}

/// Writes go to a log first (WAL), so that reading and writing do not wait for each other; kept in
/// the file. Where the file system cannot do it, SQLite quietly stays with what it has.
fn use_log(connection: &Connection) -> Result<(), rusqlite::Error> {
    let mode = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", mode)?;
    if mode == "wal" {
        return Ok(());
    }
    let reason = format!("the file system cannot share memory, which WAL needs (it is {mode:?})");
    Err(rusqlite::Error::ToSqlConversionFailure(reason.into()))
}

/// Every step in one transaction: two processes that open a new folder at once do not meet halfway.
fn migrate(connection: &mut Connection, schema: Schema) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = read_version(&transaction)?;
    for step in schema.steps.iter().skip(version) {
        transaction.execute_batch(step)?;
    }
    let known = i64::try_from(schema.steps.len()).unwrap_or(0);
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()
}

fn read_version(connection: &Connection) -> Result<usize, rusqlite::Error> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // Below zero was never written by us: as good as newer than everything.
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}
