//! However a run of `shieldx` ends, also by `kill -9`, nothing of it stays: no process, no mount, no
//! cgroup, no folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::lab::{
    Lab, assert_belongings_vanish, belongings, have, processes, shell_code, skip, wait,
};
use crate::ways::Way;

const END_LIMIT: Duration = Duration::from_secs(60);

/// Starts `shieldx` on the program that does what it can to survive.
fn start(lab: &Lab) -> Child {
    let mut command = lab.program("survivor.c");
    command.extend(["90".to_owned(), lab.mark().to_owned()]);
    let temporary = lab.side().join("tmp");
    fs::create_dir_all(&temporary).expect("a folder");
    lab.shieldx()
        .variable("TMPDIR", temporary.to_str().expect("ASCII"))
        .command(&command)
        .spawn()
        .expect("shieldx starts")
}

fn assert_nothing_left(lab: &Lab, supervisor: u32, before: &BTreeSet<String>) {
    lab.assert_no_process();
    assert_belongings_vanish(supervisor, before);
    let temporary = lab.side().join("tmp");
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let left: Vec<_> =
            fs::read_dir(&temporary).into_iter().flatten().flatten().map(|e| e.path()).collect();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left behind: {left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn signal(child: &Child, number: i32) {
    let pid = child.id().to_string();
    let status = Command::new("kill").args([&format!("-{number}"), &pid]).status().expect("kill");
    assert!(status.success());
}

#[test]
fn killed_at_fifty_moments_leaves_nothing() {
    if !have("kill -9", &["cc"]) {
        return;
    }
    let before = belongings(0);
    // Every 12 ms from the first instruction to well inside the run, each with its own jitter, so
    // that fifty moments are spread over set-up, start and run.
    let mut state = u64::from(std::process::id()) | 1;
    for moment in 0..50_u64 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let delay = Duration::from_micros(moment * 12_000 + state % 12_000);
        let lab = Lab::new();
        let mut child = start(&lab);
        std::thread::sleep(delay);
        child.kill().expect("kill -9");
        let status = child.wait().expect("shieldx ends");
        assert_eq!(status.signal(), Some(libc::SIGKILL), "after {delay:?}");
        assert_nothing_left(&lab, child.id(), &before);
    }
}

/// The other runners, killed at thirty moments. What belongs to a daemon, or to a folder that is kept,
/// may wait for the next start.
fn killed_on_another_runner(way: &Way, command: &[&str], kills: u64, within_ms: u64) {
    let before = belongings(0);
    let next_start = way.options.iter().any(|word| ["docker", "microvm"].contains(word));
    let mut state = u64::from(std::process::id()) | 1;
    for _ in 0..kills {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let delay = Duration::from_millis(state % within_ms);
        let lab = Lab::new();
        let temporary = lab.side().join("tmp");
        fs::create_dir_all(&temporary).expect("a folder");
        fs::write(lab.work().join("endless.wasm"), ENDLESS).expect("a module");
        let words: Vec<&str> = command.iter().copied().chain([lab.mark()]).collect();
        let call = lab.shieldx().with(way.options).with(way.shell).with(&["--timeout", "300s"]);
        let call = way.dress(call).variable("TMPDIR", temporary.to_str().expect("ASCII"));
        let mut child = call.command(&words).spawn().expect("shieldx starts");
        std::thread::sleep(delay);
        child.kill().expect("kill -9");
        child.wait().expect("shieldx ends");
        let deadline = Instant::now() + END_LIMIT;
        let left =
            || !belongings(child.id()).is_subset(&before) || !processes(lab.mark()).is_empty();
        while next_start && left() {
            assert!(Instant::now() < deadline, "{:?}", belongings(child.id()));
            let other = Lab::new();
            let next = other.shieldx();
            // A guest's start takes seconds; any run sweeps what it left.
            let next = if way.shell.is_empty() {
                next
            } else {
                way.dress(next.with(way.options).with(way.shell))
            };
            next.run(&["sh", "-c", "exit 0"]);
        }
        assert_nothing_left(&lab, child.id(), &before);
    }
}

/// `(module (func (export "_start") (loop br 0)))`
const ENDLESS: &[u8] =
    b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\
      \x0a\x09\x01\x07\0\x03\x40\x0c\0\x0b\x0b";

#[test]
fn killed_with_a_network_of_its_own_leaves_nothing() {
    let Some(mut way) = Way::process() else { return };
    way.options = &["--net", "sink"];
    let line = "trap '' TERM INT HUP; setsid sleep 600 & while :; do sleep 1; done; : $0";
    killed_on_another_runner(&way, &["sh", "-c", line], 10, 900);
}

#[cfg(feature = "sandbox-docker")]
#[test]
fn killed_in_a_container_the_next_run_leaves_nothing() {
    let Some(way) = Way::docker() else { return };
    let line = "trap '' TERM INT HUP; setsid sleep 600 & while :; do sleep 1; done; : $0";
    killed_on_another_runner(&way, &["sh", "-c", line], 10, 2_500);
    let deadline = Instant::now() + END_LIMIT;
    while !way.leftovers().is_empty() {
        assert!(Instant::now() < deadline, "{:?}", way.leftovers());
        let lab = Lab::new();
        let next = lab.shieldx().with(way.options).with(way.shell);
        way.dress(next).run(&["sh", "-c", "exit 0"]);
    }
}

#[cfg(feature = "sandbox-wasm")]
#[test]
fn killed_with_an_endless_module_leaves_nothing() {
    let Some(mut way) = Way::process() else { return };
    way.options = &["--runner", "wasm", "--grant", "args"];
    killed_on_another_runner(&way, &["./endless.wasm"], 10, 900);
}

#[cfg(feature = "sandbox-microvm")]
#[test]
fn killed_with_a_guest_leaves_none() {
    let Some(way) = Way::microvm() else { return };
    let line = "while :; do sleep 1; done; : $0";
    killed_on_another_runner(&way, &["sh", "-c", line], 3, 15_000);
}

/// Without this, the other tests of this file could pass because they look in the wrong place.
#[test]
fn while_it_runs_there_is_something_to_find() {
    if !have("belongings", &["cc"]) {
        return;
    }
    let before = belongings(0);
    let lab = Lab::new();
    let mut child = start(&lab);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !belongings(child.id()).iter().any(|item| item.starts_with("cgroup")) {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("a run made no control group");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("kill -9");
    child.wait().expect("shieldx ends");
    assert_nothing_left(&lab, child.id(), &before);
}

#[test]
fn signals_end_the_run_and_leave_nothing() {
    if !have("signals", &["cc"]) {
        return;
    }
    for (number, delay_ms) in
        [(libc::SIGINT, 50), (libc::SIGINT, 900), (libc::SIGTERM, 900), (libc::SIGHUP, 900)]
    {
        let before = belongings(0);
        let lab = Lab::new();
        let mut child = start(&lab);
        std::thread::sleep(Duration::from_millis(delay_ms));
        signal(&child, number);
        let status = wait(&mut child, END_LIMIT);
        assert_ne!(shell_code(status), 0, "signal {number} after {delay_ms} ms");
        assert_nothing_left(&lab, child.id(), &before);
    }
}

#[test]
fn closed_pipe_leaves_nothing() {
    let before = belongings(0);
    let lab = Lab::new();
    let mut child = lab
        .shieldx()
        .command(&["sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("shieldx starts");
    drop(child.stdout.take());
    wait(&mut child, END_LIMIT);
    assert_nothing_left(&lab, child.id(), &before);
}

#[test]
fn closed_pipe_of_a_chatty_command_leaves_nothing() {
    let before = belongings(0);
    let lab = Lab::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_shieldx"))
        .args(["run", "--cwd"])
        .arg(lab.work())
        .args(["--timeout", "20s", "--", "yes", lab.mark()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(lab.side().join("stderr")).expect("a file"))
        .spawn()
        .expect("shieldx starts");
    drop(child.stdout.take());
    wait(&mut child, END_LIMIT);
    assert_nothing_left(&lab, child.id(), &before);
}

/// A file system of 64 KiB, or a read-only one, mounted for one test.
struct SmallDisk {
    path: std::path::PathBuf,
}

impl SmallDisk {
    fn new(test: &str, lab: &Lab, options: &str) -> Option<Self> {
        let path = lab.side().join("disk");
        fs::create_dir(&path).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "lab-disk"])
            .arg(&path)
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { path });
        }
        skip(test, "cannot mount a small file system");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// Neither a full nor a read-only disk may cost the verdict or leave something behind; the failure
/// is told, and the exit code is not the command's.
fn bad_target(test: &str, disk_options: &str) {
    for option in ["--keep", "--html", "--events"] {
        let before = belongings(0);
        let lab = Lab::new();
        let Some(disk) = SmallDisk::new(test, &lab, disk_options) else { return };
        let target = disk.path.join("target");
        let target = target.to_str().expect("ASCII").to_owned();
        let line =
            "head -c 2000000 /dev/urandom > big; for i in $(seq 200); do echo $i > f$i; done";
        let mut child = lab
            .shieldx()
            .with(&[option, &target])
            .command(&["sh", "-c", line])
            .spawn()
            .expect("shieldx starts");
        let status = wait(&mut child, END_LIMIT);
        let message = fs::read_to_string(lab.side().join("stderr")).expect("error output");
        assert_ne!(shell_code(status), 0, "{option}: a failed write was passed over: {message}");
        assert!(status.signal().is_none(), "{option}: {status}: {message}");
        assert!(!message.contains("panicked"), "{option}: {message}");
        assert!(!message.trim().is_empty(), "{option}: no word about the failed write");
        drop(disk);
        assert_nothing_left(&lab, child.id(), &before);
    }
}

#[test]
fn full_disk_is_told_and_leaves_nothing() {
    bad_target("full disk", "size=16k,nr_inodes=8");
}

#[test]
fn read_only_disk_is_told_and_leaves_nothing() {
    bad_target("read-only disk", "ro");
}
