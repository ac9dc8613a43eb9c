//! Formats by their bytes, archives that are what they say, and archives that are bombs.

use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use types::ports::{Pattern, PortError, Scanner};
use types::{Kind, RuleSet, Text};

use super::{Inspector, Reading, SCAN_FILE_BYTES_MAX, Shape, format, scan_artifact};

/// Finds the word MARK and fails on the word FAIL.
#[derive(Debug)]
struct Marks;

impl Scanner for Marks {
    fn rule_set(&self) -> RuleSet {
        let text = String::new;
        RuleSet { language: text(), source: text(), rules: 1, skipped: 0, sha256: text() }
    }

    fn scan(&self, _: &str, bytes: &[u8]) -> Result<Vec<Pattern>, PortError> {
        let at = |word: &[u8]| bytes.windows(4).position(|window| window == word);
        if at(b"FAIL").is_some() {
            return Err(PortError { what: "test", reason: "failed".to_owned() });
        }
        let pattern = |at: usize| Pattern {
            rule: "mark".to_owned(),
            title: "Mark".to_owned(),
            level: "high".to_owned(),
            techniques: Vec::new(),
            offset: at as u64,
        };
        Ok(at(b"MARK").map(pattern).into_iter().collect())
    }
}

fn inspect(name: &str, bytes: &[u8]) -> (Vec<String>, Inspector) {
    let mut inspector = Inspector::new(Some(Arc::new(Marks)));
    let found = inspector.inspect(&Text::from(name), bytes);
    inspector.finish();
    let target = |kind: &Kind| match kind {
        Kind::PatternMatch { target, place, .. } if place == "file" => target.to_string(),
        other => panic!("{other:?}"),
    };
    (found.iter().map(target).collect(), inspector)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A zip file of deflated members.
fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        let packed = encoder.finish().unwrap();
        let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let length = u16::try_from(name.len()).unwrap().to_le_bytes();
        let local = u32::try_from(file.len()).unwrap().to_le_bytes();
        // Version, flags, method 8, time, date, CRC (not looked at), sizes, name, no extra field.
        let common: Vec<u8> = [
            &[20, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &size(&packed),
            &size(bytes),
            &length,
            &[0, 0],
        ]
        .concat();
        file.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &packed].concat());
        directory
            .extend([b"PK\x01\x02\x14\0", &common[..], &[0; 10], &local, name.as_bytes()].concat());
    }
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    let size = u32::try_from(directory.len()).unwrap().to_le_bytes();
    let start = u32::try_from(file.len()).unwrap().to_le_bytes();
    file.extend_from_slice(&directory);
    file.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count, &size, &start, &[0, 0]].concat());
    file
}

#[test]
fn formats_are_told_by_bytes() {
    let random: Vec<u8> =
        (0..4096_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let padded = |head: &[u8]| [head, &[0; 64]].concat();
    let cases: &[(&[u8], Option<&str>)] = &[
        (b"", Some("empty")),
        (b"#!/bin/bash -e\n", Some("script:shell")),
        (b"#!/usr/bin/env -S FOO=1 python3.13 -u\n", Some("script:python")),
        (b"#!/opt/x\n", Some("script")),
        (b"#!", Some("script")),
        (&padded(b"\x7fELF\x02\x01"), Some("elf")),
        (&padded(b"\0asm\x01\0\0\0"), Some("wasm")),
        (b"\xca\xfe\xba\xbe\0\0\0\x41", Some("java-class")),
        (b"\xca\xfe\xba\xbe\0\0\0\x02", Some("macho")),
        (b"\xf3\x0d\r\n\0\0\0\0rest", Some("pyc")),
        (b"Salted__12345678", Some("encrypted")),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", Some("ssh-key")),
        (b"-----BEGIN RSA PRIVATE KEY-----\n", Some("pem")),
        (b"ssh-ed25519 AAAA", Some("ssh-public-key")),
        (&tar(&[("a", b"b")]), Some("tar")),
        (&zip(&[("a", b"b")]), Some("zip")),
        (&gzip(b"x"), Some("gzip")),
        ("naïve text\n".as_bytes(), Some("text")),
        (&"ä".as_bytes()[..1], Some("text")),
        (b"<?PHP echo 1;", Some("php")),
        (b"MZ", Some("text")),
        (&[0; 100], None),
        (&random, Some("random")),
    ];
    for (bytes, expected) in cases {
        let found = format(bytes, &Shape::of(bytes));
        let shown = &bytes[..bytes.len().min(16)];
        assert_eq!(found, *expected, "{:?}", String::from_utf8_lossy(shown));
    }
}

#[test]
fn members_are_scanned_also_in_archives_in_archives() {
    let inner = zip(&[("b/c", b"..MARK"), ("clean", b"nothing")]);
    let outer = gzip(&tar(&[("d/inner.zip", &inner), ("other.txt", b"none")]));
    let (found, inspector) = inspect("/tmp/a.tar.gz", &outer);
    assert_eq!(found, ["/tmp/a.tar.gz!/a.tar!/d/inner.zip!/b/c"]);
    assert!(inspector.notes.is_empty() && inspector.faults.is_empty(), "{inspector:?}");
    let long = "x/".repeat(120) + "end";
    let (found, _) = inspect("l.tar", &tar(&[(&long, b"MARK")]));
    assert_eq!(found, ["l.tar".to_owned(), format!("l.tar!/{long}")]);
}

#[test]
fn bombs_are_left_alone_and_said() {
    // Grown as much as a bomb, and not too large to look at.
    let mut zeros = vec![0; 3 << 20];
    zeros.extend_from_slice(b"MARK");
    for large in [gzip(&zeros), zip(&[("zeros", &zeros), ("after", b"MARK")])] {
        let (found, inspector) = inspect("large", &large);
        assert_eq!(found.len(), 1 + usize::from(large.starts_with(b"PK")), "{found:?}");
        assert!(inspector.notes.is_empty(), "{:?}", inspector.notes);
    }
    let bomb = gzip(&vec![0; (256 << 20) + 1]);
    let (found, inspector) = inspect("bomb", &bomb);
    assert!(found.is_empty() && inspector.notes[0].contains("is larger than"), "{inspector:?}");
    let mut nested = b"MARK".to_vec();
    for _ in 0..10 {
        nested = gzip(&nested);
    }
    let (found, inspector) = inspect("deep.gz", &nested);
    assert!(found.is_empty() && inspector.notes[0].contains("8 deep"), "{inspector:?}");
}

/// The same content is scanned once, and still told in every place where something is in it.
#[test]
fn copies_are_scanned_once() {
    #[derive(Debug, Default)]
    struct Counting(std::sync::atomic::AtomicUsize);
    impl Scanner for Counting {
        fn rule_set(&self) -> RuleSet {
            Marks.rule_set()
        }

        fn scan(&self, place: &str, bytes: &[u8]) -> Result<Vec<Pattern>, PortError> {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Marks.scan(place, bytes)
        }
    }
    let counting = Arc::new(Counting::default());
    let mut inspector = Inspector::new(Some(Arc::clone(&counting) as Arc<dyn Scanner>));
    for name in ["a", "b", "c"] {
        assert!(inspector.inspect(&Text::from(name), b"nothing").is_empty());
        assert_eq!(inspector.inspect(&Text::from(name), b"MARK").len(), 1);
    }
    assert_eq!(counting.0.load(std::sync::atomic::Ordering::Relaxed), 4);
}

/// What a bound leaves out reduces the evidence; what lies behind a password does not, unless it was
/// handed in.
#[test]
fn what_cannot_be_opened_is_told() {
    let mut locked = zip(&[("a", b"MARK"), ("b", b"MARK")]);
    let directory = locked.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    locked[directory + 8] |= 1;
    let (found, inspector) = inspect("locked.zip", &locked);
    assert_eq!(found, ["locked.zip!/b"]);
    assert!(inspector.notes.is_empty(), "{:?}", inspector.notes);
    assert!(inspector.remarks[0].contains("encrypted"), "{:?}", inspector.remarks);
    let half = tar(&[("a", &[b'x'; 2000])])[..1500].to_vec();
    let (_, inspector) = inspect("half.tar", &half);
    assert!(inspector.notes.is_empty() && inspector.remarks[0].contains("cut off"));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locked.zip");
    std::fs::write(&path, &locked).unwrap();
    let scanner: Arc<dyn Scanner> = Arc::new(Marks);
    let scanned = scan_artifact(&scanner, &path, &Text::from("locked.zip")).unwrap();
    assert!(scanned.notes[0].contains("encrypted"), "{:?}", scanned.notes);
}

/// Padding hides nothing: every piece of a large file is scanned, behind the file's head.
#[test]
fn a_large_file_is_scanned_to_its_end() {
    /// Finds MARK in what begins with HEAD.
    #[derive(Debug)]
    struct Headed;
    impl Scanner for Headed {
        fn rule_set(&self) -> RuleSet {
            Marks.rule_set()
        }

        fn scan(&self, place: &str, bytes: &[u8]) -> Result<Vec<Pattern>, PortError> {
            let tail = bytes.len().saturating_sub(200 << 10);
            let mut found = Marks.scan(place, &bytes[tail..])?;
            found.iter_mut().for_each(|pattern| pattern.offset += tail as u64);
            Ok(if bytes.starts_with(b"HEAD") { found } else { Vec::new() })
        }
    }
    let path = Text::from("large");
    for at in [100_u64 << 20, (64 << 20) - 2, (192 << 20) - (3 << 16)] {
        let mut inspector = Inspector::new(Some(Arc::new(Headed)));
        let mut reading = Reading::default();
        let mut file = vec![0_u8; usize::try_from(at).unwrap() + 4];
        file[..4].copy_from_slice(b"HEAD");
        file[usize::try_from(at).unwrap()..].copy_from_slice(b"MARK");
        for chunk in file.chunks(1 << 20) {
            inspector.read(&path, &mut reading, chunk);
        }
        let found = inspector.end(&path, reading);
        let [Kind::PatternMatch { offset, .. }] = &found[..] else { panic!("{at}: {found:?}") };
        assert_eq!(*offset, at);
        assert!(inspector.notes.is_empty(), "{:?}", inspector.notes);
    }
    let mut inspector = Inspector::new(Some(Arc::new(Marks)));
    assert!(inspector.wants(&path, SCAN_FILE_BYTES_MAX + 1));
    assert!(inspector.notes[0].contains("the first 1073741824"), "{:?}", inspector.notes);
}

#[test]
fn damaged_archives_never_fail_the_listing() {
    let good = [zip(&[("a", b"MARK"), ("b", b"x")]), tar(&[("a", b"MARK")]), gzip(b"MARK")];
    for archive in &good {
        for cut in 0..archive.len() {
            let _ = inspect("cut", &archive[..cut]);
        }
        for at in 0..archive.len().min(700) {
            let mut changed = archive.clone();
            changed[at] ^= 0xff;
            let _ = inspect("changed", &changed);
        }
    }
}

#[test]
fn a_scan_that_fails_is_a_fault_and_the_next_file_is_scanned() {
    let mut inspector = Inspector::new(Some(Arc::new(Marks)));
    assert!(inspector.inspect(&Text::from("bad"), b"FAIL").is_empty());
    assert_eq!(inspector.inspect(&Text::from("good"), b"MARK").len(), 1);
    assert!(inspector.faults[0].contains("bad"));
    let mut blind = Inspector::new(None);
    assert!(
        !blind.wants(&Text::from("x"), 4) && blind.inspect(&Text::from("x"), b"MARK").is_empty()
    );
}

#[test]
fn an_artifact_is_scanned_where_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample");
    std::fs::write(&path, b"#!/bin/sh\nMARK").unwrap();
    let scanner: Arc<dyn Scanner> = Arc::new(Marks);
    let scanned = scan_artifact(&scanner, &path, &Text::from("sample")).unwrap();
    assert_eq!(scanned.format.as_deref(), Some("script:shell"));
    assert!(
        matches!(&scanned.found[..], [Kind::PatternMatch { place, .. }] if place == "artifact")
    );
    assert!(scan_artifact(&scanner, folder.path(), &Text::from("x")).is_err());
}
