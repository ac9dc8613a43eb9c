//! Feature history.

use std::sync::Arc;

use store::domain::{FeatureLog as _, Segment};
use store::sqlite::Store;

use crate::support::{open, segment, tenant};

#[tokio::test]
async fn segments_are_read_back_in_the_order_they_were_written() {
    let store = open();
    let mut written = Vec::new();
    for number in 0..5 {
        let segment = segment("a", "runs", number, number + 10);
        let position = store.append(segment.clone()).await.unwrap();
        written.push((position, segment));
    }
    assert!(written.is_sorted_by(|a, b| a.0 < b.0));
    assert_eq!(store.read_after(0, 100).await.unwrap(), written);
    assert_eq!(store.read_after(written[1].0, 2).await.unwrap(), written[2..4]);
    assert_eq!(store.read_after(written[4].0, 2).await.unwrap(), []);
    assert_eq!(store.read_after(0, 0).await.unwrap(), []);

    // The same after the files were closed and opened.
    let folder = store.folder;
    drop(store.store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.read_after(0, 100).await.unwrap(), written);
    assert!(store.append(segment("a", "runs", 0, 0)).await.unwrap() > written[4].0);
}

#[tokio::test]
async fn a_range_gives_what_overlaps_it_with_both_ends() {
    let store = open();
    for (from_us, to_us) in [(0, 10), (11, 20), (-50, 100), (21, 30), (-9, -1)] {
        store.append(segment("a", "runs", from_us, to_us)).await.unwrap();
    }
    store.append(segment("a", "other", 0, 100)).await.unwrap();
    let a = tenant("a");
    let starts = |found: Vec<(u64, Segment)>| -> Vec<i64> {
        found.into_iter().map(|(_, segment)| segment.event_min_us).collect()
    };
    assert_eq!(starts(store.segments(&a, "runs", 10, 11).await.unwrap()), [0, 11, -50]);
    assert_eq!(starts(store.segments(&a, "runs", 21, 21).await.unwrap()), [-50, 21]);
    assert_eq!(starts(store.segments(&a, "runs", -1, -1).await.unwrap()), [-50, -9]);
    assert_eq!(starts(store.segments(&a, "runs", 101, i64::MAX).await.unwrap()), [0_i64; 0]);
    assert_eq!(starts(store.segments(&a, "runs", i64::MIN, i64::MAX).await.unwrap()).len(), 5);
}

#[tokio::test]
async fn a_range_can_be_read_a_few_segments_at_a_time() {
    let store = open();
    for number in 0..20 {
        store.append(segment("a", "runs", number, number)).await.unwrap();
        store.append(segment("a", "other", number, number)).await.unwrap();
    }
    let a = tenant("a");
    let mut read = Vec::new();
    let mut position = 0;
    loop {
        let page = store.segments_after(&a, "runs", 3, 15, position, 4).await.unwrap();
        assert!(page.len() <= 4);
        let Some((last, _)) = page.last() else { break };
        position = *last;
        read.extend(page);
    }
    assert_eq!(read, store.segments(&a, "runs", 3, 15).await.unwrap());
    assert_eq!(read.len(), 13);
}

/// SQLite empties its log by itself only in a moment without readers; here there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_small_however_much_is_read_meanwhile() {
    const APPENDS: u64 = 80;
    const PAYLOAD_BYTES: usize = 1 << 20;
    let opened = open();
    let mut reading = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = Arc::clone(&opened.store);
        reading.spawn(async move {
            loop {
                store.read_after(0, 4).await.unwrap();
            }
        });
    }
    let log = opened.folder.path().join("features.db-wal");
    let mut largest = 0;
    for _ in 0..APPENDS {
        let payload = vec![7; PAYLOAD_BYTES];
        opened.append(Segment { payload, ..segment("a", "runs", 0, 1) }).await.unwrap();
        largest = largest.max(std::fs::metadata(&log).unwrap().len());
    }
    reading.shutdown().await;
    assert!(largest < APPENDS * PAYLOAD_BYTES as u64 * 3 / 4, "{largest}");
}
