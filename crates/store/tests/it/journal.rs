//! `kill -9` of who appends and takes snapshots: what was acknowledged is there, in order and once.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use store::journal::{Contents, Damage, Journal, Limits, read};

use crate::support::Dice;

/// Names the folder in which the child writes.
const FOLDER: &str = "JOURNAL_CRASH_TEST_FOLDER";
const KILLS: u64 = 100;

/// Small, so that everything happens often.
fn limits() -> Limits {
    Limits { segment_max_bytes: 200, log_max_bytes: 4_096, ..Limits::default() }
}

/// Not a test of its own: what the killed process does, when [`FOLDER`] says where.
#[test]
#[expect(clippy::disallowed_methods, reason = "a child is told its folder by its parent")]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (mut journal, contents) = Journal::open(Path::new(&folder), limits()).unwrap();
    let mut next = last(&contents) + 1;
    loop {
        if next.is_multiple_of(7) {
            // A snapshot of all before: their last number.
            journal.snapshot(&(next - 1).to_le_bytes()).unwrap();
        }
        journal.append(&next.to_le_bytes()).unwrap();
        // One line in one write: the parent believes only whole lines.
        std::io::stdout().write_all(format!("{next}\n").as_bytes()).unwrap();
        next += 1;
    }
}

/// The last number; all of them follow one another.
fn last(contents: &Contents) -> u64 {
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    let mut last = contents.snapshot.as_deref().map_or(0, number);
    for record in &contents.records {
        assert_eq!(number(record), last + 1, "in order and once");
        last += 1;
    }
    last
}

#[test]
fn what_was_acknowledged_is_there_once_and_in_order_after_a_hundred_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice(7);
    let mut torn = 0;
    let mut told = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::child", "--nocapture", "--quiet"])
            .env(FOLDER, folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let mut begun = false;
        while lines.read_line(&mut line).unwrap() > 0 {
            let number = line.strip_suffix('\n').and_then(|line| line.parse().ok());
            told = number.unwrap_or(told);
            if !begun && number.is_some() {
                begun = true;
                std::thread::sleep(Duration::from_micros(dice.roll(20_000)));
                child.kill().unwrap();
            }
            line.clear();
        }
        let ended = child.wait().unwrap();
        assert!(begun && ended.code().is_none(), "it writes until it is killed: {ended:?}");
        let contents = read(folder.path(), limits()).unwrap();
        assert!((told..=told + 1).contains(&last(&contents)), "kill {kill}: {told}, {contents:?}");
        torn += contents.damage.torn_bytes;
        assert_eq!(contents.damage, Damage { damaged: vec![], ..contents.damage.clone() });
    }
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert!(files < 20, "{files} files");
    println!("{KILLS} kills, {told} records, {torn} torn bytes, {files} files");
}
