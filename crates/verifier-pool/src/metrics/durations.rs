//! Durations of sampled system calls, as a histogram that takes the counts of a whole run at once.
//!
//! The calls that stand by themselves are a closed list: those that programs spend most calls and most
//! time in. How calls are sampled is not known here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{MetricType, TypedMetric};
use types::syscalls::OTHER;
use types::{CallDurations, DURATION_BOUNDS_NS, Durations};

/// Sorted; all others are `other`.
const CALLS: [&str; 24] = [
    "brk",
    "clock_nanosleep",
    "clone",
    "clone3",
    "close",
    "connect",
    "epoll_wait",
    "execve",
    "futex",
    "getdents64",
    "lseek",
    "mmap",
    "mprotect",
    "munmap",
    "newfstatat",
    "openat",
    "poll",
    "read",
    "recvfrom",
    "rt_sigaction",
    "sendto",
    "unlink",
    "wait4",
    "write",
];

/// Sums of many runs. A sum that reaches its bound stays there: the counts come from a process that
/// had a hostile program in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram(Arc<Mutex<CallDurations>>);

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let sums = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let bounds = DURATION_BOUNDS_NS.iter().map(|&bound| seconds(bound));
        let mut left = u64::MAX;
        let buckets: Vec<(f64, u64)> = bounds
            .chain([f64::INFINITY])
            .zip(sums.buckets)
            .map(|(bound, bucket)| {
                let taken = bucket.min(left);
                left -= taken;
                (bound, taken)
            })
            .collect();
        encoder.encode_histogram::<NoLabelSet>(seconds(sums.sum_ns), sums.count(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of half a year are exact")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

pub(super) type Histograms = Family<[(&'static str, String); 2], Histogram>;

/// One runner's.
#[derive(Debug)]
pub(super) struct ByCall {
    known: HashMap<&'static str, Histogram>,
    other: Histogram,
}

impl ByCall {
    pub(super) fn new(family: &Histograms, runner: &str) -> Self {
        let histogram = |call: &str| {
            family.get_or_create_owned(&[("runner", runner.to_owned()), ("call", call.to_owned())])
        };
        let known = CALLS.map(|call| (call, histogram(call)));
        Self { known: known.into(), other: histogram(OTHER) }
    }

    /// Adds what one run's samples say.
    pub(super) fn add(&self, durations: &Durations) {
        for (call, one) in &durations.calls {
            let Histogram(sums) = self.known.get(call.as_str()).unwrap_or(&self.other);
            let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
            sums.add(one.sum_ns, &one.buckets);
        }
    }
}

#[cfg(test)]
mod tests {
    use types::syscalls::known;

    use super::CALLS;

    #[test]
    fn every_call_of_the_list_is_one() {
        for call in CALLS {
            assert!(known().any(|(_, name)| name == call), "{call}");
        }
        assert!(CALLS.is_sorted());
    }
}
