//! Figures of the embedded backend on the disk that holds the temporary folder: durable appends of
//! feature history, submits, and the whole way of a verification. Run by hand, prints one line each.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "the figures are the purpose")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::domain::{
    FeatureLog as _, NewVerification, Order, Outcome, Segment, Submitted, Summary,
    Verifications as _,
};
use store::sqlite::Store;
use tokio::task::JoinSet;

/// As in facts about ingest: rows of about 200 bytes, a thousand to a write.
const ROWS: u32 = 1_000;
const ROW_BYTES: usize = 200;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for writers in [1, 4] {
            append(writers, 200).await;
        }
        for callers in [1, 64] {
            submit(callers, 2_000).await;
        }
        run(8, 1_000).await;
    });
}

async fn append(writers: u64, segments: u64) {
    let times = measure(writers, segments, |store, number| async move {
        let segment = Segment {
            tenant: "bench".parse().unwrap(),
            view: "runs".to_owned(),
            event_min_us: i64::try_from(number).unwrap(),
            event_max_us: i64::try_from(number).unwrap() + 999,
            rows: ROWS,
            payload: vec![7; ROW_BYTES * usize::try_from(ROWS).unwrap()],
        };
        store.append(segment).await.unwrap();
    });
    let times = times.await;
    let rows = times.per_second() * f64::from(ROWS);
    println!("append, {writers} writers, {ROWS} rows each: {rows:.0} rows/s, {}", times.latency());
}

async fn submit(callers: u64, verifications: u64) {
    let times = measure(callers, verifications, |store, number| async move {
        let submitted = store.submit(work(number), u64::MAX, u64::MAX).await.unwrap();
        assert!(matches!(submitted, Submitted::New(_)));
    });
    let times = times.await;
    println!("submit, {callers} callers: {:.0}/s, {}", times.per_second(), times.latency());
}

async fn run(workers: u64, verifications: u64) {
    let times = measure(workers, verifications, |store, number| async move {
        store.submit(work(number), u64::MAX, u64::MAX).await.unwrap();
        let lease = store.claim(0, i64::MAX).await.unwrap().unwrap();
        let summary = Summary {
            verdict: "benign".to_owned(),
            score: 0,
            reason: "nothing of note".to_owned(),
            evidence: "full".to_owned(),
        };
        let outcome = Outcome::Report { summary, report: vec![b'r'; 20_000] };
        assert!(store.finish(&lease, outcome, 1).await.unwrap());
    });
    let times = times.await;
    let (rate, latency) = (times.per_second(), times.latency());
    println!("submit, claim, finish with 20 kB, {workers} workers: {rate:.0}/s, {latency}");
}

fn work(number: u64) -> NewVerification {
    NewVerification {
        id: format!("0190a0b0-0000-7000-8000-{number:012}"),
        tenant: format!("tenant-{}", number % 8).parse().unwrap(),
        order: Order {
            sha256: "ab".repeat(32),
            size_bytes: 100,
            file_name: "a.py".to_owned(),
            kind: "python".to_owned(),
            interpreter: Some("python3".to_owned()),
            arguments: vec![],
            runner: "process".to_owned(),
            timeout_ms: 10_000,
            traceparent: None,
        },
        idempotency_key: Some(format!("key-{number}")),
        created_us: 1,
    }
}

struct Times {
    each: Vec<Duration>,
    all: Duration,
}

impl Times {
    fn per_second(&self) -> f64 {
        let number = u32::try_from(self.each.len()).unwrap();
        f64::from(number) / self.all.as_secs_f64()
    }

    fn latency(&self) -> String {
        let at = |percent: usize| self.each[(self.each.len() - 1) * percent / 100];
        format!("p50 {:.2?}, p95 {:.2?}", at(50), at(95))
    }
}

/// Does something so many times in all on a new store, shared by so many tasks.
async fn measure<W, F>(tasks: u64, times: u64, work: W) -> Times
where
    W: Fn(Arc<Store>, u64) -> F + Copy + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let began = Instant::now();
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let store = Arc::clone(&store);
        running.spawn(async move {
            let mut each = Vec::new();
            for number in (task..times).step_by(usize::try_from(tasks).unwrap()) {
                let began = Instant::now();
                work(Arc::clone(&store), number).await;
                each.push(began.elapsed());
            }
            each
        });
    }
    let mut each = running.join_all().await.concat();
    let all = began.elapsed();
    each.sort();
    Times { each, all }
}
