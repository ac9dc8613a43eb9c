//! Folders: what may be read, what may be written, and the ways out.

use std::os::unix::fs::symlink;
use std::path::Path;

use types::{Ending, Event, Kind, Recording};

use crate::kit::{Bench, limit, open, preview1};

const CREATE: u32 = 1;
const TRUNCATE: u32 = 8;

/// Exits with the errno of a call.
fn errno(call: &str) -> String {
    format!("(call $proc_exit {call})")
}

fn exit(recording: &Recording) -> i32 {
    match recording.run.ending {
        Ending::Exited { code } => code,
        ref other => panic!("{other:?}: {:?}", recording.run.engine),
    }
}

fn opened<'a>(recording: &'a Recording, wanted: &str) -> &'a Event {
    let is = |event: &&Event| matches!(&event.kind, Kind::Open { path, .. } if path.to_lossy() == wanted);
    recording
        .events
        .iter()
        .find(is)
        .unwrap_or_else(|| panic!("no open of {wanted}: {:#?}", recording.events))
}

/// A module that opens one path in folder 3 and exits with the errno.
fn opener(path: &str, flags: u32, writes: bool) -> String {
    let data = format!("(data (i32.const 1000) \"{path}\")");
    preview1("path_open proc_exit", &data, &errno(&open(1_000, path.len(), flags, writes)))
}

#[test]
fn a_granted_folder_can_be_read_and_not_written() {
    let (bench, host) = Bench::new(&opener("note.txt", 0, false)).folder("/data", false);
    std::fs::write(host.join("note.txt"), "hello").unwrap();
    let recording = bench.run();
    assert_eq!(exit(&recording), 0);
    assert!(!opened(&recording, "/data/note.txt").blocked);
    for (path, flags) in [("new.txt", CREATE), ("note.txt", TRUNCATE), ("note.txt", 0)] {
        let (bench, host) = Bench::new(&opener(path, flags, true)).folder("/data", false);
        std::fs::write(host.join("note.txt"), "hello").unwrap();
        let recording = bench.run();
        assert_ne!(exit(&recording), 0, "{path}");
        let event = opened(&recording, &format!("/data/{path}"));
        assert!(event.blocked && event.ret == Some(-1), "{event:?}");
        assert_eq!(std::fs::read_to_string(host.join("note.txt")).unwrap(), "hello");
        assert!(!host.join("new.txt").exists());
    }
}

#[test]
fn every_other_change_in_a_readable_folder_is_refused_and_shown() {
    let path = "(i32.const 3) (i32.const 1000) (i32.const 1)";
    let data = r#"(data (i32.const 1000) "a") (data (i32.const 1001) "b")"#;
    for (name, call) in [
        ("unlink", format!("(call $path_unlink_file {path})")),
        ("mkdir", format!("(call $path_create_directory {path})")),
        ("unlink", format!("(call $path_remove_directory {path})")),
        ("rename", format!("(call $path_rename {path} (i32.const 3) (i32.const 1001) (i32.const 1))")),
        ("link", format!("(call $path_symlink (i32.const 1001) (i32.const 1) {path})")),
        (
            "link",
            "(call $path_link (i32.const 3) (i32.const 0) (i32.const 1000) (i32.const 1) (i32.const 3) \
             (i32.const 1001) (i32.const 1))"
                .to_owned(),
        ),
    ] {
        let imports = "path_unlink_file path_create_directory path_remove_directory path_rename path_symlink \
                       path_link proc_exit";
        let (bench, host) = Bench::new(&preview1(imports, data, &errno(&call))).folder("/data", false);
        std::fs::write(host.join("a"), "kept").unwrap();
        let recording = bench.run();
        assert_ne!(exit(&recording), 0, "{call}");
        let event = recording.events.iter().find(|event| event.kind.name() == name).unwrap();
        assert!(event.blocked, "{event:?}");
        assert_eq!(std::fs::read_to_string(host.join("a")).unwrap(), "kept");
        assert_eq!(std::fs::read_dir(&host).unwrap().count(), 1);
    }
}

#[test]
fn no_path_leads_out_of_a_folder() {
    // A canary beside the granted folder, and the module's tries to reach it.
    let try_out = |path: &str, prepare: &dyn Fn(&Path, &Path), expect: &str| {
        for (flags, writes) in [(0, false), (CREATE | TRUNCATE, true)] {
            let (bench, host) = Bench::new(&opener(path, flags, writes)).folder("/data", true);
            let canary = bench.dir.path().join("canary");
            std::fs::write(&canary, "untouched").unwrap();
            prepare(&host, &canary);
            let recording = bench.run();
            assert_ne!(exit(&recording), 0, "{path} {writes}");
            let event = opened(&recording, expect);
            assert!(event.blocked, "{event:?}");
            assert_eq!(std::fs::read_to_string(&canary).unwrap(), "untouched");
        }
    };
    let nothing = |_: &Path, _: &Path| {};
    try_out("../canary", &nothing, "/canary");
    try_out("a/../../canary", &|host, _| std::fs::create_dir(host.join("a")).unwrap(), "/canary");
    try_out("/etc/passwd", &nothing, "/etc/passwd");
    try_out("link", &|host, canary| symlink(canary, host.join("link")).unwrap(), "/data/link");
    try_out("link", &|host, _| symlink("../canary", host.join("link")).unwrap(), "/data/link");
    try_out("up/canary", &|host, _| symlink("..", host.join("up")).unwrap(), "/data/up/canary");
    let chain = |host: &Path, _: &Path| {
        symlink("two", host.join("one")).unwrap();
        symlink("../canary", host.join("two")).unwrap();
    };
    try_out("one", &chain, "/data/one");
}

#[test]
fn a_module_cannot_make_its_own_way_out() {
    let data = r#"(data (i32.const 1000) "../canary") (data (i32.const 1020) "link")"#;
    let make = "(drop (call $path_symlink (i32.const 1000) (i32.const 9) (i32.const 3) (i32.const 1020) (i32.const 4)))";
    let body = format!("{make} {}", errno(&open(1_020, 4, 0, false)));
    let (bench, _) = Bench::new(&preview1("path_symlink path_open proc_exit", data, &body))
        .folder("/data", true);
    let canary = bench.dir.path().join("canary");
    std::fs::write(&canary, "untouched").unwrap();
    let recording = bench.run();
    assert_ne!(exit(&recording), 0);
    assert!(opened(&recording, "/data/link").blocked);
    let link = recording.events.iter().find(|event| event.kind.name() == "link").unwrap();
    assert_eq!(
        link.kind,
        Kind::Link { from: "../canary".into(), to: "/data/link".into(), symbolic: true }
    );
}

/// Opens `out`, writes 10 bytes `times` times, exits with the last errno.
fn writer(times: u32) -> String {
    let data = r#"(data (i32.const 0) "\20\00\00\00\0a\00\00\00") (data (i32.const 32) "0123456789")
        (data (i32.const 1000) "out")"#;
    let body = format!(
        "(local $i i32) (local $e i32) (drop {}) (loop $again
          (local.set $e (call $fd_write (i32.load (i32.const 8)) (i32.const 0) (i32.const 1) (i32.const 12)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $i) (i32.const {times}))))
         (call $proc_exit (local.get $e))",
        open(1_000, 3, CREATE, true)
    );
    preview1("path_open fd_write proc_exit", data, &body)
}

#[test]
fn what_is_written_is_told_once_with_its_beginning_and_found_afterwards() {
    let (mut bench, host) = Bench::new(&writer(5)).folder("/data", true);
    std::fs::write(host.join("old"), "old").unwrap();
    let keep = bench.dir.path().join("kept");
    bench.spec.keep = Some(keep.clone());
    let recording = bench.run();
    assert_eq!(exit(&recording), 0);
    let writes: Vec<&Event> =
        recording.events.iter().filter(|event| event.kind.name() == "write").collect();
    let head = types::text::hex(b"0123456789");
    assert_eq!(writes.len(), 1);
    assert_eq!(
        writes[0].kind,
        Kind::Write { path: "/data/out".into(), writes: 5, bytes: 50, head }
    );
    assert_eq!(recording.counters.by_type["write"].aggregated, 4);
    let changes: Vec<_> = recording
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            Kind::FileChanged(change) => Some(change),
            _ => None,
        })
        .collect();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!((changes[0].change.as_str(), changes[0].size_bytes), ("created", 50));
    let content = std::fs::read(host.join("out")).unwrap();
    assert_eq!(content, std::fs::read(keep.join("data/out")).unwrap());
    let sha256 = types::text::hex(ring::digest::digest(&ring::digest::SHA256, &content).as_ref());
    assert_eq!(changes[0].sha256.as_ref(), Some(&sha256));
    assert_eq!(changes[0].format.as_deref(), Some("text"));
}

#[test]
fn the_disk_is_bounded() {
    let (mut bench, host) = Bench::new(&writer(50)).folder("/data", true);
    bench.spec.limits.disk_bytes = 105;
    let recording = bench.run();
    assert_eq!(exit(&recording), 51, "WASI's nospc");
    assert_eq!(std::fs::metadata(host.join("out")).unwrap().len(), 100);
    assert!(limit(&recording, "disk"));
    let refused = recording
        .events
        .iter()
        .find(|event| event.kind.name() == "write" && event.blocked)
        .unwrap();
    assert_eq!(refused.ret, Some(-28));
    let data = r#"(data (i32.const 1000) "out")"#;
    let body = format!(
        "(drop {}) {}",
        open(1_000, 3, CREATE, true),
        errno("(call $fd_filestat_set_size (i32.load (i32.const 8)) (i64.const 1000000000000))")
    );
    let text = preview1("path_open fd_filestat_set_size proc_exit", data, &body);
    let (bench, host) = Bench::new(&text).folder("/data", true);
    assert_eq!(exit(&bench.run()), 51);
    assert_eq!(std::fs::metadata(host.join("out")).unwrap().len(), 0);
}

#[test]
fn open_files_are_bounded() {
    let data = r#"(data (i32.const 1000) "f")"#;
    let body = format!(
        "(local $i i32) (local $e i32) (loop $again (local.set $e {})
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $i) (i32.const 1000))))
         (call $proc_exit (local.get $e))",
        open(1_000, 1, 0, false)
    );
    let (bench, host) =
        Bench::new(&preview1("path_open proc_exit", data, &body)).folder("/data", false);
    std::fs::write(host.join("f"), "").unwrap();
    let recording = bench.run();
    assert_eq!(exit(&recording), 33, "WASI's mfile");
    assert!(limit(&recording, "files"));
}
