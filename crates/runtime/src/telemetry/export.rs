//! Spans on their way to a collector, from a thread of its own; how they are sent is the room below's.
//!
//! Between those who end spans and the collector stands a queue with a bound. Whatever the collector
//! does, nobody waits for it: spans that find no room are counted and gone.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::send::{Collector, Sent};
use super::span::Ended;

/// Spans that wait; further ones are dropped.
const QUEUE_SPANS_MAX: usize = 4096;
/// Their bytes, estimated.
const QUEUE_BYTES_MAX: usize = 16 << 20;
/// Spans of one request.
const BATCH_SPANS_MAX: usize = 512;
/// Their bytes, estimated: a gRPC server takes 4 MiB unless it was told otherwise.
const BATCH_BYTES_MAX: usize = 3 << 20;
/// How long a span waits for others to be sent with.
const DELAY: Duration = Duration::from_secs(1);
/// A batch that was not taken by then has met a collector that hangs.
const HANGING: Duration = Duration::from_secs(1);
/// How long an end waits for a collector that hangs or fails: hardly.
const PATIENCE_UNWELL: Duration = Duration::from_millis(100);
/// How often a batch is sent again, where that could help.
const RETRIES_MAX: u32 = 3;
/// The pause before the first of them; it doubles.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause a collector can ask for.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// Spans that wait to be sent.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    counts: Counts,
}

#[derive(Default)]
struct State {
    spans: VecDeque<Arc<Ended>>,
    bytes: usize,
    /// Taken out and not yet accounted for.
    sending: usize,
    /// Since when.
    sending_since: Option<Instant>,
    /// The last batch did not reach the collector.
    failing: bool,
    /// No more spans are taken, and after this nothing is sent.
    closed: Option<Instant>,
    /// The sender has ended.
    ended: bool,
    /// Nobody waits for the sender any more; what it does is not counted.
    abandoned: bool,
}

impl State {
    fn lose(&mut self, counts: &Counts) {
        if !self.abandoned {
            counts.failed.inc_by(count(self.sending));
            counts.dropped.inc_by(count(self.spans.len()));
        }
        self.sending = 0;
        self.bytes = 0;
        self.spans.clear();
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.lock().spans.len()).finish_non_exhaustive()
    }
}

impl Queue {
    fn new(counts: Counts) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), counts }
    }

    /// Takes a span or drops it; never waits.
    pub(super) fn push(&self, span: Arc<Ended>) {
        let bytes = span.bytes();
        let mut state = self.lock();
        let full = state.spans.len() >= QUEUE_SPANS_MAX || state.bytes + bytes > QUEUE_BYTES_MAX;
        if full || state.closed.is_some() {
            drop(state);
            self.counts.dropped.inc();
            return;
        }
        state.bytes += bytes;
        state.spans.push_back(span);
        let full = state.spans.len() == BATCH_SPANS_MAX;
        drop(state);
        if full {
            self.changed.notify_all();
        }
    }

    /// The next spans to send, once there are enough or the first has waited long enough; `None` when
    /// there is nothing more to do.
    fn next(&self) -> Option<Vec<Arc<Ended>>> {
        let mut state = self.lock();
        loop {
            let waiting =
                |state: &mut State| state.closed.is_none() && state.spans.len() < BATCH_SPANS_MAX;
            state = self
                .changed
                .wait_timeout_while(state, DELAY, waiting)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
            let late = state.closed.is_some_and(|deadline| Instant::now() >= deadline);
            if late || (state.closed.is_some() && state.spans.is_empty()) {
                return None;
            }
            if !state.spans.is_empty() {
                let (count, bytes) = batch(&state.spans);
                let spans: Vec<Arc<Ended>> = state.spans.drain(..count).collect();
                state.bytes = state.bytes.saturating_sub(bytes);
                state.sending = count;
                state.sending_since = Some(Instant::now());
                return Some(spans);
            }
        }
    }

    /// How long a request may take at most.
    fn patience(&self, usual: Duration) -> Duration {
        let left = self.lock().closed.map(|end| end.saturating_duration_since(Instant::now()));
        left.map_or(usual, |left| left.min(usual))
    }

    /// Waits before something is tried again; `false` when it should not be, since all ends.
    fn pause(&self, pause: Duration) -> bool {
        let state = self.lock();
        let state = self
            .changed
            .wait_timeout_while(state, pause, |state| state.closed.is_none())
            .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        state.closed.is_none()
    }

    fn account(&self, failing: bool, count: impl FnOnce(&Counts)) {
        let mut state = self.lock();
        state.sending = 0;
        state.sending_since = None;
        state.failing = failing;
        if !state.abandoned {
            count(&self.counts);
        }
    }

    /// The sender's last act; what it has not accounted for is lost.
    fn end(&self) {
        let mut state = self.lock();
        state.closed.get_or_insert_with(Instant::now);
        state.ended = true;
        state.lose(&self.counts);
        drop(state);
        self.changed.notify_all();
    }

    /// Takes no more spans and waits until the others are sent, or are given up at the deadline. For a
    /// collector that has been hanging or failing it hardly waits: an end is not to take longer for it.
    fn close(&self, patience: Duration) {
        let mut state = self.lock();
        let hangs = state.sending_since.is_some_and(|since| since.elapsed() >= HANGING);
        let patience =
            if hangs || state.failing { patience.min(PATIENCE_UNWELL) } else { patience };
        state.closed = Some(Instant::now() + patience);
        self.changed.notify_all();
        state = self
            .changed
            .wait_timeout_while(state, patience, |state| !state.ended)
            .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        if !state.ended {
            state.lose(&self.counts);
            state.abandoned = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many of these make one request, and their bytes; at least one does.
fn batch(spans: &VecDeque<Arc<Ended>>) -> (usize, usize) {
    let mut total = 0;
    let mut count = 0;
    for span in spans.iter().take(BATCH_SPANS_MAX) {
        let bytes = span.bytes();
        if count > 0 && total + bytes > BATCH_BYTES_MAX {
            break;
        }
        total += bytes;
        count += 1;
    }
    (count, total)
}

/// The thread that sends; it ends with this.
#[derive(Debug)]
pub(super) struct Exporter {
    queue: Arc<Queue>,
}

impl Exporter {
    /// # Errors
    /// When the machine gives no further thread.
    pub(super) fn start(mut collector: Collector, counts: Counts) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::new(counts));
        let work = Arc::clone(&queue);
        std::thread::Builder::new()
            .name("shieldx-traces".to_owned())
            .spawn(move || send_all(&work, &mut collector))?;
        Ok(Self { queue })
    }

    pub(super) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Sends what waits, and not longer than that; after it every span is accounted for.
    pub(super) fn shutdown(self, patience: Duration) {
        self.queue.close(patience);
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if self.queue.lock().closed.is_none() {
            self.queue.close(Duration::ZERO);
        }
    }
}

fn send_all(queue: &Queue, collector: &mut Collector) {
    // Also when sending panics, nobody is to wait for it.
    let _end = End(queue);
    let mut reached = true;
    while let Some(spans) = queue.next() {
        let total = count(spans.len());
        let body = collector.encode(spans);
        let sent = send(queue, collector, &body);
        let failed = match &sent {
            Sent::Taken { rejected } => {
                let rejected = (*rejected).min(total);
                queue.account(false, |counts| {
                    counts.exported.inc_by(total - rejected);
                    counts.rejected.inc_by(rejected);
                });
                None
            }
            Sent::Refused { reason } => {
                queue.account(false, |counts| _ = counts.rejected.inc_by(total));
                Some(reason)
            }
            Sent::Unreachable { reason, .. } => {
                queue.account(true, |counts| _ = counts.failed.inc_by(total));
                Some(reason)
            }
        };
        // Told when it changes, not for every batch.
        match failed {
            Some(reason) if reached => {
                tracing::warn!(reason, "traces do not reach the collector; spans are being lost");
            }
            None if !reached => tracing::info!("traces reach the collector again"),
            _ => {}
        }
        reached = failed.is_none();
    }
}

/// Sends a batch until it is answered, as often as that makes sense.
fn send(queue: &Queue, collector: &mut Collector, body: &[u8]) -> Sent {
    let mut tried = 0;
    loop {
        let sent = collector.send(body, queue.patience(collector.timeout()));
        let Sent::Unreachable { retry: true, after, .. } = &sent else {
            return sent;
        };
        let pause = after.unwrap_or(RETRY_PAUSE * 2_u32.pow(tried)).min(RETRY_PAUSE_MAX);
        if tried >= RETRIES_MAX || !queue.pause(pause) {
            return sent;
        }
        tried += 1;
    }
}

struct End<'a>(&'a Queue);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn count(spans: usize) -> u64 {
    u64::try_from(spans).unwrap_or(u64::MAX)
}
