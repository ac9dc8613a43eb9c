//! How commands end, and what comes out of them.

use sandbox::{MonitorChoice, RunError, Stdin};
use types::{Ending, Kind};

use crate::daemon::Daemon;
use crate::lab::{limits, of, refused, run, shell, spec, stderr, stdout};

#[test]
fn a_command_runs_and_its_first_exec_is_recorded() {
    let Some(daemon) = Daemon::start() else { return };
    let recording = run(&daemon, &shell("echo out; echo err >&2; pwd; id -u; exit 7"));
    assert_eq!(recording.run.ending, Ending::Exited { code: 7 });
    assert_eq!(stdout(&recording), "out\n/job\n65432\n");
    assert_eq!(stderr(&recording), "err\n");
    assert_eq!(recording.faults, Vec::<String>::new());
    let first = &recording.events[0];
    let Kind::Exec { path, argv, .. } = &first.kind else { panic!("{first:?}") };
    assert_eq!((path.as_bytes(), argv.len(), first.task.ppid), (&b"/bin/busybox"[..], 3, 1));
    assert!(recording.run.cpu_us > 0 && recording.run.memory_peak_bytes.is_some());
    for fact in ["api", "server_version", "image", "image_id", "cgroup_driver", "runtime"] {
        assert!(recording.run.engine.contains_key(fact), "{fact}");
    }
    // The same in a control group of our own, as where a runtime makes no v2 group.
    let spec = shell("echo again");
    let recording = sandbox::Runner::run(&daemon.runner().with_own_group(), &spec).unwrap();
    crate::lab::check(&recording);
    assert!(matches!(recording.events[0].kind, Kind::Exec { .. }));
    assert_eq!(stdout(&recording), "again\n");
    assert_eq!(daemon.leftovers(), Vec::<String>::new());
}

#[test]
fn exit_codes_and_signals_are_told_apart() {
    let Some(daemon) = Daemon::start() else { return };
    let ending = |script: &str| run(&daemon, &shell(script)).run.ending;
    assert_eq!(ending("exit 137"), Ending::Exited { code: 137 });
    assert_eq!(ending("kill -9 $$"), Ending::Signaled { signal: 9 });
    assert_eq!(ending("kill -11 $$"), Ending::Signaled { signal: 11 });
    // Process 1 is out of reach.
    assert_eq!(ending("kill -9 1; kill -9 -1; exit 3"), Ending::Exited { code: 3 });
}

#[test]
fn what_cannot_be_started_is_an_error_that_names_it() {
    let Some(daemon) = Daemon::start() else { return };
    let RunError::Setup { step, source } = refused(&daemon, &spec(&["/bin/none"])) else {
        panic!()
    };
    assert_eq!((step.as_str(), source.raw_os_error()), ("start the program", Some(libc::ENOENT)));
    let RunError::Setup { step, .. } = refused(&daemon, &spec(&["none"])) else { panic!() };
    assert!(step.contains("none") && step.contains("PATH"), "{step}");
    // One that is there, and lacks what starts it.
    let folder = tempfile::tempdir().unwrap();
    let orphan = folder.path().join("orphan");
    std::fs::write(&orphan, "#!/opt/none/python\n").unwrap();
    let mut copied = spec(&["/job/orphan"]);
    copied.copies = vec![sandbox::Copied { source: orphan, target: "/job/orphan".into() }];
    let RunError::Setup { step, source } = refused(&daemon, &copied) else { panic!() };
    assert_eq!(step, sandbox::runner::NO_INTERPRETER);
    assert_eq!(source.raw_os_error(), Some(libc::ENOENT));
    let recording = run(&daemon, &spec(&["echo", "found"]));
    assert_eq!(stdout(&recording), "found\n");
    let mut notify = shell("true");
    notify.monitor = MonitorChoice::Notify;
    assert!(matches!(refused(&daemon, &notify), RunError::Monitor { .. }));
}

#[test]
fn the_time_out_kills_everything() {
    let Some(daemon) = Daemon::start() else { return };
    let mut spec = shell("echo kept > /tmp/kept; setsid sleep 1000 & trap '' TERM; sleep 1000");
    spec.limits.timeout_ms = 1500;
    let recording = run(&daemon, &spec);
    assert_eq!(recording.run.ending, Ending::TimedOut);
    assert_eq!(limits(&recording), ["time"]);
    // What was written before is listed all the same.
    assert!(of(&recording, "file_changed").iter().any(|event| {
        matches!(&event.kind, Kind::FileChanged(change) if change.path.as_bytes() == b"/tmp/kept")
    }));
}

#[test]
fn survivors_are_told_of() {
    let Some(daemon) = Daemon::start() else { return };
    let recording = run(&daemon, &shell("setsid sleep 1000 & exit 4"));
    assert_eq!(recording.run.ending, Ending::Exited { code: 4 });
    assert_eq!(limits(&recording), ["survivors"]);
}

#[test]
fn without_a_monitor_the_recording_says_so() {
    let Some(daemon) = Daemon::start() else { return };
    let mut spec = shell("exit 137");
    spec.monitor = MonitorChoice::Off;
    let recording = sandbox::Runner::run(&daemon.runner(), &spec).unwrap();
    assert_eq!(recording.run.ending, Ending::Exited { code: 137 });
    assert_eq!(recording.run.tier, types::Tier::None);
    assert!(recording.faults[0].contains("no monitor"), "{:?}", recording.faults);
    assert_eq!(daemon.leftovers(), Vec::<String>::new());
}

#[test]
fn a_closed_standard_input_ends_a_reader() {
    let Some(daemon) = Daemon::start() else { return };
    let mut spec = spec(&["/bin/cat"]);
    let recording = run(&daemon, &spec);
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 });
    // The test harness' own input may be anything that ends; under CI it is the null device.
    spec.stdin = Stdin::Null;
    assert_eq!(run(&daemon, &spec).run.ending, Ending::Exited { code: 0 });
}
