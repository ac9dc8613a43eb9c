//! History: order, range, pages.

use std::sync::Arc;

use serde_json::{Value, json};
use store::sqlite::Store;

use crate::support::House;

/// The fixture of Feast's point-in-time semantics: event times as given, told in this order.
async fn write_fixture(house: &House) {
    house.write("pit", &[("a", "10:00", json!({"v": 1})), ("b", "06:00", json!({"v": 7}))]).await;
    house.write("pit", &[("a", "12:00", json!({"v": 3}))]).await;
    house.write("pit", &[("a", "11:00", json!({"v": 2}))]).await;
    house.clock.advance_us(3_600_000_000);
    house
        .write("pit", &[("a", "11:00", json!({"v": 22})), ("b", "07:00", json!({"w": null}))])
        .await;
}

fn values(page: &Value) -> Vec<Value> {
    page["rows"].as_array().unwrap().iter().map(|row| row["values"]["v"].clone()).collect()
}

#[tokio::test]
async fn rows_come_by_event_time_then_by_when_they_were_told() {
    let house = House::new().await;
    write_fixture(&house).await;
    let page = house.read("a.reader", "/v1/features/pit/history?entity=a").await;
    assert_eq!(values(&page), [1, 2, 22, 3]);
    assert_eq!(page["rows"][2]["event_time"], "2026-11-24T11:00:00Z");
    assert_eq!(page["rows"][2]["created"], "2026-11-24T11:00:00Z");
    assert!(page.get("next").is_none());
    let page = house.read("a.reader", "/v1/features/pit/history?entity=b").await;
    assert_eq!(page["rows"][1]["values"], json!({"w": null}), "what the row said and no more");
    let page = house.read("a.reader", "/v1/features/pit/history?entity=nope").await;
    assert_eq!(page["rows"], json!([]));
}

#[tokio::test]
async fn both_ends_belong_to_the_range() {
    let house = House::new().await;
    write_fixture(&house).await;
    for (range, expected) in [
        ("from=2026-11-24T11:00:00Z", vec![2, 22, 3]),
        ("from=2026-11-24T11:00:00.000001Z", vec![3]),
        ("to=2026-11-24T12:00:00%2B01:00", vec![1, 2, 22]),
        ("to=2026-11-24T10:59:59.999999Z", vec![1]),
        ("from=2026-11-24T10:00:00Z&to=2026-11-24T10:00:00Z", vec![1]),
        ("from=2026-11-24T12:00:00Z&to=2026-11-24T10:00:00Z", vec![]),
    ] {
        let path = format!("/v1/features/pit/history?entity=a&{range}");
        assert_eq!(values(&house.read("a.reader", &path).await), expected, "{range}");
    }
}

/// Reads page by page; every page but the last is full.
async fn walk(house: &House, query: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/features/pit/history?{query}&limit={limit}{cursor}");
        let page = house.read("a.reader", &path).await;
        all.extend(values(&page));
        match page.get("next") {
            Some(next) => {
                assert_eq!(page["rows"].as_array().unwrap().len(), limit);
                cursor = format!("&cursor={}", next.as_str().unwrap());
            }
            None => return all,
        }
    }
}

#[tokio::test]
async fn pages_join_without_gap_or_overlap_on_the_real_store() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::over(Store::open(folder.path()).unwrap()).await;
    // 97 batches in a scrambled order, several rows at the same time, two entities.
    let mut expected = Vec::new();
    for batch in 0..97u64 {
        let minute = batch * 31 % 97;
        let time = format!("{:02}:{:02}", minute / 60, minute % 60);
        let rows: Vec<(&str, &str, Value)> = (0..3)
            .map(|row| (["a", "b"][row % 2], time.as_str(), json!({"v": batch * 10 + row as u64})))
            .collect();
        house.write("pit", &rows).await;
        expected.extend([(minute, batch * 10), (minute, batch * 10 + 2)]);
    }
    expected.sort_by_key(|(minute, _)| *minute);
    let expected: Vec<u64> = expected.into_iter().map(|(_, value)| value).collect();
    for limit in [1, 7, 97, 193, 194, 1_000] {
        assert_eq!(walk(&house, "entity=a", limit).await, expected, "limit {limit}");
    }
    let ranged = "entity=a&from=2026-11-24T00:10:00Z&to=2026-11-24T00:19:00Z";
    assert_eq!(walk(&house, ranged, 3).await, expected[20..40]);
}

#[tokio::test]
async fn a_page_is_read_at_the_same_place_while_rows_are_added() {
    let house = House::new().await;
    write_fixture(&house).await;
    let first = house.read("a.reader", "/v1/features/pit/history?entity=a&limit=2").await;
    assert_eq!(values(&first), [1, 2]);
    house.write("pit", &[("a", "09:00", json!({"v": 0})), ("a", "13:00", json!({"v": 4}))]).await;
    let cursor = first["next"].as_str().unwrap();
    let path = format!("/v1/features/pit/history?entity=a&cursor={cursor}");
    assert_eq!(values(&house.read("a.reader", &path).await), [22, 3, 4]);
}

#[tokio::test]
async fn a_segment_that_is_damaged_is_an_error_and_not_a_gap() {
    let log = Arc::new(crate::support::MemoryLog::default());
    let house = House::over(log.clone()).await;
    write_fixture(&house).await;
    log.damage();
    let (status, json) = house.get("a.reader", "/v1/features/pit/history?entity=a").await;
    assert_eq!(status, 503);
    assert_eq!(json["detail"], "the segment at position 1 does not read back");
}
