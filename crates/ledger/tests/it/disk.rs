//! Disks that take nothing: said, counted, and no reason to claim what is not kept.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ledger::{Config, Ledger, LedgerError};
use slo::history::Series;
use slo::status::{Counts, Scope};
use tempfile::TempDir;

use crate::support::{BEGIN_US, ONE, Process, SECOND_US, clock};

const SLO: &str = "gateway-availability";

/// A small file system of its own; gone when dropped.
struct Disk(TempDir);

impl Disk {
    /// `None`, said aloud, where it cannot be made.
    fn of(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=700");
        if mount(&["-t", "tmpfs", "-o", &options, "ledger-test"], folder.path()) {
            return Some(Self(folder));
        }
        eprintln!("SKIP a small disk of its own needs root (mount -t tmpfs)");
        None
    }

    /// To the last page; what has a page already has room in it.
    fn fill(&self) -> PathBuf {
        let filler = self.0.path().join("filler");
        let mut dd = Command::new("dd");
        dd.args(["if=/dev/zero", "bs=4096", "status=none"]).arg(format!("of={}", filler.display()));
        assert!(!dd.output().unwrap().status.success(), "it is full");
        filler
    }

    fn remount(&self, options: &str) {
        assert!(mount(&["-o", &format!("remount,{options}")], self.0.path()), "{options}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg("-l").arg(self.0.path()).status().unwrap().success());
    }
}

fn mount(options: &[&str], on: &Path) -> bool {
    Command::new("mount").args(options).arg(on).output().is_ok_and(|done| done.status.success())
}

async fn readiness(ledger: &Arc<Ledger>) -> Result<(), String> {
    let [kept] = &ledger.dependencies()[..] else { panic!("one") };
    assert_eq!(kept.name(), "ledger");
    kept.check().await
}

fn covered_us(ledger: &Ledger) -> i64 {
    let slo = ledger.catalog().get(SLO).unwrap();
    let (name, revision) = (slo.name.clone(), slo.revision);
    let series = Series { slo: name, revision, scope: Scope::All };
    ledger.with_history(|history| history.counts(&series, 0, i64::MAX / 2).covered_us)
}

#[tokio::test]
async fn on_a_full_disk_it_claims_nothing_and_goes_on_when_there_is_room() {
    let Some(disk) = Disk::of("1m") else { return };
    let folder = disk.0.path().join("ledger");
    let process = Process::start(&folder, ONE, &clock());
    process.count(SLO, 100, 0);
    process.tick(10).await;
    readiness(&process.ledger).await.unwrap();
    let filler = disk.fill();
    // The page that was begun has room for some more.
    let mut kept = 1;
    let told = loop {
        process.count(SLO, 10, 1);
        process.tick(10).await;
        match readiness(&process.ledger).await {
            Ok(()) => kept += 1,
            Err(told) => break told,
        }
    };
    for _ in 0..4 {
        process.count(SLO, 10, 1);
        process.tick(10).await;
    }
    let failing = runtime::clock::rfc3339(BEGIN_US + (kept + 1) * 10 * SECOND_US);
    assert!(told.contains(&failing) && told.contains("space"), "{told}");
    let status = process.ledger.status(SLO, &Scope::All).unwrap();
    let counted = |ticks: i64| {
        let bad = u64::try_from(ticks).unwrap();
        Counts { good: 100 + 10 * bad, bad, excluded: 0 }
    };
    assert_eq!(status.events, counted(kept - 1), "only what is kept");
    assert_eq!(covered_us(&process.ledger), kept * 10 * SECOND_US, "and no more time than that");
    assert_eq!(process.ledger.health().pending, 5);
    let mark = process.ledger.mark(None, "1.2".to_owned());
    assert!(matches!(mark, Err(LedgerError::Unkept { .. })), "{mark:?}");
    assert_eq!(process.ledger.marks(), []);
    let text = process.metrics.text();
    let errors = "shieldx_ledger_journal_errors_total ";
    let errors = text.lines().find_map(|line| line.strip_prefix(errors)).unwrap();
    assert!(errors.parse::<u32>().unwrap() >= 6, "{errors}");
    // What a start would find now is what is claimed now.
    let catalog = process.ledger.catalog();
    let read =
        ledger::read(&folder, catalog, process.ledger.health().evaluated_us.unwrap()).unwrap();
    assert_eq!(read.statuses[0].events, status.events);

    std::fs::remove_file(filler).unwrap();
    process.tick(10).await;
    readiness(&process.ledger).await.unwrap();
    let status = process.ledger.status(SLO, &Scope::All).unwrap();
    assert_eq!(status.events, counted(kept + 4), "all that was held");
    assert_eq!(covered_us(&process.ledger), (kept + 6) * 10 * SECOND_US);
    drop(process);
    let clock = Arc::new(runtime::clock::Manual::at(BEGIN_US + (kept + 7) * 10 * SECOND_US));
    let again = Process::start(&folder, ONE, &clock);
    assert_eq!(again.ledger.status(SLO, &Scope::All).unwrap().events, status.events);
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_is_told_at_the_start_and_can_still_be_read() {
    let Some(disk) = Disk::of("1m") else { return };
    let folder = disk.0.path().join("ledger");
    let process = Process::start(&folder, ONE, &clock());
    process.count(SLO, 100, 0);
    process.tick(10).await;
    let catalog = process.ledger.catalog().clone();
    drop(process);
    disk.remount("ro");
    let opened = Process::with(&folder, ONE, &clock(), Config::default());
    let error = types::cause::chain(&opened.err().unwrap());
    assert!(error.contains("Read-only") && error.contains("ledger"), "{error}");
    let read = ledger::read(&folder, &catalog, BEGIN_US + 10 * SECOND_US).unwrap();
    assert_eq!(read.statuses[0].events.good, 100);
}

#[tokio::test]
async fn what_cannot_be_held_any_longer_is_dropped_counted_and_not_covered() {
    let Some(disk) = Disk::of("1m") else { return };
    let folder = disk.0.path().join("ledger");
    let process = Process::start(&folder, ONE, &clock());
    process.tick(10).await;
    let filler = disk.fill();
    for _ in 0..100 {
        process.count(SLO, 1, 0);
        process.tick(10).await;
    }
    let text = process.metrics.text();
    std::fs::remove_file(&filler).unwrap();
    process.tick(10).await;
    assert_eq!(process.ledger.status(SLO, &Scope::All).unwrap().events.good, 100);
    let dropped = text.lines().find(|line| line.contains("outcome=\"dropped\"")).unwrap();
    let dropped: i64 = dropped.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(dropped > 0, "{dropped}");
    // The sample that ended the gap covers nothing of it.
    let uncovered = 1020 * SECOND_US - covered_us(&process.ledger);
    assert!(uncovered >= dropped * 10 * SECOND_US, "{uncovered} µs, {dropped} dropped");
}

#[test]
fn a_folder_that_another_process_uses_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(folder.path(), ONE, &clock());
    let second = Process::with(folder.path(), ONE, &clock(), Config::default());
    let error = types::cause::chain(&second.err().unwrap());
    assert!(error.contains("in use by another process"), "{error}");
    drop(first);
}
