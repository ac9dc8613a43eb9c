//! Disks that are full, cannot be written or hold something else than was written.

use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use store::StoreError;
use store::artifacts::Artifacts;
use store::domain::{
    FeatureLog as _, Health as _, Keys as _, NewVerification, Order, Outcome, Segment,
    Sessions as _, Submitted, Verifications as _,
};
use store::keys::new_key;
use store::sqlite::Store;
use tempfile::TempDir;
use types::Role;

use crate::support::{open, order, segment, submit, summary, tenant, work};

/// A small file system of its own; gone when dropped.
#[derive(Debug)]
struct Disk(TempDir);

impl Disk {
    /// `None`, said aloud, where it cannot be made.
    fn of(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=700");
        if mount(&["-t", "tmpfs", "-o", &options, "store-test"], folder.path()) {
            return Some(Self(folder));
        }
        eprintln!("SKIP a small disk of its own needs root (mount -t tmpfs)");
        None
    }

    fn remount(&self, options: &str) {
        assert!(mount(&["-o", &format!("remount,{options}")], self.0.path()), "{options}");
    }

    fn state(&self) -> std::path::PathBuf {
        self.0.path().join("state")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg("-l").arg(self.0.path()).status().unwrap().success());
    }
}

fn mount(options: &[&str], on: &Path) -> bool {
    Command::new("mount").args(options).arg(on).output().is_ok_and(|done| done.status.success())
}

fn big(id: &str) -> NewVerification {
    let arguments = vec!["x".repeat(16 * 1024)];
    NewVerification { order: Order { arguments, ..order("aa") }, ..work("a", id) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_new_work_keeps_the_accepted_and_recovers() {
    let Some(disk) = Disk::of("2m") else { return };
    let store = Store::open(&disk.state()).unwrap();
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    // Several at once, so that whole groups fail and not only single commands.
    for round in 0..100 {
        let ids: Vec<_> = (0..8).map(|number| format!("{round:03}-{number}")).collect();
        let mut sent = tokio::task::JoinSet::new();
        for id in ids {
            let store = Arc::clone(&store);
            sent.spawn(async move {
                let answer = store.submit(big(&id), u64::MAX, u64::MAX).await;
                (id, answer)
            });
        }
        while let Some(done) = sent.join_next().await {
            match done.unwrap() {
                (id, Ok(Submitted::New(_))) => accepted.push(id),
                (id, Err(StoreError::Full { .. })) => refused.push(id),
                (id, other) => panic!("{id}: {other:?}"),
            }
        }
    }
    assert!(accepted.len() > 8 && refused.len() > 100, "{} {}", accepted.len(), refused.len());
    // As from an artifact: the last bytes are taken.
    let filler = disk.0.path().join("filler");
    let full = std::fs::write(&filler, vec![0; 4 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    assert!(matches!(store.check().await, Err(StoreError::Full { .. })));
    let history = Segment { payload: vec![0; 1 << 20], ..segment("a", "runs", 0, 1) };
    assert!(matches!(store.append(history.clone()).await, Err(StoreError::Full { .. })));

    accepted.sort();
    let all_there = async |store: &Store| {
        let page = store.verifications(&tenant("a"), None, None, 10_000).await.unwrap();
        let mut found: Vec<_> = page.items.into_iter().map(|item| item.id).collect();
        found.sort();
        assert_eq!(found, accepted, "what was accepted, and nothing of what was refused");
    };
    all_there(&store).await;

    std::fs::remove_file(&filler).unwrap();
    disk.remount("size=32m");
    store.check().await.unwrap();
    assert_eq!(store.append(history).await.unwrap(), 1);
    store.submit(big(&refused[0]), u64::MAX, u64::MAX).await.unwrap();
    assert!(store.delete(&tenant("a"), &refused[0]).await.is_ok());
    all_there(&store).await;
    drop(store);
    all_there(&Store::open(&disk.state()).unwrap()).await;
}

#[tokio::test]
async fn a_disk_that_is_full_from_the_beginning_says_so() {
    let Some(disk) = Disk::of("64k") else { return };
    std::fs::write(disk.0.path().join("filler"), vec![0; 1 << 20]).unwrap_err();
    let error = Store::open(disk.0.path()).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
}

#[tokio::test]
async fn an_artifact_that_does_not_fit_leaves_nothing_behind() {
    let Some(disk) = Disk::of("1m") else { return };
    let artifacts = Artifacts::open(&disk.state()).unwrap();
    let mut upload = artifacts.begin(&tenant("a")).await.unwrap();
    let mut answer = Ok(());
    for _ in 0..64 {
        answer = upload.write(&[7; 64 * 1024]).await;
        if answer.is_err() {
            break;
        }
    }
    assert!(matches!(answer, Err(StoreError::Full { .. })), "{answer:?}");
    let finished = upload.finish().await.unwrap_err();
    assert!(matches!(finished, StoreError::Full { .. }), "{finished:?}");
    assert_eq!(std::fs::read_dir(disk.state().join(".incoming")).unwrap().count(), 0);
    assert!(!disk.state().join("a").exists());

    let mut upload = artifacts.begin(&tenant("a")).await.unwrap();
    upload.write(b"small").await.unwrap();
    let stored = upload.finish().await.unwrap();
    assert!(artifacts.path(&tenant("a"), &stored.sha256).is_some());
    std::fs::write(disk.0.path().join("filler"), vec![0; 2 << 20]).unwrap_err();
    assert!(matches!(artifacts.check().await, Err(StoreError::Full { .. })));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_says_so() {
    let Some(disk) = Disk::of("4m") else { return };
    drop(Store::open(&disk.state()).unwrap());
    disk.remount("ro");
    for error in [
        Store::open(&disk.state()).unwrap_err(),
        Store::open_exclusive(&disk.state()).unwrap_err(),
        Store::open(&disk.0.path().join("new")).unwrap_err(),
        Artifacts::open(&disk.state().join("artifacts")).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
        assert!(error.to_string().contains(&disk.0.path().display().to_string()), "{error}");
    }
    disk.remount("rw");
    Store::open(&disk.state()).unwrap().check().await.unwrap();
}

#[tokio::test]
async fn a_folder_that_was_removed_under_a_server_is_noticed() {
    let opened = open();
    opened.check().await.unwrap();
    std::fs::remove_dir_all(opened.folder.path()).unwrap();
    let error = opened.check().await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
}

#[tokio::test]
async fn everything_on_the_disk_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("deep/state");
    let store = Store::open_exclusive(&state).unwrap();
    submit(&store, "a", "1").await;
    store.append(segment("a", "runs", 0, 1)).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&state).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    let databases = ["control.db", "features.db"];
    let logs = databases.map(|name| [format!("{name}-shm"), format!("{name}-wal")]);
    let mut expected = logs.concat();
    expected.extend(databases.map(str::to_owned));
    expected.push("serving.lock".to_owned());
    expected.sort();
    assert_eq!(names, expected);
    drop(store);
    let left = std::fs::read_dir(&state).unwrap().count();
    assert_eq!(left, 3, "closed cleanly, the logs are gone");
}

#[tokio::test]
async fn a_folder_has_one_server_and_commands_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Store::open_exclusive(folder.path()).unwrap();
    let error = Store::open_exclusive(folder.path()).unwrap_err();
    let told = format!(
        "the store is not available: another server (process \"{}\") uses {}: stop it, or name \
         another folder",
        std::process::id(),
        folder.path().display()
    );
    assert_eq!(error.to_string(), told);

    let command = Store::open(folder.path()).unwrap();
    let (_, key) = new_key(tenant("a"), Role::Admin, "cli", 1, None).unwrap();
    command.insert_key(key.clone()).await.unwrap();
    drop(command);
    assert_eq!(server.keys().await.unwrap(), [key]);
    submit(&server, "a", "1").await;
    drop(server);
    Store::open_exclusive(folder.path()).unwrap();
}

#[test]
fn processes_that_meet_in_a_new_folder_all_get_in() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::thread::scope(|scope| {
            let opening: Vec<_> = (0..6).map(|_| scope.spawn(|| Store::open(path))).collect();
            for opened in opening {
                opened.join().unwrap().unwrap();
            }
        });
    }
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_untouched() {
    let opened = open();
    let folder = opened.folder;
    drop(opened.store);
    let raw = rusqlite::Connection::open(folder.path().join("features.db")).unwrap();
    raw.pragma_update(None, "user_version", 7).unwrap();
    drop(raw);
    let error = Store::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("features.db was written by a newer shieldx (schema 7"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damaged_and_the_way_out_is_told() {
    let opened = open();
    let folder = opened.folder;
    drop(opened.store);
    let path = folder.path().join("control.db");
    std::fs::write(&path, b"not a database, however long it goes on".repeat(1_000)).unwrap();
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(path.to_str().unwrap()) && text.contains("control.db*"), "{text}");
}

#[tokio::test]
async fn a_damaged_page_is_found_when_it_is_read_and_the_rest_goes_on() {
    let opened = open();
    submit(&opened, "a", "1").await;
    let lease = opened.claim(0, 10).await.unwrap().unwrap();
    let outcome = Outcome::Report { summary: summary(), report: vec![b'r'; 200_000] };
    assert!(opened.finish(&lease, outcome, 1).await.unwrap());
    opened.put_session(&tenant("a"), "s", vec![1], None, 1).await.unwrap();
    let folder = opened.folder;
    drop(opened.store);
    let path = folder.path().join("control.db");
    let size = std::fs::metadata(&path).unwrap().len();
    // The middle of the file is the report: its pages form a chain, and now point anywhere.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xee; 40_960], size / 2).unwrap();
    drop(file);
    let store = Store::open(folder.path()).unwrap();
    let error = store.report(&tenant("a"), "1").await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert_eq!(store.session(&tenant("a"), "s").await.unwrap(), Some(vec![1]));
}

#[tokio::test]
async fn a_value_that_nobody_here_wrote_is_damage_and_no_default() {
    let opened = open();
    submit(&opened, "a", "1").await;
    let raw = rusqlite::Connection::open(opened.folder.path().join("control.db")).unwrap();
    raw.execute("UPDATE verifications SET work = '{\"sha256\": 1}'", []).unwrap();
    let error = opened.verification(&tenant("a"), "1").await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    // It does not stop the others, nor is it half claimed.
    assert!(matches!(opened.claim(0, 10).await, Err(StoreError::Damaged { .. })));
    assert_eq!(opened.depth().await.unwrap().queued, 1);
    submit(&opened, "b", "2").await;
}
