//! The only file that knows rsigma: reads rules with its parser, evaluates them with its engine.
//!
//! Rules are untrusted text and observations are what a sample wrote; a panic in a young library
//! must cost one rule or one event and not the run, so both are called behind `catch_unwind`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, RwLock};

use rsigma_eval::{
    CorrelationAction, CorrelationConfig, CorrelationEngine, CorrelationEventMode, Engine,
    EvaluationResult, Event, EventValue, TimestampFallback,
};
use rsigma_parser::{
    CorrelationRule, Detection, FilterRule, Level, LogSource, SigmaRule, Status, parse_sigma_yaml,
};

use super::{About, CATEGORIES, EventRules, MATCH_EVENTS_MAX, Observation, RULES_MAX, Session};
use crate::folder::Source;
use crate::report::{Report, Skipped};
use crate::sigma::need::Need;
use crate::sigma::observation::Value;

/// Entries a correlation remembers: in all, and of one group.
const REMEMBERED_MAX: usize = 50_000;
const REMEMBERED_IN_GROUP_MAX: usize = 10_000;

/// Reads Sigma files in their order.
pub(crate) fn load(sources: &[&Source], report: &mut Report) -> Box<dyn EventRules> {
    let mut loading = Loading::default();
    for source in sources {
        loading.file(source, report);
    }
    Box::new(loading.finish(report))
}

/// What was read, before it is compiled.
#[derive(Default)]
struct Loading {
    rules: Vec<(SigmaRule, About)>,
    correlations: Vec<(CorrelationRule, About)>,
    filters: Vec<(FilterRule, String)>,
    ids: BTreeSet<String>,
}

impl Loading {
    fn file(&mut self, source: &Source, report: &mut Report) {
        let name = source.name.as_str();
        let parsed = catch_unwind(|| parse_sigma_yaml(&source.text));
        let collection = match parsed {
            Ok(Ok(collection)) => collection,
            Ok(Err(error)) => return report.skip_sigma(invalid(source, &error.to_string())),
            Err(_) => return report.skip_sigma(Skipped::broken(name, "the parser failed on it")),
        };
        for error in &collection.errors {
            report.skip_sigma(invalid(source, error));
        }
        for mut rule in collection.rules {
            if let Some(reason) = not_ours(&rule) {
                report.skip_sigma(Skipped::foreign(name, reason));
                continue;
            }
            let id = rule.id.get_or_insert_with(|| rule.title.clone()).clone();
            if self.is_new(&id, name, report) {
                let about = About {
                    id,
                    title: rule.title.clone(),
                    level: level(rule.level),
                    techniques: techniques(&rule.tags),
                    description: rule.description.clone().unwrap_or_default(),
                    references: rule.references.clone(),
                    file: name.to_owned(),
                    built_in: source.built_in,
                    category: rule.logsource.category.clone().unwrap_or_default(),
                };
                self.rules.push((rule, about));
            }
        }
        for mut rule in collection.correlations {
            let id = rule.id.get_or_insert_with(|| rule.title.clone()).clone();
            if self.is_new(&id, name, report) {
                let about = About {
                    id,
                    title: rule.title.clone(),
                    level: level(rule.level),
                    techniques: techniques(&rule.tags),
                    description: rule.description.clone().unwrap_or_default(),
                    references: rule.references.clone(),
                    file: name.to_owned(),
                    built_in: source.built_in,
                    category: "correlation".to_owned(),
                };
                self.correlations.push((rule, about));
            }
        }
        let filters = collection.filters.into_iter();
        self.filters.extend(filters.map(|filter| (filter, name.to_owned())));
    }

    fn is_new(&mut self, id: &str, file: &str, report: &mut Report) -> bool {
        if self.rules.len() + self.correlations.len() >= RULES_MAX {
            let what = format!("only {RULES_MAX} rules are applied");
            let mut skipped = Skipped::foreign(file, "too many rules").because(what);
            skipped.broken = true;
            report.skip_sigma(skipped);
            return false;
        }
        let new = self.ids.insert(id.to_owned());
        if !new {
            let what = format!("{id} is the id of an earlier rule");
            report.skip_sigma(Skipped::foreign(file, "id used before").because(what));
        }
        new
    }

    fn finish(self, report: &mut Report) -> Rsigma {
        let mut engine = Engine::new();
        let (mut about, mut kept) = (Vec::new(), Vec::new());
        // Nothing can be wrong with a rule of ours, so nobody has to hear of it now.
        let can_wait = self.filters.is_empty();
        let mut waiting = Vec::new();
        for (rule, facts) in self.rules {
            if can_wait && facts.built_in {
                waiting.push(Waiting { need: Need::of(&rule), rule: rule.clone() });
                about.push(facts);
                kept.push(rule);
                continue;
            }
            let added = catch_unwind(AssertUnwindSafe(|| engine.add_rule(&rule)));
            match added {
                Ok(Ok(())) => {
                    let unknown = unknown_fields(&rule);
                    if !unknown.is_empty() {
                        report.unknown_fields.insert(facts.file.clone(), unknown);
                    }
                    about.push(facts);
                    kept.push(rule);
                }
                Ok(Err(error)) => {
                    report.skip_sigma(Skipped::broken(&facts.file, error.to_string()));
                }
                Err(_) => report
                    .skip_sigma(Skipped::broken(&facts.file, "the engine failed to compile it")),
            }
        }
        for (filter, file) in self.filters {
            // A filter changes rules that are applied anyway and is no rule of its own.
            if let Err(error) = engine.apply_filter(&filter) {
                report.skip_sigma(Skipped::broken(&file, error.to_string()));
            }
        }
        let (correlations, correlated) = correlate(self.correlations, &mut about, &kept, report);
        report.sigma_rules = about.len() as u64;
        let index = about.iter().enumerate().map(|(index, facts)| (facts.id.clone(), index));
        let index = index.collect();
        let hidden = correlations
            .iter()
            .filter(|rule| !rule.generate)
            .flat_map(|rule| rule.rules.iter().cloned())
            .collect();
        let compiled = RwLock::new(Compiled { engine, waiting });
        Rsigma { compiled, about, index, correlations, correlated, hidden }
    }
}

/// Takes the correlations whose rules are there, with references by name turned into ids.
fn correlate(
    loaded: Vec<(CorrelationRule, About)>,
    about: &mut Vec<About>,
    rules: &[SigmaRule],
    report: &mut Report,
) -> (Vec<CorrelationRule>, Vec<SigmaRule>) {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for rule in rules {
        let id = rule.id.clone().unwrap_or_default();
        known.extend(rule.name.iter().map(|name| (name.clone(), id.clone())));
        known.insert(id.clone(), id);
    }
    for (rule, facts) in &loaded {
        known.extend(rule.name.iter().map(|name| (name.clone(), facts.id.clone())));
        known.insert(facts.id.clone(), facts.id.clone());
    }
    let mut taken = Vec::new();
    for (mut rule, facts) in loaded {
        let missing = rule.rules.iter().find(|name| !known.contains_key(*name));
        if let Some(missing) = missing {
            let what = format!("{missing} is not applied");
            report.skip_sigma(Skipped::foreign(&facts.file, "correlates others").because(what));
            continue;
        }
        let id = |name: &String| known.get(name).unwrap_or(name).clone();
        rule.rules = rule.rules.iter().map(id).collect();
        for alias in &mut rule.aliases {
            alias.mapping =
                alias.mapping.iter().map(|(name, field)| (id(name), field.clone())).collect();
        }
        let mut trial = CorrelationEngine::new(config());
        match catch_unwind(AssertUnwindSafe(|| trial.add_correlation(&rule))) {
            Ok(Ok(())) => {
                about.push(facts);
                taken.push(rule);
            }
            Ok(Err(error)) => report.skip_sigma(Skipped::broken(&facts.file, error.to_string())),
            Err(_) => {
                report.skip_sigma(Skipped::broken(&facts.file, "the engine failed to compile it"));
            }
        }
    }
    let named: BTreeSet<&String> = taken.iter().flat_map(|rule| &rule.rules).collect();
    let wanted = |rule: &&SigmaRule| rule.id.as_ref().is_some_and(|id| named.contains(id));
    let correlated = rules.iter().filter(wanted).cloned().collect();
    (taken, correlated)
}

/// A rule that is compiled when an observation has what it needs.
struct Waiting {
    need: Need,
    rule: SigmaRule,
}

impl Waiting {
    fn is_for(&self, observation: &Observation<'_>) -> bool {
        let category = self.rule.logsource.category.as_deref().unwrap_or_default();
        category.eq_ignore_ascii_case(observation.category) && self.need.is_met(observation)
    }
}

/// The rules that something was there for, and those that wait for it.
struct Compiled {
    engine: Engine,
    waiting: Vec<Waiting>,
}

impl Compiled {
    /// Compiles what this observation may be for.
    fn take(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let (wanted, waiting): (Vec<_>, Vec<_>) =
            self.waiting.drain(..).partition(|rule| rule.is_for(observation));
        self.waiting = waiting;
        let errors = self.engine.add_rules(wanted.iter().map(|wanted| &wanted.rule));
        errors.first().map_or(Ok(()), |(_, error)| Err(error.to_string()))
    }
}

/// The rules, compiled or waiting.
struct Rsigma {
    compiled: RwLock<Compiled>,
    about: Vec<About>,
    /// Index into `about` by id.
    index: BTreeMap<String, usize>,
    correlations: Vec<CorrelationRule>,
    /// The rules that correlations name.
    correlated: Vec<SigmaRule>,
    /// Ids of rules that only feed a correlation and say nothing by themselves.
    hidden: BTreeSet<String>,
}

impl fmt::Debug for Rsigma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rsigma({} rules)", self.about.len())
    }
}

impl EventRules for Rsigma {
    fn about(&self) -> &[About] {
        &self.about
    }

    fn begin(&self) -> Box<dyn Session + '_> {
        Box::new(Pass { rules: self, correlations: None })
    }
}

impl Rsigma {
    /// What a rule over rules remembers, from nothing.
    fn correlate(&self) -> Option<CorrelationEngine> {
        let mut engine = CorrelationEngine::new(config());
        // Rules and correlations were tried when they were loaded, or are ours.
        let rules = self.correlated.iter().try_for_each(|rule| engine.add_rule(rule));
        let all = self.correlations.iter().try_for_each(|rule| engine.add_correlation(rule));
        (rules.is_ok() && all.is_ok()).then_some(engine)
    }

    /// The rules that apply to one observation. Compiles those that waited for one like it.
    fn evaluate(&self, observation: &Observation<'_>) -> Result<Vec<EvaluationResult>, String> {
        let event = Fields(observation);
        let source = LogSource {
            category: Some(observation.category.to_owned()),
            product: Some("linux".to_owned()),
            ..LogSource::default()
        };
        let broken = |_| "the engine panicked".to_owned();
        let of = |compiled: &Compiled| {
            let found = || compiled.engine.evaluate_with_logsource(&event, &source);
            catch_unwind(AssertUnwindSafe(found)).map_err(broken)
        };
        let compiled = self.compiled.read().unwrap_or_else(PoisonError::into_inner);
        if !compiled.waiting.iter().any(|waiting| waiting.is_for(observation)) {
            return of(&compiled);
        }
        drop(compiled);
        let mut compiled = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
        catch_unwind(AssertUnwindSafe(|| compiled.take(observation))).map_err(broken)??;
        of(&compiled)
    }
}

/// One recording.
struct Pass<'r> {
    rules: &'r Rsigma,
    /// From the first rule that applied: most recordings have none.
    correlations: Option<CorrelationEngine>,
}

impl Session for Pass<'_> {
    fn look(
        &mut self,
        observation: &Observation<'_>,
        hit: &mut dyn FnMut(usize, &[usize]),
    ) -> Result<(), String> {
        let rules = self.rules;
        let mut found = rules.evaluate(observation)?;
        if found.is_empty() {
            return Ok(());
        }
        if !rules.correlations.is_empty() {
            let (event, correlations) = (Fields(observation), &mut self.correlations);
            let second = i64::try_from(observation.time_ns / 1_000_000_000).unwrap_or(i64::MAX);
            let all = catch_unwind(AssertUnwindSafe(|| {
                if correlations.is_none() {
                    *correlations = rules.correlate();
                }
                match correlations {
                    Some(engine) => engine.process_with_detections(&event, found, second),
                    None => found,
                }
            }));
            found = all.map_err(|_| "the engine panicked".to_owned())?;
        }
        let mut hits: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for result in &found {
            let id = result.header.rule_id.as_deref().unwrap_or(&result.header.rule_title);
            let Some(&rule) = rules.index.get(id) else { continue };
            let mut events = vec![observation.event];
            if let Some(body) = result.as_correlation() {
                let refs = body.event_refs.iter().flatten();
                let indexes = refs.filter_map(|event| event.id.as_ref()?.parse().ok());
                events.splice(0..0, indexes);
            } else if rules.hidden.contains(id) {
                continue;
            }
            hits.entry(rule).or_default().extend(events);
        }
        for (rule, events) in hits {
            hit(rule, &events);
        }
        Ok(())
    }
}

fn config() -> CorrelationConfig {
    CorrelationConfig {
        timestamp_fallback: TimestampFallback::Skip,
        max_state_entries: REMEMBERED_MAX,
        max_group_entries: Some(REMEMBERED_IN_GROUP_MAX),
        action_on_match: CorrelationAction::Reset,
        correlation_event_mode: CorrelationEventMode::Refs,
        max_correlation_events: MATCH_EVENTS_MAX,
        ..CorrelationConfig::default()
    }
}

/// An observation as rsigma asks for it.
struct Fields<'a>(&'a Observation<'a>);

impl Event for Fields<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        let (_, value) = self.0.fields.iter().find(|(name, _)| *name == path)?;
        Some(match value {
            Value::Text(text) => EventValue::Str(Cow::Borrowed(text.as_ref())),
            Value::Number(number) => EventValue::Int(*number),
        })
    }

    fn any_string_value(&self, pred: &dyn Fn(&str) -> bool) -> bool {
        self.all_string_values().iter().any(|text| pred(text))
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        let mut texts = Vec::new();
        for (_, value) in &self.0.fields {
            if let Value::Text(text) = value {
                texts.push(Cow::Borrowed(text.as_ref()));
            }
        }
        texts
    }

    fn to_json(&self) -> serde_json::Value {
        let mut map = serde_json::Map::new();
        // Correlations remember events by this id.
        map.insert("id".to_owned(), self.0.event.to_string().into());
        for (name, value) in &self.0.fields {
            let value = match value {
                Value::Text(text) => text.as_ref().into(),
                Value::Number(number) => (*number).into(),
            };
            map.insert((*name).to_owned(), value);
        }
        map.into()
    }

    fn top_level_keys(&self) -> Option<Vec<Cow<'_, str>>> {
        Some(self.0.fields.iter().map(|(name, _)| Cow::Borrowed(*name)).collect())
    }
}

/// Why a rule is not for the events of a sandbox.
fn not_ours(rule: &SigmaRule) -> Option<String> {
    let source = &rule.logsource;
    let product = source.product.as_deref().map(str::to_ascii_lowercase);
    if let Some(product) = product.filter(|product| product != "linux") {
        return Some(format!("product {product}"));
    }
    if let Some(service) = &source.service {
        return Some(format!("service {service}"));
    }
    let Some(category) = source.category.as_deref().map(str::to_ascii_lowercase) else {
        return Some("no category".to_owned());
    };
    if !CATEGORIES.iter().any(|(known, _)| *known == category) {
        return Some(format!("category {category}"));
    }
    match rule.status {
        Some(Status::Deprecated) => Some("status deprecated".to_owned()),
        Some(Status::Unsupported) => Some("status unsupported".to_owned()),
        _ => None,
    }
}

/// A document that could not be read as a rule: broken when it looks like one of ours.
fn invalid(source: &Source, error: &str) -> Skipped {
    let line = |key: &str| {
        let value = |line: &str| Some(line.trim().strip_prefix(key)?.trim().to_owned());
        source.text.lines().find_map(value)
    };
    if !["logsource:", "detection:", "correlation:", "filter:"].iter().any(|k| line(k).is_some()) {
        return Skipped::foreign(&source.name, "no rule").because(error);
    }
    // Rules of other systems and of earlier days may be written as they like.
    if let Some(product) = line("product:").filter(|product| product != "linux") {
        return Skipped::foreign(&source.name, format!("product {product}"));
    }
    match line("status:").as_deref() {
        Some(old @ ("deprecated" | "unsupported")) => {
            Skipped::foreign(&source.name, format!("status {old}"))
        }
        _ => Skipped::broken(&source.name, error),
    }
}

/// A rule that does not say how grave a match is counts as little.
fn level(level: Option<Level>) -> String {
    level.unwrap_or(Level::Low).as_str().to_owned()
}

/// `attack.t1059.004` → `T1059.004`.
fn techniques(tags: &[String]) -> Vec<String> {
    let mut techniques = Vec::new();
    for tag in tags {
        let tag = tag.to_ascii_lowercase();
        let Some(id) = tag.strip_prefix("attack.t") else { continue };
        if id.starts_with(|c: char| c.is_ascii_digit()) {
            let id = format!("T{id}");
            if !techniques.contains(&id) {
                techniques.push(id);
            }
        }
    }
    techniques
}

/// Fields that the rule asks for and observations of its category never have.
fn unknown_fields(rule: &SigmaRule) -> Vec<String> {
    let category = rule.logsource.category.as_deref().unwrap_or_default().to_ascii_lowercase();
    let known = CATEGORIES.iter().find(|(name, _)| *name == category).map_or(&[][..], |c| c.1);
    let mut names = BTreeSet::new();
    for detection in rule.detection.named.values() {
        gather(detection, &mut names);
    }
    names.into_iter().filter(|name| !known.contains(&name.as_str())).collect()
}

fn gather(detection: &Detection, names: &mut BTreeSet<String>) {
    match detection {
        Detection::AllOf(items) => {
            names.extend(items.iter().filter_map(|item| item.field.name.clone()));
        }
        Detection::AnyOf(inner) | Detection::And(inner) => {
            inner.iter().for_each(|detection| gather(detection, names));
        }
        Detection::Conditional { named, .. } => {
            named.values().for_each(|detection| gather(detection, names));
        }
        Detection::ArrayMatch { field, .. } => {
            names.insert(field.clone());
        }
        Detection::Keywords(_) => {}
    }
}
