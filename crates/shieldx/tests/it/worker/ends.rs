//! However a run's worker or its server ends, nothing of the run stays.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use types::Kind;
use types::ports::{Execution, Progress};

use super::bench::{self, Bench, Told, execution, reason};
use crate::lab::{assert_belongings_vanish, belongings, processes, wait};

/// An artifact that stays, does not mind signals and leaves a child behind; its processes carry the
/// bench's mark.
fn stubborn(bench: &Bench) -> Execution {
    let script = "#!/bin/sh\ntrap '' TERM INT HUP\n(trap '' TERM INT HUP; sleep 600; : $1) &\n\
                  : > begun\nwhile :; do sleep 1; done\n";
    let mut job = execution(&bench.artifact(script), "stubborn.sh");
    job.arguments = vec![bench.mark()];
    job.timeout_ms = 600_000;
    job
}

fn begun(progress: &Progress) -> bool {
    match progress {
        Progress::Event(event) => {
            matches!(&event.kind, Kind::Open { path, .. } if path.ends_with("/begun"))
        }
        Progress::Phase(_) => false,
    }
}

/// Ids of the workers that this process has started, by their parent.
fn workers() -> BTreeSet<u32> {
    let own = std::process::id().to_string();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if after_name.split_whitespace().nth(1) == Some(&own) && line.ends_with(b"\0worker\0") {
            found.insert(pid);
        }
    }
    found
}

/// The worker of this job alone: tests of one binary run side by side.
fn worker_of(bench: &Bench) -> u32 {
    // The command's process is a descendant: command ← init ← keeper ← worker.
    let line = processes(&bench.mark()).into_iter().next().expect("the command");
    let mut pid: u32 = line.split(':').next().unwrap().parse().unwrap();
    let workers = workers();
    while !workers.contains(&pid) {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a parent");
        let after_name = stat.rsplit(')').next().unwrap();
        pid = after_name.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(pid > 1, "the command does not descend from a worker");
    }
    pid
}

fn assert_gone(bench: &Bench, worker: u32, before: &BTreeSet<String>) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !processes(&bench.mark()).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", processes(&bench.mark()));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_belongings_vanish(worker, before);
}

#[test]
fn a_worker_killed_in_the_middle_is_a_failure_and_leaves_nothing() {
    let (bench, told) = (Bench::new(), Told::default());
    let (executor, job) = (bench.executor(), stubborn(&bench));
    let before = belongings(0);
    let mut worker = 0;
    let error = bench::block_on(async {
        let kill = async {
            told.until(begun).await;
            worker = worker_of(&bench);
            let killed = Command::new("kill").args(["-9", &worker.to_string()]).status();
            assert!(killed.unwrap().success());
        };
        let run = bench::start(&executor, job, told.listener());
        tokio::join!(run, kill).0.unwrap_err()
    });
    assert!(reason(&error).contains("signal: 9 (SIGKILL)"), "{error}");
    assert_gone(&bench, worker, &before);
}

#[test]
fn a_signal_to_the_worker_is_not_the_artifacts_end() {
    let (bench, told) = (Bench::new(), Told::default());
    let (executor, job) = (bench.executor(), stubborn(&bench));
    let error = bench::block_on(async {
        let interrupt = async {
            told.until(begun).await;
            let pid = worker_of(&bench).to_string();
            assert!(Command::new("kill").args(["-15", &pid]).status().unwrap().success());
        };
        let run = bench::start(&executor, job, told.listener());
        tokio::join!(run, interrupt).0.unwrap_err()
    });
    assert!(reason(&error).contains("signal 15 to the worker interrupted"), "{error}");
}

#[test]
fn dropping_the_future_ends_the_run_and_leaves_nothing() {
    let (bench, told) = (Bench::new(), Told::default());
    let (executor, job) = (bench.executor(), stubborn(&bench));
    let before = belongings(0);
    let worker = bench::block_on(async {
        let run = bench::start(&executor, job, told.listener());
        let begins = async {
            told.until(begun).await;
            worker_of(&bench)
        };
        // The one that lost is dropped.
        let worker = tokio::select! {
            result = run => panic!("ended: {result:?}"),
            worker = begins => worker,
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while fs::exists(format!("/proc/{worker}")).unwrap() {
            assert!(Instant::now() < deadline, "nobody waited for the worker");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        worker
    });
    assert_gone(&bench, worker, &before);
}

/// Control groups of a run, by the end of its id.
fn groups(id: &str) -> Vec<PathBuf> {
    let end = &id[id.len() - 12..];
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::from("/sys/fs/cgroup")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().ends_with(end) {
                    found.push(entry.path());
                }
                folders.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn dropped_at_thirty_moments_leaves_nothing() {
    let bench = Bench::new();
    let executor = bench.executor();
    let mut ids = Vec::new();
    bench::block_on(async {
        // From before the job is read to well inside the run.
        for moment in 0..30_u64 {
            let job = stubborn(&bench);
            ids.push(job.id.clone());
            let run = bench::start(&executor, job, bench::deaf());
            let dropped = tokio::time::timeout(Duration::from_millis(moment * 4), run).await;
            assert!(dropped.is_err(), "{dropped:?}");
        }
    });
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let left: Vec<PathBuf> = ids.iter().flat_map(|id| groups(id)).collect();
        let alive = processes(&bench.mark());
        if left.is_empty() && alive.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left behind: {left:?} {alive:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_worker_that_hangs_is_given_up_and_killed() {
    let bench = Bench::new();
    let mut settings = bench.settings();
    settings.program = bench.script("#!/bin/sh\nexec sleep 600 < /dev/null\n");
    settings.grace = Duration::from_millis(100);
    let mut job = execution(&bench.artifact("#!/bin/sh\n"), "x");
    job.timeout_ms = 100;
    let error = bench::run(&Bench::executor_with(settings), job).unwrap_err();
    assert!(reason(&error).contains("did not end within"), "{error}");
}

/// A server that is killed cannot kill its workers: they notice.
#[test]
fn a_server_killed_in_the_middle_leaves_no_worker_and_no_run() {
    let bench = Bench::new();
    let before = belongings(0);
    let line = bench::job(stubborn(&bench), vec![]).line().unwrap();
    // A process that does nothing but hold the leash stands for the server.
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&line).unwrap();
    let mut server = Command::new("sleep").arg("600").stdout(writer).spawn().unwrap();
    let mut worker = Command::new(env!("CARGO_BIN_EXE_shieldx"))
        .arg("worker")
        .stdin(reader)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(worker.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("/begun")), "the run began");
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(!wait(&mut worker, Duration::from_secs(30)).success());
    assert_gone(&bench, worker.id(), &before);
}
