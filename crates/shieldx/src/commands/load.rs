//! `shieldx load`: synthetic traffic through every flow, so that a newcomer sees budgets, traces and
//! dashboards move. It says that it is synthetic, in every request and in what it prints.
//!
//! Requests leave at a fixed pace whatever the answers do, so that a slow server shows as slow and not
//! as less traffic (coordinated omission); a request that finds no free thread waits and its wait
//! counts. One that still waits a while after the end is not sent any more, and that is said.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::report::words::{grouped, safe};
use crate::request::service::LoadRequest;

mod flows;

use flows::{Flow, Sender};

/// Requests at the same time.
const THREADS: u64 = 16;
/// How long after the end requests that were due before it are still sent.
const LATE: Duration = Duration::from_secs(5);

/// What stands in the place of an answer then.
const NOT_SENT: &str = "not sent: the time was over before a thread was free";

/// What came of one flow.
#[derive(Debug, Default, Serialize)]
struct Tally {
    requests: u64,
    /// By status; 0 for those without an answer.
    answers: BTreeMap<u16, u64>,
    /// Answers that this flow does not expect.
    unexpected: u64,
    /// The first of them, for the person who looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<String>,
    /// Milliseconds from when a request was due, sorted at the end.
    #[serde(skip)]
    times_ms: Vec<f64>,
    p50_ms: f64,
    p99_ms: f64,
}

/// All of them.
#[derive(Debug, Serialize)]
struct Summary {
    synthetic: bool,
    seconds: f64,
    flows: BTreeMap<&'static str, Tally>,
}

/// Sends what was asked for.
///
/// # Errors
/// When the server does not answer at all, or standard output cannot be written. Answers that are not
/// expected are no error of the command: exit code 1.
pub fn load(request: &LoadRequest) -> Result<Exit, Failure> {
    let sender = Sender::new(&request.server);
    sender.reach()?;
    let _ = writeln!(
        std::io::stderr().lock(),
        "shieldx: synthetic load on {}: {} requests a second for {} s",
        safe(&request.server.url),
        request.rate,
        request.lasts.as_secs()
    );
    let begun = Instant::now();
    let tallies = Mutex::new(BTreeMap::new());
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| work(request, &sender, begun, &next, &tallies));
        }
    });
    let mut flows = tallies.into_inner().unwrap_or_else(PoisonError::into_inner);
    flows.values_mut().for_each(Tally::close);
    let summary = Summary { synthetic: true, seconds: begun.elapsed().as_secs_f64(), flows };
    print(request, &summary)?;
    let well = summary.flows.values().all(|tally| tally.unexpected == 0);
    Ok(if well { Exit::Success } else { Exit::Differs })
}

/// Takes one due request after the other until the time is over.
fn work(
    request: &LoadRequest,
    sender: &Sender,
    begun: Instant,
    next: &AtomicU64,
    tallies: &Mutex<BTreeMap<&'static str, Tally>>,
) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = Duration::from_secs_f64(approximate(number) / f64::from(request.rate));
        if due >= request.lasts {
            return;
        }
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let flow = Flow::of(number);
        let late = begun.elapsed() > request.lasts + LATE;
        let answer = if late { Err(NOT_SENT.to_owned()) } else { flow.send(sender, number) };
        let took = begun.elapsed().saturating_sub(due);
        let mut tallies = tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.entry(flow.name()).or_default().add(flow, &answer, took);
    }
}

#[expect(clippy::cast_precision_loss, reason = "request numbers of a day at most")]
fn approximate(number: u64) -> f64 {
    number as f64
}

impl Tally {
    fn add(&mut self, flow: Flow, answer: &Result<u16, String>, took: Duration) {
        self.requests += 1;
        self.times_ms.push(took.as_secs_f64() * 1000.0);
        let status = answer.as_ref().copied().unwrap_or(0);
        *self.answers.entry(status).or_default() += 1;
        if !flow.expects(status) {
            self.unexpected += 1;
            let seen = answer.as_ref().map_or_else(Clone::clone, u16::to_string);
            self.example.get_or_insert(seen);
        }
    }

    fn close(&mut self) {
        self.times_ms.sort_by(f64::total_cmp);
        self.p50_ms = quantile(&self.times_ms, 50);
        self.p99_ms = quantile(&self.times_ms, 99);
    }
}

/// Nearest rank.
fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

fn print(request: &LoadRequest, summary: &Summary) -> Result<(), Failure> {
    output::to_stdout(|out| {
        if request.json {
            serde_json::to_writer_pretty(&mut *out, summary)?;
            return writeln!(out);
        }
        writeln!(out, "{:<12} {:>8} {:>9} {:>9}  answers", "FLOW", "REQUESTS", "P50 ms", "P99 ms")?;
        for (name, tally) in &summary.flows {
            let answers: Vec<String> = tally
                .answers
                .iter()
                .map(|(status, count)| match status {
                    0 => format!("{} × none", grouped(*count)),
                    status => format!("{} × {status}", grouped(*count)),
                })
                .collect();
            let requests = grouped(tally.requests);
            let (p50, p99, answers) = (tally.p50_ms, tally.p99_ms, answers.join(", "));
            writeln!(out, "{name:<12} {requests:>8} {p50:>9.1} {p99:>9.1}  {answers}")?;
            if let Some(example) = &tally.example {
                let (count, example) = (tally.unexpected, safe(example));
                writeln!(out, "{:<12} {count} not expected, the first: {example}", "")?;
            }
        }
        writeln!(out, "synthetic; {:.0} s", summary.seconds)
    })
    .map_err(|error| Failure::of(Exit::Failed, &error))
}
