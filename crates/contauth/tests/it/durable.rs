//! A store that fails, a process that starts again, many at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;
use serde_json::json;
use types::ports::{RiskSource as _, Surroundings};

use crate::desk::{Desk, typed};
use crate::typist::Typist;

const MEMBER: &str = "acme:member";

#[tokio::test]
async fn a_full_disk_and_a_store_that_is_down_count_nothing_and_say_so() {
    let (desk, shelf) = Desk::new();
    let mut sitting = Typist::new(1).session(1);
    desk.types("s", &mut sitting).await;
    let kept = shelf.text();
    let report = typed(&mut sitting);
    for (switch, expect) in [
        (&shelf.full, StatusCode::INSUFFICIENT_STORAGE),
        (&shelf.down, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        switch.store(true, Ordering::SeqCst);
        let (status, problem) = desk.post(MEMBER, "s", &report).await;
        assert_eq!(status, expect, "{problem}");
        switch.store(false, Ordering::SeqCst);
        assert_eq!(shelf.text(), kept);
    }
    let (status, answer) = desk.post(MEMBER, "s", &report).await;
    assert_eq!(status, StatusCode::OK);
    assert!(answer["signals"].to_string().contains("100 of 200 keystrokes"), "{answer}");
    shelf.down.store(true, Ordering::SeqCst);
    let tenant = "acme".parse().unwrap();
    let error = desk.service.risk(&tenant, "other", &Surroundings::default()).await.unwrap_err();
    assert_eq!(error.what, "contauth");
    assert!(error.reason.contains("it is down"), "{error}");
    assert!(desk.service.risk(&tenant, "s", &Surroundings::default()).await.is_ok(), "memory");
}

#[tokio::test]
async fn another_process_on_the_same_store_goes_on_where_the_first_stopped() {
    let (desk, shelf) = Desk::new();
    let mut sitting = Typist::new(1).session(1);
    for _ in 0..5 {
        desk.types("s", &mut sitting).await;
    }
    let again = Desk::on(shelf);
    again.clock.advance_us(5 * 10_000_000);
    assert_eq!(desk.risk(MEMBER, "s").await, again.risk(MEMBER, "s").await);
    let (status, answer) = again.post(MEMBER, "s", &typed(&mut sitting)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!answer.to_string().contains("replay"), "{answer}");
}

#[tokio::test]
async fn a_device_is_not_taken_for_another_because_nothing_was_learned_before_a_restart() {
    let (desk, shelf) = Desk::new();
    let report = json!({"subject": "ada", "device": crate::desk::laptop()});
    assert_eq!(desk.post(MEMBER, "s", &report).await.0, StatusCode::OK);
    assert!(shelf.profiles.lock().unwrap().is_empty());
    let (_, answer) = Desk::on(shelf).post(MEMBER, "s", &report).await;
    assert!(!answer.to_string().contains("another device"), "{answer}");
}

#[tokio::test]
async fn sqlite_keeps_sessions_and_profiles_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ada = Typist::new(1);
    {
        let desk = Desk::on(store::sqlite::Store::open(folder.path()).unwrap());
        for day in 0..3u64 {
            let mut sitting = ada.session(day);
            for _ in 0..6 {
                desk.types(&format!("day-{day}"), &mut sitting).await;
            }
        }
    }
    let desk = Desk::on(store::sqlite::Store::open(folder.path()).unwrap());
    assert_eq!(desk.risk(MEMBER, "day-2").await.1["subject"], "ada");
    let mut sitting = ada.session(9);
    desk.types("today", &mut sitting).await;
    assert_eq!(desk.types("today", &mut sitting).await["level"], "low");
    desk.clock.advance_us(crate::desk::DAY_US * 2);
    assert_eq!(desk.service.expire().await.unwrap(), 4);
    let tenant = "acme".parse().unwrap();
    assert!(desk.service.forget(&tenant, "ada").await.unwrap());
    assert!(!desk.service.forget(&tenant, "ada").await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_of_one_subject_at_once_are_all_learned_from() {
    let (desk, shelf) = Desk::new();
    let desk = Arc::new(desk);
    let ada = Typist::new(1);
    let mut reports = tokio::task::JoinSet::new();
    for n in 0..4u64 {
        let (desk, report) = (desk.clone(), typed(&mut ada.session(n)));
        reports.spawn(async move { desk.post(MEMBER, &format!("s{n}"), &report).await });
    }
    while let Some(answer) = reports.join_next().await {
        assert_eq!(answer.unwrap().0, StatusCode::OK);
    }
    let profiles = shelf.profiles.lock().unwrap();
    let profile: serde_json::Value =
        serde_json::from_slice(&profiles.values().next().unwrap().0).unwrap();
    let hand = &profile["hands"][0];
    assert_eq!((profiles.len(), &hand["sessions"]), (1, &json!(4)));
    assert_eq!(hand["typing"]["windows"].as_array().unwrap().len(), 8);
    let told = profile["devices"][0]["sessions"].as_u64().unwrap();
    assert_eq!(told, 4, "no report overwrote another's lesson");
}
