//! Bounds that are reached: memory, processes, output, disk.

use types::Ending;

use crate::daemon::Daemon;
use crate::lab::{limits, run, shell, stdout};

#[test]
fn memory_is_bounded_and_the_end_is_told() {
    let Some(daemon) = Daemon::start() else { return };
    let mut spec = shell("x=x; while true; do x=$x$x; done");
    spec.limits.memory_bytes = 64 << 20;
    let recording = run(&daemon, &spec);
    assert!(limits(&recording).contains(&"memory".to_owned()), "{:?}", limits(&recording));
    assert_eq!(recording.run.ending, Ending::Signaled { signal: 9 });
    let peak = recording.run.memory_peak_bytes.unwrap();
    assert!(peak <= 64 << 20 && peak > 32 << 20, "{peak}");
}

#[test]
fn a_fork_bomb_stays_in_its_bound() {
    let Some(daemon) = Daemon::start() else { return };
    let mut spec = shell("bomb() { bomb | bomb & }; bomb; sleep 1; exit 5");
    spec.limits.pids = 24;
    spec.limits.timeout_ms = 10_000;
    let recording = run(&daemon, &spec);
    assert!(limits(&recording).contains(&"pids".to_owned()), "{:?}", limits(&recording));
}

#[test]
fn a_flood_of_output_is_counted_and_cut() {
    let Some(daemon) = Daemon::start() else { return };
    let mut spec = shell("yes | head -c 20000000; yes | head -c 3000000 >&2");
    spec.limits.output_bytes = 100_000;
    let recording = run(&daemon, &spec);
    let output = recording.output.as_ref().unwrap();
    assert_eq!((output.stdout_bytes, output.stderr_bytes), (20_000_000, 3_000_000));
    assert_eq!(
        (output.stdout.as_bytes().len(), output.stderr.as_bytes().len()),
        (100_000, 100_000)
    );
    assert!(output.truncated && limits(&recording).contains(&"output".to_owned()));
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 });
}

#[test]
fn what_can_be_written_is_bounded() {
    let Some(daemon) = Daemon::start() else { return };
    let script = "for d in /tmp /var/tmp /run /job /home/u /dev/shm; do \
                  dd if=/dev/zero of=$d/fill bs=64k 2>/dev/null; done; \
                  cat /*/fill /*/*/fill 2>/dev/null | wc -c";
    let mut spec = shell(script);
    spec.limits.disk_bytes = 24 << 20;
    let recording = run(&daemon, &spec);
    let written: u64 = stdout(&recording).trim().parse().unwrap();
    assert!(written <= 24 << 20 && written > 12 << 20, "{written}");
    assert!(limits(&recording).contains(&"disk".to_owned()));
}

/// Every folder is memory of its own: what is told as its bound is what it held.
#[test]
fn the_bound_that_is_told_of_a_folder_is_what_it_held() {
    let Some(daemon) = Daemon::start() else { return };
    let script = "dd if=/dev/zero of=/job/fill bs=4k 2>/dev/null; stat -c %s /job/fill";
    let mut spec = shell(script);
    spec.limits.disk_bytes = 24 << 20;
    let recording = run(&daemon, &spec);
    let held: u64 = stdout(&recording).trim().parse().unwrap();
    assert!(held < 12 << 20, "one of several folders: {held}");
    let told = recording.events.iter().find_map(|event| match &event.kind {
        types::Kind::LimitReached { limit, detail } if limit == "disk" => Some(detail.clone()),
        _ => None,
    });
    let expected = format!("all of {held} bytes (or of the names) in /job were used");
    assert_eq!(told.unwrap(), expected);
    let walls = &recording.run.isolation.walls;
    let wall = walls.iter().find(|wall| wall.name == "limits").unwrap();
    let part = format!("disk {} bytes: {held} bytes in each of 5 folders", 24 << 20);
    assert!(wall.detail.contains(&part), "{}", wall.detail);
}

#[test]
fn two_runs_at_once_do_not_see_each_other() {
    let Some(daemon) = Daemon::start() else { return };
    let runs: Vec<_> = std::thread::scope(|scope| {
        let start = |name: &'static str| {
            let daemon = &daemon;
            scope.spawn(move || {
                let script = format!("echo {name} > /tmp/{name}; sleep 1; ls /tmp; ps | wc -l");
                sandbox::Runner::run(&daemon.runner(), &shell(&script)).unwrap()
            })
        };
        let started = [start("one"), start("two")];
        started.map(|thread| thread.join().unwrap()).into()
    });
    for (recording, name) in runs.iter().zip(["one", "two"]) {
        crate::lab::check(recording);
        assert_eq!(recording.run.ending, Ending::Exited { code: 0 });
        assert!(stdout(recording).starts_with(&format!("{name}\n")), "{}", stdout(recording));
        assert!(recording.faults.is_empty(), "{:?}", recording.faults);
    }
    assert_eq!(daemon.leftovers(), Vec::<String>::new());
}
