//! The detectors, one family per file. Each is a pure function over the prepared timeline.
//!
//! House rules. Facts of behaviour go before names. A name only ever *excuses* a program when its
//! file lies in a system folder and was not written during the run; what an interpreter does is the
//! sample's doing. Nothing that an everyday command does on its own may be a finding.

mod collection;
mod credentials;
mod decoys;
mod discovery;
mod disruption;
mod execution;
mod hiding;
mod kernel;
mod memory;
mod network;
mod persistence;
mod privilege;
mod ransom;
mod requests;
mod severity;
mod shells;
mod tampering;
mod wasting;

use crate::detector::{Detector, Info};
pub(crate) use severity::severity;

const FAMILIES: &[&[Detector]] = &[
    shells::ALL,
    credentials::ALL,
    decoys::ALL,
    persistence::ALL,
    ransom::ALL,
    memory::ALL,
    memory::regions::ALL,
    privilege::ALL,
    tampering::ALL,
    kernel::ALL,
    network::ALL,
    requests::ALL,
    execution::ALL,
    discovery::ALL,
    collection::ALL,
    disruption::ALL,
    hiding::ALL,
    wasting::ALL,
];

const COUNT: usize = {
    let (mut count, mut family) = (0, 0);
    while family < FAMILIES.len() {
        count += FAMILIES[family].len();
        family += 1;
    }
    count
};

static ALL: [Detector; COUNT] = {
    let mut all = [FAMILIES[0][0]; COUNT];
    let (mut next, mut family) = (0, 0);
    while family < FAMILIES.len() {
        let mut row = 0;
        while row < FAMILIES[family].len() {
            all[next] = FAMILIES[family][row];
            next += 1;
            row += 1;
        }
        family += 1;
    }
    all
};

static INFOS: [Info; COUNT] = {
    let mut infos = [FAMILIES[0][0].info; COUNT];
    let mut next = 0;
    while next < COUNT {
        infos[next] = ALL[next].info;
        next += 1;
    }
    infos
};

/// Every detector of this version, in the order in which they run.
#[must_use]
pub fn detectors() -> &'static [Info] {
    &INFOS
}

pub(crate) fn all() -> &'static [Detector] {
    &ALL
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::detectors;
    use crate::detector::TierC;

    #[test]
    fn every_detector_is_described() {
        let mut ids = BTreeSet::new();
        for info in detectors() {
            assert!(ids.insert(info.id), "{} is there twice", info.id);
            assert!(info.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", info.id);
            assert!(!info.title.is_empty() && !info.looks_for.is_empty(), "{}", info.id);
            assert!(!info.needs.is_empty(), "{}", info.id);
            if let TierC::Reduced(why) | TierC::Blind(why) = info.tier_c {
                assert!(!why.is_empty(), "{}", info.id);
            }
        }
        assert!(ids.len() >= 20);
    }
}
