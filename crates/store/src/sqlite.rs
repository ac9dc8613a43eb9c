//! The embedded backend: two SQLite files in one folder. `control.db` holds keys, the queue, reports
//! and sessions, `features.db` the feature history, so that a flood of history does not delay a
//! commit of the queue.
//!
//! Each file has one writing thread ([`writer`]) and a few read-only connections ([`readers`]). The
//! statements are in one module per trait. SQLite is named nowhere outside this module.

mod commits;
mod error;
mod features;
mod health;
mod keys;
mod queue;
mod readers;
mod rows;
mod schema;
mod sessions;
mod verifications;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use runtime::metrics::Metrics;
use rusqlite::{Connection, OptionalExtension as _};
use types::Tenant;

use self::commits::Commits;
pub(crate) use self::error::{from_io, probe};
use self::readers::Readers;
use self::schema::Schema;
use self::writer::Writer;
use crate::domain::StoreError;

/// Held by the one process that serves from a folder.
const LOCK_FILE: &str = "serving.lock";

/// A server that was killed a moment ago may have left a child that is being cleaned up and still
/// has the lock: this often the lock is tried again, with a pause of [`LOCK_PAUSE`].
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Everything the embedded backend keeps, behind the traits of [`crate::domain`].
///
/// Calls need a tokio runtime. Dropping it finishes what was begun and closes the files.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    control: Database,
    features: Database,
    commits: commits::Files,
    /// Unlocked when it is closed, however the process ends.
    _lock: Option<File>,
}

impl Store {
    /// Opens the folder, making it and its files where they are not there; for commands that work
    /// beside a server (`shieldx key create`). Blocks shortly.
    ///
    /// # Errors
    /// A folder that cannot be written, a full disk, a file that is damaged or written by a newer
    /// version.
    pub fn open(folder: &Path) -> Result<Arc<Self>, StoreError> {
        schema::prepare_folder(folder)?;
        Self::open_files(folder, None)
    }

    /// The same for a server, of which a folder has at most one: only then may what runs be taken
    /// for abandoned at start.
    ///
    /// # Errors
    /// As [`Store::open`]; [`StoreError::Unavailable`] when another process serves from the folder.
    pub fn open_exclusive(folder: &Path) -> Result<Arc<Self>, StoreError> {
        schema::prepare_folder(folder)?;
        let lock = lock(folder)?;
        Self::open_files(folder, Some(lock))
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds what is told of commits to a service's metrics. The files are the process's: give them one
    /// place.
    pub fn register(&self, metrics: &Metrics) {
        self.commits.register(metrics);
    }

    fn open_files(folder: &Path, lock: Option<File>) -> Result<Arc<Self>, StoreError> {
        let commits = commits::Files::new();
        Ok(Arc::new(Self {
            folder: folder.to_owned(),
            control: Database::open(folder, schema::CONTROL, commits.of("control"))?,
            features: Database::open(folder, schema::FEATURES, commits.of("features"))?,
            commits,
            _lock: lock,
        }))
    }
}

impl Store {
    /// One value of `control.db`, found by a tenant and a name.
    async fn find_bytes(
        &self,
        sql: &'static str,
        tenant: &Tenant,
        name: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (tenant, name) = (tenant.clone(), name.to_owned());
        let find = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_row((tenant.as_str(), name), |row| row.get(0)).optional()
        };
        self.control.read(find).await
    }
}

/// One file.
#[derive(Debug)]
struct Database {
    // Dropped in this order: the connection that writes is the last one, and clears the log.
    readers: Readers,
    writer: Writer,
}

impl Database {
    fn open(folder: &Path, schema: Schema, commits: Commits) -> Result<Self, StoreError> {
        let path = folder.join(schema.file);
        let connection = schema::open_writer(folder, schema)?;
        let readers = Readers::open(&path)?;
        Ok(Self { readers, writer: Writer::start(connection, path, commits)? })
    }

    /// See [`Writer::write`]; for commands whose payload is small.
    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    {
        self.writer.write(0, work).await
    }

    /// See [`Readers::read`].
    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    {
        self.readers.read(work).await
    }
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK_FILE);
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let mut file = opened.map_err(|error| from_io(&path, &error))?;
    for tries_left in (0..LOCK_TRIES).rev() {
        match file.try_lock() {
            Ok(()) => {
                // Who holds it, for the message below; the lock itself is the kernel's.
                let written = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                written.map_err(|error| from_io(&path, &error))?;
                return Ok(file);
            }
            Err(TryLockError::WouldBlock) if tries_left > 0 => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(error)) => return Err(from_io(&path, &error)),
        }
    }
    let mut holder = String::new();
    let read = (&mut file).take(20).read_to_string(&mut holder);
    let holder = if read.is_ok() && !holder.is_empty() {
        format!(" (process {holder:?})")
    } else {
        String::new()
    };
    Err(StoreError::Unavailable {
        reason: format!(
            "another server{holder} uses {}: stop it, or name another folder",
            folder.display()
        ),
    })
}
