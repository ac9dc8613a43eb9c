//! Which traces are worth keeping, decided once they have ended (tail sampling).
//!
//! All that failed, all that were bad for an objective, the slowest of each route and minute, those
//! that a metric names, and a share of the rest. Nothing here knows a disk or a lock; what time it is
//! is said by the caller.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::Value;
use opentelemetry::trace::{SpanKind, TraceId};
use serde::{Deserialize, Serialize};

use super::memory::Due;
use super::shape::KeptBecause;

/// The time within which one trace of a route is the slowest; it begins with the first.
const SLOT: Duration = Duration::from_secs(60);
/// Routes of which each has its own slowest trace; further ones share one.
const SLOTS_MAX: usize = 512;
/// Bytes of the traces that are the slowest so far, estimated.
const HELD_BYTES_MAX: usize = 16 << 20;
const ROUTE: &str = "http.route";

/// What is kept of traces that are nothing special, and when that is decided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keeping {
    /// Milliseconds after which a trace is taken to have ended; five minutes at most.
    pub quiet_ms: u64,
    /// Share of the traces that are nothing special, 0 to 1; which ones is a matter of their ids.
    pub sampled_ratio: f64,
    /// The most of these within a minute.
    pub sampled_per_minute_max: u32,
    /// The most that are kept within a minute because a metric names them.
    pub exemplars_per_minute_max: u32,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            quiet_ms: 5_000,
            sampled_ratio: 0.05,
            sampled_per_minute_max: 60,
            exemplars_per_minute_max: 300,
        }
    }
}

/// Decides. It remembers the slowest traces of the current minute.
#[derive(Debug)]
pub(super) struct Tail {
    keeping: Keeping,
    slots: HashMap<(&'static str, String), Slot>,
    held_bytes: usize,
    sampled: PerMinute,
    exemplars: PerMinute,
}

/// The slowest trace of one route.
#[derive(Debug)]
struct Slot {
    opened: Instant,
    lasted: Duration,
    /// `None` when it is kept anyway.
    trace: Option<Arc<Due>>,
}

/// What became of traces.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) keep: Vec<(Arc<Due>, KeptBecause)>,
    /// Traces that are nothing special, and not among the share that is kept.
    pub(super) dropped: u64,
}

impl Tail {
    pub(super) fn new(keeping: Keeping) -> Self {
        Self {
            keeping,
            slots: HashMap::new(),
            held_bytes: 0,
            sampled: PerMinute::of(keeping.sampled_per_minute_max),
            exemplars: PerMinute::of(keeping.exemplars_per_minute_max),
        }
    }

    /// Decides on a trace: it is kept, or let go, or held for as long as none of its route is slower.
    /// `known` is one of which an earlier part was kept.
    pub(super) fn decide(&mut self, due: Due, known: bool, now: Instant) -> Outcome {
        let mut outcome = Outcome::default();
        let why = self.reason(&due, known, now);
        let due = Arc::new(due);
        for (service, route, lasted) in requests(&due) {
            self.compete(service, route, lasted, &due, why.is_some(), now, &mut outcome);
        }
        match why {
            Some(why) => outcome.keep.push((due, why)),
            None => outcome.let_go(due),
        }
        outcome
    }

    /// The slowest of the minutes that are over; of all when nothing will follow.
    pub(super) fn close(&mut self, now: Instant, all: bool) -> Outcome {
        let over = |slot: &Slot| all || now.duration_since(slot.opened) >= SLOT;
        let mut slowest = BTreeMap::new();
        let mut freed = 0;
        self.slots.retain(|_, slot| {
            if !over(slot) {
                return true;
            }
            if let Some(trace) = slot.trace.take() {
                freed += trace.bytes;
                slowest.insert(trace.id.to_bytes(), trace);
            }
            false
        });
        self.held_bytes = self.held_bytes.saturating_sub(freed);
        let keep = slowest.into_values().map(|trace| (trace, KeptBecause::Slowest));
        Outcome { keep: keep.collect(), dropped: 0 }
    }

    /// Why a trace is kept whatever else comes.
    fn reason(&mut self, due: &Due, known: bool, now: Instant) -> Option<KeptBecause> {
        if due.error {
            Some(KeptBecause::Error)
        } else if due.bad {
            Some(KeptBecause::SloBad)
        } else if known {
            // Joined with what is there, which says why.
            Some(KeptBecause::Recent)
        } else if due.shown && self.exemplars.allow(now) {
            Some(KeptBecause::Exemplar)
        } else if chosen(due.id, self.keeping.sampled_ratio) && self.sampled.allow(now) {
            Some(KeptBecause::Sampled)
        } else {
            None
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one request of a trace, and the trace")]
    fn compete(
        &mut self,
        service: &'static str,
        route: &str,
        lasted: Duration,
        due: &Arc<Due>,
        kept: bool,
        now: Instant,
        outcome: &mut Outcome,
    ) {
        let mut key = (service, route.to_owned());
        if self.slots.len() >= SLOTS_MAX && !self.slots.contains_key(&key) {
            key = ("", String::new());
        }
        let slot = self.slots.entry(key).or_insert(Slot {
            opened: now,
            lasted: Duration::ZERO,
            trace: None,
        });
        let same = slot.trace.as_ref().is_some_and(|held| held.id == due.id);
        if lasted < slot.lasted && !same {
            return;
        }
        slot.lasted = slot.lasted.max(lasted);
        let before = slot.trace.take();
        self.held_bytes = self.held_bytes.saturating_sub(before.as_ref().map_or(0, |t| t.bytes));
        if !kept && self.held_bytes + due.bytes <= HELD_BYTES_MAX {
            self.held_bytes += due.bytes;
            slot.trace = Some(Arc::clone(due));
        }
        if let Some(before) = before.filter(|before| before.id != due.id) {
            outcome.let_go(before);
        }
    }
}

impl Outcome {
    /// It counts as dropped when nobody else holds it.
    fn let_go(&mut self, trace: Arc<Due>) {
        if Arc::into_inner(trace).is_some() {
            self.dropped += 1;
        }
    }
}

/// The requests of a trace that services answered: whose, on which route, how long.
fn requests(due: &Due) -> impl Iterator<Item = (&'static str, &str, Duration)> {
    due.spans.iter().filter(|span| span.data.span_kind == SpanKind::Server).filter_map(|span| {
        match span.attribute(ROUTE) {
            Some(Value::String(route)) => Some((span.service, route.as_str(), span.lasted())),
            _ => None,
        }
    })
}

/// Whether a trace is among so large a share of all. Another part of the id decides than the one
/// `traceidratio` looks at, so that a share of a share is what it says (`SplitMix64`'s finalizer,
/// <https://doi.org/10.1145/2714064.2660195>).
fn chosen(id: TraceId, ratio: f64) -> bool {
    let id = u128::from_be_bytes(id.to_bytes());
    let halves = [id >> 64, id & u128::from(u64::MAX)].map(|half| u64::try_from(half).unwrap_or(0));
    let mut mixed = halves[0] ^ halves[1].rotate_left(32);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    // 32 bits are exact in a float, and fine enough for a share.
    let share = f64::from(u32::try_from(mixed >> 32).unwrap_or(u32::MAX)) / 4_294_967_296.0;
    share < ratio
}

/// So many within a minute; the minute begins with the first.
#[derive(Debug)]
struct PerMinute {
    max: u32,
    used: u32,
    since: Option<Instant>,
}

impl PerMinute {
    fn of(max: u32) -> Self {
        Self { max, used: 0, since: None }
    }

    fn allow(&mut self, now: Instant) -> bool {
        let over = |since: Instant| now.duration_since(since) >= Duration::from_secs(60);
        if self.since.is_none_or(over) {
            self.since = Some(now);
            self.used = 0;
        }
        let room = self.used < self.max;
        self.used += u32::from(room);
        room
    }
}

#[cfg(test)]
mod tests;
