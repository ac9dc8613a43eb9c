//! What happens inside sandboxes, by runner: counts of many runs, from what each recording says.
//!
//! Every series is there from the start. Their number is bounded by closed lists (system calls, event
//! types, runners); whatever a recording names beyond them is counted as `other`, since it comes from
//! a process that had a hostile program in it. What a count is evidence of is not known here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use runtime::metrics::Metrics;
use types::evidence::TypeCounters;
use types::syscalls::{OTHER, known};
use types::{Kind, Recording, Tier, Verdict};

use super::durations::{ByCall, Histograms};

const TIERS: [&str; 5] = ["a", "b", "c", "h", "none"];
/// `none`: it failed, was cut off, or could not be judged.
const VERDICTS: [&str; 5] = ["benign", "suspicious", "malicious", "inconclusive", "none"];
/// Whatever else there is, is the last.
const PROTOCOLS: [&str; 4] = ["tcp", "udp", "icmp", OTHER];
const PHASES: [&str; 3] = ["build", "run", "collect"];
/// A run takes from milliseconds to minutes.
const PHASE_BUCKETS_S: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0];
/// Event types that are something done to a file. Reading is not among them: monitors do not look at
/// it.
const FILE_OPERATIONS: [&str; 12] = [
    "open",
    "write",
    "unlink",
    "rename",
    "mkdir",
    "chmod",
    "chown",
    "link",
    "mknod",
    "truncate",
    "set_xattr",
    "set_times",
];

type Labels<const N: usize> = [(&'static str, String); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;

/// Counters by the values of a closed list.
#[derive(Debug)]
struct Listed {
    known: HashMap<&'static str, Counter>,
    other: Counter,
}

impl Listed {
    fn new(
        family: &Counters<2>,
        runner: &str,
        label: &'static str,
        values: impl Iterator<Item = &'static str>,
    ) -> Self {
        let counter = |value: &str| {
            family.get_or_create_owned(&[("runner", runner.to_owned()), (label, value.to_owned())])
        };
        Self { known: values.map(|value| (value, counter(value))).collect(), other: counter(OTHER) }
    }

    fn add(&self, value: &str, count: u64) {
        self.known.get(value).unwrap_or(&self.other).inc_by(count);
    }
}

/// Name, meaning, and where it stands in a recording.
type Account = (&'static str, &'static str, fn(&TypeCounters) -> u64);

/// The accounts of events; in every run seen = received + dropped + aggregated.
const ACCOUNTS: [Account; 6] = [
    ("seen", "Events that monitors met", |counts| counts.seen),
    ("sent", "Events that the source handed over", |counts| counts.sent),
    ("received", "Events that reached a recording's monitor", |counts| counts.received),
    ("dropped", "Events lost because a ring was full", |counts| counts.dropped),
    ("truncated", "Events with a string or list that was cut", |counts| counts.truncated),
    ("aggregated", "Events folded into an earlier one", |counts| counts.aggregated),
];

/// One runner's counters.
#[derive(Debug)]
struct Runner {
    runs: [[Counter; VERDICTS.len()]; TIERS.len()],
    calls: Listed,
    blocked: Listed,
    files: HashMap<&'static str, Counter>,
    events: [Listed; ACCOUNTS.len()],
    traffic: [[Counter; PROTOCOLS.len()]; 2],
    throttled: Counter,
    cpu_s: Counter<f64, std::sync::atomic::AtomicU64>,
    phases: [Histogram; PHASES.len()],
    durations: ByCall,
    unmatched: Counter,
}

/// All runners' counters.
#[derive(Debug)]
pub(crate) struct Sandboxes {
    runners: HashMap<String, Runner>,
}

/// A run that is not counted yet.
#[derive(Debug)]
pub(crate) struct Counting {
    sandboxes: Arc<Sandboxes>,
    runner: String,
    tier: Tier,
    verdict: Option<Verdict>,
}

impl Counting {
    pub(crate) fn recorded(&mut self, recording: &Recording) {
        self.tier = recording.run.tier;
        self.sandboxes.recorded(&self.runner, recording);
    }

    pub(crate) fn judged(&mut self, verdict: Verdict) {
        self.verdict = Some(verdict);
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.sandboxes.ended(&self.runner, self.tier, self.verdict);
    }
}

/// The families, while they are filled.
struct Families {
    runs: Counters<3>,
    calls: Counters<2>,
    blocked: Counters<2>,
    files: Counters<2>,
    events: [Counters<2>; ACCOUNTS.len()],
    traffic: Counters<3>,
    throttled: Counters<1>,
    cpu_s: Family<Labels<1>, Counter<f64, std::sync::atomic::AtomicU64>>,
    phases: Family<Labels<2>, Histogram, fn() -> Histogram>,
    durations: Histograms,
    unmatched: Counters<1>,
}

impl Families {
    fn register(metrics: &Metrics) -> Self {
        let add = |noun: &str| format!("shieldx_sandbox_{noun}");
        let counters =
            |noun: &str, help: &str| metrics.register(&add(noun), help, Counters::<2>::default());
        let phases = Family::new_with_constructor(phase_histogram as fn() -> Histogram);
        Self {
            runs: metrics.register(
                &add("runs"),
                "Runs by the monitor's tier and the verdict; none: failed, cut off or not judged",
                Counters::default(),
            ),
            calls: counters(
                "syscalls",
                "System calls by name, the sandbox's own while it is built too: all in tier B, those that are watched in tier C",
            ),
            blocked: counters("blocked_calls", "System calls that the policy refused, by name"),
            files: counters("file_operations", "Things done to files, by kind; not reading"),
            events: ACCOUNTS.map(|(account, help, _)| counters(&format!("events_{account}"), help)),
            traffic: metrics.register(
                &add("traffic_bytes"),
                "Bytes of IP packets of sockets in sandboxes, both ways, in tier B",
                Counters::default(),
            ),
            throttled: metrics.register(
                &add("throttled"),
                "Times a run was held back until its events were taken",
                Counters::default(),
            ),
            cpu_s: metrics.register(
                &add("cpu_seconds"),
                "CPU time of the processes in sandboxes",
                Family::default(),
            ),
            phases: metrics.register(
                &add("phase_duration_seconds"),
                "Length of each part of a run, as the sandbox measures it",
                phases,
            ),
            durations: metrics.register(
                &add("call_duration_seconds"),
                "Length of sampled system calls from entry to return, never of all: at most 2,048 that were entered in the first 20 ms of a run or in 20 ms of each later second, in tier B; without calls that the policy refused",
                Histograms::default(),
            ),
            unmatched: metrics.register(
                &add("call_duration_unmatched"),
                "Sampled system calls that were not measured: killed in the call, interrupted and begun again, or not sampled since too many threads were known",
                Counters::default(),
            ),
        }
    }

    fn runner(&self, name: &str) -> Runner {
        let runner = || ("runner", name.to_owned());
        let calls = |family| Listed::new(family, name, "call", known().map(|(_, call)| call));
        Runner {
            runs: TIERS.map(|tier| {
                VERDICTS.map(|verdict| {
                    let labels =
                        [runner(), ("tier", tier.to_owned()), ("verdict", verdict.to_owned())];
                    self.runs.get_or_create_owned(&labels)
                })
            }),
            calls: calls(&self.calls),
            blocked: calls(&self.blocked),
            files: FILE_OPERATIONS
                .map(|kind| {
                    let labels = [runner(), ("operation", kind.to_owned())];
                    (kind, self.files.get_or_create_owned(&labels))
                })
                .into(),
            events: self
                .events
                .each_ref()
                .map(|family| Listed::new(family, name, "type", Kind::NAMES.into_iter())),
            traffic: ["in", "out"].map(|direction| {
                PROTOCOLS.map(|protocol| {
                    let labels = [
                        runner(),
                        ("direction", direction.to_owned()),
                        ("protocol", protocol.to_owned()),
                    ];
                    self.traffic.get_or_create_owned(&labels)
                })
            }),
            throttled: self.throttled.get_or_create_owned(&[runner()]),
            cpu_s: self.cpu_s.get_or_create_owned(&[runner()]),
            phases: PHASES.map(|phase| {
                self.phases.get_or_create_owned(&[runner(), ("phase", phase.to_owned())])
            }),
            durations: ByCall::new(&self.durations, name),
            unmatched: self.unmatched.get_or_create_owned(&[runner()]),
        }
    }
}

fn phase_histogram() -> Histogram {
    Histogram::new(PHASE_BUCKETS_S)
}

impl Sandboxes {
    /// For these runners: those that artifacts are given to, and there are no others.
    pub(crate) fn new(metrics: &Metrics, runners: &[String]) -> Self {
        let families = Families::register(metrics);
        let runner = |name: &String| (name.clone(), families.runner(name));
        Self { runners: runners.iter().map(runner).collect() }
    }

    fn runner(&self, name: &str) -> Option<&Runner> {
        self.runners.get(name)
    }

    /// Counts a run that was recorded. Which runner had it is ours to say, not the recording's.
    fn recorded(&self, runner: &str, recording: &Recording) {
        let Some(runner) = self.runner(runner) else { return };
        for (name, calls) in &recording.activity.calls {
            runner.calls.add(name, calls.made);
            runner.blocked.add(name, calls.blocked);
        }
        for (kind, counts) in &recording.counters.by_type {
            for (listed, (_, _, account)) in runner.events.iter().zip(ACCOUNTS) {
                listed.add(kind, account(counts));
            }
            if let Some(counter) = runner.files.get(kind.as_str()) {
                counter.inc_by(counts.seen);
            }
        }
        for (protocol, bytes) in &recording.activity.traffic {
            let known = PROTOCOLS.iter().position(|known| known == protocol);
            let at = known.unwrap_or(PROTOCOLS.len() - 1);
            for (counters, bytes) in
                runner.traffic.iter().zip([bytes.received_bytes, bytes.sent_bytes])
            {
                if let Some(counter) = counters.get(at) {
                    counter.inc_by(bytes);
                }
            }
        }
        let durations = &recording.activity.durations;
        runner.durations.add(durations);
        runner.unmatched.inc_by(durations.unmatched.saturating_add(durations.untracked));
        runner.throttled.inc_by(recording.counters.throttled);
        runner.cpu_s.inc_by(Duration::from_micros(recording.run.cpu_us).as_secs_f64());
        for (phase, histogram) in PHASES.into_iter().zip(&runner.phases) {
            if let Some(length_us) = recording.activity.phases_us.get(phase) {
                histogram.observe(Duration::from_micros(*length_us).as_secs_f64());
            }
        }
    }

    /// Begins a run, which is counted once, when what is given back is dropped.
    pub(crate) fn begin(self: &Arc<Self>, runner: &str) -> Counting {
        let (sandboxes, runner) = (Arc::clone(self), runner.to_owned());
        Counting { sandboxes, runner, tier: Tier::None, verdict: None }
    }

    fn ended(&self, runner: &str, tier: Tier, verdict: Option<Verdict>) {
        let tier = match tier {
            Tier::A => 0,
            Tier::B => 1,
            Tier::C => 2,
            Tier::H => 3,
            Tier::None => 4,
        };
        let verdict = match verdict {
            Some(Verdict::Benign) => 0,
            Some(Verdict::Suspicious) => 1,
            Some(Verdict::Malicious) => 2,
            Some(Verdict::Inconclusive) => 3,
            None => 4,
        };
        let by_tier = self.runner(runner).and_then(|runner| runner.runs.get(tier));
        if let Some(counter) = by_tier.and_then(|verdicts| verdicts.get(verdict)) {
            counter.inc();
        }
    }
}
