//! Group commit, with a writer that is held in the middle of a group.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use rusqlite::{Connection, Error};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::{QUEUE_KIB, Writer};
use crate::domain::StoreError;
use crate::sqlite::commits::Files;

struct Bed {
    // Closed before its folder is removed.
    writer: Arc<Writer>,
    path: PathBuf,
    _folder: TempDir,
}

fn bed() -> Bed {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x INTEGER PRIMARY KEY) STRICT")
        .unwrap();
    let writer =
        Arc::new(Writer::start(connection, path.clone(), Files::new().of("test")).unwrap());
    Bed { writer, path, _folder: folder }
}

fn insert(number: i64) -> impl FnOnce(&Connection) -> Result<i64, Error> + Send + 'static {
    move |connection| {
        connection.execute("INSERT INTO t (x) VALUES (?1)", [number])?;
        Ok(number)
    }
}

fn kept(path: &Path) -> Vec<i64> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare("SELECT x FROM t ORDER BY x").unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// A command that has inserted a number and goes on until it is let.
async fn held(writer: &Arc<Writer>, number: i64) -> (Sender<()>, JoinHandle<()>) {
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (go_on, may_go_on) = channel();
    let holding = Arc::clone(writer);
    let task = start(async move {
        let work = move |connection: &Connection| {
            insert(number)(connection)?;
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
            Ok(())
        };
        holding.write(0, work).await.unwrap();
    });
    has_begun.await.unwrap();
    (go_on, task)
}

#[expect(clippy::disallowed_methods, reason = "a test has no shutdown to wait for its tasks")]
fn start<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(future)
}

/// Sends a command and gives it the time to be in the queue.
async fn queued<T: Send + 'static>(
    writer: &Arc<Writer>,
    work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
) -> JoinHandle<Result<T, StoreError>> {
    let writer = Arc::clone(writer);
    let task = start(async move { writer.write(0, work).await });
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    task
}

#[tokio::test]
async fn a_command_is_answered_only_after_the_commit_of_its_group() {
    let bed = bed();
    let (go_on, first) = held(&bed.writer, 1).await;
    let second = queued(&bed.writer, insert(2)).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(!first.is_finished() && !second.is_finished());
    assert_eq!(kept(&bed.path), [0_i64; 0], "nothing is committed");
    go_on.send(()).unwrap();
    first.await.unwrap();
    assert_eq!(kept(&bed.path).first(), Some(&1));
    assert_eq!(second.await.unwrap().unwrap(), 2);
    assert_eq!(kept(&bed.path), [1, 2]);
}

#[tokio::test]
async fn a_command_that_fails_takes_none_of_its_group_along() {
    let bed = bed();
    let (go_on, first) = held(&bed.writer, 1).await;
    let good = queued(&bed.writer, insert(2)).await;
    let bad = queued(&bed.writer, |connection: &Connection| {
        insert(3)(connection)?;
        insert(1)(connection)
    })
    .await;
    let panicking = queued(&bed.writer, |connection: &Connection| -> Result<(), Error> {
        insert(4)(connection)?;
        panic!("a fault in a command")
    })
    .await;
    let last = queued(&bed.writer, insert(5)).await;
    go_on.send(()).unwrap();
    first.await.unwrap();
    assert_eq!(good.await.unwrap().unwrap(), 2);
    let error = bad.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("UNIQUE constraint failed"), "{error}");
    assert!(panicking.await.unwrap().is_err());
    assert_eq!(last.await.unwrap().unwrap(), 5);
    assert_eq!(kept(&bed.path), [1, 2, 5], "the half of a failed command is undone");
}

#[tokio::test]
async fn a_command_that_ends_the_transaction_fails_its_group_and_not_the_next() {
    let bed = bed();
    let (go_on, first) = held(&bed.writer, 1).await;
    // As SQLite itself does when the disk is full in the middle of a statement.
    let fatal = queued(&bed.writer, |connection: &Connection| {
        connection.execute_batch("ROLLBACK")?;
        insert(0)(connection)?;
        insert(0)(connection)
    })
    .await;
    let next = queued(&bed.writer, insert(2)).await;
    go_on.send(()).unwrap();
    assert!(first.await.is_err(), "told that nothing was kept");
    assert!(fatal.await.unwrap().is_err());
    assert_eq!(next.await.unwrap().unwrap(), 2);
    assert!(!kept(&bed.path).contains(&1));
}

#[tokio::test]
async fn a_file_that_another_process_writes_is_waited_for() {
    let bed = bed();
    let other = Connection::open(&bed.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; INSERT INTO t (x) VALUES (7)").unwrap();
    let waiting = queued(&bed.writer, insert(8)).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), 8);
    assert_eq!(kept(&bed.path), [7, 8]);
}

#[tokio::test]
async fn a_full_queue_says_busy_instead_of_growing() {
    let bed = bed();
    let (go_on, first) = held(&bed.writer, 1).await;
    let large = usize::try_from(QUEUE_KIB).unwrap() * 1024;
    let error = bed.writer.write(large, insert(2)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    go_on.send(()).unwrap();
    first.await.unwrap();
    assert_eq!(bed.writer.write(large, insert(3)).await.unwrap(), 3);
    assert_eq!(kept(&bed.path), [1, 3]);
}

#[tokio::test]
async fn closing_finishes_what_was_taken() {
    let bed = bed();
    let (go_on, first) = held(&bed.writer, 1).await;
    let abandoned = queued(&bed.writer, insert(2)).await;
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    go_on.send(()).unwrap();
    first.await.unwrap();
    let Bed { writer, path, _folder } = bed;
    drop(Arc::into_inner(writer).unwrap());
    assert_eq!(kept(&path), [1, 2], "who no longer waits does not undo it");
}
