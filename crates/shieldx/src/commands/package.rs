//! `shieldx run --package`: install a package, then import what was installed, each as a run with
//! its own walls, recording and verdict.
//!
//! Import starts from what install wrote: the first run leaves it as a layer, the second lies over
//! that layer. What was not seen (an install that failed, a time limit) is said, and keeps the
//! package from being called benign.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use types::{Ending, Verdict};

use super::run::{Done, all_written, passed_on, perform, unwritten, write_files};
use crate::environment::Environment;
use crate::exit::{Exit, FailOn};
use crate::failure::Failure;
use crate::output;
use crate::package::{Ecosystem, Origin, Phase};
use crate::report::package::{Outcome, Subject, write_package};
use crate::report::terminal::{self, Style};
use crate::report::{Judged, words};
use crate::request::{PackageRequest, RunRequest, show};
use crate::view::View;

/// Runs both phases of a package.
///
/// # Errors
/// When a tool is missing, a phase could not be run, or a report not be written.
pub(super) fn package(
    request: &RunRequest,
    asked: &PackageRequest,
    environment: &Environment,
) -> Result<Exit, Failure> {
    tools(asked.package.ecosystem, &asked.install.view)?;
    let subject = Subject::new(&asked.package, sha256(&asked.package.origin)?);
    let folder = tempfile::Builder::new()
        .prefix("shieldx-package-")
        .tempdir()
        .map_err(|error| Failure::of(Exit::Failed, &error))?;
    let layer = folder.path().join("install.tar");
    let mut written = Ok(());
    let mut ended = |phase: Phase, part: &RunRequest, done: &Done| {
        show_phase(request, environment, phase, done);
        let files = write_files(part, &done.judged())
            .and(passed_on(&done.recording))
            .and(all_written(&done.recording));
        written = std::mem::replace(&mut written, Ok(())).and(files);
    };

    let install = perform(&asked.install, environment, |spec| {
        spec.artifacts.snapshot = Some(layer.clone());
    })?;
    ended(Phase::Install, &asked.install, &install);
    let mut gaps = gaps(Phase::Install, &install);
    let mut done = vec![(Phase::Install, install)];
    if gaps.is_empty() && !layer.is_file() {
        let unwritten = done.first().and_then(|(_, install)| unwritten(&install.recording).next());
        gaps.push(unwritten.unwrap_or("install left nothing to import").to_owned());
    }
    if gaps.is_empty() {
        let import = perform(&asked.import, environment, |spec| spec.layers.push(layer.clone()))?;
        ended(Phase::Import, &asked.import, &import);
        gaps.extend(self::gaps(Phase::Import, &import));
        done.push((Phase::Import, import));
    } else {
        gaps.push("import was not run".to_owned());
    }
    gaps.extend(done.first().into_iter().flat_map(|(_, install)| lacks(install)));

    let phases: Vec<(Phase, Judged<'_>)> =
        done.iter().map(|(phase, done)| (*phase, done.judged())).collect();
    let outcome = Outcome::new(subject, &phases, gaps);
    show_all(request, environment, &outcome, &phases)?;
    written?;
    Ok(exit(request.fail_on, &outcome, &phases))
}

/// Every tool that the phases start is there.
fn tools(ecosystem: Ecosystem, view: &View) -> Result<(), Failure> {
    let found = |name: &&str| view.path.iter().any(|folder| folder.join(name).is_file());
    match ecosystem.tools().iter().find(|tool| !tool.programs.iter().any(found)) {
        None => Ok(()),
        Some(tool) => {
            let (name, apt) = (tool.programs.first().copied().unwrap_or_default(), tool.apt);
            let what = ecosystem.as_str();
            Err(Failure::new(
                Exit::NotFound,
                format!("{name}: not found in PATH; a {what} package needs it"),
            )
            .hint(format!("apt install {apt}")))
        }
    }
}

/// Of an archive.
fn sha256(origin: &Origin) -> Result<Option<String>, Failure> {
    let Origin::File(path) = origin else { return Ok(None) };
    let hash = || -> io::Result<String> {
        let (mut file, mut hasher) = (File::open(path)?, Sha256::new());
        let mut chunk = vec![0; 64 << 10];
        loop {
            match file.read(&mut chunk)? {
                0 => break,
                count => hasher.update(chunk.get(..count).unwrap_or_default()),
            }
        }
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    };
    hash().map(Some).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Usage, format!("{}: {error}", show(path)))
}

/// Why a phase does not tell all of what it is for.
fn gaps(phase: Phase, done: &Done) -> Vec<String> {
    let ending = &done.recording.run.ending;
    match ending {
        Ending::Exited { code: 0 } => Vec::new(),
        Ending::TimedOut => vec![format!("{phase} reached its time limit (--timeout)")],
        _ => vec![format!("{phase} ended with {}", terminal::ending(ending))],
    }
}

/// What the layer lacks of what install wrote, as the runner says it.
fn lacks(install: &Done) -> Vec<String> {
    let walls = install.recording.run.isolation.walls.iter();
    let said = walls.filter(|wall| wall.detail.contains("the snapshot lacks"));
    said.map(|wall| format!("import started without all that install wrote: {}", wall.detail))
        .collect()
}

fn style(request: &RunRequest, environment: &Environment) -> Style {
    Style {
        color: environment.color(request.color, environment.stderr_terminal),
        width: environment.width(),
        hint: None,
    }
}

fn show_phase(request: &RunRequest, environment: &Environment, phase: Phase, done: &Done) {
    if request.json || request.quiet {
        return;
    }
    let report = terminal::render(&done.judged(), style(request, environment));
    // The person may have closed the terminal; the exit code still tells the result.
    let _ = write!(io::stderr().lock(), "\nphase {phase}\n{report}");
}

/// The report of both phases, where it was asked for, and the last word on the terminal.
fn show_all(
    request: &RunRequest,
    environment: &Environment,
    outcome: &Outcome,
    phases: &[(Phase, Judged<'_>)],
) -> Result<(), Failure> {
    let failed = |error| {
        Failure::of(Exit::Failed, &error)
            .hint("the package was tried; its verdict is in the other outputs")
    };
    let written = match &request.report {
        Some(file) => file.write(|out| write_package(outcome, phases, out)).map_err(failed),
        None => Ok(()),
    };
    if request.json {
        output::to_stdout(|out| write_package(outcome, phases, out)).map_err(failed)?;
    } else if !request.quiet {
        let width = style(request, environment).width;
        let _ = io::stderr().lock().write_all(last_word(outcome, phases, width).as_bytes());
    }
    written
}

fn last_word(outcome: &Outcome, phases: &[(Phase, Judged<'_>)], width: usize) -> String {
    let each: Vec<String> = phases
        .iter()
        .map(|(phase, judged)| format!("{phase} {}", judged.assessment.verdict))
        .collect();
    let (verdict, score) = (outcome.verdict, outcome.score);
    let head = format!("{}: {verdict}, score {score} ({})", outcome.subject, each.join(", "));
    let mut text = format!("\n{}\n", words::cut_middle(&head, width));
    for gap in &outcome.gaps {
        text.push_str(&format!("  not seen   {}\n", words::safe(gap)));
    }
    if !outcome.gaps.is_empty() {
        text.push_str(&format!("  hint       {}\n", hint(outcome.subject.ecosystem)));
    }
    text
}

/// What most often keeps a package from being tried to its end.
fn hint(ecosystem: Ecosystem) -> &'static str {
    match ecosystem {
        Ecosystem::Npm => {
            "packages that it needs can be given with --with DIR (one version of each), or asked \
             for by naming it with --net allow="
        }
        Ecosystem::Pip => {
            "sources are built with what is here (apt install python3-setuptools python3-wheel); \
             packages that it needs can be given with --with DIR"
        }
        Ecosystem::Cargo => {
            "crates that it needs can be given with --with DIR (cargo vendor DIR), or asked for by \
             naming it with --net allow="
        }
    }
}

/// As for a single run: the verdict where it was asked to decide, or how the tools ended.
fn exit(fail_on: Option<FailOn>, outcome: &Outcome, phases: &[(Phase, Judged<'_>)]) -> Exit {
    let by_verdict = fail_on.and_then(|threshold| {
        // A gate for malicious packages must not open because the half that is was not seen.
        let unseen = !outcome.gaps.is_empty()
            || phases.iter().any(|(_, part)| part.assessment.verdict == Verdict::Inconclusive);
        Exit::of(outcome.verdict, threshold).or(unseen.then_some(Exit::Inconclusive))
    });
    let by_ending = || {
        let codes = phases.iter().map(|(_, part)| Exit::of_ending(&part.recording.run.ending));
        codes.into_iter().find(|exit| exit.code() != 0).unwrap_or(Exit::Success)
    };
    by_verdict.unwrap_or_else(by_ending)
}
