//! What the monitor tells of a container.

use std::time::{Duration, Instant};

use types::{Ending, Kind, Recording};

use crate::daemon::Daemon;
use crate::lab::{of, run, shell};

fn programs(recording: &Recording) -> Vec<String> {
    let argv = |event: &&types::Event| match &event.kind {
        Kind::Exec { argv, .. } => Some(argv.iter().map(ToString::to_string).collect::<Vec<_>>()),
        _ => None,
    };
    of(recording, "exec").iter().filter_map(argv).map(|argv| argv.join(" ")).collect()
}

#[test]
fn every_process_is_seen_and_nothing_of_the_runtime() {
    let Some(daemon) = Daemon::start() else { return };
    let recording = run(
        &daemon,
        &shell("/bin/ls / >/dev/null; (/bin/id; (/bin/wc -l /etc/passwd)) >/dev/null; true"),
    );
    let programs = programs(&recording);
    assert!(programs[0].starts_with("/bin/sh -c"), "{programs:?}");
    for wanted in ["/bin/ls /", "/bin/id", "/bin/wc -l /etc/passwd"] {
        assert!(programs.iter().any(|program| program == wanted), "{wanted}: {programs:?}");
    }
    assert!(
        !programs.iter().any(|program| program.contains("runc") || program.contains(".shieldx"))
    );
    assert!(recording.events.iter().all(|event| event.task.pid == 0 || event.task.pid >= 2));
    assert!(recording.events.iter().filter(|e| e.task.pid >= 2).all(|e| e.task.uid == 65_432));
}

#[test]
fn a_flood_of_events_is_complete() {
    let Some(daemon) = Daemon::start() else { return };
    let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); : > /tmp/f; done; \
                  for i in $(seq 300); do /bin/true; done";
    let recording = run(&daemon, &shell(script));
    assert_eq!(recording.faults, Vec::<String>::new());
    assert_eq!(recording.counters.dropped, 0);
    // The shell and its three hundred.
    assert_eq!(of(&recording, "exec").len(), 301);
}

/// Paused for two of its three seconds, a run of a second still ends by itself, and not sooner.
#[test]
fn a_paused_run_stands_still_and_goes_on() {
    let Some(daemon) = Daemon::start() else { return };
    let pause = sandbox::pause::Pause::new();
    let mut spec = shell("i=0; while [ $i -lt 10 ]; do i=$((i+1)); sleep 0.1; done; echo $i");
    spec.pause = Some(pause.clone());
    spec.limits.timeout_ms = 4000;
    let recording = std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&daemon, &spec));
        let deadline = Instant::now() + Duration::from_secs(20);
        pause.pause().unwrap();
        while !pause.is_paused() {
            assert!(Instant::now() < deadline, "it never stood still");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_secs(5));
        assert!(!running.is_finished());
        pause.resume().unwrap();
        running.join().unwrap()
    });
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 });
    assert_eq!(recording.faults, Vec::<String>::new());
}

#[test]
fn memory_is_looked_at_when_the_time_is_up() {
    let Some(daemon) = Daemon::start() else { return };
    let mut spec = shell("sleep 1000");
    spec.limits.timeout_ms = 1000;
    let recording = run(&daemon, &spec);
    let notes: Vec<_> =
        recording.run.isolation.walls.iter().filter(|w| w.name == "memory").collect();
    assert_eq!(notes.len(), 1, "{:?}", recording.run.isolation);
    assert!(!notes[0].detail.starts_with("no "), "{}", notes[0].detail);
    eprintln!("{}", notes[0].detail);
}
