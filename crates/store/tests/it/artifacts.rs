//! Artifacts from the first byte to the last use.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use store::artifacts::{Artifacts, Stored};
use store::domain::{Deleted, NewVerification, Order, Submitted, Verifications as _};
use store::sqlite::Store;
use tempfile::TempDir;

use crate::support::{Dice, open, order, tenant, work};

/// `printf abc | sha256sum`, as in FIPS 180-2 appendix B.1.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn opened() -> (TempDir, Arc<Artifacts>) {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(&folder.path().join("artifacts")).unwrap();
    (folder, artifacts)
}

async fn put(artifacts: &Arc<Artifacts>, tenant_name: &str, bytes: &[u8]) -> Stored {
    let mut upload = artifacts.begin(&tenant(tenant_name)).await.unwrap();
    for chunk in bytes.chunks(2) {
        upload.write(chunk).await.unwrap();
    }
    upload.finish().await.unwrap()
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn an_artifact_is_named_by_its_hash_and_for_its_owner_alone() {
    let (folder, artifacts) = opened();
    let stored = put(&artifacts, "a", b"abc").await;
    assert_eq!((stored.sha256.as_str(), stored.size_bytes), (ABC, 3));
    let path = artifacts.path(&tenant("a"), ABC).unwrap();
    assert_eq!(path, folder.path().join("artifacts/a/ba").join(ABC));
    assert_eq!(std::fs::read(&path).unwrap(), b"abc");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    for above in path.ancestors().skip(1).take(3) {
        assert_eq!(mode(above), 0o700, "{}", above.display());
    }
}

#[tokio::test]
async fn the_same_bytes_of_two_tenants_are_two_files() {
    let (folder, artifacts) = opened();
    drop(put(&artifacts, "a", b"abc").await);
    assert_eq!(artifacts.path(&tenant("b"), ABC), None);
    drop(put(&artifacts, "b", b"abc").await);
    let hold = artifacts.hold(&tenant("a"), ABC).await.unwrap();
    assert!(artifacts.remove(hold).await.unwrap());
    let hold = artifacts.hold(&tenant("a"), ABC).await.unwrap();
    assert!(!artifacts.remove(hold).await.unwrap(), "there is none any more");
    assert_eq!(artifacts.path(&tenant("a"), ABC), None);
    assert!(artifacts.path(&tenant("b"), ABC).is_some());
    assert_eq!(files_below(folder.path()), 1);
}

#[tokio::test]
async fn what_is_no_hash_is_no_path() {
    let (_folder, artifacts) = opened();
    let up = format!("{:.>64}", "/../../x");
    for text in ["", "..", &ABC[1..], &ABC.to_uppercase(), &up, &format!("{ABC}0")] {
        assert_eq!(artifacts.path(&tenant("a"), text), None, "{text:?}");
        assert!(artifacts.hold(&tenant("a"), text).await.is_none(), "{text:?}");
    }
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let (folder, artifacts) = opened();
    let mut upload = artifacts.begin(&tenant("a")).await.unwrap();
    upload.write(b"half of some").await.unwrap();
    assert_eq!(upload.size_bytes(), 12);
    assert_eq!(files_below(folder.path()), 1);
    drop(upload);
    assert_eq!(files_below(folder.path()), 0);
}

#[tokio::test]
async fn uploads_of_a_killed_process_are_swept_and_artifacts_stay() {
    let (folder, artifacts) = opened();
    drop(put(&artifacts, "a", b"abc").await);
    let mut upload = artifacts.begin(&tenant("a")).await.unwrap();
    upload.write(b"x").await.unwrap();
    // Neither dropped nor finished, as by `kill -9`.
    std::mem::forget(upload);
    drop(artifacts);
    let again = Artifacts::open(&folder.path().join("artifacts")).unwrap();
    assert_eq!(files_below(folder.path()), 1);
    assert!(again.path(&tenant("a"), ABC).is_some());
    again.check().await.unwrap();
    assert_eq!(files_below(folder.path()), 1, "a check leaves nothing");
}

#[tokio::test]
async fn a_damaged_artifact_is_healed_by_sending_it_again() {
    let (_folder, artifacts) = opened();
    drop(put(&artifacts, "a", b"abc").await);
    let path = artifacts.path(&tenant("a"), ABC).unwrap();
    std::fs::write(&path, b"abd").unwrap();
    drop(put(&artifacts, "a", b"abc").await);
    assert_eq!(std::fs::read(&path).unwrap(), b"abc");
}

#[tokio::test]
async fn what_was_not_accepted_is_discarded_unless_it_was_there_before() {
    let (folder, artifacts) = opened();
    put(&artifacts, "a", b"abc").await.discard().await.unwrap();
    assert_eq!(files_below(folder.path()), 0);
    drop(put(&artifacts, "a", b"abc").await);
    put(&artifacts, "a", b"abc").await.discard().await.unwrap();
    assert!(artifacts.path(&tenant("a"), ABC).is_some(), "somebody may rest on it");
}

#[tokio::test]
async fn what_no_verification_names_is_removed_at_start() {
    let store = open();
    let (folder, artifacts) = opened();
    let used = put(&artifacts, "a", b"used").await;
    let order = Order { sha256: used.sha256.clone(), ..order("") };
    store.submit(NewVerification { order, ..work("a", "1") }, 9, 9).await.unwrap();
    drop((used, put(&artifacts, "a", b"left").await, put(&artifacts, "b", b"used").await));
    std::fs::write(folder.path().join("artifacts/README"), "not ours").unwrap();
    assert_eq!(artifacts.remove_unused(&*store.store).await.unwrap(), 2);
    assert_eq!(artifacts.remove_unused(&*store.store).await.unwrap(), 0);
}

/// The race that [`store::artifacts`] describes: one submits what another deletes as its last use.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn accepted_work_never_loses_its_artifact_to_a_delete() {
    let store = open();
    let (folder, artifacts) = opened();
    let mut callers = tokio::task::JoinSet::new();
    for seed in 0..6 {
        callers.spawn(caller(Arc::clone(&store.store), Arc::clone(&artifacts), seed));
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    let a = tenant("a");
    let left = store.verifications(&a, None, None, 10_000).await.unwrap().items;
    for verification in &left {
        assert!(artifacts.path(&a, &verification.order.sha256).is_some(), "{verification:?}");
    }
    assert_eq!(
        files_below(folder.path()),
        usize::from(!left.is_empty()),
        "and nothing is left over"
    );
}

/// Submits, deletes and looks, always the same bytes.
async fn caller(store: Arc<Store>, artifacts: Arc<Artifacts>, seed: u64) {
    let a = tenant("a");
    let mut dice = Dice(seed);
    let mut mine = Vec::new();
    for number in 0..60 {
        if mine.is_empty() || dice.roll(2) == 0 {
            let stored = put(&artifacts, "a", b"abc").await;
            let id = format!("{seed}-{number}");
            let order = Order { sha256: stored.sha256.clone(), ..order("") };
            let submitted =
                store.submit(NewVerification { order, ..work("a", &id) }, 8, 8).await.unwrap();
            if matches!(submitted, Submitted::New(_)) {
                drop(stored);
                mine.push(id);
            } else {
                stored.discard().await.unwrap();
            }
        } else {
            let id = mine.swap_remove(0);
            assert!(artifacts.path(&a, ABC).is_some(), "{id} is accepted and has its bytes");
            let hold = artifacts.hold(&a, ABC).await.unwrap();
            let Deleted::Gone { last_use, .. } = store.delete(&a, &id).await.unwrap() else {
                panic!("{id} is there and does not run");
            };
            if last_use {
                assert!(artifacts.remove(hold).await.unwrap());
            }
        }
    }
}
