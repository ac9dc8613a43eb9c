//! Workers that wait: used, replaced, gone with their server.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use types::Ending;
use types::ports::Executor as _;

use super::bench::{Bench, deaf, execution};

/// Ids of the spare workers of this process whose rules are in this folder.
fn spares_of(mark: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("worker --spare") && line.contains(mark) {
            found.extend(entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
        }
    }
    found
}

/// The one spare that waits. A process that was just started shows its arguments a moment later, and
/// what a spare forks while it prepares itself shows the same ones.
fn spare_of(mark: &str) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match spares_of(mark).as_slice() {
            [one] => return *one,
            other => assert!(Instant::now() < deadline, "one is wanted: {other:?}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kill(pid: u32) {
    send("-9", pid);
}

fn send(signal: &str, pid: u32) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

/// Ended; whether it was waited for is its parent's business.
fn wait_gone(pid: u32) {
    wait_for(pid, |state| state.is_none_or(|state| state == 'Z'));
}

/// Waits until a process is in such a state (`proc_pid_stat(5)`); it has none when it is gone.
fn wait_for(pid: u32, fine: impl Fn(Option<char>) -> bool) {
    let state = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while !fine(state()) {
        assert!(Instant::now() < deadline, "{pid} is in the state {:?}", state());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_spare_does_the_next_job_a_dead_one_is_replaced_and_none_outlives_its_server() {
    let bench = Bench::new();
    let folder = bench.store().join("rules");
    fs::create_dir_all(&folder).unwrap();
    let mark = folder.to_str().unwrap().to_owned();
    let mut settings = bench.settings();
    (settings.spares, settings.rules) = (1, Some(folder));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let executor = Bench::executor_with(settings);
    executor.tend_spares();
    executor.tend_spares();
    assert_eq!(executor.spares_waiting(), 1, "{:?}", executor.runners());
    let first = spare_of(&mark);
    kill(first);
    wait_gone(first);
    executor.tend_spares();
    let second = spare_of(&mark);
    assert_ne!(first, second);

    let job = execution(&bench.artifact("#!/bin/sh\necho done\n"), "job.sh");
    let recording = runtime.block_on(executor.execute(job, deaf())).unwrap();
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 });
    wait_gone(second);
    assert_eq!(executor.spares_waiting(), 0, "the spare did the job");

    // One that somebody stopped does not hold a job until its time is up: another one is started.
    executor.tend_spares();
    let stopped = spare_of(&mark);
    send("-STOP", stopped);
    wait_for(stopped, |state| state == Some('T'));
    let job = execution(&bench.artifact("#!/bin/sh\necho done\n"), "job.sh");
    let recording = runtime.block_on(executor.execute(job, deaf())).unwrap();
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 });
    wait_gone(stopped);

    executor.tend_spares();
    let third = spare_of(&mark);
    drop(executor);
    wait_gone(third);
}

/// What is left when the server is killed: nobody holds the other end of its standard input.
#[test]
fn a_spare_without_a_server_ends() {
    let bench = Bench::new();
    let mut child = Command::new(&bench.settings().program)
        .args(["worker", "--spare"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let leash = child.stdin.take();
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it waits");
    drop(leash);
    assert!(!child.wait().unwrap().success());
}
