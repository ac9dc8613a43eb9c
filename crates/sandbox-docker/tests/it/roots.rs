//! What a container's root is made of, and what is put into it.

use std::fs;
use std::path::Path;

use sandbox::{Copied, Decoy, Mount, Root, RunError};
use types::{Ending, FileChange, Kind, Recording};

use crate::daemon::{Daemon, executable};
use crate::lab::{refused, run, shell, spec, stderr, stdout};

fn changes(recording: &Recording) -> Vec<&FileChange> {
    let change = |event: &'_ types::Event| matches!(event.kind, Kind::FileChanged(_));
    let events = recording.events.iter().filter(|event| change(event));
    events
        .filter_map(|event| match &event.kind {
            Kind::FileChanged(change) => Some(change),
            _ => None,
        })
        .collect()
}

#[test]
fn an_image_that_is_not_there_is_refused_and_not_pulled() {
    let Some(daemon) = Daemon::start() else { return };
    let mut spec = shell("true");
    spec.root = Root::Image("nobody/none:7".to_owned());
    let RunError::Refused { reason } = refused(&daemon, &spec) else { panic!() };
    assert!(reason.contains("docker pull nobody/none:7"), "{reason}");
    spec.root = Root::Image("Not A Name".to_owned());
    refused(&daemon, &spec);
}

#[test]
fn a_folder_and_a_tar_file_become_roots() {
    let Some(daemon) = Daemon::start() else { return };
    for root in [Root::Folder(daemon.root()), Root::Tar(daemon.tar())] {
        let mut spec = shell("echo inside; ls /bin/busybox");
        spec.root = root;
        assert_eq!(stdout(&run(&daemon, &spec)), "inside\n/bin/busybox\n");
    }
    let broken = daemon.socket().with_file_name("broken.tar");
    fs::write(&broken, b"this is no tar file").unwrap();
    let mut spec = shell("true");
    spec.root = Root::Tar(broken);
    refused(&daemon, &spec);
    spec.root = Root::Tar("/nowhere.tar".into());
    refused(&daemon, &spec);
}

#[test]
fn a_program_of_the_host_runs_in_scratch_with_what_it_needs() {
    let Some(daemon) = Daemon::start() else { return };
    let mut spec = spec(&["/bin/busybox", "sh", "-c", "cat /etc/passwd; ls -a /"]);
    spec.root = Root::Host;
    let said = stdout(&run(&daemon, &spec));
    assert!(said.contains("sandbox:x:65432") && !said.contains("usr\nvar"), "{said}");
    // A dynamic one, and one that lies in the folder it runs in.
    spec.program = "/bin/cat".into();
    spec.command = vec!["cat".into(), "/proc/self/maps".into()];
    let recording = run(&daemon, &spec);
    assert!(stdout(&recording).contains("libc.so"), "{}", stderr(&recording));
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    fs::copy("/bin/busybox", &own).unwrap();
    executable(&own);
    spec.program.clone_from(&own);
    spec.command = vec!["sh".into(), "-c".into(), "pwd; echo x > made; echo $0".into()];
    spec.cwd = folder.path().to_owned();
    spec.cwd_is_new = false;
    let recording = run(&daemon, &spec);
    assert!(
        stdout(&recording).contains(&folder.path().display().to_string()),
        "{}",
        stderr(&recording)
    );
    let changed: Vec<_> = changes(&recording).iter().map(|c| c.path.to_string()).collect();
    assert_eq!(changed, [folder.path().join("made").display().to_string()]);
    assert!(!folder.path().join("made").exists());
}

#[test]
fn a_script_without_an_image_is_refused_with_the_way_out() {
    let Some(daemon) = Daemon::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    let mut spec = spec(&["script"]);
    spec.program = script;
    spec.root = Root::Host;
    let RunError::Refused { reason } = refused(&daemon, &spec) else { panic!() };
    assert!(reason.contains("--image"), "{reason}");
}

#[test]
fn copies_mounts_and_decoys_are_there() {
    let Some(daemon) = Daemon::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let given = folder.path().join("given");
    fs::write(&given, "#!/bin/sh\necho given\n").unwrap();
    fs::create_dir(folder.path().join("rw")).unwrap();
    fs::set_permissions(
        folder.path().join("rw"),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .unwrap();
    let mut spec = shell(
        "/job/tool; cat /data/given | head -1; (echo x > /data/given) 2>/dev/null || echo ro; \
         echo out > /rw/out; cat /home/u/.ssh/id_rsa; echo enc > /home/u/doc.txt; ls -l /job/tool",
    );
    spec.copies = vec![Copied { source: given.clone(), target: "/job/tool".into() }];
    let mount = |source: &Path, target: &str, writable| Mount {
        source: source.to_owned(),
        target: target.into(),
        writable,
    };
    spec.mounts = vec![
        mount(folder.path(), "/data", false),
        mount(folder.path(), "/tmp/shown", false),
        mount(&folder.path().join("rw"), "/rw", true),
    ];
    let keep = tempfile::tempdir().unwrap();
    spec.keep = Some(keep.path().to_owned());
    let decoy = |path: &str, content: &str, mode| Decoy {
        path: path.into(),
        content: content.as_bytes().to_vec(),
        mode,
        modified: std::time::Duration::new(1_700_000_000, 123_456_789),
    };
    spec.decoys = vec![
        decoy("/home/u/.ssh/id_rsa", "KEY\n", 0o600),
        decoy("/home/u/doc.txt", "doc\n", 0o644),
    ];
    let recording = run(&daemon, &spec);
    let said = stdout(&recording);
    assert!(
        said.starts_with("given\n#!/bin/sh\nro\nKEY\n") && said.contains("rwxr-xr-x"),
        "{said}{}",
        stderr(&recording)
    );
    assert_eq!(fs::read_to_string(folder.path().join("rw/out")).unwrap(), "out\n");
    let changed: Vec<_> =
        changes(&recording).iter().map(|c| (c.path.to_string(), c.change.as_str())).collect();
    assert_eq!(changed, [("/home/u/doc.txt".to_owned(), "modified")]);
    assert_eq!(recording.run.decoys.len(), 2);
    assert!(keep.path().join("home/u/doc.txt").exists());
    assert!(!keep.path().join("home/u/.ssh/id_rsa").exists(), "nobody wrote it");
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    let mut shut = shell("true");
    shut.mounts = vec![mount(&closed, "/rw", true)];
    let RunError::Refused { reason } = refused(&daemon, &shut) else { panic!() };
    assert!(reason.contains("o+w"), "{reason}");
    let mut outside = shell("true");
    outside.copies = vec![Copied { source: given, target: "/etc/tool".into() }];
    assert!(matches!(refused(&daemon, &outside), RunError::Refused { .. }));
}

#[test]
fn nothing_is_mounted_over_what_is_the_runners_own() {
    let Some(daemon) = Daemon::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mount = |target: &str| Mount {
        source: folder.path().to_owned(),
        target: target.into(),
        writable: false,
    };
    for target in
        ["/.shieldx", "/.shieldx/gate", "/.shieldx/x", "/", "/proc/1", "/dev/shm", "/a/../.shieldx"]
    {
        let mut spec = shell("true");
        spec.mounts = vec![mount(target)];
        let RunError::Refused { reason } = refused(&daemon, &spec) else { panic!("{target}") };
        assert!(reason.contains(target), "{target}: {reason}");
    }
    let mut spec = shell("true");
    spec.mounts = vec![mount("/data"), mount("/data")];
    let RunError::Refused { reason } = refused(&daemon, &spec) else { panic!() };
    assert!(reason.contains("/data") && reason.contains("its own"), "{reason}");
    // What is near it is nobody's.
    let mut spec = shell("ls -d /.shieldx2 /job/.shieldx");
    spec.mounts = vec![mount("/.shieldx2"), mount("/job/.shieldx")];
    assert_eq!(stdout(&run(&daemon, &spec)), "/.shieldx2\n/job/.shieldx\n");
}

#[test]
fn changed_files_are_listed_hashed_and_kept() {
    let Some(daemon) = Daemon::start() else { return };
    let keep = tempfile::tempdir().unwrap();
    let mut spec = shell(
        "mkdir -p /tmp/a/b; echo hello > /tmp/a/b/f; ln -s /etc/shadow /tmp/link; chmod 640 /tmp/a/b/f; \
         mkdir /job/d; echo gone > /job/gone; rm /job/gone; echo shm > /dev/shm/s",
    );
    spec.keep = Some(keep.path().to_owned());
    let recording = run(&daemon, &spec);
    let found = changes(&recording);
    let of = |path: &str| *found.iter().find(|c| c.path.to_string() == path).unwrap();
    let file = of("/tmp/a/b/f");
    assert_eq!((file.change.as_str(), file.mode, file.size_bytes), ("created", 0o640, 6));
    // printf 'hello\n' | sha256sum
    let hash = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    assert_eq!(file.sha256.as_deref(), Some(hash));
    assert_eq!(of("/tmp/link").file_type, "symlink");
    assert_eq!(of("/job/d").file_type, "directory");
    assert_eq!(of("/dev/shm/s").file_type, "file");
    assert!(!found.iter().any(|change| change.path.to_string() == "/job/gone"));
    assert_eq!(fs::read_to_string(keep.path().join("tmp/a/b/f")).unwrap(), "hello\n");
    assert!(!keep.path().join("tmp/link").exists());
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 });
}

/// An image whose /tmp is a link to somewhere else must not lead the runner out of it.
#[test]
fn links_of_an_image_lead_nowhere_outside() {
    let Some(daemon) = Daemon::start() else { return };
    let root = daemon.root();
    let outside = tempfile::tempdir().unwrap();
    fs::remove_dir(root.join("tmp")).unwrap();
    std::os::unix::fs::symlink(outside.path(), root.join("tmp")).unwrap();
    let mut spec = shell("echo hostile > /tmp/x; ls -d /tmp/x");
    spec.root = Root::Folder(root);
    let recording = daemon_run(&daemon, &spec);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "{recording:?}");
}

fn daemon_run(daemon: &Daemon, spec: &sandbox::Spec) -> Result<Recording, RunError> {
    let result = sandbox::Runner::run(&daemon.runner(), spec);
    assert_eq!(daemon.leftovers(), Vec::<String>::new());
    result
}
