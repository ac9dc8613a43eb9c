//! Following a verification.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt as _;
use http::StatusCode;
use serde_json::Value;
use tokio::sync::Semaphore;
use types::ports::{Listener, Progress};
use types::{Event, Kind, Task, Text};
use verifier_pool::Config;

use crate::lab::{Lab, PATIENCE, Site, request, until};
use crate::played::recording;

/// Reads an event stream.
struct Reader {
    body: BodyDataStream,
    buffer: String,
}

impl Reader {
    async fn open(site: &Site, id: &str) -> Self {
        let path = format!("/v1/verifications/{id}/events");
        let request = request("GET", &path, "acme-reader").body(Body::empty()).unwrap();
        let response = site.call(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), buffer: String::new() }
    }

    /// Name and data; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let block = block.to_owned();
                self.buffer = rest.to_owned();
                let field = |name: &str| {
                    block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start)
                };
                let Some(name) = field("event:") else { continue };
                let data = serde_json::from_str(field("data:").unwrap()).unwrap();
                return Some((name.to_owned(), data));
            }
            let chunk = tokio::time::timeout(PATIENCE, self.body.next()).await.unwrap()?;
            self.buffer.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    /// `name` or `name:word` for what is left.
    async fn rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some((name, data)) = self.next().await {
            lines.push(line(&name, &data));
        }
        lines
    }
}

fn line(name: &str, data: &Value) -> String {
    match data[name].as_str() {
        Some(word) => format!("{name}:{word}"),
        None => name.to_owned(),
    }
}

fn exec(id: u64) -> Progress {
    let task = Task { pid: 2, tid: 2, ppid: 1, start_ns: 0, uid: 0, comm: Text::from("a\nb\x1b") };
    let kind = Kind::SetName { name: Text::from("event: done\n\ndata: {}") };
    let event = Event {
        id,
        time_ns: id,
        task,
        kind,
        ret: Some(0),
        blocked: false,
        advisory: false,
        truncated: false,
        count: 1,
    };
    Progress::Event(Box::new(event))
}

/// Runs that stop at a gate between what they tell before and after.
fn gated(lab: &Lab, before: fn(&Listener), after: fn(&Listener)) -> Arc<Semaphore> {
    let gate = Arc::new(Semaphore::new(0));
    let at = Arc::clone(&gate);
    lab.sandbox.play(move |execution, listener| {
        let gate = Arc::clone(&at);
        async move {
            before(&listener);
            gate.acquire().await.unwrap().forget();
            after(&listener);
            Ok(recording(&execution.id))
        }
    });
    gate
}

fn build(listener: &Listener) {
    listener(Progress::Phase("build"));
    listener(exec(1));
}

#[tokio::test]
async fn a_run_is_followed_from_the_queue_to_its_end() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let gate = gated(&lab, build, |listener| listener(Progress::Phase("collect")));
    let id = site.accepted("").await;
    let mut reader = Reader::open(&site, &id).await;
    let (name, data) = reader.next().await.unwrap();
    assert_eq!(
        (name.as_str(), &data["state"], &data["attempts"]),
        ("state", &"queued".into(), &0.into())
    );
    site.pool.start();
    let mut lines = Vec::new();
    loop {
        let (name, data) = reader.next().await.unwrap();
        lines.push(line(&name, &data));
        if name == "event" {
            assert_eq!(data["kind"], "set_name", "{data}");
            break;
        }
    }
    assert_eq!(lines, ["state:running", "phase:fetch", "phase:build", "event"]);
    gate.add_permits(1);
    let mut last = Value::Null;
    let mut rest = Vec::new();
    while let Some((name, data)) = reader.next().await {
        rest.push(line(&name, &data));
        last = data;
    }
    let expected = [
        "phase:collect",
        "phase:features",
        "phase:anomaly",
        "phase:assess",
        "phase:finish",
        "state:done",
        "done",
    ];
    assert_eq!(rest, expected);
    assert_eq!((&last["id"], &last["verdict"]), (&id.into(), &"suspicious".into()));
    site.stop().await;
}

#[tokio::test]
async fn whoever_comes_late_hears_where_it_stands() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let gate = gated(&lab, build, |_| {});
    let id = site.accepted("").await;
    site.pool.start();
    until("it runs", || lab.sandbox.running.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    let mut reader = Reader::open(&site, &id).await;
    let mut lines = Vec::new();
    for _ in 0..2 {
        let (name, data) = reader.next().await.unwrap();
        lines.push(line(&name, &data));
    }
    assert_eq!(lines, ["state:running", "phase:build"]);
    gate.add_permits(1);
    assert_eq!(reader.rest().await.last().unwrap(), "done");
    let mut after = Reader::open(&site, &id).await;
    assert_eq!(after.rest().await, ["state:done", "done"]);
    site.stop().await;
}

#[tokio::test]
async fn a_slow_subscriber_is_told_what_it_missed_and_still_sees_the_end() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let gate = gated(&lab, build, |listener| (2..2_000).for_each(|id| listener(exec(id))));
    let id = site.accepted("").await;
    site.pool.start();
    until("it runs", || lab.sandbox.running.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    let mut reader = Reader::open(&site, &id).await;
    assert_eq!(reader.next().await.unwrap().0, "state");
    assert_eq!(site.metric("event_subscribers"), 1.0);
    gate.add_permits(1);
    site.ended(&id).await;
    let mut missed = 0;
    let mut last = String::new();
    while let Some((name, data)) = reader.next().await {
        missed += data["missed"].as_u64().unwrap_or_default();
        last = name;
    }
    assert!(missed > 1_000, "{missed}");
    assert_eq!(last, "done");
    assert_eq!(site.metric("events_missed_total"), missed as f64);
    drop(reader);
    assert_eq!(site.metric("event_subscribers"), 0.0);
    site.stop().await;
}

#[tokio::test]
async fn a_failure_and_a_deletion_are_ends_too() {
    let lab = Lab::new();
    let site = lab.site(Config { subscribers_max: 1, ..Config::default() });
    let deleted = site.accepted("").await;
    let mut reader = Reader::open(&site, &deleted).await;
    let second = site.get(&format!("/v1/verifications/{deleted}/events")).await;
    assert_eq!(
        (second.status, second.problem().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "busy")
    );
    site.delete(&format!("/v1/verifications/{deleted}")).await;
    assert_eq!(reader.rest().await, ["state:queued", "failed"]);
    drop(reader);

    lab.sandbox.play(async |_, _| panic!("the worker dies"));
    let id = site.accepted("").await;
    let mut reader = Reader::open(&site, &id).await;
    site.pool.start();
    let mut states = Vec::new();
    let mut last = Value::Null;
    while let Some((name, data)) = reader.next().await {
        if name == "state" || name == "failed" {
            states.push(line(&name, &data));
        }
        last = data;
    }
    assert_eq!(states.last().unwrap(), "failed");
    assert!(last["failure"].as_str().unwrap().contains("the worker dies"));
    site.stop().await;
}

#[tokio::test]
async fn shutdown_ends_the_streams() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let id = site.accepted("").await;
    let mut reader = Reader::open(&site, &id).await;
    site.shutdown.begin();
    assert_eq!(reader.rest().await, ["state:queued"]);
}
