//! Writing, latest values, whose they are.

use http::{Request, StatusCode};
use serde_json::json;

use crate::support::House;

#[tokio::test]
async fn what_is_written_is_read_with_feasts_words() {
    let house = House::new().await;
    house
        .write("host", &[("web-1", "09:00", json!({"load": 0.5, "os": "linux", "up": true}))])
        .await;
    house.write("host", &[("web-1", "09:30", json!({"load": 0.75, "note": null}))]).await;

    let path = "/v1/features/host/latest?entity=web-1&entity=nope&max_age_ms=3599999";
    assert_eq!(
        house.read("a.reader", path).await,
        json!({"view": "host", "entities": [
            {"entity": "web-1", "features": {
                "load": {"status": "PRESENT", "value": 0.75, "event_time": "2026-11-24T09:30:00Z"},
                "note": {"status": "NULL_VALUE", "value": null, "event_time": "2026-11-24T09:30:00Z"},
                "os": {"status": "OUTSIDE_MAX_AGE", "value": null, "event_time": "2026-11-24T09:00:00Z"},
                "up": {"status": "OUTSIDE_MAX_AGE", "value": null, "event_time": "2026-11-24T09:00:00Z"},
            }},
            {"entity": "nope", "features": {
                "load": {"status": "NOT_FOUND", "value": null},
                "note": {"status": "NOT_FOUND", "value": null},
                "os": {"status": "NOT_FOUND", "value": null},
                "up": {"status": "NOT_FOUND", "value": null},
            }},
        ]})
    );

    // An age of exactly the greatest one counts; a feature nobody ever wrote is not found.
    let path = "/v1/features/host/latest?entity=web-1&feature=up&feature=nope&max_age_ms=3600000";
    let found = house.read("a.reader", path).await;
    assert_eq!(
        found["entities"][0]["features"],
        json!({
            "nope": {"status": "NOT_FOUND", "value": null},
            "up": {"status": "PRESENT", "value": true, "event_time": "2026-11-24T09:00:00Z"},
        })
    );
}

#[tokio::test]
async fn late_data_never_overwrites_newer() {
    let house = House::new().await;
    let load = async || {
        let found = house.read("a.reader", "/v1/features/host/latest?entity=x").await;
        found["entities"][0]["features"]["load"]["value"].clone()
    };
    house.write("host", &[("x", "10:00", json!({"load": 1}))]).await;
    house.write("host", &[("x", "09:59", json!({"load": 2}))]).await;
    assert_eq!(load().await, 1, "older");
    house.write("host", &[("x", "10:00", json!({"load": 3}))]).await;
    assert_eq!(load().await, 3, "the same time, told later");
    house.clock.advance_us(-60_000_000);
    house.write("host", &[("x", "10:00", json!({"load": 4}))]).await;
    assert_eq!(load().await, 4, "told later, whatever the clock says");
    // In one batch: the greatest time, and of two equal ones the later row.
    let rows = [
        ("x", "12:00", json!({"load": 5})),
        ("x", "12:00", json!({"load": 6})),
        ("x", "11:00", json!({"load": 7})),
    ];
    house.write("host", &rows).await;
    assert_eq!(load().await, 6);
}

#[tokio::test]
async fn numbers_come_back_digit_by_digit() {
    let house = House::new().await;
    let values = r#"{"big":9007199254740993,"min":-9223372036854775808,"beyond":18446744073709551615,
        "tiny":5e-324,"huge":1.7976931348623157e308,"tenth":0.1,"third":0.30000000000000004,
        "awkward":31.245270191439438,"zero":-0.0,"one":1.0}"#;
    let body = format!(
        r#"{{"rows":[{{"entity":"x","event_time":"2026-11-24T10:00:00Z","values":{values}}}]}}"#
    );
    let (status, json) = house.post("a.member", "numbers", &body).await;
    assert_eq!(status, 200, "{json}");
    let found = house.read("a.reader", "/v1/features/numbers/latest?entity=x").await;
    let value = |name: &str| found["entities"][0]["features"][name]["value"].clone();
    assert_eq!(value("big"), 9_007_199_254_740_993_i64);
    assert_eq!(value("min"), i64::MIN);
    assert_eq!(value("beyond"), 1.844_674_407_370_955_2e19);
    assert_eq!(value("tiny"), 5e-324);
    assert_eq!(value("huge"), f64::MAX);
    assert_eq!(value("tenth"), 0.1);
    assert_eq!(value("third"), 0.1 + 0.2);
    // The fast and not quite right way to read a double ends one digit off here.
    assert_eq!(value("awkward").to_string(), "31.245270191439438");
    assert_eq!(value("zero").to_string(), "-0.0");
    assert_eq!(value("one").to_string(), "1.0");
}

#[tokio::test]
async fn a_type_is_fixed_by_first_use_and_null_fits_every_one() {
    let house = House::new().await;
    house.write("host", &[("x", "10:00", json!({"load": null}))]).await;
    house.write("host", &[("x", "10:01", json!({"load": "high"}))]).await;
    let rows = [("y", "10:02", json!({"load": null})), ("y", "10:02", json!({"load": 5}))];
    let (status, json) = house.post("a.member", "host", &crate::support::batch(&rows)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(json["type"], "urn:shieldx:problem:type-conflict");
    assert_eq!(
        json["detail"],
        "row 1: column load of view host had string and got number; send string, or choose another \
         column name"
    );
    // Another tenant's view of the same name is another view.
    house.write_as("b.member", "host", &[("x", "10:00", json!({"load": 5}))]).await;

    let views = house.read("a.reader", "/v1/features").await;
    assert_eq!(
        views,
        json!({"views": [{
            "view": "host", "rows": 2, "entities": 1, "newest_event_time": "2026-11-24T10:01:00Z",
            "columns": [{"name": "load", "type": "string"}],
        }]})
    );
}

#[tokio::test]
async fn no_tenant_sees_another() {
    let house = House::new().await;
    let written = [("x", "10:00", json!({"secret": "a's"}))];
    house.write("mine", &written).await;
    for path in [
        "/v1/features/mine/latest?entity=x",
        "/v1/features/mine/history?entity=x",
        "/v1/features/mine/latest?entity=x&feature=secret",
    ] {
        let (status, theirs) = house.get("b.admin", path).await;
        let (_, nowhere) = house.get("c.admin", path).await;
        assert_eq!((status, &theirs), (StatusCode::NOT_FOUND, &nowhere), "{path}");
    }
    assert_eq!(house.read("b.admin", "/v1/features").await, json!({"views": []}));

    house.write_as("b.member", "mine", &[("y", "10:00", json!({"secret": "b's"}))]).await;
    let theirs = house.read("b.reader", "/v1/features/mine/latest?entity=x&entity=y").await;
    assert_eq!(theirs["entities"][0]["features"]["secret"]["status"], "NOT_FOUND");
    assert_eq!(theirs["entities"][1]["features"]["secret"]["value"], "b's");
    let theirs = house.read("b.reader", "/v1/features/mine/history?entity=x").await;
    assert_eq!(theirs["rows"], json!([]));
}

#[tokio::test]
async fn who_calls_and_what_they_may() {
    let house = House::new().await;
    house.write("host", &[("x", "10:00", json!({"load": 1}))]).await;
    for path in
        ["/v1/features", "/v1/features/host/latest?entity=x", "/v1/features/host/history?entity=x"]
    {
        let none = Request::get(path).body(axum::body::Body::empty()).unwrap();
        let (status, headers, _) = house.send(none).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(headers.contains_key("www-authenticate"));
        assert_eq!(house.get("nonsense", path).await.0, StatusCode::UNAUTHORIZED);
        house.read("a.reader", path).await;
    }
    // The role comes before the body: this one is not even JSON.
    assert_eq!(house.post("a.reader", "host", "{").await.0, StatusCode::FORBIDDEN);
    assert_eq!(house.post("nonsense", "host", "{").await.0, StatusCode::UNAUTHORIZED);
}
