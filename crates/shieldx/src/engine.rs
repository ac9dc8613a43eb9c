//! The seam to the rooms behind the command line: which runner, which verdict, which detectors.
//!
//! Everything the program asks of `sandbox` and `verdict` passes through here.

use std::collections::BTreeMap;

use sandbox::{RunError, Spec};
use serde::Serialize;
use types::{Assessment, Recording};
use verdict::TierC;

use crate::report::document::AssessOptions;
use crate::runners::{self, Found, RunnerName, Surroundings};

/// Runs one command to its end.
///
/// # Errors
/// When the sandbox could not be built.
pub fn execute(
    runner: RunnerName,
    around: &Surroundings,
    spec: &Spec,
) -> Result<Recording, RunError> {
    runners::open(runner, around)?.run(spec)
}

/// The verdict on a recording. A pure function: the same recording gives the same bytes.
#[must_use]
pub fn assess(recording: &Recording, options: AssessOptions) -> Assessment {
    let options = verdict::Options { require_full: options.require_full };
    verdict::assess(recording, &options)
}

/// Numbers that describe a run; the same names for every run.
#[must_use]
pub fn features(recording: &Recording) -> BTreeMap<String, f64> {
    verdict::features(recording)
}

/// Whether a refused call says nothing by itself: `clone3` without a namespace flag is refused only
/// so that the C library asks again with `clone`. Monitors put its flags where the pointer to them
/// was, in the first argument; without them nothing is known and the refusal stands as an attempt.
#[must_use]
pub fn is_fallback(call: &str, args: &[u64]) -> bool {
    let asks = |flags: &u64| flags & sandbox::seccomp::NAMESPACE_FLAGS != 0;
    call == "clone3" && args.first().is_some_and(|flags| !asks(flags))
}

/// One thing this host can or cannot do.
#[derive(Debug, Serialize)]
pub struct Capability {
    pub name: String,
    pub state: String,
    pub available: bool,
    /// What its absence costs.
    pub costs: String,
}

/// Everything `doctor` shows: the host, then each runner, which may take seconds to try.
#[must_use]
pub fn capabilities(around: &Surroundings) -> Vec<Capability> {
    let mut all = host_capabilities();
    all.extend(runners::all(around).into_iter().map(|(name, found)| runner(name, found)));
    all
}

fn runner(name: RunnerName, found: Found) -> Capability {
    let available = found.is_ok();
    let state = match found {
        Ok(facts) if facts.is_empty() => "works here".to_owned(),
        Ok(facts) => {
            let facts = facts.iter().map(|(key, value)| format!("{key} {value}"));
            facts.collect::<Vec<_>>().join(", ")
        }
        Err(unsupported) => unsupported.reason,
    };
    let costs = format!("--runner {} is refused", name.as_str());
    Capability { name: format!("runner {}", name.as_str()), state, available, costs }
}

/// What this host can do, without the runners.
#[must_use]
pub fn host_capabilities() -> Vec<Capability> {
    let capability = |found: sandbox::probe::Capability| Capability {
        name: found.name,
        state: found.state,
        available: found.available,
        costs: found.costs,
    };
    sandbox::probe::all().into_iter().map(capability).collect()
}

/// One detector.
#[derive(Debug, Serialize)]
pub struct Detector {
    pub id: &'static str,
    pub title: &'static str,
    pub technique: &'static str,
    pub technique_name: &'static str,
    pub tactic: &'static str,
    pub looks_for: &'static str,
    /// The kinds of event it needs.
    pub needs: &'static [&'static str],
    /// What it misses under tier C, when it does.
    pub tier_c: Option<String>,
}

/// Everything `detectors` shows.
#[must_use]
pub fn detectors() -> Vec<Detector> {
    verdict::detectors()
        .iter()
        .map(|info| Detector {
            id: info.id,
            title: info.title,
            technique: info.attack.id,
            technique_name: info.attack.name,
            tactic: info.attack.tactic,
            looks_for: info.looks_for,
            needs: info.needs,
            tier_c: match info.tier_c {
                TierC::Sees => None,
                TierC::Reduced(what) => Some(format!("reduced: {what}")),
                TierC::Blind(why) => Some(format!("blind: {why}")),
            },
        })
        .collect()
}

/// The ATT&CK version of the detectors' techniques.
#[must_use]
pub fn attack_version() -> &'static str {
    verdict::ATTACK_VERSION
}
