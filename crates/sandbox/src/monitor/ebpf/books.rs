//! The books of a run: what the kernel side counted, what user space took, and whether they agree.

use std::collections::BTreeMap;

use ::ebpf::abi;
use types::evidence::TypeCounters;
use types::syscalls::{OTHER, name};
use types::{Calls, Counters};

use super::decode::kind_name;
use crate::monitor::Summary;

/// The counters of one type over all CPUs.
pub(super) fn sum(cpus: impl Iterator<Item = abi::Counters>) -> abi::Counters {
    cpus.fold(abi::Counters::default(), |a, b| abi::Counters {
        seen: a.seen + b.seen,
        sent: a.sent + b.sent,
        dropped: a.dropped + b.dropped,
        truncated: a.truncated + b.truncated,
        aggregated: a.aggregated + b.aggregated,
        throttled: a.throttled + b.throttled,
    })
}

/// Adds everything up and states what does not fit.
pub(super) fn close(
    kernel: &[abi::Counters],
    received: &[u64],
    frozen: u64,
    malformed: u64,
    recursion_misses: u64,
) -> Summary {
    let mut counters = Counters { throttled: frozen, ..Counters::default() };
    let mut faults = Vec::new();
    for (kind, (theirs, &taken)) in kernel.iter().zip(received).enumerate() {
        if *theirs == abi::Counters::default() && taken == 0 {
            continue;
        }
        let name = kind_name(kind);
        let one = TypeCounters {
            seen: theirs.seen,
            sent: theirs.sent,
            received: taken,
            dropped: theirs.dropped,
            truncated: theirs.truncated,
            aggregated: theirs.aggregated,
        };
        if one.dropped > 0 {
            faults.push(format!("{} {name} events were lost because a ring was full", one.dropped));
        }
        if one.seen != one.received + one.dropped + one.aggregated {
            faults.push(format!(
                "the books of {name} events do not balance: {} seen, {} received, {} dropped, \
                 {} aggregated",
                one.seen, one.received, one.dropped, one.aggregated
            ));
        }
        counters.seen += one.seen;
        counters.sent += one.sent;
        counters.received += one.received;
        counters.dropped += one.dropped;
        counters.truncated += one.truncated;
        counters.aggregated += one.aggregated;
        counters.throttled += theirs.throttled;
        counters.by_type.insert(name.to_owned(), one);
    }
    if malformed > 0 {
        faults.push(format!("{malformed} records of the kernel side could not be read"));
    }
    if recursion_misses > 0 {
        faults.push(format!("the kernel skipped a monitor program {recursion_misses} times"));
    }
    Summary { counters, faults, ..Summary::default() }
}

/// What was called, by name, from counts by number.
pub(super) fn by_name(made: &[u64], blocked: &[u64]) -> BTreeMap<String, Calls> {
    let mut calls = BTreeMap::<String, Calls>::new();
    for (nr, (&made, &blocked)) in (0..).zip(made.iter().zip(blocked)) {
        if made > 0 || blocked > 0 {
            let sum = calls.entry(name(nr).unwrap_or(OTHER).to_owned()).or_default();
            sum.made += made;
            sum.blocked += blocked;
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use ::ebpf::abi::{CALLS_OTHER, Counters, KIND_COUNT, KIND_OPEN, RECIPES_LEN};
    use types::Calls;

    use super::{by_name, close};

    #[test]
    fn what_has_no_name_is_counted_together() {
        let (mut made, mut blocked) = (vec![0; RECIPES_LEN], vec![0; RECIPES_LEN]);
        made[0] = 3;
        made[400] = 1;
        made[CALLS_OTHER] = 2;
        blocked[CALLS_OTHER] = 1;
        let calls = by_name(&made, &blocked);
        assert_eq!(calls.len(), 2);
        assert_eq!(calls["read"], Calls { made: 3, blocked: 0 });
        assert_eq!(calls["other"], Calls { made: 3, blocked: 1 });
    }

    fn check(open: Counters, received: u64, balanced: bool, faults: usize) {
        let mut kernel = vec![Counters::default(); KIND_COUNT as usize];
        let mut taken = vec![0; KIND_COUNT as usize];
        kernel[usize::from(KIND_OPEN)] = open;
        taken[usize::from(KIND_OPEN)] = received;
        let summary = close(&kernel, &taken, 0, 0, 0);
        assert_eq!(summary.counters.balanced(), balanced);
        assert_eq!(summary.faults.len(), faults, "{:?}", summary.faults);
    }

    #[test]
    fn what_is_lost_is_a_fault() {
        let seen = Counters { seen: 10, sent: 7, aggregated: 3, ..Counters::default() };
        check(seen, 7, true, 0);
        check(seen, 6, false, 1);
        check(Counters { sent: 6, dropped: 1, ..seen }, 6, true, 1);
    }
}
