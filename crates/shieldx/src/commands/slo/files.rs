//! Files of objectives, and what is made from them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use slo::Catalog;
use slo::generate::{Settings, generate as files};

use super::{deliver, print};
use crate::exit::Exit;
use crate::failure::{self, Failure};
use crate::output::Destination;
use crate::request::show;

/// Left in the folder: which files are ours, so that those of a former run can be removed.
const LIST: &str = ".generated";

pub(super) fn check(catalog: &Catalog, shown: &str) -> Result<Exit, Failure> {
    let mut text = String::new();
    for slo in &catalog.slos {
        // Writing into a string does not fail.
        let _ = writeln!(
            text,
            "{:<28} {:>9}%  {}",
            slo.name.as_str(),
            slo.target.percent(),
            slo.description
        );
    }
    let _ = writeln!(text, "\n{shown}: {} objectives, nothing is wrong", catalog.slos.len());
    for warning in catalog.warnings() {
        let _ = writeln!(text, "warning: {warning}");
    }
    print(&text)?;
    Ok(Exit::Success)
}

/// Writes all files, or says which differ.
pub(super) fn generate(
    catalog: &Catalog,
    settings: &Settings,
    out: &Path,
    check: bool,
) -> Result<Exit, Failure> {
    let made = files(catalog, settings);
    let mut list: Vec<&str> = made.iter().map(|file| file.path.as_str()).collect();
    list.sort_unstable();
    let list = list.join("\n") + "\n";
    let stale = stale(out, &list);
    if check {
        let mut differing: Vec<String> = made
            .iter()
            .filter(|file| {
                fs::read_to_string(out.join(&file.path)).ok().as_ref() != Some(&file.text)
            })
            .map(|file| file.path.clone())
            .collect();
        differing.extend(stale.iter().map(|path| format!("{} (no longer made)", show(path))));
        for path in &differing {
            failure::note(&format!("{path} is not what would be written"));
        }
        return Ok(if differing.is_empty() { Exit::Success } else { Exit::Differs });
    }
    for file in &made {
        write(&out.join(&file.path), &file.text)?;
    }
    for path in stale {
        // One that is gone already is what was wanted.
        let _ = fs::remove_file(out.join(path));
    }
    write(&out.join(LIST), &list)?;
    print(&format!("{} files in {}\n", made.len(), show(out)))?;
    Ok(Exit::Success)
}

/// Files of a former run that would not be made now. Only names a former run left are taken.
fn stale(out: &Path, list: &str) -> Vec<PathBuf> {
    let before = fs::read_to_string(out.join(LIST)).unwrap_or_default();
    let now: BTreeSet<&str> = list.lines().collect();
    let inside = |path: &&str| {
        Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)))
    };
    before.lines().filter(|path| !now.contains(path)).filter(inside).map(PathBuf::from).collect()
}

/// Replaces a file whole: who reads it meanwhile sees the old or the new.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("{} was not written: {error}", show(path)))
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    Destination::check(path)
        .and_then(|to| to.write(|file| file.write_all(text.as_bytes())))
        .map_err(|error| Failure::of(Exit::Failed, &error))
}

pub(super) fn import(text: &str, out: Option<&Destination>) -> Result<Exit, Failure> {
    let carried = slo::openslo::import(text).map_err(|refused| {
        Failure::new(Exit::Usage, refused.problems.join("\n  "))
            .hint("it has to be OpenSLO v1: documents with `apiVersion: openslo/v1`")
    })?;
    for left_out in &carried.left_out {
        failure::note(&format!("not carried: {left_out}"));
    }
    deliver(&carried.text, out).map(|()| Exit::Success)
}

pub(super) fn export(catalog: &Catalog, out: Option<&Destination>) -> Result<Exit, Failure> {
    let carried = slo::openslo::export(catalog);
    for left_out in &carried.left_out {
        failure::note(&format!("not carried: {left_out}"));
    }
    deliver(&carried.text, out).map(|()| Exit::Success)
}
