//! What a run did, counted rather than told: for whoever watches many runs. No verdict rests on it,
//! so none of it needs to be evidence; what could not be counted is not there.

pub mod durations;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::durations::Durations;

/// Counts of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// System calls by name (`types::syscalls`, [`OTHER`](crate::syscalls::OTHER) for what is not in
    /// that table). In tier B every one that returned to a task of the run, its init's included; in
    /// tier C those the monitor is told of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calls: BTreeMap<String, Calls>,
    /// How long sampled system calls took. Empty where nobody sampled: only tier B does.
    #[serde(default, skip_serializing_if = "Durations::is_empty")]
    pub durations: Durations,
    /// Bytes of IP packets of the run's sockets, headers included, by protocol (`tcp`, `udp`, `icmp`,
    /// `other`); what a run sends to itself is sent and received. Empty where nobody counted: only
    /// tier B does.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub traffic: BTreeMap<String, Traffic>,
    /// Length in microseconds of each part of the run (`build`, `run`, `collect`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub phases_us: BTreeMap<String, u64>,
}

/// Counts of one system call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// All that were made, refused and failed ones too.
    pub made: u64,
    /// Those that the sandbox's policy refused. An event that was lost is not among them.
    #[serde(default, skip_serializing_if = "is_nought")]
    pub blocked: u64,
}

/// Bytes of one protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

impl Activity {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// All system calls.
    #[must_use]
    pub fn calls_made(&self) -> u64 {
        self.calls.values().map(|calls| calls.made).sum()
    }

    /// All that the policy refused.
    #[must_use]
    pub fn calls_blocked(&self) -> u64 {
        self.calls.values().map(|calls| calls.blocked).sum()
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_nought(value: &u64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::{Activity, Calls};

    #[test]
    fn counts_pass_through_json_and_a_recording_without_any_is_read() {
        let mut activity = Activity::default();
        assert!(activity.is_empty());
        activity.calls.insert("ptrace".to_owned(), Calls { made: 5, blocked: 2 });
        activity.calls.insert("read".to_owned(), Calls { made: 7, blocked: 0 });
        activity.phases_us.insert("run".to_owned(), 12);
        let text = serde_json::to_string(&activity).unwrap();
        assert!(text.contains(r#""read":{"made":7}"#), "{text}");
        assert_eq!(serde_json::from_str::<Activity>(&text).unwrap(), activity);
        assert_eq!((activity.calls_made(), activity.calls_blocked()), (12, 2));
        assert!(serde_json::from_str::<Activity>("{}").unwrap().is_empty());
    }
}
