//! YARA over bytes: compiled once, cached by hash, scanned under a time limit.
//!
//! The rules that ship with ShieldX are compiled when something is scanned for the first time: a run
//! that leaves nothing behind does not pay for them. A folder's rules are compiled when they are
//! loaded, because only the compiler knows which of them are broken.

mod cache;
mod compile;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use types::RuleSet;
use types::ports::{Pattern, PortError, Scanner};
use yara_x::MetaValue;

pub use cache::Cache;
pub(crate) use compile::Compiled;

use crate::folder::Source;

/// One scan takes at most this long. YARA-X counts whole seconds.
const SCAN_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of one scan, at most.
const SCAN_BYTES_MAX: usize = 256 << 20;
/// Matches of one pattern that are remembered; conditions that count see no more.
const MATCHES_MAX: usize = 10_000;
/// Patterns reported for one scan, at most.
const PATTERNS_MAX: usize = 64;

/// Facts about one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) level: String,
    pub(crate) techniques: Vec<String>,
    pub(crate) description: String,
    pub(crate) references: Vec<String>,
    /// The file it is from.
    pub(crate) file: String,
}

/// Rules over bytes, compiled or ready to be.
pub(crate) struct Yara {
    sources: Vec<Source>,
    cache: Arc<Cache>,
    set: RuleSet,
    compiled: OnceLock<Result<Arc<Compiled>, String>>,
}

impl Yara {
    /// `set` is what [`Scanner::rule_set`] says.
    pub(crate) fn new(sources: Vec<Source>, cache: Arc<Cache>, set: RuleSet) -> Self {
        Self { sources, cache, set, compiled: OnceLock::new() }
    }

    /// What the set is, once it is compiled and its rules are counted.
    pub(crate) fn set_mut(&mut self) -> &mut RuleSet {
        &mut self.set
    }

    /// Whether a file is one of ours.
    pub(crate) fn is_built_in(&self, file: &str) -> bool {
        self.sources.iter().any(|source| source.built_in && source.name == file)
    }

    /// The compiled rules; the first caller compiles.
    ///
    /// # Errors
    /// When the compiler itself failed; rules that are merely wrong are left out.
    pub(crate) fn compiled(&self) -> Result<&Compiled, String> {
        let compile = || self.cache.get(&self.sources);
        match self.compiled.get_or_init(compile) {
            Ok(compiled) => Ok(compiled),
            Err(reason) => Err(reason.clone()),
        }
    }
}

impl fmt::Debug for Yara {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Yara({} rules)", self.set.rules)
    }
}

impl Scanner for Yara {
    fn rule_set(&self) -> RuleSet {
        self.set.clone()
    }

    fn scan(&self, place: &str, bytes: &[u8]) -> Result<Vec<Pattern>, PortError> {
        let failed = |reason: String| PortError { what: "YARA", reason };
        if bytes.len() > SCAN_BYTES_MAX {
            return Err(failed(format!("{} bytes are too many to scan", bytes.len())));
        }
        let compiled = self.compiled().map_err(failed)?;
        let scan = AssertUnwindSafe(|| scan(compiled, place, bytes));
        match catch_unwind(scan) {
            Ok(result) => result.map_err(failed),
            Err(_) => Err(failed("the scanner panicked".to_owned())),
        }
    }
}

fn scan(compiled: &Compiled, place: &str, bytes: &[u8]) -> Result<Vec<Pattern>, String> {
    let mut scanner = yara_x::Scanner::new(&compiled.rules);
    scanner.set_timeout(SCAN_TIME_MAX).max_matches_per_pattern(MATCHES_MAX);
    scanner.set_global("place", place).map_err(|error| error.to_string())?;
    let found = scanner.scan(bytes).map_err(|error| error.to_string())?;
    let mut patterns: BTreeMap<usize, Pattern> = BTreeMap::new();
    for rule in found.matching_rules() {
        let key = (rule.namespace().to_owned(), rule.identifier().to_owned());
        let Some(&order) = compiled.order.get(&key) else { continue };
        let Some(about) = compiled.about.get(order) else { continue };
        let starts = rule
            .patterns()
            .include_private(true)
            .filter_map(|pattern| pattern.matches().map(|found| found.range().start as u64).min());
        patterns.insert(
            order,
            Pattern {
                rule: about.name.clone(),
                title: about.title.clone(),
                level: about.level.clone(),
                techniques: about.techniques.clone(),
                offset: starts.min().unwrap_or(0),
            },
        );
    }
    let mut patterns: Vec<Pattern> = patterns.into_values().collect();
    // Whoever makes a file match many rules must not choose which of them are told.
    patterns.sort_by_key(|pattern| std::cmp::Reverse(rank(&pattern.level)));
    patterns.truncate(PATTERNS_MAX);
    Ok(patterns)
}

/// Facts about a rule from its `meta` section: `title`, `description`, `level` (or a `score` from
/// 0 to 100, as THOR has it), `techniques` (or `mitre_attack`), `reference`.
fn about(rule: &yara_x::Rule<'_, '_>) -> About {
    let mut about = About {
        name: rule.identifier().to_owned(),
        title: String::new(),
        level: String::new(),
        techniques: Vec::new(),
        description: String::new(),
        references: Vec::new(),
        file: rule.namespace().to_owned(),
    };
    let mut score = None;
    for (key, value) in rule.metadata() {
        let text = match &value {
            MetaValue::String(text) => (*text).to_owned(),
            MetaValue::Integer(number) => number.to_string(),
            _ => continue,
        };
        match key {
            "title" => about.title = text,
            "description" => about.description = text,
            "level" | "severity" => about.level = text.to_ascii_lowercase(),
            "score" => score = text.parse::<i64>().ok(),
            "techniques" | "technique" | "mitre_attack" => {
                about.techniques.extend(techniques(&text));
            }
            "reference" | "references" => about.references.push(text),
            _ => {}
        }
    }
    if about.title.is_empty() {
        let title = if about.description.is_empty() { &about.name } else { &about.description };
        about.title = title.chars().take(120).collect();
    }
    if !LEVELS.contains(&about.level.as_str()) {
        about.level = match score {
            Some(75..) => "high",
            Some(..=49) => "low",
            // A rule that says nothing of itself: a person's minute, not an alarm.
            _ => "medium",
        }
        .to_owned();
    }
    about
}

/// The place of a level among the levels, the worst last.
fn rank(level: &str) -> Option<usize> {
    LEVELS.iter().position(|known| *known == level)
}

const LEVELS: &[&str] = &["informational", "low", "medium", "high", "critical"];

/// Technique ids in a text: `T1059.004, T1105`.
fn techniques(text: &str) -> Vec<String> {
    let id = |word: &str| {
        let (technique, sub) = word.strip_prefix('T')?.split_once('.').unwrap_or((&word[1..], ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let whole = technique.len() == 4 && (sub.is_empty() || sub.len() == 3);
        (whole && digits(technique) && digits(sub)).then(|| word.to_owned())
    };
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
    words.filter_map(|word| id(word.trim_end_matches('.'))).collect()
}

#[cfg(test)]
mod tests;
