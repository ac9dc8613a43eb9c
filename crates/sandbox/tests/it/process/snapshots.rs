//! What a run wrote, as a layer; and runs that start from it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sandbox::{MonitorChoice, Root, Spec};

use super::roots::busybox;
use super::{able, changes, exited, run, spec};

fn with_snapshot(mut spec: Spec, path: &Path) -> Spec {
    spec.artifacts.snapshot = Some(path.to_owned());
    spec
}

fn names(path: &Path) -> Vec<String> {
    let mut archive = tar::Archive::new(File::open(path).unwrap());
    let entries = archive.entries().unwrap();
    let name = |entry: std::io::Result<tar::Entry<'_, File>>| {
        String::from_utf8(entry.unwrap().path_bytes().into_owned()).unwrap()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// Writes of every kind, then a second run that sees them.
fn check(root: Root, cwd: &Path) {
    let side = tempfile::tempdir().unwrap();
    let snapshot = side.path().join("phase-1.tar");
    let long = "n".repeat(200);
    let script = format!(
        "mkdir -p sub/opaque && echo 1 > sub/a && ln sub/a sub/b && ln -s /etc/passwd sub/link && \
         echo 2 > {long} && mkfifo sub/pipe && rm old && rm -rf folder && mkdir folder && \
         echo 3 > folder/new && echo 4 > /tmp/t && echo 5 > $HOME/h && echo x > .wh.victim"
    );
    let ask = |script: &str| {
        let mut spec = spec(root.clone(), script);
        (spec.cwd, spec.cwd_is_new) = (cwd.to_owned(), false);
        spec.env[0].1 = "/bin:/usr/bin".into();
        spec
    };
    let (printed, recording) = run(&with_snapshot(ask(&script), &snapshot));
    assert_eq!(exited(&recording), 0, "{printed}");
    let inside = cwd.strip_prefix("/").unwrap().to_str().unwrap();
    let names = names(&snapshot);
    for name in
        ["sub/", "sub/a", "sub/b", "sub/link", "sub/pipe", ".wh.old", "folder/.wh..wh..opq", &long]
    {
        assert!(names.contains(&format!("{inside}/{name}")), "{name}: {names:?}");
    }
    assert!(names.contains(&"tmp/t".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("victim")), "{names:?}");
    let listed = Command::new("tar").arg("tvf").arg(&snapshot).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    assert_eq!(String::from_utf8_lossy(&listed.stdout).lines().count(), names.len());

    let look = format!(
        "cat sub/a sub/b {long} folder/new /tmp/t $HOME/h; ls folder; ls old; ls victim; \
         echo 6 >> sub/a; echo 7 > again"
    );
    let mut second = ask(&look);
    second.layers = vec![snapshot.clone()];
    second.monitor = MonitorChoice::Auto;
    let (printed, recording) = run(&second);
    // The processes that unpacked and the steps before the program started are the sandbox's own.
    let first = recording.events.first().map(|event| event.kind.name());
    assert_eq!(first, Some("exec"), "{:?}", recording.events.first());
    let (said, rest) = printed.split_at(12);
    assert_eq!(said, "1\n1\n2\n3\n4\n5\n", "{printed}");
    assert!(rest.starts_with("new\nvictim\n"), "{printed}");
    assert!(rest.contains("No such file"), "{printed}");
    let mut changes = changes(&recording);
    changes.sort();
    let path = cwd.to_str().unwrap();
    assert_eq!(changes, [format!("created {path}/again"), format!("modified {path}/sub/a")]);
}

fn fill(folder: &Path) {
    fs::create_dir_all(folder.join("folder")).unwrap();
    for name in ["old", "victim", "folder/hidden"] {
        fs::write(folder.join(name), name).unwrap();
    }
    for path in [folder.to_owned(), folder.join("folder")] {
        std::os::unix::fs::chown(path, Some(1000), Some(1000)).unwrap();
    }
}

#[test]
fn a_second_run_starts_from_what_the_first_wrote() {
    if !able("a snapshot as a layer") {
        return;
    }
    let side = tempfile::tempdir_in("/var").unwrap();
    let root = side.path().join("root");
    busybox(&root);
    fill(&root.join("srv/job"));
    check(Root::Folder(root.clone()), Path::new("/srv/job"));
    let tar = side.path().join("root.tar");
    fs::write(&tar, super::roots::packed(&root)).unwrap();
    check(Root::Tar(tar), Path::new("/srv/job"));
    let job = side.path().join("job");
    fill(&job);
    fs::set_permissions(side.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    check(Root::Host, &job);
}

#[test]
fn a_snapshot_is_bounded_and_says_what_it_lacks() {
    if !able("a bounded snapshot") {
        return;
    }
    let side = tempfile::tempdir().unwrap();
    let root = side.path().join("root");
    busybox(&root);
    let snapshot: PathBuf = side.path().join("snapshot.tar");
    // Each file is sparse and as large as a file may be; together far larger than the bound.
    let script = "i=0; while [ $i -lt 20 ]; do busybox truncate -s 7000000 f$i; i=$((i+1)); done";
    let mut spec = with_snapshot(spec(Root::Folder(root), script), &snapshot);
    spec.limits.disk_bytes = 8 << 20;
    let (printed, recording) = run(&spec);
    assert_eq!(exited(&recording), 0, "{printed}");
    assert!(fs::metadata(&snapshot).unwrap().len() < 9_000_000);
    let walls = super::walls(&recording);
    assert!(walls.contains("the snapshot lacks /work/f1: it is larger"), "{walls}");
    assert!(walls.contains("and 3 more"), "{walls}");
}
