//! Reads beside the writer: connections that cannot write, lent to threads that may wait.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::error::from_sqlite;
use super::schema::open_reader;
use crate::domain::StoreError;

/// Reads of one file at the same time.
const READERS_MAX: usize = 4;

/// How long a read waits for its turn before it is told that the store is busy.
const READ_WAIT: Duration = Duration::from_secs(5);

/// Reads one file. Cloning gives another handle to the same connections.
#[derive(Clone)]
pub(crate) struct Readers {
    path: Arc<PathBuf>,
    turns: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Readers {
    /// The first connection is opened at once, so that a file that cannot be read says so early.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let first = open_reader(path).map_err(|error| from_sqlite(path, &error))?;
        Ok(Self {
            path: Arc::new(path.to_owned()),
            turns: Arc::new(Semaphore::new(READERS_MAX)),
            idle: Arc::new(Mutex::new(vec![first])),
        })
    }

    /// Reads something in one transaction: every statement sees the same state.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    {
        let busy = || StoreError::Unavailable {
            reason: format!("too many reads wait for {}; try again", self.path.display()),
        };
        let turn = tokio::time::timeout(READ_WAIT, Arc::clone(&self.turns).acquire_owned());
        let turn = turn.await.map_err(|_| busy())?.map_err(|_| busy())?;
        let readers = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            // The turn lasts as long as the thread reads, even when nobody waits for it any more.
            let _turn = turn;
            readers.read_now(work).map_err(|error| from_sqlite(&readers.path, &error))
        });
        reading.await.map_err(|error| StoreError::Unavailable {
            reason: format!("reading {}: {error}", self.path.display()),
        })?
    }

    fn read_now<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, rusqlite::Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = idle.map_or_else(|| open_reader(&self.path), Ok)?;
        let transaction = connection.unchecked_transaction()?;
        let value = work(&transaction)?;
        drop(transaction);
        // A connection that failed is not lent again; the next read opens one.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(value)
    }
}
