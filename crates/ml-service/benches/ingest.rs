//! How fast feature rows become durable: batches of a thousand rows through the whole pipeline into
//! the real store, beside a table with a row per value and a primary key in the same SQLite, same
//! settings, same rows, in turns. Also: how fast a start reads them back, and what an anomaly costs.
//!
//! `cargo bench -p ml-service`. Nothing here is asserted; docs/benchmarks.md has the figures.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ml_service::value::Value;
use ml_service::{Config, MlService, Row, Values};
use runtime::clock::System;
use runtime::metrics::Metrics;
use runtime::shutdown::Shutdown;
use runtime::tasks::Tasks;
use rusqlite::Connection;
use store::sqlite::Store;
use types::Tenant;
use types::ports::{AnomalySource as _, RunFeatures};

const ROUNDS: u64 = 5;
const BATCHES: u64 = 100;
const ROWS: u64 = 1_000;
const ENTITIES: u64 = 20_000;
const FEATURES: [&str; 5] = ["bytes_in", "bytes_out", "connections", "latency_ms", "errors"];
const START_S: u64 = 1_795_000_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure());
}

/// One side's batches of one round.
struct Took {
    rows_per_s: f64,
    p50_ms: f64,
    p95_ms: f64,
}

async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("ours");
    let tenant: Tenant = "bench".parse().unwrap();
    let service = open(&ours).await;
    let mut peer = open_peer(&folder.path().join("peer.db"));
    let (mut of_service, mut of_json, mut of_peer) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let bodies: Vec<Vec<u8>> =
            (0..BATCHES).map(|batch| body(round * BATCHES + batch)).collect();
        let parsed: Vec<Vec<Row>> = bodies.iter().map(|body| parse(body)).collect();
        let mut times = Vec::new();
        for rows in parsed.clone() {
            let begun = Instant::now();
            service.ingest(&tenant, "host", rows).await.unwrap();
            times.push(begun.elapsed());
        }
        of_service.push(summary(times));

        let mut times = Vec::new();
        for body in &bodies {
            let begun = Instant::now();
            service.ingest(&tenant, "json", parse(body)).await.unwrap();
            times.push(begun.elapsed());
        }
        of_json.push(summary(times));
        of_peer.push(summary(parsed.iter().map(|rows| write_peer(&mut peer, rows)).collect()));
    }
    say(&format!(
        "{ROUNDS} rounds in turns of {BATCHES} batches × {ROWS} rows × {} features; medians of rounds",
        FEATURES.len()
    ));
    let ours_rows = show("pipeline + store", &of_service);
    show("the same from JSON bytes", &of_json);
    let peer_rows = show("row per value, primary key", &of_peer);
    say(&format!("pipeline / peer: {:.1} times the rows per second", ours_rows / peer_rows));
    drop(service);

    let begun = Instant::now();
    let service = open(&ours).await;
    let rows = 2 * ROUNDS * BATCHES * ROWS;
    let per_s = rows as f64 / begun.elapsed().as_secs_f64();
    say(&format!("start: {rows} rows read back, {per_s:.0} rows/s"));
    observe(&service, &tenant).await;
}

async fn open(folder: &Path) -> Arc<MlService> {
    let tasks = Tasks::new(Shutdown::new());
    let (store, clock) = (Store::open(folder).unwrap(), Arc::new(System));
    let metrics = Metrics::new("ml-service");
    MlService::open(&Config::default(), store, clock, &metrics, &tasks).await.unwrap()
}

/// A batch as a client would send it; numbers from a fixed sequence.
fn body(batch: u64) -> Vec<u8> {
    let row = |row: u64| {
        let mut random = (batch * ROWS + row).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        random ^= random >> 31;
        let entity = format!("host-{:05}.example.internal", random % ENTITIES);
        let time = runtime::clock::rfc3339(((START_S + batch) * 1_000_000 + row).cast_signed());
        let mut values = serde_json::Map::new();
        for (at, name) in (1u64..).zip(FEATURES) {
            let value = random.rotate_left(u32::try_from(at * 11).unwrap()) % 100_000;
            let number = if at == 4 { (value as f64 / 1_000.0).into() } else { value.into() };
            values.insert(name.to_owned(), serde_json::Value::Number(number_of(number)));
        }
        serde_json::json!({"entity": entity, "event_time": time, "values": values})
    };
    let rows: Vec<serde_json::Value> = (0..ROWS).map(row).collect();
    serde_json::to_vec(&serde_json::json!({ "rows": rows })).unwrap()
}

fn number_of(value: serde_json::Value) -> serde_json::Number {
    value.as_number().unwrap().clone()
}

fn parse(body: &[u8]) -> Vec<Row> {
    let mut body: BTreeMap<String, Vec<Row>> = serde_json::from_slice(body).unwrap();
    body.remove("rows").unwrap()
}

fn open_peer(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -1048576;
             CREATE TABLE features (tenant TEXT, view TEXT, entity TEXT, event_time TEXT, \
             feature TEXT, value, PRIMARY KEY (tenant, view, entity, feature, event_time)) WITHOUT ROWID;",
        )
        .unwrap();
    connection
}

fn write_peer(connection: &mut Connection, rows: &[Row]) -> Duration {
    let begun = Instant::now();
    let transaction = connection.transaction().unwrap();
    {
        let sql = "INSERT OR REPLACE INTO features VALUES ('bench', 'host', ?1, ?2, ?3, ?4)";
        let mut insert = transaction.prepare_cached(sql).unwrap();
        for Row { entity, event_time, values: Values(values) } in rows {
            for (name, value) in values {
                match value {
                    Value::Integer(value) => insert.execute((entity, event_time, name, value)),
                    value => insert.execute((entity, event_time, name, value.number())),
                }
                .unwrap();
            }
        }
    }
    transaction.commit().unwrap();
    begun.elapsed()
}

/// Scoring against a full window of five hundred runs of thirty features.
async fn observe(service: &MlService, tenant: &Tenant) {
    let mut times = Vec::new();
    for number in 0..700u64 {
        let feature = |at: u64| (format!("feature_{at:02}"), ((number * 7 + at * 13) % 101) as f64);
        let run = RunFeatures {
            tenant: tenant.clone(),
            run_id: format!("run-{number}"),
            workload: "bench".to_owned(),
            event_time_us: (START_S * 1_000_000 + number).cast_signed(),
            values: (0..30).map(feature).collect(),
        };
        let begun = Instant::now();
        service.observe(&run).await.unwrap();
        if number >= 500 {
            times.push(begun.elapsed());
        }
    }
    let Took { p50_ms, p95_ms, .. } = summary(times);
    say(&format!(
        "observe, 500 runs × 30 features, durable: p50 {p50_ms:.2} ms, p95 {p95_ms:.2} ms"
    ));
}

fn summary(mut times: Vec<Duration>) -> Took {
    let total: Duration = times.iter().sum();
    times.sort();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    let rows_per_s = (times.len() as u64 * ROWS) as f64 / total.as_secs_f64();
    Took { rows_per_s, p50_ms: ms(at(50)), p95_ms: ms(at(95)) }
}

/// Prints the medians of the rounds; gives that of rows per second.
fn show(name: &str, rounds: &[Took]) -> f64 {
    let median = |pick: fn(&Took) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(pick).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let rows = median(|took| took.rows_per_s);
    let (p50, p95) = (median(|took| took.p50_ms), median(|took| took.p95_ms));
    say(&format!("{name:28} {rows:>9.0} rows/s   per batch p50 {p50:6.2} ms, p95 {p95:6.2} ms"));
    rows
}

fn say(line: &str) {
    writeln!(std::io::stdout().lock(), "{line}").unwrap();
}
