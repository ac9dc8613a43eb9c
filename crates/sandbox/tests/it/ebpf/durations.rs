//! How long calls take, by samples: what is told is what was called, never more, and about as long.

use std::fs;
use std::process::Command;

use types::{CallDurations, DURATION_BOUNDS_NS};

use super::job::{Record, assert_success, compile, folder, run};

/// Runs C statements.
fn run_c(name: &str, statements: &str) -> Option<Record> {
    let folder = folder(name);
    let source = format!("{}{statements}\n\treturn 0;\n}}\n", include_str!("prelude.c"));
    let program = compile(&folder, &source)?;
    let record = run(Command::new(program).current_dir(&folder));
    fs::remove_dir_all(&folder).unwrap();
    let record = record?;
    assert_success(&record);
    record.assert_complete();
    for (name, durations) in &record.summary.durations.calls {
        let made = record.summary.calls[name].made;
        assert!(durations.count() > 0 && durations.count() <= made, "{name}: {durations:?}");
    }
    let durations = &record.summary.durations;
    assert_eq!((durations.untracked, durations.threads_left), (0, 0));
    assert_eq!(durations.entered, durations.measured() + durations.unmatched, "{durations:?}");
    Some(record)
}

/// How many were measured in the bucket that ends at this bound, and how many in all.
fn within(durations: &CallDurations, bound_ns: u64) -> (u64, u64) {
    let at = DURATION_BOUNDS_NS.iter().position(|&bound| bound == bound_ns).unwrap();
    (durations.buckets[at], durations.count())
}

#[test]
fn a_call_that_waits_is_measured_by_its_wait_though_its_window_has_closed() {
    let Some(record) = run_c(
        "naps",
        r#"
	/* Side by side, a few milliseconds apart, so that some fall asleep in every window. */
	for (int n = 0; n < 10; n++) {
		if (fork() == 0) {
			poll(0, 0, 5 * n);
			for (int nap = 0; nap < 40; nap++)
				usleep(50000);
			_exit(0);
		}
	}
	while (wait(0) > 0)
		;
"#,
    ) else {
        return;
    };
    let durations = &record.summary.durations;
    eprintln!("{durations:?}");
    let naps = &durations.calls["clock_nanosleep"];
    let (in_bucket, all) = within(naps, 100_000_000);
    // On a busy machine one or another is woken late.
    assert!(in_bucket > 2 && in_bucket * 10 >= all * 9, "{naps:?}");
    assert!(naps.sum_ns >= all * 50_000_000, "{naps:?}");
}

#[test]
fn a_flood_of_calls_is_measured_as_short_and_no_more_of_it_than_a_window_holds() {
    let Some(record) = run_c(
        "brief",
        r#"
	struct timespec t;
	long start = 0;
	do {
		syscall(SYS_getppid);
		clock_gettime(CLOCK_MONOTONIC, &t);
		if (!start)
			start = t.tv_sec;
	} while (t.tv_sec < start + 3);
"#,
    ) else {
        return;
    };
    let durations = &record.summary.durations;
    eprintln!("{durations:?} of {:?}", record.summary.calls["getppid"]);
    let brief = &durations.calls["getppid"];
    let below_25_us: u64 = brief.buckets[..7].iter().sum();
    assert!(below_25_us * 10 >= brief.count() * 9, "{brief:?}");
    // Three windows or four, and what a window holds is bounded.
    assert!(durations.entered <= 4 * 2048, "{durations:?}");
    assert!(record.summary.calls["getppid"].made > 10 * durations.entered);
}

#[test]
fn what_is_killed_in_a_call_is_unmatched_and_leaves_nothing_behind() {
    let Some(record) = run_c(
        "unmatched",
        r#"
	/* Threads that are killed in a call, as long as it takes for windows to have opened. */
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	for (long start = t.tv_sec; t.tv_sec < start + 6; clock_gettime(CLOCK_MONOTONIC, &t)) {
		int child = fork();
		if (child == 0) {
			pthread_t t;
			pthread_create(&t, 0, (void *)pause, 0);
			pause();
		}
		usleep(1000);
		kill(child, SIGKILL);
		wait(0);
	}
"#,
    ) else {
        return;
    };
    let durations = &record.summary.durations;
    eprintln!("{durations:?}");
    assert!(durations.unmatched > 0);
    assert!(!durations.calls.contains_key("pause"), "{durations:?}");
    assert!(!durations.calls.contains_key("exit_group"));
}
