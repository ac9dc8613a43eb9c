//! What is found again, after what, and what is not.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use runtime::telemetry::{Archive as _, ArchiveError, TraceKey};
use tempfile::TempDir;

use super::{RecoveredTraces, TraceArchive, TraceArchiveError, TraceArchiveLimits};

fn key(number: u64) -> TraceKey {
    u128::from(number).to_be_bytes()
}

fn limits(bytes_max: u64) -> TraceArchiveLimits {
    TraceArchiveLimits { bytes_max, ..TraceArchiveLimits::default() }
}

fn open(folder: &Path) -> TraceArchive {
    TraceArchive::open(folder, limits(1 << 20)).unwrap()
}

fn put(archive: &TraceArchive, number: u64) {
    let (summary, trace) = (format!("s{number}"), format!("trace {number}").repeat(3));
    archive.put(key(number), summary.as_bytes(), trace.as_bytes()).unwrap();
}

fn has(archive: &TraceArchive, number: u64) -> bool {
    let found = archive.get(key(number)).unwrap();
    let expected = format!("trace {number}").repeat(3).into_bytes();
    assert!(found.as_ref().is_none_or(|found| *found == expected), "{number}: {found:?}");
    assert_eq!(found.is_some(), archive.contains(key(number)));
    found.is_some()
}

fn files(folder: &TempDir) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn on_disk(folder: &TempDir) -> u64 {
    files(folder).iter().map(|path| path.metadata().unwrap().len()).sum()
}

#[test]
fn what_was_put_is_found_again_also_by_the_next_process_and_the_newest_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path());
    (0..100).for_each(|number| put(&archive, number));
    archive.put(key(7), b"again", &b"trace 7".repeat(3)).unwrap();
    for archive in [archive, { open_after_drop(&folder) }] {
        assert!((0..100).all(|number| has(&archive, number)) && !has(&archive, 100));
        assert_eq!((archive.len(), archive.bytes()), (100, on_disk(&folder)));
        let newest = archive.newest(3);
        assert_eq!(newest, [&b"again"[..], b"s99", b"s98"]);
        assert_eq!(archive.newest(1000).len(), 100, "what was replaced is listed once");
    }
}

/// The one before is dropped by the loop that asks for this only in its second round.
fn open_after_drop(folder: &TempDir) -> TraceArchive {
    let copy = tempfile::tempdir().unwrap();
    for file in files(folder) {
        std::fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
    }
    open(&copy.keep())
}

#[test]
fn a_folder_has_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let second = TraceArchive::open(folder.path(), limits(1 << 20));
    assert!(matches!(second, Err(TraceArchiveError::Locked { .. })), "{second:?}");
    drop(first);
    open(folder.path());
}

#[test]
fn the_oldest_make_room_and_the_files_never_take_more_than_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let bytes_max = 64 << 10;
    let archive = TraceArchive::open(folder.path(), limits(bytes_max)).unwrap();
    for number in 0..5_000 {
        put(&archive, number);
        assert!(has(&archive, number));
        if number % 97 == 0 {
            assert!(on_disk(&folder) <= bytes_max, "{number}: {}", on_disk(&folder));
            assert_eq!(on_disk(&folder), archive.bytes());
        }
    }
    assert!(archive.bytes() > bytes_max * 3 / 4, "{}", archive.bytes());
    let kept: Vec<bool> = (0..5_000).map(|number| has(&archive, number)).collect();
    let first = kept.iter().position(|kept| *kept).unwrap();
    assert!(kept[first..].iter().all(|kept| *kept), "none is missing between others");
    assert_eq!(archive.len(), 5_000 - first);
    drop(archive);
    // A smaller bound holds from the start.
    let archive = TraceArchive::open(folder.path(), limits(bytes_max / 4)).unwrap();
    assert!(on_disk(&folder) <= bytes_max / 4 && has(&archive, 4_999));
}

#[test]
fn a_trace_that_is_too_large_is_refused_and_nothing_is_lost_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let archive = TraceArchive::open(folder.path(), limits(64 << 10)).unwrap();
    put(&archive, 1);
    let refused = archive.put(key(2), b"s", &vec![0; 5_000]);
    assert!(matches!(refused, Err(ArchiveError::TooLarge { bytes: 5_001, .. })), "{refused:?}");
    archive.put(key(3), b"s", &vec![0; 4_000]).unwrap();
    assert!(has(&archive, 1) && !archive.contains(key(2)));
}

/// A file of ten records as it is, and where each of them begins.
fn ten() -> (Vec<u8>, Vec<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path());
    let mut ends = Vec::new();
    for number in 0..10 {
        ends.push(usize::try_from(archive.bytes().max(8)).unwrap());
        put(&archive, number);
    }
    (std::fs::read(&files(&folder)[0]).unwrap(), ends)
}

#[test]
fn an_end_that_is_torn_at_any_byte_costs_the_record_it_is_in_and_no_other() {
    let (whole, begins) = ten();
    for length in 0..=whole.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0000000001.traces");
        std::fs::write(&path, &whole[..length]).unwrap();
        let archive = open(folder.path());
        let mut ends = begins.iter().skip(1).copied().chain([whole.len()]);
        let complete = ends.position(|end| end > length).unwrap_or(10);
        let found = (0..10).filter(|number| has(&archive, *number)).count();
        assert_eq!((found, archive.recovered().traces), (complete, complete), "at {length}");
        // It goes on after it, and that is there the next time.
        put(&archive, 77);
        drop(archive);
        let archive = open(folder.path());
        assert!(has(&archive, 77), "at {length}");
        assert_eq!(archive.len(), complete + 1, "at {length}");
        let clean = length >= 8;
        assert_eq!(archive.recovered().torn_bytes, 0, "it was cut off, at {length}");
        assert_eq!(files(&folder).len(), if clean { 1 } else { 2 }, "at {length}");
    }
}

#[test]
fn a_byte_that_changed_anywhere_is_noticed_and_never_read_as_a_trace() {
    let (whole, begins) = ten();
    for at in 8..whole.len() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        std::fs::write(folder.path().join("0000000001.traces"), &bytes).unwrap();
        // One more file makes the first one an older one, of which traces are read only when wanted.
        std::fs::write(folder.path().join("0000000002.traces"), b"SHXTRAC1").unwrap();
        let archive = open(folder.path());
        let hit = begins.iter().filter(|begin| **begin <= at).count() - 1;
        for number in 0..10 {
            let expected = format!("trace {number}").repeat(3).into_bytes();
            match archive.get(key(number)) {
                Ok(Some(found)) => assert_eq!(found, expected, "at {at}"),
                Ok(None) => assert!(number >= hit as u64, "{number} at {at}"),
                Err(error) => {
                    assert!(matches!(error, ArchiveError::Damaged), "{error:?} at {at}");
                    assert_eq!(number, hit as u64, "at {at}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_segment_is_left_alone_and_one_of_nonsense_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    std::fs::write(folder.path().join("0000000003.traces"), vec![0xff; 100]).unwrap();
    std::fs::write(folder.path().join("0000000004.traces"), "").unwrap();
    let archive = open(folder.path());
    let damaged = RecoveredTraces { traces: 0, torn_bytes: 0, damaged_bytes: 100 };
    assert_eq!(archive.recovered(), damaged);
    put(&archive, 1);
    assert!(has(&archive, 1));
    assert_eq!(std::fs::read(folder.path().join("notes.txt")).unwrap(), b"mine");
}

#[test]
fn a_disk_that_takes_nothing_fails_the_call_and_what_is_there_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path());
    put(&archive, 1);
    // Every write to it fails with "no space left on device", as on a full disk.
    let full = OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    assert!(full.write_all_at(b"x", 0).is_err());
    let real = {
        let mut index = archive.index();
        std::mem::replace(&mut index.segments[0].file, std::sync::Arc::new(full))
    };
    let refused = archive.put(key(2), b"s", b"t");
    assert!(matches!(refused, Err(ArchiveError::Write { .. })), "{refused:?}");
    archive.index().segments[0].file = real;
    assert!(has(&archive, 1) && !has(&archive, 2));
    put(&archive, 3);
    assert!(has(&archive, 3), "there is room again");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_read_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path());
    put(&archive, 1);
    drop(archive);
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path(), permissions).unwrap();
    };
    mode(0o500);
    let root = std::fs::write(folder.path().join("x"), "").is_ok();
    let archive = open(folder.path());
    assert!(has(&archive, 1));
    mode(0o700);
    if root {
        let why = "SKIP a folder that cannot be written to: this user can write everywhere";
        let _ = writeln!(std::io::stderr(), "{why}");
    }
}

#[test]
fn what_is_no_segment_of_ours_is_left_alone_and_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path());
    put(&archive, 1);
    drop(archive);
    let foreign = ["7.traces", "18446744073709551615.traces", "+000000009.traces", "x.traces"];
    for name in foreign {
        std::fs::write(folder.path().join(name), b"of somebody else").unwrap();
    }
    // A segment that cannot be opened, whoever asks.
    std::os::unix::fs::symlink("nowhere", folder.path().join("0000000005.traces")).unwrap();
    let archive = open(folder.path());
    assert!(has(&archive, 1));
    put(&archive, 2);
    drop(archive);
    let archive = open(folder.path());
    assert!(has(&archive, 1) && has(&archive, 2));
    for name in foreign {
        assert!(folder.path().join(name).exists(), "{name}");
    }
}
