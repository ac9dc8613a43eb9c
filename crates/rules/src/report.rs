//! What came of loading rules: how many were taken, which were not, and why.
//!
//! A checkout of somebody else's rules holds thousands that say nothing about a Linux program in a
//! sandbox, so every reason is counted and only the first files of each are named.

use std::collections::BTreeMap;

use serde::Serialize;

/// Files named for one reason, at most; all of them are counted.
const NAMED_MAX: u64 = 20;
/// Longest explanation that is kept, in characters.
const DETAIL_CHARS_MAX: usize = 300;

/// A rule, or a whole file, that is not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Path below the folder.
    pub file: String,
    /// In a word or two, the same for all of a kind: `product windows`, `service auditd`,
    /// `not valid` …
    pub reason: String,
    /// What exactly is wrong, where the reason does not say it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// It was meant for us and is broken: somebody should mend it.
    pub broken: bool,
}

/// What came of loading.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Files that were read.
    pub files: u64,
    pub sigma_rules: u64,
    pub yara_rules: u64,
    pub sigma_skipped: u64,
    pub yara_skipped: u64,
    /// How often each reason occurred.
    pub reasons: BTreeMap<String, u64>,
    /// The first of each reason.
    pub skipped: Vec<Skipped>,
    /// Rules that are applied although they ask for fields no event of a sandbox has, by file; such
    /// a part of a rule never matches.
    pub unknown_fields: BTreeMap<String, Vec<String>>,
}

impl Report {
    /// Whether a rule that was meant for us is broken.
    #[must_use]
    pub fn broken(&self) -> bool {
        self.skipped.iter().any(|skipped| skipped.broken)
    }

    pub(crate) fn skip_sigma(&mut self, skipped: Skipped) {
        self.sigma_skipped += 1;
        self.skip(skipped);
    }

    pub(crate) fn skip_yara(&mut self, skipped: Skipped) {
        self.yara_skipped += 1;
        self.skip(skipped);
    }

    fn skip(&mut self, mut skipped: Skipped) {
        let count = self.reasons.entry(skipped.reason.clone()).or_default();
        *count += 1;
        // What is broken is always named while the list is of a sensible length.
        if *count <= NAMED_MAX || skipped.broken && self.skipped.len() < 1000 {
            skipped.detail = safe(&skipped.detail);
            self.skipped.push(skipped);
        }
    }
}

impl Skipped {
    /// A file or rule that somebody should mend.
    pub(crate) fn broken(file: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { file: file.to_owned(), reason: "not valid".to_owned(), detail, broken: true }
    }

    /// A rule that is none of ours.
    pub(crate) fn foreign(file: &str, reason: impl Into<String>) -> Self {
        let (file, detail) = (file.to_owned(), String::new());
        Self { file, reason: reason.into(), detail, broken: false }
    }

    pub(crate) fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

/// Bounded, and safe on a terminal: it may quote the file.
fn safe(detail: &str) -> String {
    let text = types::Text::from(detail).to_string();
    if text.chars().count() <= DETAIL_CHARS_MAX {
        return text;
    }
    let mut short: String = text.chars().take(DETAIL_CHARS_MAX).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::{Report, Skipped};

    #[test]
    fn every_reason_is_counted_and_the_list_is_bounded() {
        let mut report = Report::default();
        for number in 0..5000 {
            report.skip_sigma(Skipped::foreign(&format!("{number}.yml"), "product windows"));
        }
        report.skip_yara(Skipped::broken("x.yar", "\u{1b}[31m".repeat(500)));
        assert_eq!(report.reasons["product windows"], 5000);
        assert_eq!((report.sigma_skipped, report.yara_skipped), (5000, 1));
        assert_eq!(report.skipped.len(), 21);
        assert!(report.broken() && !report.skipped[20].detail.contains('\u{1b}'));
    }
}
