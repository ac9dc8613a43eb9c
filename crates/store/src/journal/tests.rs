//! The journal on a disk that tears, flips and fills.

use std::os::unix::fs::PermissionsExt as _;

use super::recover::{segment_path, snapshot_path};
use super::*;

fn open(folder: &Path) -> (Journal, Contents) {
    Journal::open(folder, Limits::default()).unwrap()
}

fn texts(contents: &Contents) -> Vec<&str> {
    contents.records.iter().map(|record| std::str::from_utf8(record).unwrap()).collect()
}

fn append(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn what_was_appended_is_there_and_a_snapshot_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, contents) = open(folder.path());
    assert_eq!(contents, Contents::default());
    journal.append(b"one").unwrap();
    journal.append_all(&[b"two", b""]).unwrap();
    drop(journal);
    let (mut journal, contents) = open(folder.path());
    assert_eq!(texts(&contents), ["one", "two", ""]);
    journal.snapshot(b"one two").unwrap();
    journal.append(b"three").unwrap();
    drop(journal);
    let (mut journal, contents) = open(folder.path());
    assert_eq!(contents.snapshot.as_deref(), Some(&b"one two"[..]));
    assert_eq!(texts(&contents), ["three"]);
    for round in 0..10 {
        journal.append(b"x").unwrap();
        journal.snapshot(format!("{round}").as_bytes()).unwrap();
    }
    let names = std::fs::read_dir(folder.path()).unwrap().count();
    assert!(names <= 6, "two snapshots, the segments since the first, the lock: {names}");
    assert_eq!(read(folder.path(), Limits::default()).unwrap().snapshot.unwrap(), b"9");
}

#[test]
fn a_folder_has_one_writer_and_any_readers() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(folder.path());
    journal.append(b"one").unwrap();
    let second = Journal::open(folder.path(), Limits::default());
    assert!(matches!(second, Err(JournalError::Locked { .. })), "{second:?}");
    assert_eq!(texts(&read(folder.path(), Limits::default()).unwrap()), ["one"]);
}

#[test]
fn cut_anywhere_all_before_is_there_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(folder.path());
    let records = ["first", "second", "the third"];
    let mut ends = vec![];
    for record in records {
        journal.append(record.as_bytes()).unwrap();
        ends.push(journal.bytes());
    }
    drop(journal);
    let path = segment_path(folder.path(), 1);
    let whole = std::fs::read(&path).unwrap();
    for len in 0..whole.len() {
        std::fs::write(&path, &whole[..len]).unwrap();
        let expected = ends.iter().filter(|end| **end <= len as u64).count();
        let left = read(folder.path(), Limits::default()).unwrap();
        assert_eq!(texts(&left), records[..expected], "cut to {len}");
        let good = ends.iter().filter(|end| **end <= len as u64).max().copied().unwrap_or(20);
        let torn = if len < 20 { len as u64 } else { len as u64 - good };
        assert_eq!(left.damage.torn_bytes, torn, "cut to {len}");
        // The same again, after something was written behind it.
        let (mut journal, _) = open(folder.path());
        journal.append(b"more").unwrap();
        drop(journal);
        let (_, contents) = open(folder.path());
        let mut all = records[..expected].to_vec();
        all.push("more");
        assert_eq!((texts(&contents), &contents.damage), (all, &Damage::default()), "cut to {len}");
        for number in 2..=9 {
            drop(std::fs::remove_file(segment_path(folder.path(), number)));
        }
    }
}

#[test]
fn zeros_and_changed_bytes_are_no_records() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(folder.path());
    journal.append(b"first").unwrap();
    journal.append(b"second").unwrap();
    drop(journal);
    let path = segment_path(folder.path(), 1);
    append(&path, &[0; 4096]);
    let contents = read(folder.path(), Limits::default()).unwrap();
    assert_eq!((texts(&contents), contents.damage.torn_bytes), (vec!["first", "second"], 4096));
    let whole = std::fs::read(&path).unwrap();
    for at in 20..20 + 8 + 5 {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(folder.path(), Limits::default()).unwrap().records.len(), 0, "{at}");
    }
}

#[test]
fn damage_in_the_middle_is_told_and_costs_only_what_it_hit() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).0.append(b"first").unwrap();
    open(folder.path()).0.append(b"second").unwrap();
    append(&segment_path(folder.path(), 1), b"junk");
    let (_, contents) = open(folder.path());
    assert_eq!(texts(&contents), ["first", "second"]);
    assert_eq!(contents.damage.damaged, [(segment_path(folder.path(), 1), 4)]);
}

#[test]
fn without_the_last_snapshot_the_one_before_and_the_log_are_as_good() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(folder.path());
    journal.append(b"one").unwrap();
    journal.snapshot(b"S1").unwrap();
    journal.append(b"two").unwrap();
    journal.snapshot(b"S2").unwrap();
    journal.append(b"three").unwrap();
    drop(journal);
    let newest = (1..9).rev().map(|n| snapshot_path(folder.path(), n)).find(|p| p.exists());
    let newest = newest.unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    let (_, contents) = open(folder.path());
    assert_eq!(contents.snapshot.as_deref(), Some(&b"S1"[..]));
    assert_eq!(texts(&contents), ["two", "three"]);
    assert_eq!(contents.damage.damaged.len(), 1);
}

#[test]
fn bounds_are_kept_and_a_snapshot_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        record_max_bytes: 100,
        segment_max_bytes: 200,
        log_max_bytes: 1_000,
        snapshot_max_bytes: 100,
    };
    let (mut journal, _) = Journal::open(folder.path(), limits).unwrap();
    assert!(matches!(journal.append(&[1; 101]), Err(JournalError::TooLarge { .. })));
    let mut kept = 0;
    let refused = loop {
        match journal.append(&[7; 50]) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, JournalError::Full { max_bytes: 1_000 }), "{refused:?}");
    assert!(kept > 10 && journal.bytes() <= 1_000, "{kept} {}", journal.bytes());
    assert_eq!(read(folder.path(), limits).unwrap().records.len(), kept);
    journal.snapshot(b"all of it").unwrap();
    journal.snapshot(b"again").unwrap();
    journal.append(&[7; 50]).unwrap();
}

#[test]
fn starts_without_records_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).0.append(b"one").unwrap();
    for _ in 0..20 {
        assert_eq!(texts(&open(folder.path()).1), ["one"]);
    }
    assert!(std::fs::read_dir(folder.path()).unwrap().count() <= 3);
}

#[test]
fn another_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).0.append(b"one").unwrap();
    let path = segment_path(folder.path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[7] = b'2';
    std::fs::write(&path, &bytes).unwrap();
    let opened = Journal::open(folder.path(), Limits::default());
    assert!(matches!(opened, Err(JournalError::Version { .. })), "{opened:?}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn after_a_failure_it_goes_on_and_has_lost_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(folder.path());
    journal.append(b"one").unwrap();
    // A handle that cannot be written to fails as a disk does.
    let path = segment_path(folder.path(), 1);
    journal.current.as_mut().unwrap().break_for_test(&path);
    assert!(matches!(journal.append(b"lost"), Err(JournalError::Io { .. })));
    journal.append(b"two").unwrap();
    drop(journal);
    let (_, contents) = open(folder.path());
    assert_eq!((texts(&contents), &contents.damage), (vec!["one", "two"], &Damage::default()));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "counts are nobody else's");
}
