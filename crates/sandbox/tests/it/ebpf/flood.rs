//! Floods: whatever a job does as fast as it can, nothing is lost and the books balance.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use sandbox::monitor::ebpf::Options;
use types::Kind;

use super::job::{Record, Setup, assert_success, compile, folder, run_with};

/// Argument 1: what to flood with; 2: how often; 3: by how many processes.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void stay_on(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void once(const char *what, int process, int n)
{
	char name[64];
	snprintf(name, sizeof(name), "d-%d-%d", process, n);
	if (!strcmp(what, "mkdir")) {
		mkdir(name, 0700);
		rmdir(name);
	} else if (!strcmp(what, "connect")) {
		static int fd = -1;
		struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(1) };
		to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		if (fd < 0)
			fd = socket(AF_INET, SOCK_STREAM, 0);
		connect(fd, (void *)&to, sizeof(to));
	} else if (!strcmp(what, "critical")) {
		setuid(getuid());
		kill(getppid(), 0);
		close(socket(AF_INET, SOCK_DGRAM, 0));
	} else if (!strcmp(what, "open")) {
		close(open("/etc/passwd", O_RDONLY));
	} else if (!strcmp(what, "create")) {
		int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0600);
		write(fd, name, strlen(name));
		close(fd);
		unlink(name);
	} else if (!strcmp(what, "fork")) {
		if (fork() == 0)
			_exit(7);
		wait(0);
	} else if (!strcmp(what, "nap")) {
		stay_on(1);
		if (fork() == 0) {
			stay_on(0);
			_exit(7);
		}
		wait(0);
		usleep(300000);
	} else if (!strcmp(what, "stranger")) {
		stay_on(0);
		if (fork() == 0) {
			mkdir("stranger", 0700);
			_exit(8);
		}
		wait(0);
	}
}

int main(int argc, char **argv)
{
	int count = atoi(argv[2]), processes = atoi(argv[3]);
	for (int p = 0; p < processes; p++) {
		if (fork())
			continue;
		for (int n = 0; n < count; n++)
			once(argv[1], p, n);
		_exit(0);
	}
	while (wait(0) > 0)
		;
	return 0;
}
"#;

fn flood(what: &str, count: u32, processes: u32) -> Option<Record> {
    flood_with(what, count, processes, Setup::default())
}

fn flood_with(what: &str, count: u32, processes: u32, setup: Setup) -> Option<Record> {
    let folder = folder(&format!("flood-{what}-{processes}"));
    let program = compile(&folder, SOURCE)?;
    let mut command = Command::new(program);
    command.args([what, &count.to_string(), &processes.to_string()]).current_dir(&folder);
    let record = run_with(&mut command, setup);
    fs::remove_dir_all(&folder).unwrap();
    let record = record?;
    assert_success(&record);
    eprintln!("{what}: throttled {} times", record.summary.counters.throttled);
    record.assert_complete();
    Some(record)
}

fn count(record: &Record, matches: impl Fn(&Kind) -> bool) -> usize {
    record.events.iter().filter(|event| matches(&event.kind)).count()
}

#[test]
fn four_hundred_thousand_folders_are_all_told() {
    let Some(record) = flood("mkdir", 50_000, 4) else { return };
    assert_eq!(count(&record, |kind| matches!(kind, Kind::Mkdir { .. })), 200_000);
    assert_eq!(
        count(&record, |kind| matches!(kind, Kind::Unlink { directory: true, .. })),
        200_000
    );
}

#[test]
fn four_hundred_thousand_refused_connections_are_all_told() {
    let Some(record) = flood("connect", 200_000, 2) else { return };
    assert_eq!(count(&record, |kind| matches!(kind, Kind::Connect { .. })), 400_000);
}

#[test]
fn four_hundred_thousand_reads_are_all_told() {
    let Some(record) = flood("open", 200_000, 2) else { return };
    let passwd =
        |kind: &Kind| matches!(kind, Kind::Open { path, .. } if path.as_bytes() == b"/etc/passwd");
    assert_eq!(count(&record, passwd), 400_000);
}

#[test]
fn more_files_than_there_are_totals_are_all_told() {
    let Some(record) = flood("create", 20_000, 2) else { return };
    let ours = |path: &types::Text| path.file_name().starts_with("d-");
    let write = |kind: &Kind| matches!(kind, Kind::Write { path, writes: 1, .. } if ours(path));
    assert_eq!(count(&record, write), 40_000);
    assert_eq!(count(&record, |kind| matches!(kind, Kind::Unlink { .. })), 40_000);
}

/// Rings that hold some eight hundred events, and a reader much slower than the writers: only
/// holding the job back helps.
#[test]
fn a_slow_reader_holds_the_job_back_and_loses_nothing() {
    let setup = Setup {
        options: Options { critical_len: 256 << 10, bulk_len: 64 << 10, ..Options::default() },
        pause: Duration::from_micros(50),
        ..Setup::default()
    };
    let Some(record) = flood_with("connect", 20_000, 3, setup) else { return };
    assert_eq!(count(&record, |kind| matches!(kind, Kind::Connect { .. })), 60_000);
    assert!(record.summary.counters.throttled > 0);
}

/// Without a freezer the programs can only wait for moments. Whatever is lost is in the books.
#[test]
fn what_a_slow_reader_loses_without_a_freezer_is_counted() {
    let folder = folder("flood-lossy");
    let Some(program) = compile(&folder, SOURCE) else { return };
    let setup = Setup {
        options: Options { critical_len: 64 << 10, bulk_len: 64 << 10, ..Options::default() },
        pause: Duration::from_micros(200),
        freezer: false,
        ..Setup::default()
    };
    let mut command = Command::new(program);
    command.args(["connect", "3000", "3"]).current_dir(&folder);
    let Some(record) = run_with(&mut command, setup) else { return };
    fs::remove_dir_all(&folder).unwrap();
    assert_success(&record);
    let counters = &record.summary.counters;
    assert!(counters.balanced(), "{counters:#?}");
    let told = count(&record, |kind| matches!(kind, Kind::Connect { .. }));
    let lost = usize::try_from(counters.by_type["connect"].dropped).unwrap();
    assert_eq!(told + lost, 9000);
    assert_eq!(lost > 0, !record.summary.faults.is_empty());
    eprintln!("lost {lost}: {:?}", record.summary.faults);
}

/// The monitor remembers, per CPU, the task it saw last. An exited task's address soon belongs to
/// another task, and once such a stranger's calls were taken for the run's own.
#[test]
fn a_stranger_at_a_dead_tasks_address_is_not_taken_for_one_of_ours() {
    let folder = folder("strangers");
    let Some(program) = compile(&folder, SOURCE) else { return };
    let mut strangers = Command::new(&program)
        .args(["stranger", "5000", "3"])
        .current_dir(&folder)
        .spawn()
        .unwrap();
    let mut command = Command::new(&program);
    // Between naps nothing of the run refreshes what a CPU remembers.
    command.args(["nap", "6", "1"]).current_dir(&folder);
    let record = run_with(&mut command, Setup::default());
    strangers.wait().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let Some(record) = record else { return };
    assert_eq!(count(&record, |kind| matches!(kind, Kind::Mkdir { .. })), 0);
    assert_eq!(count(&record, |kind| matches!(kind, Kind::Exit { code: Some(8), .. })), 0);
}

#[test]
fn every_child_of_a_fork_loop_is_told() {
    let Some(record) = flood("fork", 10_000, 2) else { return };
    assert_eq!(count(&record, |kind| matches!(kind, Kind::Fork { thread: false, .. })), 20_002);
    let sevens = |kind: &Kind| matches!(kind, Kind::Exit { code: Some(7), .. });
    assert_eq!(count(&record, sevens), 20_000);
}

/// Three critical events a turn, as fast as both processors can.
#[test]
fn close_to_a_million_critical_events_are_all_told() {
    let start = Instant::now();
    let Some(record) = flood("critical", 150_000, 2) else { return };
    eprintln!("{:.0} events a second", 900_000.0 / start.elapsed().as_secs_f64());
    assert_eq!(count(&record, |kind| matches!(kind, Kind::SetIds { .. })), 300_000);
    assert_eq!(count(&record, |kind| matches!(kind, Kind::Kill { .. })), 300_000);
    assert_eq!(count(&record, |kind| matches!(kind, Kind::Socket { .. })), 300_000);
    for (name, one) in &record.summary.counters.by_type {
        assert_eq!(one.seen, one.received + one.dropped + one.aggregated, "{name}");
    }
}

/// A job that does nothing but flood is not held back for ever.
#[test]
fn a_job_held_back_for_too_long_is_ended_and_its_record_incomplete() {
    let folder = folder("flood-held");
    let Some(program) = compile(&folder, SOURCE) else { return };
    let setup = Setup {
        options: Options {
            critical_len: 64 << 10,
            bulk_len: 64 << 10,
            held_max: Duration::from_millis(200),
            ..Options::default()
        },
        pause: Duration::from_micros(100),
        ..Setup::default()
    };
    let mut command = Command::new(program);
    command.args(["critical", "100000000", "2"]).current_dir(&folder);
    let record = run_with(&mut command, setup);
    fs::remove_dir_all(&folder).unwrap();
    let Some(record) = record else { return };
    assert!(!record.output.status.success());
    let faults = &record.summary.faults;
    assert!(faults.iter().any(|fault| fault.contains("held back for 0.2 s")), "{faults:?}");
    assert!(record.summary.counters.balanced(), "{:#?}", record.summary.counters);
    assert_eq!(record.summary.counters.dropped, 0);
}
