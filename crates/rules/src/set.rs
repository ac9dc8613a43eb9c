//! Everything that is applied to one run, and what it says of a recording.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use types::ports::Scanner;
use types::text::hex;
use types::{Recording, RuleMatch, RuleSet};

use crate::built_in;
use crate::folder::{self, Language, Source};
use crate::report::{Report, Skipped};
use crate::sigma::{self, EventRules};
use crate::yara::{Cache, Yara};

/// What a set is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// The rules that ship with ShieldX.
    pub built_in: bool,
    /// A folder (or one file) of rules: `*.yml` and `*.yaml` are Sigma, `*.yar` and `*.yara` are
    /// YARA, folders below it are read, too.
    pub folder: Option<PathBuf>,
    /// Compiled YARA rules; one for a process.
    pub cache: Arc<Cache>,
}

impl Default for Options {
    fn default() -> Self {
        Self { built_in: true, folder: None, cache: Arc::default() }
    }
}

/// Why there is no set.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read the rules in {}", types::Text::from(folder.as_str()))]
    Folder {
        folder: String,
        #[source]
        source: io::Error,
    },
    #[error("the YARA rules cannot be compiled: {reason}")]
    Compile { reason: String },
}

/// One rule, for lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// `sigma`, `yara`.
    pub language: String,
    /// `built-in`, or the file it is from.
    pub source: String,
    pub id: String,
    pub title: String,
    /// `informational`, `low`, `medium`, `high`, `critical`.
    pub level: String,
    /// ATT&CK technique ids.
    pub techniques: Vec<String>,
    /// What it looks at: a Sigma category, `correlation`, or `bytes`.
    pub category: String,
    pub description: String,
    pub references: Vec<String>,
}

/// What a set says of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evaluation {
    pub rule_sets: Vec<RuleSet>,
    pub matches: Vec<RuleMatch>,
    /// What went wrong, one sentence each: belongs to the recording's faults.
    pub faults: Vec<String>,
}

/// Rules, ready to be applied. Cheap to clone, safe to share.
#[derive(Debug, Clone)]
pub struct Set {
    sigma: Arc<dyn EventRules>,
    sigma_set: RuleSet,
    yara: Arc<Yara>,
    report: Arc<Report>,
}

impl Set {
    /// What ships with ShieldX and nothing else.
    #[must_use]
    pub fn built_in() -> Self {
        // Nothing is read and nothing compiled that could fail.
        Self::of(built_in::sources(), Report::default(), &Options::default())
    }

    /// Loads what the options name.
    ///
    /// # Errors
    /// When the folder cannot be read or the compiler fails. Rules in it that are broken or not
    /// for us are in [`Set::report`] and are no error.
    pub fn load(options: &Options) -> Result<Self, LoadError> {
        let mut report = Report::default();
        let mut sources = if options.built_in { built_in::sources() } else { Vec::new() };
        if let Some(path) = &options.folder {
            let read = folder::read(path, &mut report);
            sources.extend(read.map_err(|source| LoadError::Folder {
                folder: path.to_string_lossy().into_owned(),
                source,
            })?);
        }
        let theirs =
            sources.iter().any(|source| !source.built_in && source.language == Language::Yara);
        let mut set = Self::of(sources, report, options);
        if theirs {
            set.count_yara()?;
        }
        Ok(set)
    }

    fn of(sources: Vec<Source>, mut report: Report, options: &Options) -> Self {
        let (sigma, yara): (Vec<Source>, Vec<Source>) =
            sources.into_iter().partition(|source| source.language == Language::Sigma);
        let origin = origin(options);
        let rules: Arc<dyn EventRules> =
            Arc::from(sigma::load(&sigma.iter().collect::<Vec<_>>(), &mut report));
        let used: BTreeSet<&str> = rules.about().iter().map(|about| about.file.as_str()).collect();
        let applied = sigma.iter().filter(|source| used.contains(source.name.as_str()));
        let ids = rules.about().iter().map(|about| about.id.as_str());
        let sigma_set = RuleSet {
            language: "sigma".to_owned(),
            source: origin.clone(),
            rules: report.sigma_rules,
            skipped: report.sigma_skipped,
            sha256: digest(applied, ids),
        };
        report.yara_rules = if options.built_in { built_in::YARA_RULES } else { 0 };
        let yara_set = RuleSet {
            language: "yara".to_owned(),
            source: origin,
            rules: report.yara_rules,
            skipped: 0,
            sha256: digest(yara.iter(), std::iter::empty()),
        };
        let yara = Arc::new(Yara::new(yara, Arc::clone(&options.cache), yara_set));
        Self { sigma: rules, sigma_set, yara, report: Arc::new(report) }
    }

    /// Compiles the YARA rules and takes their numbers into the report.
    fn count_yara(&mut self) -> Result<(), LoadError> {
        let (Some(yara), Some(report)) =
            (Arc::get_mut(&mut self.yara), Arc::get_mut(&mut self.report))
        else {
            return Ok(());
        };
        let compiled = yara.compiled().map_err(|reason| LoadError::Compile { reason })?;
        report.yara_rules = compiled.about.len() as u64;
        for left in &compiled.left_out {
            report.skip_yara(Skipped::from(left.clone()));
        }
        let (rules, skipped) = (report.yara_rules, report.yara_skipped);
        let set = yara.set_mut();
        (set.rules, set.skipped) = (rules, skipped);
        Ok(())
    }

    /// What came of loading. Broken rules of the built-in set fail a test and are not in it.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Every rule, Sigma before YARA, in the order in which they are applied. Compiles the YARA
    /// rules.
    ///
    /// # Errors
    /// When the compiler fails.
    pub fn rules(&self) -> Result<Vec<Rule>, LoadError> {
        let compiled = self.yara.compiled().map_err(|reason| LoadError::Compile { reason })?;
        let source = |built_in: bool, file: &str| {
            if built_in { "built-in".to_owned() } else { file.to_owned() }
        };
        let sigma = self.sigma.about().iter().map(|about| Rule {
            language: "sigma".to_owned(),
            source: source(about.built_in, &about.file),
            id: about.id.clone(),
            title: about.title.clone(),
            level: about.level.clone(),
            techniques: about.techniques.clone(),
            category: about.category.clone(),
            description: about.description.clone(),
            references: about.references.clone(),
        });
        let yara = compiled.about.iter().map(|about| Rule {
            language: "yara".to_owned(),
            source: source(self.yara.is_built_in(&about.file), &about.file),
            id: about.name.clone(),
            title: about.title.clone(),
            level: about.level.clone(),
            techniques: about.techniques.clone(),
            category: "bytes".to_owned(),
            description: about.description.clone(),
            references: about.references.clone(),
        });
        Ok(sigma.chain(yara).collect())
    }

    /// Looks for the YARA rules in bytes; for `Spec::scanner` and for artifacts.
    #[must_use]
    pub fn scanner(&self) -> Arc<dyn Scanner> {
        Arc::clone(&self.yara) as Arc<dyn Scanner>
    }

    /// Which Sigma rules apply to a recording, and the sets that were applied to it.
    #[must_use]
    pub fn evaluate(&self, recording: &Recording) -> Evaluation {
        let (matches, faults) = sigma::evaluate(self.sigma.as_ref(), recording);
        let sets = [self.sigma_set.clone(), self.yara.rule_set()];
        let rule_sets = sets.into_iter().filter(|set| set.rules > 0).collect();
        Evaluation { rule_sets, matches, faults }
    }

    /// [`Set::evaluate`], written into the recording in the place of what stood there.
    pub fn apply(&self, recording: &mut Recording) {
        let evaluation = self.evaluate(recording);
        recording.rule_sets = evaluation.rule_sets;
        recording.matches = evaluation.matches;
        recording.faults.extend(evaluation.faults);
    }
}

/// `built-in`, the folder's name, or both.
fn origin(options: &Options) -> String {
    let folder = options.folder.as_ref().map(|path| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        types::Text::from(name.to_string_lossy().as_ref()).to_string()
    });
    match (options.built_in, folder) {
        (true, Some(folder)) => format!("built-in, {folder}"),
        (false, Some(folder)) => folder,
        _ => "built-in".to_owned(),
    }
}

/// Over the files in their order, and the ids of the rules that were taken from them.
fn digest<'s>(
    sources: impl Iterator<Item = &'s Source>,
    ids: impl Iterator<Item = &'s str>,
) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for source in sources {
        part(source.name.as_bytes());
        part(source.text.as_bytes());
    }
    ids.for_each(|id| part(id.as_bytes()));
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests;
