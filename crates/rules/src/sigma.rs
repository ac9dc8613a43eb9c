//! Sigma: rules over events. What is asked of an engine, and which rules are for us.
//!
//! Only `engine` knows the library that evaluates rules; only `observation` knows how an event of
//! ours looks in Sigma's words.

mod engine;
mod need;
mod observation;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use types::{Recording, RuleMatch};

pub(crate) use engine::load;
pub(crate) use observation::{CATEGORIES, Observation};

/// Rules in one set, at most.
const RULES_MAX: usize = 20_000;
/// A match names at most this many events.
const MATCH_EVENTS_MAX: usize = 16;
/// Evaluating one recording takes at most this long.
const EVALUATION_MAX: Duration = Duration::from_secs(20);
/// Observations between two looks at the clock.
const LOOK_EVERY: usize = 256;

/// Facts about one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    /// The rule's id, or its title where it has none.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) level: String,
    pub(crate) techniques: Vec<String>,
    pub(crate) description: String,
    pub(crate) references: Vec<String>,
    pub(crate) file: String,
    pub(crate) built_in: bool,
    /// `process_creation`, `file_event` …; `correlation` for rules over rules.
    pub(crate) category: String,
}

/// A set of rules over events, whatever evaluates it.
pub(crate) trait EventRules: Send + Sync + std::fmt::Debug {
    /// The rules that are applied, in their order.
    fn about(&self) -> &[About];

    /// Starts at the beginning of a recording: rules over several events remember.
    fn begin(&self) -> Box<dyn Session + '_>;
}

/// One pass over the observations of a recording, in the order of time.
pub(crate) trait Session {
    /// Which rules apply to this observation, as indexes into [`EventRules::about`], each with the
    /// indexes of the events it rests on. Calls `hit` in a fixed order.
    ///
    /// # Errors
    /// When the engine failed; the other observations can go on.
    fn look(
        &mut self,
        observation: &Observation<'_>,
        hit: &mut dyn FnMut(usize, &[usize]),
    ) -> Result<(), String>;
}

/// Which rules apply to a recording, in the order of the rules; and what went wrong, one sentence
/// each.
pub(crate) fn evaluate(
    rules: &dyn EventRules,
    recording: &Recording,
) -> (Vec<RuleMatch>, Vec<String>) {
    if rules.about().is_empty() {
        return (Vec::new(), Vec::new());
    }
    let started = Instant::now();
    let mut session = rules.begin();
    let mut hits: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    let (mut looked, mut failed, mut reason) = (0, 0_u64, String::new());
    let late = observation::observe(recording, |observation| {
        looked += 1;
        if looked % LOOK_EVERY == 0 && started.elapsed() > EVALUATION_MAX {
            return false;
        }
        let mut hit = |rule: usize, events: &[usize]| {
            let ids = hits.entry(rule).or_default();
            for event in events.iter().filter_map(|&index| recording.events.get(index)) {
                if ids.len() < MATCH_EVENTS_MAX && !ids.contains(&event.id) {
                    ids.push(event.id);
                }
            }
        };
        if let Err(error) = session.look(&observation, &mut hit) {
            failed += 1;
            reason = error;
        }
        true
    });
    let mut faults = Vec::new();
    if failed > 0 {
        faults.push(format!("the Sigma engine failed on {failed} events: {reason}"));
    }
    if late {
        faults.push(format!(
            "Sigma rules were applied to the first {looked} observations only: they took longer \
             than {} s",
            EVALUATION_MAX.as_secs()
        ));
    }
    let matches = hits.into_iter().filter_map(|(rule, mut events)| {
        let about = rules.about().get(rule)?;
        events.sort_unstable();
        Some(RuleMatch {
            rule: about.id.clone(),
            title: about.title.clone(),
            level: about.level.clone(),
            techniques: about.techniques.clone(),
            events,
        })
    });
    (matches.collect(), faults)
}

#[cfg(test)]
mod tests;
