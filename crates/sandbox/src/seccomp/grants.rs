//! The allowed part of the policy as a list of alternatives, for filters that somebody else compiles
//! (OCI runtimes take rules, not programs).
//!
//! Such a list has no order and no "all but": what comes first in the policy, and what it excludes,
//! is worked out here. Arguments are compared on their low 32 bits, as everywhere in this model; a
//! plain inequality on 64 bits could be met with high bits that the kernel ignores.

use super::names::known;
use super::policy::{Case, Decision, Policy, Rule, Test};

/// `args[arg] & mask == value`, on the low 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Masked {
    pub arg: usize,
    pub mask: u32,
    pub value: u32,
}

/// A call, and when it is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub call: &'static str,
    /// Alternatives of conditions that hold together, at most one per argument, disjoint; a single
    /// empty one allows the call with any arguments.
    pub when: Vec<Vec<Masked>>,
}

impl Policy {
    /// Every call that is allowed at least for some arguments, by number.
    #[must_use]
    pub fn grants(&self) -> Vec<Grant> {
        let grant = |(nr, call)| {
            let (cases, otherwise) = match self.rule(nr) {
                Rule::Always(decision) => (&[][..], decision),
                Rule::First(cases, otherwise) => (cases, otherwise),
            };
            let mut found = Vec::new();
            first(cases, otherwise, Region::default(), &mut found);
            let when = found.iter().map(Region::conditions).collect::<Vec<_>>();
            (!when.is_empty()).then_some(Grant { call, when })
        };
        known().filter_map(grant).collect()
    }
}

/// What is known of the six arguments: a mask and the bits under it.
#[derive(Debug, Clone, Copy, Default)]
struct Region([(u32, u32); 6]);

impl Region {
    fn conditions(&self) -> Vec<Masked> {
        let known = self.0.iter().enumerate().filter(|(_, (mask, _))| *mask != 0);
        known.map(|(arg, &(mask, value))| Masked { arg, mask, value }).collect()
    }

    /// The part in which the argument has these bits, unless there is none.
    fn with(mut self, arg: usize, mask: u32, value: u32) -> Option<Self> {
        let (known, bits) = self.0[arg];
        let possible = (bits ^ value) & known & mask == 0 && value & !mask == 0;
        self.0[arg] = (known | mask, bits | value);
        possible.then_some(self)
    }

    /// The parts in which the test does not hold: fixes one bit after the other, highest first,
    /// until no value of the test is left.
    fn without(self, test: &Test, found: &mut Vec<Self>) {
        let (known, bits) = self.0[test.arg];
        let reachable =
            |value: &&u32| (**value ^ bits) & known & test.mask == 0 && **value & !test.mask == 0;
        if !test.values.iter().any(|value| reachable(&value)) {
            found.push(self);
            return;
        }
        let open = test.mask & !known;
        if open == 0 {
            return;
        }
        let bit = 1 << (31 - open.leading_zeros());
        for value in [0, bit] {
            if let Some(part) = self.with(test.arg, bit, value) {
                part.without(test, found);
            }
        }
    }
}

/// The allowed parts of a region under a list of cases.
fn first(cases: &[Case], otherwise: Decision, region: Region, found: &mut Vec<Region>) {
    match cases.split_first() {
        Some((case, rest)) => all(case.tests, case.outcome, (rest, otherwise), region, found),
        None if otherwise == Decision::Allow => found.push(region),
        None => {}
    }
}

/// The same for the first case, of which some tests are still to be made.
fn all(
    tests: &[Test],
    outcome: Decision,
    after: (&[Case], Decision),
    region: Region,
    found: &mut Vec<Region>,
) {
    let Some((test, rest)) = tests.split_first() else {
        if outcome == Decision::Allow {
            found.push(region);
        }
        return;
    };
    for &value in test.values {
        if let Some(part) = region.with(test.arg, test.mask, value) {
            all(rest, outcome, after, part, found);
        }
    }
    let mut others = Vec::new();
    region.without(test, &mut others);
    for part in others {
        first(after.0, after.1, part, found);
    }
}

#[cfg(test)]
mod tests {
    use super::Masked;
    use crate::seccomp::{Decision, Policy, name, number};
    use crate::spec::Net;

    fn holds(condition: &Masked, args: &[u64; 6]) -> bool {
        let low = u32::try_from(args[condition.arg] & u64::from(u32::MAX)).unwrap();
        low & condition.mask == condition.value
    }

    /// For every call, and arguments around every number that the policy names.
    #[test]
    fn the_alternatives_allow_what_the_policy_allows() {
        let interesting = [
            0,
            1,
            2,
            3,
            4,
            5,
            6,
            8,
            10,
            15,
            16,
            17,
            38,
            40,
            58,
            80,
            128,
            262,
            0x5411,
            0x5412,
            0x5413,
            0x541c,
            0x5423,
            0x2_0008,
            0x4_0000,
            0x40_0000,
            0x1000_0011,
            0x0120_0011,
            0x8_0001,
            0xffff_ffff,
            0x1_0000_5412,
            0x1_0000_0001,
        ];
        for net in [Net::None, Net::Loopback] {
            let policy = Policy::standard(net);
            let grants = policy.grants();
            for nr in 0..470 {
                let Some(call) = name(nr) else { continue };
                let grant = grants.iter().find(|grant| grant.call == call);
                for first in interesting {
                    for second in interesting {
                        for third in [0, 1, 6, 9, 262, 0x1_0000_0006] {
                            let args = [first, second, third, 0, 0, 0];
                            let met = grant.map_or(0, |grant| {
                                let met =
                                    |when: &&Vec<Masked>| when.iter().all(|c| holds(c, &args));
                                grant.when.iter().filter(met).count()
                            });
                            let allowed = policy.decide(nr, &args) == Decision::Allow;
                            assert_eq!(met, usize::from(allowed), "{call} {args:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_list_stays_short_enough_for_a_filter() {
        let grants = Policy::standard(Net::Loopback).grants();
        let longest = grants.iter().max_by_key(|grant| grant.when.len()).unwrap();
        assert!(longest.when.len() < 120, "{} {}", longest.call, longest.when.len());
        let read = grants.iter().find(|grant| grant.call == "read").unwrap();
        assert_eq!(read.when, [Vec::new()]);
        assert!(number("ptrace").is_some() && !grants.iter().any(|grant| grant.call == "ptrace"));
    }
}
