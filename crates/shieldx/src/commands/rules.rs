//! `shieldx rules`: what is looked for, whether rules are sound, and what they match.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use rules::{Covered, Options, Report, Set, layer};
use serde::Serialize;
use types::RuleMatch;
use types::ports::Pattern;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::report::reading;
use crate::request::rules::RulesRequest;
use crate::request::show;

/// A file that rules are tried on, at most.
const FILE_MAX_BYTES: u64 = 256 << 20;

/// Does what was asked.
///
/// # Errors
/// When rules or files cannot be read, or the answer not be printed.
pub fn rules(request: &RulesRequest) -> Result<Exit, Failure> {
    match request {
        RulesRequest::List { folder, json } => list(folder.as_deref(), *json),
        RulesRequest::Test { path, recording, file, json } => {
            test(path, recording.as_deref(), file.as_deref(), *json)
        }
        RulesRequest::Coverage { folder, navigator, json } => {
            let rows = rows(&load(folder.as_deref(), true)?)?;
            let covered = covered(&rows);
            if let Some(navigator) = navigator {
                let layer = layer(&covered, verdict::ATTACK_VERSION);
                let written = navigator.write(|out| {
                    serde_json::to_writer_pretty(&mut *out, &layer)?;
                    out.write_all(b"\n")
                });
                written.map_err(|error| Failure::of(Exit::Failed, &error))?;
            }
            coverage(&covered, *json)
        }
    }
}

/// One line of the list.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    title: String,
    severity: String,
    /// ATT&CK technique ids.
    techniques: Vec<String>,
    /// `native`, `sigma`, `yara`.
    language: String,
    /// `built-in`, or the file the rule is from.
    source: String,
    /// What it looks at.
    looks_at: String,
    description: String,
    references: Vec<String>,
}

fn load(folder: Option<&Path>, built_in: bool) -> Result<Set, Failure> {
    let folder = folder.map(PathBuf::from);
    let set = Set::load(&Options { built_in, folder, ..Options::default() });
    set.map_err(|error| {
        Failure::of(Exit::BadData, &error)
            .hint("name a folder, or a file that ends in .yml or .yar")
    })
}

/// Detectors before Sigma before YARA.
fn rows(set: &Set) -> Result<Vec<Row>, Failure> {
    let native = verdict::detectors().iter().map(|info| Row {
        id: info.id.to_owned(),
        title: info.title.to_owned(),
        severity: info.severity().to_owned(),
        techniques: vec![info.attack.id.to_owned()],
        language: "native".to_owned(),
        source: "built-in".to_owned(),
        looks_at: info.needs.join(", "),
        description: info.looks_for.to_owned(),
        references: vec![info.reference()],
    });
    let others = set.rules().map_err(|error| Failure::of(Exit::Failed, &error))?;
    let others = others.into_iter().map(|rule| Row {
        id: rule.id,
        title: rule.title,
        severity: rule.level,
        techniques: rule.techniques,
        language: rule.language,
        source: rule.source,
        looks_at: rule.category,
        description: rule.description,
        references: rule.references,
    });
    Ok(native.chain(others).collect())
}

fn list(folder: Option<&Path>, json: bool) -> Result<Exit, Failure> {
    let set = load(folder, true)?;
    let rows = rows(&set)?;
    print(|out| {
        if json {
            return pretty(out, &rows);
        }
        for row in &rows {
            let technique = row.techniques.first().map_or("-", String::as_str);
            let more = row.techniques.len().saturating_sub(1);
            let technique =
                if more > 0 { format!("{technique} +{more}") } else { technique.to_owned() };
            writeln!(
                out,
                "{:<6} {:<14} {:<13} {:<36} {}{}",
                row.language,
                text(&row.severity),
                text(&technique),
                text(&row.id),
                text(&row.title),
                if row.source == "built-in" {
                    String::new()
                } else {
                    format!("  ({})", row.source)
                },
            )?;
        }
        let count = |language: &str| rows.iter().filter(|row| row.language == language).count();
        writeln!(
            out,
            "\n{} native detectors, {} Sigma rules, {} YARA rules; ATT&CK v{}",
            count("native"),
            count("sigma"),
            count("yara"),
            verdict::ATTACK_VERSION
        )?;
        left_out(out, set.report())
    })?;
    Ok(Exit::Success)
}

/// What `test` found.
#[derive(Debug, Serialize)]
struct Tested<'a> {
    #[serde(flatten)]
    report: &'a Report,
    sound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<&'a [RuleMatch]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patterns: Option<Vec<Found>>,
}

#[derive(Debug, Serialize)]
struct Found {
    rule: String,
    title: String,
    level: String,
    offset: u64,
}

fn test(
    path: &Path,
    recording: Option<&Path>,
    file: Option<&Path>,
    json: bool,
) -> Result<Exit, Failure> {
    let set = load(Some(path), false)?;
    let evaluation = recording.map(|path| recorded(path).map(|r| set.evaluate(&r))).transpose()?;
    let patterns = file.map(|path| scan(&set, path)).transpose()?;
    if let Some(fault) = evaluation.as_ref().and_then(|evaluation| evaluation.faults.first()) {
        return Err(Failure::new(Exit::Failed, fault.clone()));
    }
    let matches = evaluation.as_ref().map(|evaluation| evaluation.matches.as_slice());
    let report = set.report();
    let tried = matches.is_some() || patterns.is_some();
    let matched = matches.is_some_and(|all| !all.is_empty())
        || patterns.as_ref().is_some_and(|all| !all.is_empty());
    print(|out| {
        if json {
            let patterns = patterns.as_ref().map(|all| all.iter().map(found).collect());
            let sound = !report.broken();
            return pretty(out, &Tested { report, sound, matches, patterns });
        }
        writeln!(
            out,
            "{} files: {} Sigma and {} YARA rules apply, {} and {} do not",
            report.files,
            report.sigma_rules,
            report.yara_rules,
            report.sigma_skipped,
            report.yara_skipped
        )?;
        left_out(out, report)?;
        for found in matches.unwrap_or_default() {
            let events: Vec<String> = found.events.iter().map(u64::to_string).collect();
            let (level, title) = (text(&found.level), text(&found.title));
            writeln!(out, "match  {level:<14} {title}: events {}", events.join(", "))?;
        }
        for found in patterns.iter().flatten() {
            let (level, title) = (text(&found.level), text(&found.title));
            let (rule, offset) = (text(&found.rule), found.offset);
            writeln!(out, "match  {level:<14} {rule} ({title}) at {offset}")?;
        }
        if tried && !matched {
            writeln!(out, "no rule matches")?;
        }
        Ok(())
    })?;
    Ok(match () {
        () if report.broken() => Exit::BadData,
        () if tried && !matched => Exit::Differs,
        () => Exit::Success,
    })
}

fn found(pattern: &Pattern) -> Found {
    Found {
        rule: pattern.rule.clone(),
        title: pattern.title.clone(),
        level: pattern.level.clone(),
        offset: pattern.offset,
    }
}

/// What was not taken, by reason; what is broken by name.
fn left_out(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    for (reason, count) in &report.reasons {
        writeln!(out, "left out {count:>6}  {}", text(reason))?;
    }
    for broken in report.skipped.iter().filter(|skipped| skipped.broken) {
        writeln!(out, "broken   {}: {} {}", broken.file, text(&broken.reason), broken.detail)?;
    }
    for (file, fields) in &report.unknown_fields {
        let fields = text(&fields.join(", "));
        writeln!(out, "note     {file}: no event has the field {fields}")?;
    }
    Ok(())
}

fn recorded(path: &Path) -> Result<types::Recording, Failure> {
    let name = show(path);
    let file = File::open(path)
        .map_err(|error| Failure::new(Exit::BadData, format!("cannot open {name}: {error}")))?;
    let read = reading::read(file).map_err(|error| {
        let failure = Failure::new(Exit::BadData, format!("{name} is no recording: {error}"));
        error.hint().into_iter().fold(failure, Failure::hint)
    })?;
    Ok(read.recording)
}

fn scan(set: &Set, path: &Path) -> Result<Vec<Pattern>, Failure> {
    let name = show(path);
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("cannot scan {name}: {error}"))
    };
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| failed(&error))?;
    set.scanner().scan("file", &bytes).map_err(|error| failed(&error.reason))
}

fn covered(rows: &[Row]) -> BTreeMap<String, Covered> {
    let mut covered: BTreeMap<String, Covered> = BTreeMap::new();
    for row in rows {
        for technique in &row.techniques {
            let by = &mut covered.entry(technique.clone()).or_default().by;
            by.entry(row.language.clone()).or_default().push(row.id.clone());
        }
    }
    covered
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    technique: &'a str,
    name: &'static str,
    tactic: &'static str,
    by: &'a BTreeMap<String, Vec<String>>,
}

fn coverage(covered: &BTreeMap<String, Covered>, json: bool) -> Result<Exit, Failure> {
    let lines = covered.iter().map(|(id, covered)| {
        let known = verdict::technique(id);
        Line {
            technique: id,
            name: known.map_or("", |attack| attack.name),
            tactic: known.map_or("", |attack| attack.tactic),
            by: &covered.by,
        }
    });
    let lines: Vec<Line<'_>> = lines.collect();
    print(|out| {
        if json {
            return pretty(out, &lines);
        }
        for line in &lines {
            let count = |source: &str| line.by.get(source).map_or(0, Vec::len);
            writeln!(
                out,
                "{:<10} {:<22} native {:>2}  sigma {:>3}  yara {:>2}  {}",
                text(line.technique),
                line.tactic,
                count("native"),
                count("sigma"),
                count("yara"),
                line.name
            )?;
        }
        let version = verdict::ATTACK_VERSION;
        writeln!(out, "\n{} techniques and sub-techniques, ATT&CK v{version}", lines.len())
    })?;
    Ok(Exit::Success)
}

/// Words of a rule's author, safe on a terminal.
fn text(words: &str) -> String {
    types::Text::from(words).to_string()
}

fn pretty<T: Serialize + ?Sized>(out: &mut dyn Write, value: &T) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    out.write_all(b"\n")
}

fn print(content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    output::to_stdout(content).map_err(|error| Failure::of(Exit::Failed, &error))
}
