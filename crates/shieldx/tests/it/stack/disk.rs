//! Disks that are full, fail or cannot be written, under a running server and before it starts.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Stack, until};
use crate::lab::{skip, wait};

/// A start that fails does so at once.
const START_LIMIT: Duration = Duration::from_secs(60);
/// What `shieldx` says of its own failures.
const FAILED: i32 = 125;

/// A mount of the test; gone when dropped.
struct Mount(PathBuf);

impl Mount {
    /// `None`, said aloud, where it cannot be made.
    fn on(place: &Path, options: &[&str]) -> Option<Self> {
        if mount(options, place) {
            return Some(Self(place.to_owned()));
        }
        skip("disks that are full or read-only", "mounting needs root");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(options: &[&str], on: &Path) -> bool {
    Command::new("mount").args(options).arg(on).output().is_ok_and(|done| done.status.success())
}

/// A small file system of its own.
struct Disk {
    _mount: Mount,
    folder: TempDir,
}

impl Disk {
    fn of(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let options = format!("size={size},mode=700");
        let mount = Mount::on(folder.path(), &["-t", "tmpfs", "-o", &options, "stack-test"])?;
        Some(Self { _mount: mount, folder })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Takes the last byte. The file is emptied to make room again.
    fn fill(&self) -> File {
        let mut filler = File::create(self.folder.path().join("filler")).expect("a file");
        for size in [64 * 1024, 4096, 1] {
            let error = loop {
                if let Err(error) = filler.write_all(&vec![0; size]) {
                    break error;
                }
            };
            assert_eq!(error.kind(), ErrorKind::StorageFull);
        }
        filler
    }
}

fn readiness(stack: &Stack, service: &str) -> (u16, Value) {
    let answer = stack.get("", &format!("{}/readyz", stack.internal[service]));
    (answer.status, answer.json())
}

fn ready(stack: &Stack) -> bool {
    stack.internal.keys().all(|service| readiness(stack, service).0 == 200)
}

fn is_problem(answer: &super::Answer) -> bool {
    answer.header("content-type") == Some("application/problem+json")
}

fn ids(stack: &Stack) -> Vec<String> {
    let page = stack.get(&stack.key, "/v1/verifications").json();
    let items = page["items"].as_array().expect("items").iter();
    let mut ids: Vec<String> =
        items.map(|item| item["id"].as_str().expect("an id").into()).collect();
    ids.sort();
    ids
}

/// Hands in scripts that take a moment each, so that most still wait when the disk is gone.
fn accepted(stack: &Stack, number: usize) -> Vec<String> {
    let one = |n| {
        let script = format!("#!/bin/sh\nsleep 0.5\necho {n}\n");
        let accepted = stack.submit(&stack.key, "a.sh", script.as_bytes());
        accepted["id"].as_str().expect("an id").to_owned()
    };
    let mut ids: Vec<String> = (0..number).map(one).collect();
    ids.sort();
    ids
}

/// More than the log of the database may still have room for.
fn rows() -> Vec<Value> {
    let time = "2026-01-01T00:00:00Z";
    let row = |n: u32| {
        let text = format!("{n:0>255}");
        json!({"entity": format!("e{n}"), "event_time": time, "values": {"a": text, "b": text}})
    };
    (0..4_000).map(row).collect()
}

const ONE_WORKER: &str = "[verifier-pool]\naddress = \"127.0.0.1:0\"\nworkers = 1\n";

#[test]
fn a_full_disk_refuses_what_is_new_and_what_was_accepted_ends_when_there_is_room() {
    let Some(disk) = Disk::of("24m") else { return };
    let mut stack = Stack::at(disk.data(), ONE_WORKER);
    let known = accepted(&stack, 5);
    let filler = disk.fill();

    let large = [b"#!/bin/sh\n".as_slice(), &vec![b'#'; 1 << 20]].concat();
    for content in [b"#!/bin/sh\necho new\n".as_slice(), &large] {
        let answer = stack.post(&stack.key, "/v1/verifications?file_name=new.sh", &[], content);
        assert_eq!(answer.status, 507, "{}", answer.text());
        assert!(
            is_problem(&answer) && answer.text().contains("stays accepted"),
            "{}",
            answer.text()
        );
    }
    let answer = stack.post_json(&stack.key, "/v1/features/a_view", &json!({"rows": rows()}));
    assert_eq!(answer.status, 507, "{}", answer.text());
    assert!(is_problem(&answer), "{}", answer.text());

    assert_eq!(ids(&stack), known, "what was accepted, and nothing of what was refused");
    for service in ["verifier-pool", "ml-service", "contauth"] {
        let (status, told) = readiness(&stack, service);
        assert_eq!(status, 503, "{service}: {told}");
        assert!(told.to_string().contains("full"), "{service}: {told}");
    }
    let (status, told) = readiness(&stack, "ingress");
    assert_eq!(status, 200, "what needs no disk is ready: {told}");

    filler.set_len(0).expect("room");
    until("it is ready again", || ready(&stack));
    for id in &known {
        assert_eq!(stack.finished(&stack.key, id)["state"], "done");
    }
    let new = stack.submit(&stack.key, "new.sh", b"#!/bin/sh\necho new\n");
    let new = new["id"].as_str().expect("an id");
    assert_eq!(stack.finished(&stack.key, new)["state"], "done");
    assert!(!stack.log().contains("panicked"), "something panicked");
    assert_eq!(stack.stop(), Some(0));
    stack.begin();
    assert_eq!(ids(&stack).len(), known.len() + 1, "it is all there after a restart");
}

#[test]
fn a_folder_that_becomes_read_only_refuses_what_is_new_and_comes_back() {
    let Some(disk) = Disk::of("64m") else { return };
    let stack = Stack::at(disk.data(), ONE_WORKER);
    let known = accepted(&stack, 3);
    // Files that are open stay writable, as with any remount: the system refuses it otherwise.
    let Some(cover) = Mount::on(&disk.data(), &["--bind", disk.data().to_str().expect("a name")])
    else {
        return;
    };
    assert!(mount(&["-o", "remount,ro,bind"], &disk.data()));

    let answer = stack.post(&stack.key, "/v1/verifications?file_name=new.sh", &[], b"#!/bin/sh\n");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(is_problem(&answer) && answer.header("retry-after").is_some(), "{}", answer.text());
    let (status, told) = readiness(&stack, "verifier-pool");
    assert_eq!(status, 503, "{told}");
    let text = told.to_string();
    assert!(text.contains("cannot be written") && text.contains("Read-only file system"), "{told}");
    assert_eq!(ids(&stack), known);
    drop(cover);

    until("it is ready again", || ready(&stack));
    for id in &known {
        assert_eq!(stack.finished(&stack.key, id)["state"], "done");
    }
    let new = stack.submit(&stack.key, "new.sh", b"#!/bin/sh\necho new\n");
    assert_eq!(stack.finished(&stack.key, new["id"].as_str().expect("an id"))["state"], "done");
    assert!(!stack.log().contains("panicked"), "something panicked");
}

/// As the kernel does with a disk that fails: also files that are open cannot be written any more, and
/// only a new mount helps.
#[test]
fn a_disk_that_fails_refuses_what_is_new_and_after_it_is_mounted_again_everything_accepted_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let (image, place) = (folder.path().join("image"), folder.path().join("disk"));
    fs::create_dir(&place).expect("a folder");
    File::create(&image).and_then(|file| file.set_len(64 << 20)).expect("an image");
    let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image).status();
    if !made.is_ok_and(|status| status.success()) {
        skip("a disk that fails", "mkfs.ext4 is not installed");
        return;
    }
    let options = ["-o", "loop", image.to_str().expect("a name")];
    let Some(disk) = Mount::on(&place, &options) else { return };
    let mut stack = Stack::at(place.join("data"), ONE_WORKER);
    let known = accepted(&stack, 3);
    assert!(mount(&["-o", "remount,abort"], &place));

    let answer = stack.post(&stack.key, "/v1/verifications?file_name=new.sh", &[], b"#!/bin/sh\n");
    assert!(answer.status == 503 && is_problem(&answer), "{}", answer.text());
    let rows = json!({"rows": [rows()[0]]});
    let answer = stack.post_json(&stack.key, "/v1/features/a_view", &rows);
    assert!(answer.status == 503 && is_problem(&answer), "{}", answer.text());
    for service in ["verifier-pool", "ml-service", "contauth"] {
        let (status, told) = readiness(&stack, service);
        assert_eq!(status, 503, "{service}: {told}");
        assert!(told.to_string().contains("Read-only file system"), "{service}: {told}");
    }
    assert_eq!(ids(&stack), known, "what can be read is still told");
    assert!(!stack.log().contains("panicked"), "something panicked");
    assert_eq!(stack.stop(), Some(0));

    drop(disk);
    let Some(_disk) = Mount::on(&place, &options) else { return };
    stack.begin();
    assert_eq!(ids(&stack), known);
    for id in &known {
        assert_eq!(stack.finished(&stack.key, id)["state"], "done");
    }
    stack.kill();
}

/// A start that has to fail: what is told of it, and its exit code.
fn refused(data: &Path, settings: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, told) = (folder.path().join("shieldx.toml"), folder.path().join("told"));
    let other = |name: &str| !settings.contains(&format!("[{name}]"));
    let mut text = settings.to_owned();
    for section in
        ["contauth", "verifier-pool", "ml-service"].into_iter().filter(|name| other(name))
    {
        text.push_str(&format!("[{section}]\naddress = \"127.0.0.1:0\"\n"));
    }
    for (section, addresses) in [("gateway", Stack::GATEWAY), ("ingress", Stack::INGRESS)] {
        if other(section) {
            text.push_str(addresses);
        }
    }
    fs::write(&file, text).expect("the settings");
    let mut child = Command::new(env!("CARGO_BIN_EXE_shieldx"))
        .args(["up", "--data"])
        .arg(data)
        .arg("--config")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&told).expect("a file"))
        .spawn()
        .expect("shieldx starts");
    let status = wait(&mut child, START_LIMIT);
    (status.code(), fs::read_to_string(told).expect("what it told"))
}

/// One line with these words, and perhaps a hint.
fn assert_one_line(outcome: (Option<i32>, String), code: i32, words: &[&str]) {
    let (got, told) = outcome;
    assert_eq!(got, Some(code), "{told}");
    let lines = told.lines().filter(|line| !line.starts_with("shieldx: note:"));
    let lines: Vec<&str> = lines.collect();
    let hints = lines.iter().skip(1).all(|line| line.trim_start().starts_with("hint:"));
    assert!(lines.len() <= 2 && hints && lines[0].starts_with("shieldx: error:"), "{told}");
    for word in words {
        assert!(told.contains(word), "no {word:?} in {told}");
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_one_clear_line() {
    let Some(disk) = Disk::of("1m") else { return };
    let folder = disk.folder.path();
    let file = folder.join("file");
    fs::write(&file, "").expect("a file");
    let shown = file.to_str().expect("a name");
    assert_one_line(refused(&file, ""), FAILED, &[shown, "--data"]);
    assert_one_line(refused(&file.join("below"), ""), FAILED, &[shown, "--data"]);
    let filler = disk.fill();
    assert_one_line(refused(&disk.data(), ""), FAILED, &["data", "full"]);
    filler.set_len(0).expect("room");
    drop(filler);
    assert!(mount(&["-o", "remount,ro"], folder));
    assert_one_line(refused(folder, ""), FAILED, &["Read-only file system", "--data"]);
    assert_one_line(refused(&disk.data().join("new"), ""), FAILED, &["Read-only file system"]);
}

#[test]
fn a_taken_port_is_one_clear_line_that_names_the_setting_and_leaves_no_state() {
    let data = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").to_string();
    let public = format!("[ingress]\npublic = \"{port}\"\ninternal = \"127.0.0.1:0\"\n");
    let pool = format!("[verifier-pool]\naddress = \"{port}\"\n");
    for (settings, setting) in [(public, "ingress.public"), (pool, "verifier-pool.address")] {
        let outcome = refused(data.path(), &settings);
        assert_one_line(outcome, FAILED, &[&port, "another program has this port", setting]);
    }
    assert_eq!(fs::read_dir(data.path()).expect("the folder").count(), 0);
}

#[test]
fn a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let stack = Stack::start();
    let pid = stack.pid().to_string();
    assert_one_line(refused(&stack.data(), ""), FAILED, &["another server", &pid, "folder"]);
    let endpoints = fs::read_to_string(stack.data().join("endpoints.json")).expect("endpoints");
    assert!(endpoints.contains(&stack.server), "clients still find the first: {endpoints}");
    let done = stack.submit(&stack.key, "a.sh", b"#!/bin/sh\necho on\n");
    assert_eq!(stack.finished(&stack.key, done["id"].as_str().expect("an id"))["state"], "done");
}

/// The first admin key is shown once. It was made before everything that can fail at a start, so a
/// first start with a misspelt policy folder used it up without showing it.
#[test]
fn a_first_start_that_fails_does_not_use_up_the_first_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let settings = folder.path().join("shieldx.toml");
    let zero = "address = \"127.0.0.1:0\"\n";
    let text = format!(
        "[contauth]\n{zero}[verifier-pool]\n{zero}[ml-service]\n{zero}{}{}",
        Stack::GATEWAY,
        Stack::INGRESS
    );
    let tls =
        "[ingress.tls]\naddress = \"127.0.0.1:0\"\ncertificate = \"/none\"\nkey = \"/none\"\n";
    for (more, policy) in [("", "/none"), (tls, "")] {
        fs::write(&settings, format!("{text}{more}")).expect("settings");
        let mut start = Command::new(env!("CARGO_BIN_EXE_shieldx"));
        start.args(["up", "--data"]).arg(&data).arg("--config").arg(&settings);
        if !policy.is_empty() {
            start.args(["--policy", policy]);
        }
        let output = start.output().expect("shieldx starts");
        assert_eq!(output.status.code(), Some(64), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!data.join("admin.key").exists());
        let list = Command::new(env!("CARGO_BIN_EXE_shieldx"))
            .args(["key", "list", "--data"])
            .arg(&data)
            .output()
            .expect("shieldx starts");
        assert!(String::from_utf8_lossy(&list.stdout).starts_with("no keys"));
    }
    let stack = Stack::at(data, "");
    assert_eq!(stack.get(&stack.key, "/v1/verifications").status, 200);
}
