//! `kill -9` at any moment: never more than the last interval is uncovered, nothing is counted twice,
//! nothing that was told is lost. This shows what survives the death of the process; the death of the
//! machine rests on fsync.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use runtime::clock::Manual;
use slo::history::Series;
use slo::status::{Counts, Scope};

use crate::support::{BEGIN_US, ONE, Process, SECOND_US, catalog};

/// Names the folder in which the child counts, and when it begins.
const FOLDER: &str = "LEDGER_CRASH_TEST_FOLDER";
const BEGIN: &str = "LEDGER_CRASH_TEST_BEGIN_US";
const KILLS: u64 = 100;
const SLO: &str = "gateway-availability";

/// Not a test of its own: what the killed process does, when [`FOLDER`] says where.
#[test]
#[expect(clippy::disallowed_methods, reason = "a child is told its folder by its parent")]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let begin_us = std::env::var(BEGIN).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(count_until_killed(Path::new(&folder), begin_us));
}

/// Every tick is ten seconds of a clock that is moved, and every event of a tick is good but one.
async fn count_until_killed(folder: &Path, begin_us: i64) {
    let clock = Arc::new(Manual::at(begin_us));
    let process = Process::start(folder, ONE, &clock);
    tell(&format!("epoch {begin_us}"));
    for tick in 0_u64.. {
        process.count(SLO, tick % 7 + 1, 1);
        process.tick(10).await;
        let status = process.ledger.status(SLO, &Scope::All).unwrap();
        // It has been evaluated: so it is durable.
        let Counts { good, bad, .. } = status.events;
        tell(&format!("told {} {good} {bad} {}", status.at_us, tick + 1));
        if tick % 16 == 3 {
            process.ledger.mark(None, format!("{begin_us}")).unwrap();
            tell("marked");
        }
    }
}

/// One line in one write: the parent believes only whole lines.
fn tell(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Killed when the parent fails, too.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What is known of all children so far.
#[derive(Debug, Default)]
struct Told {
    /// Of the ledger's whole past, at the last moment that was told.
    at_us: i64,
    good: u64,
    bad: u64,
    marks: usize,
    /// Time in which a child counted, as far as it told.
    counted_us: i64,
}

fn run_and_kill(folder: &Path, begin_us: i64, pause: Duration, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "crash::child", "--nocapture", "--quiet"])
        .env(FOLDER, folder)
        .env(BEGIN, begin_us.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = Killed(child.spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap());
    let mut line = String::new();
    let mut begun = false;
    let mut last_us = begin_us;
    while lines.read_line(&mut line).unwrap() > 0 {
        let words: Vec<_> = line.strip_suffix('\n').unwrap_or("").split(' ').collect();
        match words[..] {
            ["told", at, good, bad, _] => {
                last_us = at.parse().unwrap();
                (told.at_us, told.good, told.bad) =
                    (last_us, good.parse().unwrap(), bad.parse().unwrap());
            }
            ["marked"] => told.marks += 1,
            _ => {}
        }
        if !begun && line.starts_with("epoch") {
            begun = true;
            std::thread::sleep(pause);
            child.0.kill().unwrap();
        }
        line.clear();
    }
    assert!(begun && child.0.wait().unwrap().code().is_none(), "it counts until it is killed");
    told.counted_us += last_us - begin_us;
}

#[test]
fn killed_a_hundred_times_it_has_lost_no_more_than_the_last_interval_and_counts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("ledger");
    let catalog = catalog(ONE);
    let slo = catalog.get(SLO).unwrap();
    let series = Series { slo: slo.name.clone(), revision: slo.revision, scope: Scope::All };
    let mut told = Told::default();
    let mut begin_us = BEGIN_US;
    let mut dice: u64 = 0x5eed;
    let mut ticks_lost = 0;
    for kill in 0..KILLS {
        // A linear congruential generator (Knuth's MMIX): the same kills every time.
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        run_and_kill(&folder, begin_us, Duration::from_micros((dice >> 33) % 50_000), &mut told);
        let now_us = told.at_us.max(begin_us) + 10 * SECOND_US;
        let read = ledger::read(&folder, &catalog, now_us).unwrap();
        let covered = read.history.counts(&series, 0, i64::MAX / 2);
        let Counts { good, bad, .. } = covered.counts;
        // Each tick has one bad event: at most the one that was not told may be there besides.
        assert!((told.bad..=told.bad + 1).contains(&bad), "kill {kill}: {bad} of {told:?}");
        assert!(good >= told.good && good - told.good <= 7, "kill {kill}: {good} of {told:?}");
        let beyond_us = covered.covered_us - told.counted_us;
        assert!((0..=10 * SECOND_US).contains(&beyond_us), "kill {kill}: {beyond_us} µs, {told:?}");
        ticks_lost += u64::from(bad > told.bad);
        // What was there though nobody had heard of it counts as told from now on.
        (told.good, told.bad) = (good, bad);
        told.counted_us += beyond_us;
        assert!(read.marks.len() >= told.marks.min(256), "kill {kill}: {told:?}");
        told.marks = read.marks.len();
        begin_us = now_us + 3600 * SECOND_US;
    }
    assert!(told.bad > KILLS / 2, "they counted: {told:?}");
    println!("{KILLS} kills, {} ticks, {ticks_lost} durable and not yet told", told.bad);
}
