//! What was accepted is there after every kind of end, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use ml_service::{Config, MlError};
use serde_json::{Value, json};
use store::domain::FeatureLog as _;
use store::sqlite::Store;
use types::ports::AnomalySource as _;

use crate::support::{House, MemoryLog, at, batch, run};

const QUESTIONS: [&str; 5] = [
    "/v1/features",
    "/v1/features/host/latest?entity=x&entity=y",
    "/v1/features/host/history?entity=x",
    "/v1/features/runs/latest?entity=sh",
    "/v1/features/runs/history?entity=sh",
];

async fn answers(house: &House) -> Vec<Value> {
    let mut answers = Vec::new();
    for question in QUESTIONS {
        answers.push(house.read("a.reader", question).await);
    }
    answers
}

async fn fill(house: &House) {
    house.write("host", &[("x", "10:00", json!({"load": 1, "os": "linux"}))]).await;
    house
        .write(
            "host",
            &[("x", "09:00", json!({"load": 2, "up": true})), ("y", "09:00", json!({"os": null}))],
        )
        .await;
    for number in 0..25 {
        let values = [("calls", f64::from(number % 5)), ("seconds", 0.5)];
        house.service.observe(&run("sh", &format!("r{number}"), &values)).await.unwrap();
    }
}

#[tokio::test]
async fn the_same_questions_get_the_same_answers_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::over(Store::open(folder.path()).unwrap()).await;
    fill(&house).await;
    let before = answers(&house).await;
    let strange = run("sh", "again", &[("calls", 3_000.0), ("seconds", 0.5)]);
    let first = house.service.observe(&strange).await.unwrap();
    drop(house);

    let house = House::over(Store::open(folder.path()).unwrap()).await;
    let again = house.service.observe(&strange).await.unwrap();
    assert_eq!(again, first, "observed before: the first answer, nothing kept");
    let after = answers(&house).await;
    assert_eq!(after[1..3], before[1..3]);
    assert_eq!(after[4]["rows"].as_array().unwrap().len(), 26);
    // A type stays fixed, and late data stays late.
    let (status, _) =
        house.post("a.member", "host", &batch(&[("x", "11:00", json!({"load": "1"}))])).await;
    assert_eq!(status, 409);
    house.write("host", &[("x", "09:59", json!({"load": 9}))]).await;
    let found = house.read("a.reader", "/v1/features/host/latest?entity=x").await;
    assert_eq!(found["entities"][0]["features"]["load"]["value"], 1);
}

#[tokio::test]
async fn killed_between_append_and_index_the_rows_are_there_at_the_next_start() {
    // What the first process wrote; the second one's log has it all, its index nothing.
    let log = Arc::new(MemoryLog::default());
    let house = House::over(log.clone()).await;
    fill(&house).await;
    let before = answers(&house).await;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for segment in log.segments() {
        store.append(segment).await.unwrap();
    }
    let house = House::over(store).await;
    assert_eq!(answers(&house).await, before);
}

#[tokio::test]
async fn a_caller_who_hangs_up_during_the_write_leaves_log_and_index_agreeing() {
    let log = Arc::new(MemoryLog::default());
    let house = House::over(log.clone()).await;
    log.close_gate();
    {
        let rows = [("x", "10:00", json!({"load": 1}))];
        let writing = house.write("host", &rows);
        let patience = tokio::time::timeout(Duration::from_millis(50), writing);
        assert!(patience.await.is_err(), "the write waits at the gate");
    }
    assert_eq!(house.get("a.reader", "/v1/features/host/latest?entity=x").await.0, 404);
    log.open_gate();
    assert!(house.shutdown.drained(Duration::from_secs(30)).await);
    assert_eq!(log.segments().len(), 1);
    let found = house.read("a.reader", "/v1/features/host/latest?entity=x").await;
    assert_eq!(found["entities"][0]["features"]["load"]["value"], 1);
}

#[tokio::test]
async fn a_full_disk_keeps_what_was_accepted_and_refuses_the_rest_whole() {
    let log = Arc::new(MemoryLog::default());
    let house = House::over(log.clone()).await;
    house.write("host", &[("x", "10:00", json!({"load": 1}))]).await;
    log.set_full(true);
    let later = batch(&[("x", "11:00", json!({"load": 2, "new": "column"}))]);
    for view in ["host", "other"] {
        let (status, json) = house.post("a.member", view, &later).await;
        assert_eq!(
            (status.as_u16(), &json["type"]),
            (507, &json!("urn:shieldx:problem:disk-full"))
        );
    }
    let error = house.service.observe(&run("sh", "r", &[("calls", 1.0)])).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "ml-service failed: the feature history cannot be used: the disk that holds memory is full"
    );
    let views = house.read("a.reader", "/v1/features").await;
    assert_eq!(views["views"].as_array().unwrap().len(), 1);
    assert_eq!(views["views"][0]["columns"], json!([{"name": "load", "type": "number"}]));
    log.set_full(false);
    house.write("host", &[("x", "11:00", json!({"new": 5}))]).await;
    let found = house.read("a.reader", "/v1/features/host/latest?entity=x").await;
    let features = &found["entities"][0]["features"];
    assert_eq!((&features["load"]["value"], &features["new"]["value"]), (&json!(1), &json!(5)));
    assert_eq!(features["new"]["event_time"], at("11:00"));
}

#[tokio::test]
async fn a_damaged_log_is_told_at_the_start_and_not_passed_over() {
    let log = Arc::new(MemoryLog::default());
    let house = House::over(log.clone()).await;
    fill(&house).await;
    log.damage();
    let error = House::open(&Config::default(), log).await.err().unwrap();
    assert!(matches!(error, MlError::Damaged { position: 1, .. }), "{error:?}");
}
