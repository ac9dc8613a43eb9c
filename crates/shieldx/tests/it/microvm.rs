//! Whole runs on a guest kernel of their own: what the command sees and does, what comes back, what
//! stays outside, and what is left when the run is killed. Without KVM each boots in seconds, so there
//! are few, and each asks much.

mod given;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use types::{Ending, Kind, Level, Tier};

use crate::lab::{Lab, Outcome, Shieldx, have, skip, wait};

/// A guest on a busy machine without KVM takes its time, but not this long.
const LIMIT: Duration = Duration::from_secs(600);

/// Whether guests can run here; says so where they cannot.
pub(crate) fn guests(what: &str) -> bool {
    if !have(what, &["qemu-system-x86_64"]) {
        return false;
    }
    let built = guest_folder().is_some_and(|folder| folder.join("manifest.json").exists());
    if !built {
        skip(what, "no guest is built here (cargo xtask guest)");
    }
    built
}

/// Where `shieldx` itself looks.
#[expect(
    clippy::disallowed_methods,
    reason = "a test asks for what the program it starts is given"
)]
fn guest_folder() -> Option<PathBuf> {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("SHIELDX_GUEST").or_else(|| {
        let data =
            variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
        Some(data?.join("shieldx/guest"))
    })
}

fn microvm(lab: &Lab) -> Shieldx<'_> {
    lab.shieldx().with(&["--runner", "microvm", "--timeout", "120s"]).limit(LIMIT)
}

fn engine<'a>(outcome: &'a Outcome, name: &str) -> &'a str {
    outcome.run.engine.get(name).map_or("", String::as_str)
}

#[test]
fn a_script_runs_on_a_kernel_of_its_own_and_its_evidence_is_whole() {
    if !guests("a script in a guest") || !have("a script in a guest", &["python3"]) {
        return;
    }
    let lab = Lab::new();
    let script = "import os, platform, socket, subprocess\n\
        print('kernel', platform.release())\n\
        print('first', open('/proc/1/comm').read())\n\
        print('hosts', os.path.exists('/etc/shadow'), os.listdir('/home'))\n\
        open('made', 'w').write('by the guest')\n\
        os.symlink('/etc/passwd', 'link')\n\
        print(subprocess.run(['sh', '-c', 'echo from a shell; exit 3']).returncode)\n\
        try:\n    socket.create_connection(('192.0.2.1', 80), 2)\n\
        except OSError as error:\n    print('network', error)\n\
        raise SystemExit(7)\n";
    lab.write("script.py", script);
    let kept = lab.side().join("kept");
    let outcome = microvm(&lab)
        .with(&["--keep", kept.to_str().unwrap()])
        .run(&["/usr/bin/python3", "script.py"]);
    let said = outcome.output();
    assert_eq!(outcome.run.ending, Ending::Exited { code: 7 }, "{said}");
    assert_eq!(outcome.run.runner, "microvm");
    let kernel = engine(&outcome, "kernel");
    assert!(said.contains(&format!("kernel {kernel}")), "{said}");
    assert!(said.contains("hosts False ['sandbox']") && said.contains("network "), "{said}");
    assert_eq!(outcome.assessment.evidence.level, Level::Full, "{}", outcome.summary());
    assert!(matches!(outcome.run.tier, Tier::A | Tier::B), "{:?}", outcome.run.tier);
    for name in ["vmm", "acceleration", "kernel_sha256", "initramfs_sha256", "agent_sha256"] {
        assert!(!engine(&outcome, name).is_empty(), "{name}: {:?}", outcome.run.engine);
    }
    let ran = |name: &str| {
        outcome.events.iter().any(
            |event| matches!(&event.kind, Kind::Exec { argv, .. } if argv.iter().any(|word| word.ends_with(name))),
        )
    };
    assert!(ran("script.py") && ran("exit 3"), "{}", outcome.summary());
    let tried = outcome.events.iter().any(|event| matches!(event.kind, Kind::Connect { .. }));
    assert!(tried, "{}", outcome.summary());
    let work = lab.work();
    let made = kept.join(work.strip_prefix("/").unwrap()).join("made");
    assert_eq!(fs::read_to_string(made).unwrap(), "by the guest");
    assert!(!work.join("made").exists() && !work.join("link").exists());
    lab.assert_no_process();
}

#[test]
fn what_is_refused_inside_is_evidence_and_what_runs_on_is_ended() {
    if !guests("hostile calls in a guest") {
        return;
    }
    let lab = Lab::new();
    // The host's canary: same name and folder as what the guest tries to change.
    let canary = lab.write("canary", "untouched");
    let line = "echo changed > canary; mount -t tmpfs none /mnt; unshare -r true; \
        echo started; (setsid sleep 600 &) ; while :; do :; done";
    let outcome = lab
        .shieldx()
        .limit(LIMIT)
        // Long enough for a translated processor that others want, too.
        .with(&["--runner", "microvm", "--timeout", "25s"])
        .run(&["sh", "-c", line]);
    assert_eq!(outcome.run.ending, Ending::TimedOut, "{}", outcome.summary());
    assert!(outcome.output().contains("started"), "{}", outcome.output());
    assert!(outcome.blocked("mount"), "{}", outcome.summary());
    assert_eq!(fs::read_to_string(canary).unwrap(), "untouched");
    lab.assert_no_process();
}

#[test]
fn a_guest_ends_with_the_process_that_started_it() {
    if !guests("kill -9 of a guest's run") {
        return;
    }
    // While the kernel boots, while the agent starts, while the command runs.
    for delay in [Duration::from_millis(700), Duration::from_secs(4), Duration::from_secs(15)] {
        let lab = Lab::new();
        let marked = lab.mark().to_owned();
        let mut child =
            microvm(&lab).command(&["sh", "-c", "sleep 100", &marked]).spawn().expect("shieldx");
        std::thread::sleep(delay);
        let qemu = children(child.id());
        child.kill().expect("kill -9");
        wait(&mut child, LIMIT);
        let deadline = Instant::now() + Duration::from_secs(30);
        for pid in qemu {
            while fs::read_link(format!("/proc/{pid}/exe")).is_ok() {
                assert!(Instant::now() < deadline, "process {pid} outlives its run");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        lab.assert_no_process();
    }
    let left: Vec<_> = fs::read_dir(guest_folder().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("fc-") || name.starts_with(".image"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn without_a_guest_the_runner_says_how_to_get_one() {
    let lab = Lab::new();
    let empty = lab.side().join("no guest");
    fs::create_dir(&empty).unwrap();
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o755)).unwrap();
    let mut child = microvm(&lab)
        .variable("SHIELDX_GUEST", empty.to_str().unwrap())
        .command(&["true"])
        .spawn()
        .expect("shieldx");
    let status = wait(&mut child, LIMIT);
    assert!(!status.success());
    let said = fs::read_to_string(lab.side().join("stderr")).unwrap();
    assert!(said.contains("cargo xtask guest"), "{said}");
}

/// Processes whose parent is `pid`.
fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(own) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        if status.lines().any(|line| line.split_whitespace().eq(["PPid:", &pid.to_string()])) {
            found.push(own);
        }
    }
    found
}
