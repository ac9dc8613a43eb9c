//! What is left when the daemon or the runner is killed.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sandbox::{RunError, Runner as _};

use crate::daemon::{BUSYBOX, Daemon};
use crate::lab::{run, shell};

/// The variable that makes this test binary a runner of one long command.
const ROLE: &str = "SHIELDX_TEST_DOCKER_SOCKET";

/// Not a test of its own: what the next one starts and kills.
#[test]
#[expect(clippy::disallowed_methods, reason = "told by the test that starts this one")]
fn role_of_a_runner_that_will_be_killed() {
    let Ok(socket) = std::env::var(ROLE) else { return };
    let mut spec = shell("sleep 1000");
    spec.id = format!("killed-{}", std::process::id());
    spec.limits.timeout_ms = 600_000;
    if std::process::id().is_multiple_of(2) {
        spec.program = "/bin/busybox".into();
        spec.command = ["busybox", "sleep", "1000"].map(Into::into).into();
        spec.root = sandbox::Root::Host;
    }
    let _ = sandbox_docker::Docker::new(socket).run(&spec);
}

#[test]
fn killed_at_any_moment_the_next_start_leaves_nothing() {
    let Some(daemon) = Daemon::start() else { return };
    for wait_ms in [30, 120, 200, 300, 450, 700, 1500] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lifetime::role_of_a_runner_that_will_be_killed"])
            .env(ROLE, daemon.socket())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        // The daemon may still be at what it was asked for; the next start comes when it comes.
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            daemon.runner().sweep().unwrap();
            let left = daemon.leftovers();
            if left.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "after {wait_ms} ms: {left:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(sleepers(), 0, "after {wait_ms} ms");
    }
    let recording = run(&daemon, &shell("echo still here"));
    assert!(recording.faults.is_empty());
}

/// `sleep 1000` processes of this host.
fn sleepers() -> usize {
    let line =
        |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
    let all = std::fs::read_dir("/proc").unwrap().flatten().map(line);
    all.filter(|line| line.ends_with(b"sleep\x001000\x00")).count()
}

#[test]
fn what_a_living_process_runs_is_left_alone_by_a_sweep() {
    let Some(daemon) = Daemon::start() else { return };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| daemon.runner().run(&shell("sleep 2; echo done")).unwrap());
        for _ in 0..10 {
            assert_eq!(daemon.runner().sweep().unwrap(), 0);
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(crate::lab::stdout(&running.join().unwrap()), "done\n");
    });
}

#[test]
fn a_daemon_that_is_killed_ends_the_run_and_the_command() {
    let Some(mut daemon) = Daemon::start() else { return };
    let runner = daemon.runner();
    let spec = shell("sleep 1000");
    let error = std::thread::scope(|scope| {
        let running = scope.spawn(|| runner.run(&spec).unwrap_err());
        let deadline = Instant::now() + Duration::from_secs(30);
        while sleepers() == 0 {
            assert!(Instant::now() < deadline, "it never started");
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon.kill();
        running.join().unwrap()
    });
    let RunError::Setup { step, .. } = &error else { panic!("{error}") };
    assert!(step.contains("went away"), "{step}");
    assert_eq!(sleepers(), 0);
    // Its owner lives, so a sweep must not take it; this process' own runs are told apart by time.
    daemon.spawn();
    assert!(daemon.ask("GET", "/images/json", b"").contains(BUSYBOX));
}
