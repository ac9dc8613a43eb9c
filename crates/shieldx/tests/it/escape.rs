//! Everything the field knows of ways out of a sandbox, tried in every runner there is here.
//!
//! Each attempt is looked at from three sides: what it got inside (its own lines), what became of
//! the host (`outside`), and what the record says (`judge`). What came out is docs/escape-suite.md,
//! a column for each runner; a column that differs is written anew and fails once.
//!
//! The primitives are in `programs/attempts.c`. Attempts that leave the machine as it is share a
//! run, each in a process named after its number, so that a guest boots a few times and not sixty.

mod attempts;
mod judge;
#[cfg(feature = "sandbox-wasm")]
mod modules;
mod outside;
mod page;

use std::collections::BTreeMap;
use std::time::Duration;

use self::attempts::ATTEMPTS;
use self::judge::Judged;
use self::outside::Outside;
use crate::lab::{Lab, Outcome};
use crate::ways::Way;

/// One run of the program, with the attempts that share it.
struct Sitting {
    options: &'static [&'static str],
    numbers: &'static [u8],
}

const fn sitting(options: &'static [&'static str], numbers: &'static [u8]) -> Sitting {
    Sitting { options, numbers }
}

/// The memory bomb is the last of its sitting: what ends it may end everything.
const SITTINGS: [Sitting; 7] = [
    sitting(
        &[],
        &[
            5, 9, 10, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35,
            36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57,
            58, 59, 61, 62,
        ],
    ),
    sitting(
        &["--pids", "64", "--disk", "16M", "--output-limit", "1M", "--memory", "256M"],
        &[1, 8, 13, 3, 4, 6, 2],
    ),
    sitting(&["--timeout", "4s"], &[7]),
    sitting(&[], &[11, 12, 16]),
    sitting(&[], &[14]),
    sitting(&[], &[15]),
    sitting(&[], &[60]),
];

/// A run and everything around it may take this long on a busy machine that emulates another.
const LIMIT: Duration = Duration::from_secs(400);

fn sit(way: &Way, sitting: &Sitting) -> Vec<Judged> {
    let lab = Lab::new();
    let program = way.program(&lab);
    let mut outside = Outside::new(&lab);
    let mut command = vec![program];
    command.extend(outside.words());
    command.extend(sitting.numbers.iter().map(u8::to_string));
    way.give(&lab);
    let kept = lab.side().join("kept");
    let temporary = Way::temporary(&lab);
    let mut call = lab.shieldx().limit(LIMIT).with(way.options).variable("TMPDIR", &temporary);
    if !sitting.options.contains(&"--timeout") {
        call = call.with(&["--timeout", "120s"]);
    }
    call = call.with(sitting.options);
    if way.user.is_none() {
        call = call.with(&["--keep", kept.to_str().expect("ASCII")]);
    }
    let outcome = way.dress(call).run(&command);
    let mut judged = judge::all(way, sitting.numbers, &outcome);
    let told = changes(&mut outside, &lab, &outcome, &kept);
    for (number, harm) in told {
        for one in judged.iter_mut().filter(|one| number.is_none_or(|number| number == one.number))
        {
            one.faults.push(harm.clone());
        }
    }
    judged
}

/// What is not as before outside; of one attempt where that can be told.
fn changes(
    outside: &mut Outside,
    lab: &Lab,
    outcome: &Outcome,
    kept: &std::path::Path,
) -> Vec<(Option<u8>, String)> {
    let mut told: Vec<(Option<u8>, String)> =
        outside.harm(lab, outcome.supervisor).into_iter().map(|harm| (None, harm)).collect();
    told.extend(outside::odd_files(kept).into_iter().map(|harm| (Some(45), harm)));
    told
}

/// Every attempt in one runner: fails with all that did not hold, and with a page that drifted.
fn try_all(way: &Way) {
    let judged: Vec<Judged> = SITTINGS.iter().flat_map(|sitting| sit(way, sitting)).collect();
    conclude(way.column, way.page, &judged);
}

fn conclude(column: &str, page: bool, judged: &[Judged]) {
    let faults: Vec<String> = judged
        .iter()
        .flat_map(|one| one.faults.iter().map(|fault| format!("{}: {fault}", one.number)))
        .collect();
    assert!(faults.is_empty(), "{column}: {} faults\n{}", faults.len(), faults.join("\n"));
    let cells: BTreeMap<u8, String> =
        judged.iter().map(|one| (one.number, one.cell.clone())).collect();
    assert_eq!(cells.len(), ATTEMPTS.len(), "{column}: {:?}", cells.keys());
    if page {
        page::ensure(column, &cells);
    }
}

#[test]
fn nothing_gets_out_of_a_process() {
    if let Some(way) = Way::process() {
        try_all(&way);
    }
}

#[test]
fn nothing_gets_out_of_a_process_of_an_ordinary_user() {
    if let Some(way) = Way::ordinary() {
        try_all(&way);
    }
}

#[cfg(feature = "sandbox-docker")]
#[test]
fn nothing_gets_out_of_a_container() {
    if let Some(way) = Way::docker() {
        try_all(&way);
        let left = way.leftovers();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[cfg(feature = "sandbox-microvm")]
#[test]
fn nothing_gets_out_of_a_guest() {
    if let Some(way) = Way::microvm() {
        try_all(&way);
    }
}

#[cfg(feature = "sandbox-wasm")]
#[test]
fn nothing_gets_out_of_a_module() {
    conclude("wasm", true, &modules::all());
}

#[test]
fn every_attempt_is_made_exactly_once_in_a_runner() {
    let mut made: Vec<u8> = SITTINGS.iter().flat_map(|sitting| sitting.numbers).copied().collect();
    made.sort_unstable();
    let all: Vec<u8> = (1..=62).collect();
    assert_eq!(made, all);
    let listed: Vec<u8> = ATTEMPTS.iter().map(|attempt| attempt.number).collect();
    assert_eq!(listed, all);
}
