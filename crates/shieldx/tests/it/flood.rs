//! What a run can do to drown its monitor: hundreds of thousands of calls, of events that matter, of
//! files, of processes. Nothing may be lost, the books must balance to the event, and whoever asks for
//! something else meanwhile is answered.
//!
//! Rates and latencies are printed, never asserted: docs/benchmarks.md has those of a quiet machine.
#![expect(clippy::unwrap_used, reason = "what fails here should fail the test")]

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use types::{Ending, Event, Kind, Level, Tier, Verdict};

use crate::lab::{Lab, Outcome, have, skip, tier};
use crate::stack::Stack;

/// Floods of a run under test last this long; `SHIELDX_FLOOD_SECONDS` for longer ones by hand.
const SECONDS: u64 = 5;
const LIMIT: Duration = Duration::from_secs(600);

/// Argument 1: what to flood with; 2: how often, or for how many seconds; 3: by how many processes.
/// Prints how often it did it.
const SOURCE: &str = r#"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	long count = atol(argv[2]), processes = atol(argv[3]);
	long *done = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(1) };
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	double end = now() + count;

	if (!strcmp(argv[1], "connect")) {
		for (long p = 0; p < processes; p++) {
			if (fork())
				continue;
			int fd = socket(AF_INET, SOCK_STREAM, 0);
			while (now() < end) {
				connect(fd, (void *)&to, sizeof(to));
				__sync_fetch_and_add(done, 1);
			}
			_exit(0);
		}
		while (wait(0) > 0 || errno == EINTR)
			;
	} else if (!strcmp(argv[1], "files")) {
		for (; *done < count; ++*done) {
			char name[64];
			if (*done % 1000 == 0) {
				snprintf(name, sizeof(name), "d%ld", *done / 1000);
				mkdir(name, 0700);
			}
			snprintf(name, sizeof(name), "d%ld/f%ld", *done / 1000, *done);
			int fd = open(name, O_CREAT | O_WRONLY | O_EXCL, 0600);
			if (fd < 0 || write(fd, name, strlen(name)) < 0)
				break;
			close(fd);
		}
	} else if (!strcmp(argv[1], "processes")) {
		for (; *done < count; ++*done) {
			int status = 1;
			if (fork() == 0) {
				execl(argv[0], argv[0], "nothing", "0", "0", (char *)0);
				_exit(126);
			}
			wait(&status);
			if (status)
				break;
		}
	} else if (!strcmp(argv[1], "bomb")) {
		while (now() < end) {
			if (fork() > 0)
				__sync_fetch_and_add(done, 1);
			while (waitpid(-1, 0, WNOHANG) > 0)
				;
		}
		_exit(0);
	} else {
		return 0;
	}
	printf("done %ld\n", *done);
	return 0;
}
"#;

/// The program, in a lab's current folder.
fn compile(folder: &std::path::Path) -> Option<PathBuf> {
    if !have("floods", &["cc"]) {
        return None;
    }
    fs::write(folder.join("flood.c"), SOURCE).unwrap();
    let cc = Command::new("cc")
        .args(["-O1", "-static", "-o", "flood", "flood.c"])
        .current_dir(folder)
        .status();
    assert!(cc.unwrap().success());
    Some(folder.join("flood"))
}

/// Whether the kernel tells of events here; with tier C every call waits, and nothing can be flooded.
fn watched() -> bool {
    let watched = tier() != Tier::C;
    if !watched {
        skip("floods", "the kernel monitor does not load here");
    }
    watched
}

#[expect(clippy::disallowed_methods, reason = "told by whoever floods by hand")]
fn seconds() -> u64 {
    std::env::var("SHIELDX_FLOOD_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(SECONDS)
}

/// Past the harness' capture: what is measured is to be seen.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "flood: {text}");
}

fn flood(what: &str, count: u64, processes: u64, options: &[&str]) -> Option<(Outcome, u64)> {
    let lab = Lab::new();
    compile(&lab.work())?;
    if !watched() {
        return None;
    }
    let words = ["./flood", what, &count.to_string(), &processes.to_string()].map(str::to_owned);
    let outcome = lab.shieldx().limit(LIMIT).with(options).run(&words);
    lab.assert_no_process();
    let said = outcome.output();
    let done = said.strip_prefix("done ").and_then(|rest| rest.trim().parse().ok()).unwrap_or(0);
    nothing_lost(&outcome);
    Some((outcome, done))
}

/// The books balance by type (the bench looks at that after every run), and nothing was dropped.
fn nothing_lost(outcome: &Outcome) {
    let counters = &outcome.assessment.evidence.counters;
    assert_eq!(counters.dropped, 0, "{counters:#?}");
    let of_types: u64 = counters.by_type.values().map(|of| of.seen).sum();
    assert_eq!(of_types, counters.seen, "{counters:#?}");
    if outcome.assessment.evidence.level == Level::Incomplete {
        assert_ne!(outcome.assessment.verdict, Verdict::Benign, "{}", outcome.summary());
    }
}

fn complete(outcome: &Outcome) {
    assert_eq!(outcome.run.ending, Ending::Exited { code: 0 }, "{}", outcome.summary());
    assert_eq!(outcome.assessment.evidence.level, Level::Full, "{}", outcome.summary());
    assert_eq!(outcome.assessment.verdict, Verdict::Benign, "{}", outcome.summary());
}

/// How often something happened, repetitions that stand for one event counted.
fn times(outcome: &Outcome, of: impl Fn(&Event) -> bool) -> u64 {
    outcome.events.iter().filter(|event| of(event)).map(|event| event.count).sum()
}

fn seen(outcome: &Outcome, name: &str) -> u64 {
    outcome.assessment.evidence.counters.by_type.get(name).map_or(0, |of| of.seen)
}

#[test]
fn four_hundred_thousand_calls_of_a_byte_each_are_two_totals() {
    if !watched() {
        return;
    }
    let lab = Lab::new();
    lab.write("in", vec![b'x'; 200_000]);
    let command = ["dd", "if=in", "of=out", "bs=1", "status=none"];
    let outcome = lab.shieldx().limit(LIMIT).run(&command);
    nothing_lost(&outcome);
    complete(&outcome);
    let work = lab.work();
    let out = outcome.events.iter().find_map(|event| match &event.kind {
        Kind::Write { path, bytes, writes, .. }
            if *path == work.join("out").to_str().unwrap().into() =>
        {
            Some((*bytes, *writes))
        }
        _ => None,
    });
    assert_eq!(out, Some((200_000, 200_000)), "every write of a byte is in its total");
    let read = outcome.events.iter().find_map(|event| match &event.kind {
        Kind::FileChanged(change) if change.path == work.join("out").to_str().unwrap().into() => {
            Some(change.size_bytes)
        }
        _ => None,
    });
    assert_eq!(read, Some(200_000));
}

#[test]
fn connections_as_fast_as_they_can_be_tried_are_all_in_the_record() {
    let seconds = seconds();
    let timeout = format!("{}s", seconds + 120);
    let options = ["--timeout", timeout.as_str()];
    let Some((outcome, done)) = flood("connect", seconds, 4, &options) else { return };
    let counters = &outcome.assessment.evidence.counters;
    tell(&format!(
        "{done} connections in {seconds} s by four processes, {}/s, held back {} times",
        done / seconds,
        counters.throttled
    ));
    assert!(done > 10_000, "{}", outcome.summary());
    assert_eq!(outcome.run.ending, Ending::Exited { code: 0 }, "{}", outcome.summary());
    assert_eq!(outcome.assessment.evidence.level, Level::Full, "{}", outcome.summary());
    assert_eq!(seen(&outcome, "connect"), done, "the kernel met each once: {counters:#?}");
    let told = times(&outcome, |event| matches!(event.kind, Kind::Connect { .. }));
    assert_eq!(told, done, "and each is told");
}

#[test]
fn a_hundred_thousand_files_are_all_listed() {
    let options = ["--disk", "1G", "--memory", "2G", "--timeout", "300s"];
    let Some((outcome, done)) = flood("files", 100_000, 1, &options) else { return };
    assert_eq!(done, 100_000, "{}", outcome.summary());
    assert_eq!(outcome.run.ending, Ending::Exited { code: 0 }, "{}", outcome.summary());
    let listed = outcome.events.iter().filter(|event| match &event.kind {
        Kind::FileChanged(change) => change.file_type == "file",
        _ => false,
    });
    let (listed, level) = (listed.count(), outcome.assessment.evidence.level);
    tell(&format!("100000 files made, {listed} listed, evidence {level:?}"));
    let written = times(&outcome, |event| matches!(event.kind, Kind::Write { .. }));
    assert!(written >= 100_000, "{written} writes; {}", outcome.summary());
    // What is not listed is told to be missing, and then this is not benign (`nothing_lost`).
    assert!(listed == 100_000 || level == Level::Incomplete, "{}", outcome.summary());
}

#[test]
fn ten_thousand_processes_one_after_the_other_are_all_told() {
    let options = ["--timeout", "300s"];
    let Some((outcome, done)) = flood("processes", 10_000, 1, &options) else { return };
    assert_eq!(done, 10_000, "{}", outcome.summary());
    let level = outcome.assessment.evidence.level;
    assert_eq!(level, Level::Full, "{}", outcome.summary());
    let execs =
        times(&outcome, |event| matches!(event.kind, Kind::Exec { .. }) && event.happened());
    let forks = times(&outcome, |event| matches!(event.kind, Kind::Fork { .. }));
    assert_eq!((execs, forks), (10_001, 10_000), "{}", outcome.summary());
    tell(&format!("10000 processes in {} ms", outcome.run.duration_ns / 1_000_000));
}

#[test]
fn a_fork_bomb_meets_its_limit_and_loses_nothing() {
    let options = ["--pids", "64", "--timeout", "60s"];
    let Some((outcome, _)) = flood("bomb", 4, 1, &options) else { return };
    assert!(outcome.reached("pids"), "{}", outcome.summary());
    let forks = seen(&outcome, "fork");
    tell(&format!("a fork bomb of 64 processes made {forks} in 4 s"));
    // The limit counts what is its own, and a busy machine lets few be made anew.
    assert!(forks > 48, "{}", outcome.summary());
}

/// A trivial job of one tenant, from its submission to its verdict.
fn trivial(stack: &Stack, key: &str) -> Duration {
    let began = Instant::now();
    let accepted = stack.submit(key, "trivial.sh", b"#!/bin/sh\nexit 0\n");
    let id = accepted["id"].as_str().unwrap();
    loop {
        let found = stack.get(key, &format!("/v1/verifications/{id}")).json();
        if found["state"] == "done" {
            assert_eq!(found["verdict"], "benign", "{found}");
            return began.elapsed();
        }
        assert_ne!(found["state"], "failed", "{found}");
        assert!(began.elapsed() < LIMIT, "{found}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn measured(name: &str, mut took: Vec<Duration>) {
    took.sort();
    let share = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)].as_millis();
    let (p50, p95) = (share(50), share(95));
    tell(&format!("{} trivial jobs {name}: p50 {p50} ms, p95 {p95} ms", took.len()));
}

#[test]
fn who_asks_for_something_else_during_two_floods_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compile(folder.path()) else { return };
    if !watched() {
        return;
    }
    let program = fs::read(program).unwrap();
    let stack = Stack::with(
        "[verifier-pool]\naddress = \"127.0.0.1:0\"\nworkers = 4\nmemory_total_bytes = 17179869184\n",
        &[],
    );
    let loud = stack.tenant_key("loud", "member");
    let quiet = stack.tenant_key("quiet", "member");
    trivial(&stack, &quiet);
    measured("on a quiet server", (0..20).map(|_| trivial(&stack, &quiet)).collect());
    let seconds = seconds().max(45).to_string();
    let path = format!(
        "/v1/verifications?file_name=flood&argument=connect&argument={seconds}&argument=2\
         &timeout_ms=300000"
    );
    let floods = [(); 2].map(|()| {
        let answer = stack.post(&loud, &path, &[], &program);
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    });
    crate::stack::until("both floods run", || {
        let state = |id: &String| stack.get(&loud, &format!("/v1/verifications/{id}")).json();
        floods.iter().all(|id| state(id)["state"] == "running")
    });
    let mut took = Vec::new();
    let running = |id: &String| {
        stack.get(&loud, &format!("/v1/verifications/{id}")).json()["state"] == "running"
    };
    while took.len() < 20 && floods.iter().all(running) {
        took.push(trivial(&stack, &quiet));
    }
    assert!(!took.is_empty(), "no other job was answered while the floods ran");
    measured("beside two floods", took);
    for id in &floods {
        let found = stack.finished(&loud, id);
        assert_eq!(found["state"], "done", "{found}");
        let report = stack.get(&loud, &format!("/v1/verifications/{id}/report")).json();
        let evidence = &report["verdict"]["evidence"];
        let counters: types::Counters =
            serde_json::from_value(evidence["counters"].clone()).unwrap();
        assert!(counters.balanced() && counters.dropped == 0, "{counters:#?}");
        let done = report["output"]["stdout"].as_str().unwrap().trim().to_owned();
        let seen = counters.by_type["connect"].seen;
        assert_eq!(done.strip_prefix("done ").map(str::trim_end), Some(seen.to_string().as_str()));
    }
}
