//! `kill -9` while traces are archived: what was taken is found, and nothing else is read as a trace.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use runtime::telemetry::Archive as _;
use store::traces::{TraceArchive, TraceArchiveLimits};

use crate::support::Dice;

/// Names the folder in which the child writes.
const FOLDER: &str = "STORE_TRACES_TEST_FOLDER";
const KILLS: u64 = 30;
/// Small enough that segments come and go all the time.
const BYTES_MAX: u64 = 1 << 20;

fn open(folder: &Path) -> TraceArchive {
    let limits = TraceArchiveLimits { bytes_max: BYTES_MAX, ..TraceArchiveLimits::default() };
    TraceArchive::open(folder, limits).unwrap()
}

fn trace(number: u128) -> Vec<u8> {
    let length = usize::try_from(number % 1_000).unwrap();
    format!("{number} ").repeat(length.max(1)).into_bytes()
}

/// Not a test of its own: what the killed process does, when [`FOLDER`] says where.
#[test]
#[expect(clippy::disallowed_methods, reason = "a child is told its folder by its parent")]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let archive = open(Path::new(&folder));
    let first = u128::from(std::process::id()) << 64;
    for number in first.. {
        archive.put(number.to_be_bytes(), b"summary", &trace(number)).unwrap();
        // One line in one write: the parent believes only whole lines.
        std::io::stdout().write_all(format!("put {number}\n").as_bytes()).unwrap();
    }
}

/// A child that does not outlive its test.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lets a child write for a while and kills it; gives what it told until then.
fn run_and_kill(folder: &Path, pause: Duration) -> Vec<u128> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "traces::child", "--nocapture", "--quiet"])
        .env(FOLDER, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map(Writer)
        .unwrap();
    let mut lines = BufReader::new(child.0.stdout.take().unwrap());
    let (mut line, mut told) = (String::new(), Vec::new());
    while lines.read_line(&mut line).unwrap() > 0 {
        let number = line.strip_suffix('\n').and_then(|line| line.strip_prefix("put "));
        if let Some(number) = number {
            if told.is_empty() {
                std::thread::sleep(pause);
                child.0.kill().unwrap();
            }
            told.push(number.parse().unwrap());
        }
        line.clear();
    }
    let ended = child.0.wait().unwrap();
    assert!(!told.is_empty() && ended.code().is_none(), "it writes until it is killed: {ended:?}");
    told
}

#[test]
fn what_was_archived_is_found_after_kill_9_at_thirty_moments() {
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice(4);
    let mut told = 0;
    for kill in 0..KILLS {
        let numbers = run_and_kill(folder.path(), Duration::from_micros(dice.roll(40_000)));
        let archive = open(folder.path());
        assert!(archive.bytes() <= BYTES_MAX);
        let found: Vec<bool> = numbers
            .iter()
            .map(|number| match archive.get(number.to_be_bytes()).unwrap() {
                Some(found) => found == trace(*number),
                None => false,
            })
            .collect();
        // The oldest of them may have made room.
        let first = found.iter().position(|found| *found).unwrap_or(found.len());
        assert!(
            found[first..].iter().all(|found| *found),
            "kill {kill}: one of {numbers:?} is gone"
        );
        assert_eq!(found.last(), Some(&true), "kill {kill}: the newest");
        assert_eq!(archive.recovered().damaged_bytes, 0, "kill {kill}");
        told += numbers.len();
    }
    assert!(told > 300, "{told}");
}
