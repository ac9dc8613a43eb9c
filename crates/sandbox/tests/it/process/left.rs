//! What a run leaves is looked at whatever it does to it, and what was not is told; two runs of one
//! process end without each other.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;

use sandbox::runner::process::Process;
use sandbox::{Mount, Root, Runner as _};
use types::ports::{Pattern, PortError, Scanner};
use types::{Kind, RuleSet};

use super::roots::busybox;
use super::{able, exited, run, spec};

/// Finds `MARK`.
#[derive(Debug)]
struct Marks;

impl Scanner for Marks {
    fn rule_set(&self) -> RuleSet {
        RuleSet {
            language: "test".to_owned(),
            source: "test".to_owned(),
            rules: 1,
            skipped: 0,
            sha256: String::new(),
        }
    }

    fn scan(&self, _: &str, bytes: &[u8]) -> Result<Vec<Pattern>, PortError> {
        let found = bytes.windows(4).any(|window| window == b"MARK");
        let pattern = || Pattern {
            rule: "mark".to_owned(),
            title: "mark".to_owned(),
            level: "high".to_owned(),
            techniques: Vec::new(),
            offset: 0,
        };
        Ok(found.then(pattern).into_iter().collect())
    }
}

/// What the scanner found, and what is said not to have been looked at.
fn found(script: &str, disk_bytes: u64) -> (Vec<String>, Vec<String>) {
    let side = tempfile::tempdir().unwrap();
    busybox(side.path());
    fs::set_permissions(side.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut spec = spec(Root::Folder(side.path().to_owned()), script);
    spec.scanner = Some(Arc::new(Marks));
    spec.limits.disk_bytes = disk_bytes;
    let (printed, recording) = run(&spec);
    assert_eq!(exited(&recording), 0, "{printed}");
    let target = |event: &types::Event| match &event.kind {
        Kind::PatternMatch { target, .. } => Some(target.to_string()),
        _ => None,
    };
    let walls = recording.run.isolation.walls.iter();
    let unseen = walls.filter(|wall| wall.name == "files" && !wall.on);
    (
        recording.events.iter().filter_map(target).collect(),
        unseen.map(|wall| wall.detail.clone()).collect(),
    )
}

/// Padding hid a payload from the scan, and the verdict said that nothing was lost.
#[test]
fn a_file_that_is_padded_is_scanned_to_its_end() {
    if !able("a large file") {
        return;
    }
    let script = "/bin/busybox truncate -s 65M /tmp/large; echo MARK >> /tmp/large; \
                  echo MARK > /tmp/small";
    let (found, unseen) = found(script, 128 << 20);
    assert_eq!(found, ["/tmp/large", "/tmp/small"]);
    assert!(unseen.is_empty(), "{unseen:?}");
}

/// `chmod 000` kept an ordinary user's own files from the one who looks, who is the same user.
#[test]
fn files_that_their_maker_closed_are_looked_at() {
    if !able("closed files") {
        return;
    }
    let name = "process::left::files_that_their_maker_closed_are_looked_at";
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let copy = folder.path().join("it");
        // By another process: a child of a test beside this one may hold what is written here.
        let exe = fs::read_link("/proc/self/exe").unwrap();
        assert!(Command::new("cp").args([&exe, &copy]).status().unwrap().success());
        let mut command = Command::new(copy);
        command.args(["--exact", name, "--nocapture"]).current_dir("/").uid(65534).gid(65534);
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        println!("{}", text.lines().find(|line| line.starts_with("SKIP")).unwrap_or(""));
        return;
    }
    let tool = "/bin/busybox";
    let script = format!(
        "mkdir /tmp/d /tmp/e; echo MARK > /tmp/d/in; echo MARK > /tmp/e/in; echo MARK > /tmp/out; \
         {tool} chmod 000 /tmp/d/in /tmp/out /tmp/d; {tool} chmod 444 /tmp/e"
    );
    let (seen, unseen) = found(&script, 64 << 20);
    assert_eq!(seen, ["/tmp/d/in", "/tmp/e/in", "/tmp/out"], "{unseen:?}");
    assert!(unseen.is_empty(), "{unseen:?}");
    let side = tempfile::tempdir().unwrap();
    busybox(side.path());
    let (snapshot, root) = (side.path().join("s.tar"), Root::Folder(side.path().to_owned()));
    let mut spec = spec(root, &script);
    spec.artifacts.snapshot = Some(snapshot.clone());
    assert_eq!(exited(&run(&spec).1), 0);
    let mut archive = tar::Archive::new(fs::File::open(snapshot).unwrap());
    let entries = archive.entries().unwrap().map(Result::unwrap);
    let modes = entries
        .map(|entry| (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap()));
    let mut modes: Vec<_> = modes.filter(|(path, _)| path.starts_with("tmp/")).collect();
    modes.sort();
    let names = ["tmp/d/", "tmp/d/in", "tmp/e/", "tmp/e/in", "tmp/out"];
    assert_eq!(modes.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), names);
    assert_eq!(modes.iter().map(|(_, mode)| *mode).collect::<Vec<_>>(), [0, 0, 0o444, 0o644, 0]);
}

/// `--snapshot /dev/full` took the host's device away.
#[test]
fn a_snapshot_that_fails_takes_no_device_away() {
    if !able("a snapshot on a full device") {
        return;
    }
    let side = tempfile::tempdir().unwrap();
    let full = side.path().join("full");
    let (kind, mode) = (rustix::fs::FileType::CharacterDevice, 0o600.into());
    if rustix::fs::mknodat(rustix::fs::CWD, &full, kind, mode, rustix::fs::makedev(1, 7)).is_err() {
        println!("SKIP a snapshot on a full device: no device can be made here");
        return;
    }
    busybox(side.path());
    let mut spec = spec(Root::Folder(side.path().to_owned()), "echo x > /tmp/x");
    spec.artifacts.snapshot = Some(full.clone());
    let (_, recording) = run(&spec);
    let walls = &recording.run.isolation.walls;
    let told = walls.iter().find(|wall| wall.name == "snapshot").unwrap();
    assert!(!told.on && told.detail.contains("No space left"), "{told:?}");
    assert!(full.exists());
}

/// The keeper of a run held the pipe by which another run's keeper learns that it is no longer
/// needed: the other did not end before it, and two could wait for each other.
#[test]
fn a_run_ends_while_another_one_of_its_process_goes_on() {
    if !able("two runs of one process") {
        return;
    }
    let side = tempfile::tempdir().unwrap();
    busybox(side.path());
    let meeting = tempfile::tempdir().unwrap();
    fs::set_permissions(meeting.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let spec = |script: &str| {
        let mut spec = spec(Root::Folder(side.path().to_owned()), script);
        let (source, target) = (meeting.path().to_owned(), "/srv".into());
        spec.mounts.push(Mount { source, target, writable: false });
        spec.limits.timeout_ms = 20_000;
        spec
    };
    let wait = |name: &str| format!("until [ -e /srv/{name} ]; do sleep 0.05; done");
    let (first, second) = (spec(&wait("first")), spec(&format!("echo up; {}", wait("second"))));
    let _turn = crate::turn();
    let ended = std::thread::scope(|scope| {
        let first = scope.spawn(move || Process::new().run(&first).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(1500));
        let second = scope.spawn(move || Process::new().run(&second).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(1500));
        fs::write(meeting.path().join("first"), "").unwrap();
        let first = first.join().unwrap();
        fs::write(meeting.path().join("second"), "").unwrap();
        [exited(&first), exited(&second.join().unwrap())]
    });
    assert_eq!(ended, [0, 0]);
}
