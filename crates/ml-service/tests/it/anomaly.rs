//! Runs: kept once, compared with their own kind, honest about how little is known.

use std::sync::Arc;

use ml_service::Config;
use serde_json::json;
use types::ports::{AnomalySource as _, PortError, RunFeatures};

use crate::support::{House, MemoryLog, run, tenant};

async fn ordinary(house: &House, workload: &str, number: u32) -> types::Anomaly {
    let values = [
        ("calls", f64::from(100 + number % 7)),
        ("files", f64::from(number % 3)),
        ("cpu_share", 0.25),
    ];
    house.service.observe(&run(workload, &format!("{workload}-{number}"), &values)).await.unwrap()
}

#[tokio::test]
async fn too_few_runs_say_so_and_weigh_nothing() {
    let house = House::new().await;
    for number in 0..20 {
        let anomaly = ordinary(&house, "sh", number).await;
        assert_eq!(anomaly.basis, format!("too few runs ({number} of 20)"));
        assert_eq!((anomaly.p_ppm, anomaly.history_runs), (None, number));
        assert!(anomaly.deviations.is_empty());
        assert_eq!(anomaly.model, "robust-z/1");
    }
    let anomaly = ordinary(&house, "sh", 20).await;
    assert_eq!(anomaly.history_runs, 20);
    assert!(anomaly.p_ppm.is_some());
    let text = house.metrics.text();
    assert!(text.contains(r#"anomaly_scores_total{outcome="too_few"} 20"#), "{text}");
    assert!(text.contains(r#"anomaly_scores_total{outcome="scored"} 1"#), "{text}");
}

#[tokio::test]
async fn a_strange_run_is_told_with_what_is_strange_about_it() {
    let house = House::new().await;
    for number in 0..99 {
        ordinary(&house, "sh", number).await;
    }
    let values = [("calls", 103.0), ("files", 5_000.0), ("cpu_share", 0.9)];
    let anomaly = house.service.observe(&run("sh", "strange", &values)).await.unwrap();
    assert_eq!((anomaly.p_ppm, anomaly.history_runs), (Some(10_000), 99));
    assert_eq!(anomaly.basis, "0 of the last 99 runs were at least as strange");
    let names: Vec<&str> = anomaly.deviations.iter().map(|one| one.feature.as_str()).collect();
    assert_eq!(names, ["cpu_share", "files"]);
    assert_eq!(anomaly.deviations[1].value_milli, 5_000_000);
    assert_eq!(anomaly.deviations[1].median_milli, 1_000);

    // It is a row like any other, with what was said of it.
    let found = house.read("a.reader", "/v1/features/runs/latest?entity=sh").await;
    let features = &found["entities"][0]["features"];
    assert_eq!(features["run_id"]["value"], "strange");
    assert_eq!(features["files"]["value"], 5_000);
    assert_eq!(features["anomaly_p_ppm"]["value"], 10_000);
    assert_eq!(features["anomaly_history_runs"]["value"], 99);
}

#[tokio::test]
async fn a_run_is_observed_once_however_often_it_is_told() {
    let house = House::new().await;
    let mut answers = Vec::new();
    for number in 0..40 {
        answers.push(ordinary(&house, "sh", number).await);
    }
    for number in (0..40).rev() {
        assert_eq!(ordinary(&house, "sh", number).await, answers[number as usize], "{number}");
    }
    let views = house.read("a.reader", "/v1/features").await;
    assert_eq!(views["views"][0]["rows"], 40);

    let house = Arc::new(house);
    let mut twins = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let house = Arc::clone(&house);
        twins.spawn(async move { ordinary(&house, "sh", 40).await });
    }
    let twins = twins.join_all().await;
    assert!(twins.iter().all(|answer| *answer == twins[0]));
    let views = house.read("a.reader", "/v1/features").await;
    assert_eq!(views["views"][0]["rows"], 41);
}

#[tokio::test]
async fn runs_are_compared_with_their_own_workload_and_tenant_only() {
    let house = House::new().await;
    for number in 0..30 {
        ordinary(&house, "sh", number).await;
    }
    assert_eq!(ordinary(&house, "python", 0).await.history_runs, 0);
    let mut theirs = run("sh", "theirs", &[("calls", 1.0)]);
    theirs.tenant = tenant("b");
    assert_eq!(house.service.observe(&theirs).await.unwrap().history_runs, 0);
    // The same id in another tenant is another run.
    theirs.run_id = "sh-0".to_owned();
    assert_eq!(house.service.observe(&theirs).await.unwrap().history_runs, 1);
    let (_, json) = house.get("c.reader", "/v1/features/runs/latest?entity=sh").await;
    assert_eq!(json["status"], 404);
}

#[tokio::test]
async fn only_the_last_runs_count() {
    let config = Config { history_window: 25, ..Config::default() };
    let house = House::open(&config, Arc::new(MemoryLog::default())).await.unwrap();
    for number in 0..100 {
        ordinary(&house, "sh", number).await;
    }
    let last = ordinary(&house, "sh", 100).await;
    assert_eq!(last.history_runs, 25);
    // Told again a little later, it is compared with the same runs as the first time.
    for number in 101..160 {
        ordinary(&house, "sh", number).await;
    }
    assert_eq!(ordinary(&house, "sh", 100).await, last);
}

#[tokio::test]
async fn a_tenant_with_its_fill_of_runs_forgets_the_workload_not_seen_for_longest() {
    let log = Arc::new(MemoryLog::default());
    let config = Config { tenant_reference_runs_max: 50, ..Config::default() };
    let house = House::open(&config, log.clone()).await.unwrap();
    for (workload, runs) in [("old", 25), ("new", 25), ("one", 1)] {
        for number in 0..runs {
            ordinary(&house, workload, number).await;
        }
    }
    assert!(house.metrics.text().contains("reference_runs_forgotten_total 25"));
    // A start comes to the same.
    let house = House::open(&config, log).await.unwrap();
    assert!(house.metrics.text().contains("reference_runs_forgotten_total 25"));
    assert_eq!(ordinary(&house, "new", 25).await.history_runs, 25);
    assert_eq!(ordinary(&house, "old", 25).await.basis, "too few runs (0 of 20)");
    // Known for good all the same: not kept a second time.
    let again = ordinary(&house, "old", 3).await;
    assert_eq!(again.history_runs, 1);
    let found = house.read("a.reader", "/v1/features/runs/history?entity=old").await;
    assert_eq!(found["rows"].as_array().unwrap().len(), 26);
}

#[tokio::test]
async fn what_is_no_run_is_refused_in_words() {
    let house = House::new().await;
    let good = run("sh", "r", &[("calls", 1.0)]);
    let cases: [(RunFeatures, &str); 6] = [
        (
            RunFeatures { run_id: String::new(), ..good.clone() },
            "the run's id is no id: it is empty",
        ),
        (RunFeatures { values: [].into(), ..good.clone() }, "feature vector is no feature vector"),
        (run("sh", "r", &[("run_id", 1.0)]), "run_id is ShieldX's own"),
        (run("sh", "r", &[("Odd Name", 1.0)]), "\"Odd Name\" is no feature name"),
        (run("", "r", &[("calls", 1.0)]), "entity has 0 characters"),
        (RunFeatures { event_time_us: i64::MAX, ..good }, "RFC 3339"),
    ];
    for (run, says) in cases {
        let PortError { what, reason } = house.service.observe(&run).await.unwrap_err();
        assert_eq!(what, "ml-service");
        assert!(reason.contains(says), "{reason}");
    }
    assert_eq!(house.read("a.reader", "/v1/features").await, json!({"views": []}));
    // A number that is none is missing, not fatal.
    let values = [("calls", f64::NAN), ("files", f64::INFINITY), ("cpu", 1.0)];
    house.service.observe(&run("sh", "nan", &values)).await.unwrap();
    let found = house.read("a.reader", "/v1/features/runs/latest?entity=sh&feature=calls").await;
    assert_eq!(found["entities"][0]["features"]["calls"]["status"], "NULL_VALUE");
}
