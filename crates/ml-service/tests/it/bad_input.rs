//! Every way to be wrong: told by name, and nothing kept.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::support::House;

async fn refused(house: &House, body: &str, status: u16, says: &str) {
    let (got, json) = house.post("a.member", "host", body).await;
    let shown: String = body.chars().take(200).collect();
    assert_eq!(got, status, "{shown}: {json}");
    assert!(json["detail"].as_str().unwrap().contains(says), "{shown}: {json}");
}

fn row(values: &str) -> String {
    format!(
        r#"{{"rows":[{{"entity":"x","event_time":"2026-11-24T10:00:00Z","values":{values}}}]}}"#
    )
}

#[tokio::test]
async fn malformed_json_and_wrong_shapes_are_named() {
    let house = House::new().await;
    refused(&house, "", 400, "EOF").await;
    refused(&house, "{", 400, "EOF").await;
    refused(&house, r#"{"rows":[}"#, 400, "expected value").await;
    refused(&house, &row(r#"{"a":NaN}"#), 400, "expected value").await;
    refused(&house, &row(r#"{"a":1e999}"#), 400, "out of range").await;
    refused(&house, &row(&format!(r#"{{"a":{}}}"#, "9".repeat(400))), 400, "out of range").await;
    refused(&house, &row(r#"{"a":"\ud800"}"#), 400, "hex escape").await;
    refused(&house, "[]", 422, "").await;
    refused(&house, "null", 422, "").await;
    refused(&house, "{}", 422, "missing field `rows`").await;
    refused(&house, r#"{"rows":{}}"#, 422, "rows").await;
    refused(&house, r#"{"rows":[],"more":1}"#, 422, "unknown field `more`").await;
    refused(
        &house,
        r#"{"rows":[{"entity":"x","event_time":"2026-11-24T10:00:00Z"}]}"#,
        422,
        "values",
    )
    .await;
    refused(
        &house,
        r#"{"rows":[{"entity":5,"event_time":"x","values":{}}]}"#,
        422,
        "rows[0].entity",
    )
    .await;
    refused(&house, r#"{"rows":[{"entity":"x","event_time":7,"values":{}}]}"#, 422, "event_time")
        .await;
    refused(&house, &row("[]"), 422, "feature names and values").await;
    refused(&house, &row(r#"{"a":[1]}"#), 422, "a number, a string, a bool or null").await;
    refused(&house, &row(r#"{"a":{"b":1}}"#), 422, "a number, a string, a bool or null").await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    refused(&house, &row(&format!(r#"{{"a":{deep}}}"#)), 422, "a number").await;
    assert_eq!(house.read("a.reader", "/v1/features").await, json!({"views": []}));
    assert!(house.metrics.text().contains(r#"rejections_total{reason="malformed"} 19"#));
}

#[tokio::test]
async fn an_invalid_row_is_told_by_its_index_and_takes_the_batch_with_it() {
    let house = House::new().await;
    let good = json!({"entity": "x", "event_time": "2026-11-24T10:00:00Z", "values": {"a": 1}});
    let wrong = |change: &dyn Fn(&mut Value)| {
        let mut row = good.clone();
        change(&mut row);
        json!({"rows": [good, row, good]}).to_string()
    };
    let many: Value =
        (0..65).map(|i| (format!("c{i}"), json!(i))).collect::<serde_json::Map<_, _>>().into();
    type Change<'a> = (&'a dyn Fn(&mut Value), &'a str);
    let cases: [Change<'_>; 12] = [
        (&|row| row["entity"] = json!(""), "entity has 0 characters"),
        (&|row| row["entity"] = json!("é".repeat(513)), "entity has 513 characters"),
        (&|row| row["event_time"] = json!("2026-11-24T10:00:00"), "RFC 3339"),
        (&|row| row["event_time"] = json!("2026-02-30T10:00:00Z"), "no date and time"),
        (&|row| row["event_time"] = json!("\u{1b}[31m"), r#""\u{1b}[31m""#),
        (&|row| row["values"] = json!({}), "values is empty"),
        (&|row| row["values"] = many.clone(), "65 names"),
        (&|row| row["values"] = json!({"": 1}), "is no feature name"),
        (&|row| row["values"] = json!({"1a": 1}), "is no feature name"),
        (&|row| row["values"] = json!({"Load": 1}), "is no feature name"),
        (&|row| row["values"] = json!({"a".repeat(64): 1}), "is no feature name"),
        (&|row| row["values"] = json!({"b": "é".repeat(257)}), "b has 257 characters"),
    ];
    for (change, says) in cases {
        let body = wrong(change);
        refused(&house, &body, 422, says).await;
        refused(&house, &body, 422, "row 1: ").await;
    }
    refused(&house, &row(r#"{"a":1,"a":2}"#), 422, "row 0: a is there twice").await;
    refused(&house, r#"{"rows":[]}"#, 422, "send at least one row").await;
    let (status, json) =
        house.post("a.member", "host", &wrong(&|row| row["values"] = json!({"a": "text"}))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(
        json["detail"].as_str().unwrap().starts_with("row 1: column a of view host had number")
    );
    assert_eq!(house.read("a.reader", "/v1/features").await, json!({"views": []}));

    // What is just within the limits is fine.
    let widest: serde_json::Map<String, Value> =
        (0..64).map(|i| (format!("{}{i:02}", "c".repeat(61)), json!("é".repeat(256)))).collect();
    let body = json!({"rows": [{"entity": "é".repeat(512), "event_time": "0001-01-01T00:00:00+23:59", "values": widest}]});
    let (status, json) = house.post("a.member", "host", &body.to_string()).await;
    assert_eq!(status, 200, "{json}");
}

#[tokio::test]
async fn too_many_rows_and_too_large_bodies() {
    let house = House::new().await;
    let one = json!({"entity": "x", "event_time": "2026-11-24T10:00:00Z", "values": {"a": 1}});
    let body = json!({"rows": vec![one; 10_001]}).to_string();
    refused(&house, &body, 422, "at most 10000").await;
    let body = format!(r#"{{"rows":"{}"}}"#, "x".repeat(ml_service::INGEST_BODY_MAX_BYTES));
    refused(&house, &body, 413, "").await;
    let plain = Request::post("/v1/features/host").header("x-api-key", "a.member");
    let plain = plain.header("content-type", "text/plain").body(Body::from("{}")).unwrap();
    assert_eq!(house.send(plain).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn names_of_views_and_the_reserved_one() {
    let house = House::new().await;
    for view in ["Host", "1", "a-b", "%C3%A9", "a%2Fb", &"a".repeat(64)] {
        let (status, json) = house.post("a.member", view, "{}").await;
        assert_eq!(
            (status.as_u16(), &json["type"]),
            (400, &json!("urn:shieldx:problem:bad-view-name"))
        );
        assert_eq!(
            house.get("a.member", &format!("/v1/features/{view}/latest?entity=x")).await.0,
            400
        );
    }
    let (status, json) = house.post("a.admin", "runs", &row(r#"{"a":1}"#)).await;
    assert_eq!(
        (status, &json["type"]),
        (StatusCode::FORBIDDEN, &json!("urn:shieldx:problem:reserved-view"))
    );
}

#[tokio::test]
async fn queries_that_say_nothing_or_too_much() {
    let house = House::new().await;
    house.write("host", &[("x", "10:00", json!({"load": 1}))]).await;
    let latest = [
        ("", "entity 1 to 100"),
        ("entity=", "1 to 512 characters"),
        ("entity=x&colour=red", r#"there is no parameter "colour""#),
        ("entity=x&max_age_ms=-1", "whole number from 0"),
        ("entity=x&max_age_ms=1.5", "whole number"),
        ("entity=x&max_age_ms=%2B5", "whole number"),
        ("entity=x&max_age_ms=99999999999999999999", "whole number"),
        ("entity=x&max_age_ms=1&max_age_ms=2", "max_age_ms is there twice"),
        ("entity=x&feature=No", r#""No" is no feature's name"#),
    ];
    for (query, says) in latest {
        let (status, json) =
            house.get("a.reader", &format!("/v1/features/host/latest?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(json["detail"].as_str().unwrap().contains(says), "{query}: {json}");
    }
    let many = "entity=x&".repeat(101);
    assert_eq!(house.get("a.reader", &format!("/v1/features/host/latest?{many}")).await.0, 400);
    let history = [
        ("", "give the entity"),
        ("entity=x&entity=y", "entity is there twice"),
        ("entity=x&from=yesterday", "from: \"yesterday\" is not an RFC 3339 time"),
        ("entity=x&from=2026-11-24T10:00:00+01:00", "write + as %2B"),
        ("entity=x&limit=0", "whole number from 1 to 1000"),
        ("entity=x&limit=1001", "whole number from 1 to 1000"),
        ("entity=x&cursor=1.2", "cursor is not one"),
        ("entity=x&cursor=1.2.3.4", "cursor is not one"),
        ("entity=x&cursor=01.2.3", "cursor is not one"),
        ("entity=x&cursor=1.2.-3", "cursor is not one"),
    ];
    for (query, says) in history {
        let (status, json) =
            house.get("a.reader", &format!("/v1/features/host/history?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(json["detail"].as_str().unwrap().contains(says), "{query}: {json}");
    }
    assert_eq!(house.get("a.reader", "/v1/features?x=1").await.0, 400);
}

#[tokio::test]
async fn unknown_routes_and_methods() {
    let house = House::new().await;
    let (status, json) = house.get("a.reader", "/v2/features").await;
    assert_eq!((status.as_u16(), &json["type"]), (404, &json!("urn:shieldx:problem:not-found")));
    let request = Request::delete("/v1/features/host").body(Body::empty()).unwrap();
    let (status, headers, _) = house.send(request).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(headers["allow"], "POST");
}

#[tokio::test]
async fn the_description_of_the_api_has_the_limits_that_hold() {
    let house = House::new().await;
    let document = house.document();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "/v1/features",
            "/v1/features/{view}",
            "/v1/features/{view}/history",
            "/v1/features/{view}/latest"
        ]
    );
    let body = &document["components"]["schemas"]["IngestRequest"];
    let rows = &body["properties"]["rows"];
    assert_eq!((&rows["minItems"], &rows["maxItems"]), (&json!(1), &json!(10_000)));
    let values = &rows["items"]["properties"]["values"];
    assert_eq!(values["maxProperties"], 64);
    assert_eq!(values["propertyNames"]["pattern"], "^[a-z_][a-z0-9_]{0,62}$");
    assert_eq!(
        values["additionalProperties"]["type"],
        json!(["number", "string", "boolean", "null"])
    );
    assert_eq!(rows["items"]["additionalProperties"], false);
    for reference in find_references(document) {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference} points nowhere");
    }
}

fn find_references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(name, value)| match value {
                Value::String(target) if name == "$ref" => vec![target.clone()],
                value => find_references(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(find_references).collect(),
        _ => Vec::new(),
    }
}
