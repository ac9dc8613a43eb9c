//! The same binary for a user without root: tier C, and says so.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use types::{Level, Tier, Verdict};

use crate::hostile;
use crate::lab::{Lab, ORDINARY_USER, assert_belongings_vanish, belongings, have, skip};

/// A copy of the binary that anybody may run, when this test may become another user and that
/// user may make user namespaces.
pub(crate) fn binary(test: &str, folder: &Path) -> Option<PathBuf> {
    let namespaces = Command::new("unshare")
        .args(["-Ur", "true"])
        .uid(ORDINARY_USER)
        .gid(ORDINARY_USER)
        .output();
    match namespaces {
        Err(error) => {
            skip(test, &format!("cannot become an ordinary user: {error}"));
            return None;
        }
        Ok(output) if !output.status.success() => {
            skip(test, "ordinary users may not make user namespaces here");
            return None;
        }
        Ok(_) => {}
    }
    let copy = folder.join("shieldx");
    fs::copy(env!("CARGO_BIN_EXE_shieldx"), &copy).expect("a copy");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("permissions");
    Some(copy)
}

#[test]
fn ls_is_benign_on_reduced_evidence_that_names_its_blind_detectors() {
    let lab = Lab::new();
    let Some(binary) = binary("ordinary user", &lab.side()) else { return };
    let outcome = lab.shieldx().by_user(ORDINARY_USER, &binary).run(&["ls", "/"]);
    let evidence = &outcome.assessment.evidence;
    assert_eq!(evidence.tier, Tier::C, "{}", outcome.summary());
    assert_eq!(evidence.level, Level::Reduced, "{}", outcome.summary());
    assert!(!evidence.blind_detectors.is_empty());
    assert_eq!(outcome.assessment.verdict, Verdict::Benign, "{}", outcome.summary());
    assert_eq!(outcome.code(), 0);
    lab.assert_no_process();
}

#[test]
fn full_evidence_required_makes_it_inconclusive() {
    let lab = Lab::new();
    let Some(binary) = binary("ordinary user, full evidence", &lab.side()) else { return };
    let outcome = lab
        .shieldx()
        .by_user(ORDINARY_USER, &binary)
        .with(&["--require-evidence", "full"])
        .run(&["ls"]);
    assert_eq!(outcome.assessment.verdict, Verdict::Inconclusive, "{}", outcome.summary());
}

#[test]
fn at_least_ten_detectors_fire_without_root() {
    let home = Lab::new();
    let Some(binary) = binary("ordinary user, hostile programs", &home.side()) else { return };
    let mut fired: BTreeSet<String> = BTreeSet::new();
    let mut missed = Vec::new();
    let mut tried = 0;
    for (name, sample) in hostile::ALL {
        if !sample.possible(name) {
            continue;
        }
        let lab = Lab::new();
        let command = sample.prepare(&lab);
        lab.give_to(ORDINARY_USER);
        let outcome =
            lab.shieldx().by_user(ORDINARY_USER, &binary).with(&sample.options()).run(&command);
        let evidence = &outcome.assessment.evidence;
        assert_eq!(evidence.tier, Tier::C, "{name}: {}", outcome.summary());
        assert_eq!(evidence.level, Level::Reduced, "{name}: {}", outcome.summary());
        tried += 1;
        fired.extend(outcome.assessment.detections.iter().map(|found| found.detector.clone()));
        if !sample.convicted(&outcome) {
            missed.push(*name);
        }
        lab.assert_no_process();
    }
    assert!(fired.len() >= 10, "only {fired:?}");
    // Tier C sees fewer calls; what it cannot see is named in every report. It must still convict
    // most of what runs.
    eprintln!("{} detectors fired; missed {missed:?} of {tried}", fired.len());
    assert!(missed.len() * 3 <= tried, "{} of {tried} missed: {missed:?}", missed.len());
}

#[test]
fn killed_without_root_leaves_nothing() {
    let home = Lab::new();
    let Some(binary) = binary("ordinary user, kill -9", &home.side()) else { return };
    if !have("ordinary user, kill -9", &["cc"]) {
        return;
    }
    let before = belongings(0);
    for moment in 0..15 {
        let lab = Lab::new();
        let mut command = lab.program("survivor.c");
        command.extend(["90".to_owned(), lab.mark().to_owned()]);
        lab.give_to(ORDINARY_USER);
        let call = lab.shieldx().by_user(ORDINARY_USER, &binary);
        let mut child = call.command(&command).spawn().expect("shieldx starts");
        std::thread::sleep(Duration::from_millis(moment * 20));
        child.kill().expect("kill -9");
        child.wait().expect("shieldx ends");
        lab.assert_no_process();
        assert_belongings_vanish(child.id(), &before);
    }
}
