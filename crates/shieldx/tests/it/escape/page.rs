//! docs/escape-suite.md: a row for each attempt, a column for each runner, written by the runners'
//! own tests. A runner that this host lacks keeps the column it has.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::attempts::ATTEMPTS;

const COLUMNS: [&str; 5] = ["process", "process, ordinary user", "docker", "microvm", "wasm"];

const HEAD: &str = "# Escape suite

Written by `crates/shieldx/tests/it/escape.rs`, which makes every attempt in every runner this host has
(`crates/shieldx/tests/programs/attempts.c`; modules for the wasm runner are made by the test). A cell says what the
attempt got inside and what the event stream says of it:

- *refused*: every primitive of the attempt failed. *stays inside*: it succeeded and reached nothing but the
  sandbox's own. *at most N*: a count and its bound. *killed*: a limit ended it.
- *`call` blocked*: an event with `blocked: true`. *`kind` failed*: an event with the kernel's error. *`kind` seen*:
  an event whose result that monitor does not know. *limit `x`*: a `limit_reached` event.

The third side is in no cell, because it has to be the same in all: outside, a file anybody may write and its inode, a
process, servers on an abstract name, a path, loopback TCP and UDP, kernel settings, control groups, mounts, temporary
folders and processes are compared before and after every run, and the test fails on any difference.

One run may hold several attempts; a limit that several of them reach is told once. `process` and `docker` as root with
tier B, the ordinary user with tier C, `microvm` with tier A in the guest.

";

static TURN: Mutex<()> = Mutex::new(());

fn path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/escape-suite.md")
}

/// Cells by column and number, as the page has them.
fn read(text: &str) -> BTreeMap<(usize, u8), String> {
    let mut cells = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let parts: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let Some(number) = parts.first().and_then(|part| part.parse().ok()) else { continue };
        for (column, cell) in parts.iter().skip(2).enumerate() {
            cells.insert((column, number), (*cell).to_owned());
        }
    }
    cells
}

fn write(cells: &BTreeMap<(usize, u8), String>) -> String {
    let mut text = HEAD.to_owned();
    let _ = writeln!(text, "| no. | attempt | {} |", COLUMNS.join(" | "));
    let _ = writeln!(text, "|---|---|{}", "---|".repeat(COLUMNS.len()));
    for attempt in &ATTEMPTS {
        let _ = write!(text, "| {} | {} |", attempt.number, attempt.words);
        for column in 0..COLUMNS.len() {
            let cell = cells.get(&(column, attempt.number)).map_or("not tried yet", String::as_str);
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

/// Fails, after writing it, when the page's column is not this.
pub(super) fn ensure(column: &str, now: &BTreeMap<u8, String>) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let there = fs::read_to_string(path()).unwrap_or_default();
    let at = COLUMNS.iter().position(|name| *name == column).expect("a column of the page");
    let mut cells = read(&there);
    cells.extend(now.iter().map(|(number, cell)| ((at, *number), cell.clone())));
    let text = write(&cells);
    if text != there {
        fs::write(path(), text).expect("the page");
        panic!(
            "docs/escape-suite.md: column {column} was not up to date; it is now, look at the difference and commit it"
        );
    }
}
