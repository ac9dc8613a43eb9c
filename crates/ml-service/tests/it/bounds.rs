//! Bounds hold for many at once, are told and counted, and one tenant's fill is not another's.

use std::sync::Arc;

use ml_service::Config;
use serde_json::{Value, json};
use types::ports::AnomalySource as _;

use crate::support::{House, MemoryLog, batch, run};

#[tokio::test]
async fn new_entities_beyond_the_bound_are_refused_and_known_ones_still_written() {
    let log = Arc::new(MemoryLog::default());
    let config = Config { entities_max: 5, tenant_entities_max: 3, ..Config::default() };
    let house = House::open(&config, log.clone()).await.unwrap();
    let rows = ["x", "y", "z"].map(|name| (name, "10:00", json!({"load": 1})));
    house.write("host", &rows).await;
    let (status, json) =
        house.post("a.member", "host", &batch(&[("w", "10:00", json!({"load": 1}))])).await;
    assert_eq!(status, 507);
    assert_eq!(json["type"], "urn:shieldx:problem:too-many-entities");
    assert_eq!(
        json["detail"],
        "1 new entities would be too many: at most 3 can be known (tenant_entities_max)"
    );
    house.write("host", &[("x", "11:00", json!({"load": 2}))]).await;

    house.write_as("b.member", "host", &rows[..2]).await;
    let (status, json) = house.post("b.member", "host", &batch(&rows)).await;
    assert_eq!(status, 507);
    assert!(json["detail"].as_str().unwrap().contains("(entities_max)"));
    let text = house.metrics.text();
    assert!(text.contains("shieldx_ml_service_index_entities 5"), "{text}");
    assert!(text.contains(r#"rejections_total{reason="limit"} 2"#), "{text}");

    // What is there is there, whatever the bound is now.
    let house = House::open(&Config { entities_max: 1, ..config }, log).await.unwrap();
    house.read("b.reader", "/v1/features/host/latest?entity=x").await;
    assert!(house.metrics.text().contains("shieldx_ml_service_index_entities 5"));
}

#[tokio::test]
async fn many_writers_at_once_do_not_pass_a_bound_together() {
    let config = Config { tenant_entities_max: 10, ..Config::default() };
    let log = Arc::new(MemoryLog::default());
    let house = Arc::new(House::open(&config, log).await.unwrap());
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..40 {
        let house = Arc::clone(&house);
        writers.spawn(async move {
            let (view, entity) = (format!("v{}", number % 4), format!("e{number}"));
            let rows = [(entity.as_str(), "10:00", json!({"load": 1}))];
            house.post("a.member", &view, &batch(&rows)).await.0.as_u16()
        });
    }
    let statuses = writers.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 10);
    assert_eq!(statuses.iter().filter(|status| **status == 507).count(), 30);
}

#[tokio::test]
async fn memory_of_values_is_bounded_and_replaced_ones_are_given_back() {
    let config = Config { index_bytes_max: 2_000, ..Config::default() };
    let house = House::open(&config, Arc::new(MemoryLog::default())).await.unwrap();
    for minute in 10..40 {
        let rows = [("x", format!("10:{minute}"), json!({"text": "t".repeat(200)}))];
        let rows = rows.each_ref().map(|(e, t, v)| (*e, t.as_str(), v.clone()));
        house.write("host", &rows).await;
    }
    let rows: Vec<(&str, &str, Value)> = ["p", "q", "r", "s", "t", "u", "v"]
        .map(|e| (e, "10:00", json!({"text": "t".repeat(200)})))
        .into();
    let (status, json) = house.post("a.member", "host", &batch(&rows)).await;
    assert_eq!(
        (status.as_u16(), &json["type"]),
        (507, &json!("urn:shieldx:problem:too-many-values"))
    );
}

#[tokio::test]
async fn a_view_has_256_columns_and_a_tenant_256_views() {
    let house = House::new().await;
    for group in 0..4 {
        let values: serde_json::Map<String, Value> =
            (0..64).map(|at| (format!("c{group}_{at}"), json!(1))).collect();
        house.write("wide", &[("x", "10:00", values.into())]).await;
    }
    let one_more = batch(&[("x", "10:00", json!({"one_more": 1}))]);
    let (status, json) = house.post("a.member", "wide", &one_more).await;
    assert_eq!(
        (status.as_u16(), &json["type"]),
        (409, &json!("urn:shieldx:problem:too-many-columns"))
    );
    for number in 1..256 {
        house.write(&format!("v{number}"), &[("x", "10:00", json!({"a": 1}))]).await;
    }
    let (status, json) = house.post("a.member", "one_more", &one_more).await;
    assert_eq!(
        (status.as_u16(), &json["type"]),
        (409, &json!("urn:shieldx:problem:too-many-views"))
    );
    house.write_as("b.member", "one_more", &[("x", "10:00", json!({"a": 1}))]).await;
}

#[tokio::test]
async fn too_many_rows_in_flight_are_asked_to_come_again() {
    let config = Config { rows_in_flight_max: 10_000, ..Config::default() };
    let log = Arc::new(MemoryLog::default());
    let house = Arc::new(House::open(&config, log.clone()).await.unwrap());
    log.close_gate();
    let rows = batch(&vec![("x", "10:00", json!({"a": 1})); 10_000]);
    let mut writing = tokio::task::JoinSet::new();
    let (same, body) = (Arc::clone(&house), rows.clone());
    writing.spawn(async move { same.post("a.member", "one", &body).await.0 });
    while house.running() == 0 {
        tokio::task::yield_now().await;
    }
    let (status, json) =
        house.post("b.member", "two", &batch(&[("x", "10:00", json!({"a": 1}))])).await;
    assert_eq!((status.as_u16(), &json["type"]), (429, &json!("urn:shieldx:problem:busy")));
    log.open_gate();
    assert_eq!(writing.join_all().await, [200]);
    house.write("two", &[("x", "10:00", json!({"a": 1}))]).await;
}

/// A body without a length takes the room of the largest; a tenant has room for four of those.
#[tokio::test]
async fn bodies_that_do_not_come_to_an_end_do_not_fill_the_memory() {
    let house = Arc::new(House::new().await);
    let endless = || {
        let request = http::Request::post("/v1/features/host").header("x-api-key", "a.member");
        let request = request.header("content-type", "application/json");
        request.body(axum::body::Body::new(Endless)).unwrap()
    };
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (house, request) = (Arc::clone(&house), endless());
        senders.spawn(async move { house.send(request).await });
    }
    tokio::task::yield_now().await;
    let (status, headers, _) = house.send(endless()).await;
    assert_eq!((status.as_u16(), &headers["retry-after"].as_bytes()), (429, &b"1".as_slice()));
    house.write_as("b.member", "host", &[("x", "10:00", json!({"a": 1}))]).await;
    senders.shutdown().await;
    house.write("host", &[("x", "10:00", json!({"a": 1}))]).await;
}

/// Sends nothing and never ends.
struct Endless;

impl http_body::Body for Endless {
    type Data = axum::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn settings_that_cannot_be_are_named() {
    for (config, name) in [
        (Config { rows_max: 0, ..Config::default() }, "rows_max"),
        (Config { rows_max: 10_001, ..Config::default() }, "rows_max"),
        (Config { rows_in_flight_max: 1, ..Config::default() }, "rows_in_flight_max"),
        (Config { history_window: 19, ..Config::default() }, "history_window"),
        (Config { scans_max: 0, ..Config::default() }, "scans_max"),
    ] {
        let error = House::open(&config, Arc::new(MemoryLog::default())).await.err().unwrap();
        assert!(error.to_string().starts_with(name), "{error}");
    }
}

#[tokio::test]
async fn every_metric_is_touched() {
    let log = Arc::new(MemoryLog::default());
    let config = Config { tenant_reference_runs_max: 20, history_window: 20, ..Config::default() };
    let first = House::open(&config, log.clone()).await.unwrap();
    first.write("host", &[("x", "10:00", json!({"load": 1, "name": null}))]).await;
    // What was before this start is read at it.
    let house = House::open(&config, log.clone()).await.unwrap();
    house.write("host", &[("x", "11:00", json!({"load": 1}))]).await;
    for workload in 0..25 {
        let run = run(&format!("w{workload}"), &format!("r{workload}"), &[("calls", 1.0)]);
        house.service.observe(&run).await.unwrap();
    }
    house.post("a.member", "host", "{").await;
    log.set_full(true);
    house.post("a.member", "host", &batch(&[("x", "12:00", json!({"load": 1}))])).await;
    let text = house.metrics.text();
    let value = |line: &str| {
        let found = text.lines().find_map(|known| known.strip_prefix(line)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("{line} is not in {text}")).parse::<f64>().unwrap()
    };
    let mut declared: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE shieldx_ml_service_")?.split(' ').next())
        .collect();
    declared.sort_unstable();
    let moved = [
        ("anomaly_scores", "_total{outcome=\"too_few\"}", 25.0),
        ("dependency_duration_seconds", "_count{dependency=\"store\",outcome=\"failed\"}", 1.0),
        ("in_flight", "{of=\"rows\"}", 0.0),
        ("index_bytes", "", 1.0),
        ("index_entities", "", 26.0),
        ("ingest_duration_seconds", "_count", 26.0),
        ("ingested_payload_bytes", "_total", 1.0),
        ("ingested_rows", "_total", 26.0),
        ("ingested_values", "_total", 26.0),
        ("phase_duration_seconds", "_count{phase=\"append\"}", 27.0),
        ("rebuild_duration_seconds", "", 0.0),
        ("rebuild_rows", "", 1.0),
        ("reference_runs_forgotten", "_total", 1.0),
        ("rejections", "_total{reason=\"store_full\"}", 1.0),
    ];
    assert_eq!(declared, moved.map(|(name, ..)| name));
    for (name, series, at_least) in moved {
        let line = format!("shieldx_ml_service_{name}{series}");
        assert!(value(&line) >= at_least, "{line} {}", value(&line));
    }
    for phase in ["validate", "admit", "encode", "append", "index"] {
        let line = format!("shieldx_ml_service_phase_duration_seconds_count{{phase=\"{phase}\"}}");
        assert!(value(&line) >= 26.0, "{line}");
    }
    // What is held is given back.
    assert_eq!(value("shieldx_ml_service_in_flight{of=\"body_bytes\"}"), 0.0);
}

#[tokio::test]
async fn what_is_on_its_way_in_is_told_while_it_is() {
    let log = Arc::new(MemoryLog::default());
    let house = House::open(&Config::default(), log.clone()).await.unwrap();
    log.close_gate();
    let rows = batch(&[("x", "10:00", json!({"load": 1})), ("y", "10:00", json!({"load": 1}))]);
    let told = async |line: &str| {
        while !house.metrics.text().contains(line) {
            tokio::task::yield_now().await;
        }
    };
    let watched = async {
        told("shieldx_ml_service_in_flight{of=\"rows\"} 2").await;
        log.open_gate();
    };
    let ((status, _), ()) = tokio::join!(house.post("a.member", "host", &rows), watched);
    assert_eq!(status, 200);
    told("shieldx_ml_service_in_flight{of=\"rows\"} 0").await;
}
