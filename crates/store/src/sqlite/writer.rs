//! The one thread that writes to a file, and its group commit: what is waiting is done in one
//! transaction, so that the disk is waited for once. It knows no table.
//!
//! **Invariant:** a command is answered with success only after the COMMIT that holds it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::commits::Commits;
use super::error::from_sqlite;
use super::schema::BUSY_TIMEOUT;
use crate::domain::StoreError;

/// Commands in one transaction.
const GROUP_MAX: usize = 1_000;

/// How long a transaction goes on taking commands that wait already. It never waits for more: while
/// one group is being written to the disk, the next one gathers.
const GROUP_TIME: Duration = Duration::from_millis(2);

/// Bytes that may wait in memory for the thread, as [`COMMAND_KIB`] and payload of each command.
const QUEUE_KIB: u32 = 64 * 1024;

/// What a command weighs without its payload. With [`QUEUE_KIB`], at most 4,096 of them wait.
const COMMAND_KIB: u32 = 16;

/// How long a command waits for room in the queue before it is told that the store is busy.
const QUEUE_WAIT: Duration = Duration::from_secs(2);

/// Beyond this the log (`-wal`) is emptied even if readers must be waited for; SQLite does it by
/// itself from 4 MiB on, but only when it meets a moment without any. After a failure, tried again
/// when the log has grown as much again.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How long writes stand still for it.
const LOG_WAIT: Duration = Duration::from_millis(500);

/// Takes commands for one file. Dropping it finishes what was taken and ends the thread.
pub(crate) struct Writer {
    path: PathBuf,
    room: Arc<Semaphore>,
    commands: Option<Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("path", &self.path).finish_non_exhaustive()
    }
}

struct Command {
    work: Box<dyn Work>,
    /// Gives its room in the queue back when the command is answered.
    room: OwnedSemaphorePermit,
}

/// Something to do inside a transaction, and who waits to hear how that transaction ended.
trait Work: Send {
    fn perform(&mut self, connection: &Connection) -> Result<(), rusqlite::Error>;
    fn answer(self: Box<Self>, end: Result<(), StoreError>);
}

struct Job<T, F> {
    /// Gone once performed.
    work: Option<F>,
    value: Option<T>,
    tell: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Work for Job<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send,
{
    fn perform(&mut self, connection: &Connection) -> Result<(), rusqlite::Error> {
        if let Some(work) = self.work.take() {
            self.value = Some(work(connection)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, end: Result<(), StoreError>) {
        let not_performed = || StoreError::Unavailable { reason: "it was not tried".to_owned() };
        // Nobody may be waiting any more; what was committed stays.
        let Self { value, tell, .. } = *self;
        drop(tell.send(end.and_then(|()| value.ok_or_else(not_performed))));
    }
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        path: PathBuf,
        commits: Commits,
    ) -> Result<Self, StoreError> {
        let (commands, waiting) = channel();
        let place = path.clone();
        let thread = std::thread::Builder::new()
            .name(format!("write {}", path.file_name().unwrap_or_default().display()))
            .spawn(move || serve(connection, &place, &waiting, &commits))
            .map_err(|error| StoreError::Unavailable {
                reason: format!("no thread to write {}: {error}", path.display()),
            })?;
        let room = Arc::new(Semaphore::new(QUEUE_KIB as usize));
        Ok(Self { path, room, commands: Some(commands), thread: Some(thread) })
    }

    /// Does something in a transaction; durable when it returns. A caller that goes away meanwhile
    /// does not undo it.
    pub(crate) async fn write<T, F>(&self, payload_bytes: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    {
        let room = self.wait_for_room(payload_bytes).await?;
        let (tell, told) = oneshot::channel();
        let work = Box::new(Job { work: Some(work), value: None, tell });
        let closed = || StoreError::Unavailable {
            reason: format!("{} is being closed", self.path.display()),
        };
        let commands = self.commands.as_ref().ok_or_else(closed)?;
        commands.send(Command { work, room }).map_err(|_| closed())?;
        told.await.map_err(|_| closed())?
    }

    async fn wait_for_room(&self, payload: usize) -> Result<OwnedSemaphorePermit, StoreError> {
        let payload_kib = u32::try_from(payload / 1024).unwrap_or(QUEUE_KIB);
        let weight = payload_kib.saturating_add(COMMAND_KIB).min(QUEUE_KIB);
        let room = Arc::clone(&self.room).acquire_many_owned(weight);
        let busy = || StoreError::Unavailable {
            reason: format!("too many writes wait for {}; try again", self.path.display()),
        };
        tokio::time::timeout(QUEUE_WAIT, room).await.map_err(|_| busy())?.map_err(|_| busy())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(path = ?self.path, "the thread that writes ended in a panic");
        }
    }
}

fn serve(connection: Connection, path: &Path, waiting: &Receiver<Command>, commits: &Commits) {
    let mut log = Log::of(path);
    while let Ok(first) = waiting.recv() {
        group(&connection, path, first, waiting, commits);
        log.bound(&connection);
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!(?path, %error, "the database was not closed cleanly; nothing is lost by that");
    }
}

/// A command of a group, and what is wrong with this one alone.
type Performed = (Command, Result<(), StoreError>);

/// One transaction: begun, filled with what waits, committed, and only then answered.
fn group(
    connection: &Connection,
    path: &Path,
    first: Command,
    waiting: &Receiver<Command>,
    commits: &Commits,
) {
    let mut performed = Vec::new();
    let end = fill(connection, path, first, waiting, &mut performed)
        .and_then(|()| commit(connection, commits))
        .map_err(|error| from_sqlite(path, &error));
    let commands = u32::try_from(performed.len()).map_or(f64::MAX, f64::from);
    match &end {
        Ok(()) => commits.commands.observe(commands),
        Err(_) => {
            commits.failed.inc();
        }
    }
    if let Err(error) = &end {
        tracing::warn!(?path, %error, commands = performed.len(), "nothing of a group was kept");
        if !connection.is_autocommit()
            && let Err(error) = execute(connection, "ROLLBACK")
        {
            tracing::error!(?path, %error, "a transaction cannot be ended");
        }
    }
    for (Command { work, room }, done) in performed {
        work.answer(done.and(end.clone()));
        drop(room);
    }
}

fn commit(connection: &Connection, commits: &Commits) -> Result<(), rusqlite::Error> {
    let began = Instant::now();
    execute(connection, "COMMIT")?;
    commits.duration.observe(began.elapsed().as_secs_f64());
    Ok(())
}

/// Begins a transaction and performs in it what waits.
///
/// # Errors
/// When the transaction is lost, whatever was performed in it.
fn fill(
    connection: &Connection,
    path: &Path,
    first: Command,
    waiting: &Receiver<Command>,
    performed: &mut Vec<Performed>,
) -> Result<(), rusqlite::Error> {
    let began = Instant::now();
    if let Err(error) = execute(connection, "BEGIN IMMEDIATE") {
        performed.push((first, Ok(())));
        return Err(error);
    }
    let mut next = Some(first);
    while let Some(mut command) = next.take() {
        match perform(connection, &mut *command.work) {
            Ok(done) => {
                performed.push((command, done.map_err(|error| from_sqlite(path, &error))));
            }
            Err(error) => {
                performed.push((command, Ok(())));
                return Err(error);
            }
        }
        if performed.len() < GROUP_MAX && began.elapsed() < GROUP_TIME {
            next = waiting.try_recv().ok();
        }
    }
    Ok(())
}

/// Performs a command so that its failure leaves the others of the group alone.
///
/// # Errors
/// When the whole transaction is lost: some errors (a full disk is one) end it
/// (<https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction>).
fn perform(
    connection: &Connection,
    work: &mut dyn Work,
) -> Result<Result<(), rusqlite::Error>, rusqlite::Error> {
    execute(connection, "SAVEPOINT command")?;
    let done = catch_unwind(AssertUnwindSafe(|| work.perform(connection)))
        .unwrap_or(Err(rusqlite::Error::UnwindingPanic));
    match done {
        Err(error) if connection.is_autocommit() => return Err(error),
        Err(_) => execute(connection, "ROLLBACK TO command")?,
        Ok(()) => {}
    }
    execute(connection, "RELEASE command")?;
    Ok(done)
}

/// Keeps the log from growing without end.
struct Log {
    path: PathBuf,
    limit_bytes: u64,
}

impl Log {
    fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self { path: path.into(), limit_bytes: LOG_BYTES_MAX }
    }

    fn bound(&mut self, connection: &Connection) {
        let bytes = std::fs::metadata(&self.path).map_or(0, |log| log.len());
        if bytes <= self.limit_bytes {
            return;
        }
        match empty_log(connection) {
            Ok(true) => self.limit_bytes = LOG_BYTES_MAX,
            kept => {
                tracing::warn!(path = ?self.path, ?kept, "the log was not emptied; nothing is lost");
                self.limit_bytes = bytes + LOG_BYTES_MAX;
            }
        }
    }
}

/// Whether it was: `false` when readers were in the way until the end.
fn empty_log(connection: &Connection) -> Result<bool, rusqlite::Error> {
    connection.busy_timeout(LOG_WAIT)?;
    let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
    let busy: Result<bool, _> = connection.query_row(sql, [], |row| row.get(0));
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(!busy?)
}

fn execute(connection: &Connection, sql: &str) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

#[cfg(test)]
mod tests;
