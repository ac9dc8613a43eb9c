//! What a detector is: facts about it, and a pure function from a timeline to a finding.

use serde::Serialize;
use types::Text;

use crate::attack::Attack;
use crate::detectors::severity;
use crate::timeline::Timeline;

/// Facts about one detector, for documentation and `shieldx doctor`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Info {
    /// Stable, kebab-case.
    pub id: &'static str,
    pub title: &'static str,
    pub attack: Attack,
    /// What it looks for, in one sentence.
    pub looks_for: &'static str,
    /// The kinds of event it needs, named as in JSON.
    pub needs: &'static [&'static str],
    pub tier_c: TierC,
}

impl Info {
    /// How grave it is when it is right: `medium`, `high`, `critical`.
    #[must_use]
    pub fn severity(&self) -> &'static str {
        severity(self.id)
    }

    /// Where the behaviour is described.
    #[must_use]
    pub fn reference(&self) -> String {
        self.attack.reference()
    }
}

/// How well a detector works when only seccomp notification watches (tier C).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TierC {
    /// As well as with tier B, but for return values.
    Sees,
    /// It fires on part of what it looks for; the text says what is missing.
    Reduced(&'static str),
    /// It cannot fire; the text says why.
    Blind(&'static str),
}

/// A detector: its facts and its function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detector {
    pub(crate) info: Info,
    /// At most one finding, however often the behaviour occurs: repeats do not stack.
    pub(crate) find: fn(&Timeline<'_>) -> Option<Finding>,
}

/// What a detector saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Log-likelihood ratio in decibans.
    pub(crate) weight: u32,
    /// One sentence; whatever a sample controls in it went through [`show`].
    pub(crate) summary: String,
    /// Indexes of the events that are the behaviour.
    pub(crate) events: Vec<usize>,
    /// Indexes of events that only explain it (who ran, what was written before).
    pub(crate) context: Vec<usize>,
}

impl Finding {
    pub(crate) fn new(weight: u32, summary: String, events: Vec<usize>) -> Self {
        Self { weight, summary, events, context: Vec::new() }
    }

    pub(crate) fn with_context(mut self, context: impl IntoIterator<Item = usize>) -> Self {
        self.context.extend(context);
        self
    }
}

/// Longest piece of sample-controlled text in a summary, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// Text of the sample, escaped and shortened for a summary.
pub(crate) fn show(text: &str) -> String {
    let escaped = Text::from(text).to_string();
    if escaped.chars().count() <= SHOWN_CHARS_MAX {
        return escaped;
    }
    let mut short: String = escaped.chars().take(SHOWN_CHARS_MAX).collect();
    short.push('…');
    short
}

/// Gathers what a detector meets event by event, and keeps the strongest weight.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    pub(crate) weight: u32,
    pub(crate) events: Vec<usize>,
    pub(crate) context: Vec<usize>,
    /// Distinct things that were met, in order of first sight.
    pub(crate) labels: Vec<String>,
}

impl Hits {
    pub(crate) fn add(&mut self, event: usize, weight: u32, label: &str) {
        self.weight = self.weight.max(weight);
        self.events.push(event);
        if !self.labels.iter().any(|known| known == label) {
            self.labels.push(label.to_owned());
        }
    }

    /// The sentence is `before`, up to three labels, and how many more there are.
    pub(crate) fn finding(self, before: &str) -> Option<Finding> {
        if self.events.is_empty() {
            return None;
        }
        let summary = format!("{before}{}", list(&self.labels));
        Some(Finding::new(self.weight, summary, self.events).with_context(self.context))
    }
}

/// Up to three of the names, escaped, and how many more there are.
pub(crate) fn list<S: AsRef<str>>(names: &[S]) -> String {
    const NAMED: usize = 3;
    let mut text: Vec<String> = names.iter().take(NAMED).map(|name| show(name.as_ref())).collect();
    if names.len() > NAMED {
        text.push(format!("{} more", names.len() - NAMED));
    }
    text.join(", ")
}
