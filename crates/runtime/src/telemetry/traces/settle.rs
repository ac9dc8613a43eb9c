//! The thread that decides on traces that have ended and hands those worth keeping to the archive.
//!
//! Whoever ends a span waits for none of this: a disk that is slow, full or read-only costs traces,
//! which are counted.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::trace::{SpanId, TraceId};

use super::Traces;
use super::archive::{self, Archive};
use super::memory::Due;
use super::shape::{KeptBecause, Trace};
use super::tail::{Keeping, Outcome, Tail};

/// How often is looked for what is due.
const TICK: Duration = Duration::from_millis(500);
/// How long a trace waits for a span that has not ended while others have.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest a trace has to be quiet before it is decided on again; each time doubles it.
const QUIET_MAX: Duration = Duration::from_secs(300);
/// Traces that wait to be due. More are decided on at once.
const WAITING_MAX: usize = 65_536;

/// Ends the thread when it is dropped.
#[derive(Debug)]
pub(in crate::telemetry) struct Settler {
    traces: Arc<Traces>,
}

impl Settler {
    /// # Errors
    /// When the machine gives no further thread, or there is one already.
    pub(in crate::telemetry) fn start(
        traces: &Arc<Traces>,
        archive: Arc<dyn Archive>,
        keeping: Keeping,
    ) -> std::io::Result<Self> {
        let mut work = Work {
            traces: Arc::clone(traces),
            archive: Arc::clone(&archive),
            quiet: Duration::from_millis(keeping.quiet_ms).min(QUIET_MAX),
            tail: Tail::new(keeping),
            waiting: BinaryHeap::new(),
            writes: true,
        };
        if !traces.begin_settling(archive) {
            return Err(std::io::ErrorKind::AlreadyExists.into());
        }
        std::thread::Builder::new()
            .name("shieldx-archive".to_owned())
            .spawn(move || work.run())
            .inspect_err(|_| traces.settled())?;
        Ok(Self { traces: Arc::clone(traces) })
    }

    /// Decides on all there is, and waits for that until `deadline`.
    pub(in crate::telemetry) fn finish(&self, deadline: Instant) {
        self.traces.finish_settling(deadline);
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.traces.finish_settling(Instant::now());
    }
}

struct Work {
    traces: Arc<Traces>,
    archive: Arc<dyn Archive>,
    quiet: Duration,
    tail: Tail,
    /// By when they are due.
    waiting: BinaryHeap<Reverse<(Instant, [u8; 16])>>,
    /// Whether the last one could be archived.
    writes: bool,
}

impl Work {
    fn run(&mut self) {
        let _end = End(Arc::clone(&self.traces));
        loop {
            let stopping = self.traces.wait_for_work(TICK);
            let now = Instant::now();
            for due in self.due(now, stopping) {
                let known = self.archive.contains(due.id.to_bytes());
                let outcome = self.tail.decide(due, known, now);
                self.settle(outcome);
            }
            let outcome = self.tail.close(now, stopping);
            self.settle(outcome);
            if stopping {
                return;
            }
        }
    }

    /// The traces to decide on now.
    fn due(&mut self, now: Instant, all: bool) -> Vec<Due> {
        let (mut due, fresh) = self.traces.undecided();
        let first = now + self.quiet;
        self.waiting.extend(fresh.into_iter().map(|id| Reverse((first, id.to_bytes()))));
        while let Some(Reverse((at, id))) = self.waiting.peek().copied() {
            let hurry = all || self.waiting.len() > WAITING_MAX;
            if at > now && !hurry {
                break;
            }
            self.waiting.pop();
            let id = TraceId::from_bytes(id);
            let Some((touched, decided)) = self.traces.waiting(id) else { continue };
            let quiet = self.quiet.saturating_mul(2_u32.saturating_pow(decided)).min(QUIET_MAX);
            if !hurry && touched + quiet > now {
                self.waiting.push(Reverse((touched + quiet, id.to_bytes())));
                continue;
            }
            let Some(trace) = self.traces.take_due(id) else { continue };
            if !hurry && !complete(&trace) && touched + PATIENCE > now {
                self.traces.put_off(id);
                self.waiting.push(Reverse((now + self.quiet, id.to_bytes())));
                continue;
            }
            due.push(trace);
        }
        due
    }

    fn settle(&mut self, outcome: Outcome) {
        let counts = self.traces.counts().clone();
        counts.traces_dropped.inc_by(outcome.dropped);
        for (due, why) in outcome.keep {
            let known = self.archive.contains(due.id.to_bytes());
            if known && why == KeptBecause::Slowest {
                // Of another route, too, and of that one it was kept already.
                continue;
            }
            if !known {
                counts.decided(why.name());
            }
            let id = due.id;
            self.keep(id, super::trace(Arc::unwrap_or_clone(due), why));
        }
        counts.archive_bytes.set(i64::try_from(self.archive.bytes()).unwrap_or(i64::MAX));
        counts.archive_traces.set(i64::try_from(self.archive.len()).unwrap_or(i64::MAX));
    }

    fn keep(&mut self, id: TraceId, trace: Trace) {
        match archive::put(&*self.archive, id.to_bytes(), trace) {
            Ok(()) => {
                if !std::mem::replace(&mut self.writes, true) {
                    tracing::info!("traces are archived again");
                }
            }
            Err(error) => {
                self.traces.counts().archive_errors.inc();
                // Told when it changes, not for every trace.
                if std::mem::replace(&mut self.writes, false) {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "traces cannot be archived; they are only in memory");
                }
            }
        }
    }
}

/// Whether no span is missing that another one is part of, as far as that can be known: what came
/// from elsewhere may not be ours.
fn complete(trace: &Due) -> bool {
    let ids: BTreeSet<[u8; 8]> =
        trace.spans.iter().map(|span| span.data.span_context.span_id().to_bytes()).collect();
    trace.spans.iter().map(|span| &span.data).all(|data| {
        data.parent_span_is_remote
            || data.parent_span_id == SpanId::INVALID
            || ids.contains(&data.parent_span_id.to_bytes())
    })
}

/// Also when deciding panics, nobody is to wait for it.
struct End(Arc<Traces>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.settled();
    }
}
