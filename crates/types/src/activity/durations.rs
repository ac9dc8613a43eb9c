//! How long sampled system calls of a run took. How they are sampled is the monitor's affair.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Upper bounds of the buckets, in nanoseconds; what took longer than the last is in one more.
pub const DURATION_BOUNDS_NS: [u64; 14] = [
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    100_000,
    500_000,
    2_500_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
];

/// Durations of the calls of one run that were sampled: some of them, never all.
///
/// A duration is the time between entry and return, as seen by the two programs that watch them: what
/// is waited for in the kernel is in it, what a filter does before the entry is not. Calls that the
/// policy refused never pass the entry and are not sampled. Tier C has none: how long it holds a call
/// for its supervisor is not how long the call takes.
///
/// Samples are the first calls of short windows, so a busy moment of a window's start stands for the
/// whole second: shares between calls are those of [`Activity::calls`](crate::Activity::calls), not
/// these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// By name, as [`Activity::calls`](crate::Activity::calls).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calls: BTreeMap<String, CallDurations>,
    /// Entries that were sampled: those that were measured, and the unmatched.
    #[serde(default)]
    pub entered: u64,
    /// Sampled entries without a return of their own: the thread was killed in the call, or a signal
    /// interrupted it and the kernel began it again.
    #[serde(default)]
    pub unmatched: u64,
    /// Entries that were not sampled because the monitor knew too many threads already.
    #[serde(default)]
    pub untracked: u64,
    /// Threads that were known and had not ended when the monitor stopped: none, once all are dead.
    #[serde(default)]
    pub threads_left: u64,
}

/// Sampled durations of one system call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallDurations {
    pub sum_ns: u64,
    /// By [`DURATION_BOUNDS_NS`]: each holds the calls that took at most its bound and longer than the
    /// bound before it.
    pub buckets: [u64; DURATION_BOUNDS_NS.len() + 1],
}

impl Durations {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many calls were measured.
    #[must_use]
    pub fn measured(&self) -> u64 {
        self.calls.values().map(CallDurations::count).fold(0, u64::saturating_add)
    }
}

impl CallDurations {
    /// How many calls were measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, bucket| sum.saturating_add(*bucket))
    }

    /// Adds calls of another count.
    pub fn add(&mut self, sum_ns: u64, buckets: &[u64; DURATION_BOUNDS_NS.len() + 1]) {
        self.sum_ns = self.sum_ns.saturating_add(sum_ns);
        for (sum, bucket) in self.buckets.iter_mut().zip(buckets) {
            *sum = sum.saturating_add(*bucket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CallDurations, Durations};
    use crate::Activity;

    #[test]
    fn what_was_sampled_passes_through_json_and_adds_up() {
        let mut one = CallDurations::default();
        let mut buckets = [0; 15];
        buckets[3] = 2;
        buckets[14] = u64::MAX - 1;
        one.add(7_000, &buckets);
        assert_eq!(one.count(), u64::MAX);
        one.add(u64::MAX, &buckets);
        assert_eq!((one.sum_ns, one.buckets[3], one.count()), (u64::MAX, 4, u64::MAX));
        let mut activity = Activity::default();
        activity.durations.unmatched = 1;
        activity.durations.calls.insert("read".to_owned(), one);
        assert!(!activity.is_empty());
        let text = serde_json::to_string(&activity).unwrap();
        assert_eq!(serde_json::from_str::<Activity>(&text).unwrap(), activity);
        let short = r#"{"calls":{"read":{"sum_ns":1,"buckets":[1,2]}}}"#;
        assert!(serde_json::from_str::<Durations>(short).is_err());
    }
}
