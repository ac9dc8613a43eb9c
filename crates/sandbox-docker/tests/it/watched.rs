//! What the monitor tells of a container.

use types::{Kind, Recording};

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
