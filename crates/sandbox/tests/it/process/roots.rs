//! Runs in given roots: a folder, a tar file, an OCI layout.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use sandbox::Root;

use super::{BUSYBOX, able, changes, exited, run, spec, walls};

/// A root with a shell in `folder`.
pub(crate) fn busybox(folder: &Path) {
    for name in ["bin", "etc", "var", "srv"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    fs::copy(BUSYBOX, folder.join("bin/busybox")).unwrap();
    for name in ["sh", "ls", "cat", "rm", "mkdir", "id", "mv", "ln", "mkfifo", "readlink", "stat"] {
        symlink("busybox", folder.join("bin").join(name)).unwrap();
    }
    fs::write(folder.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nimage:x:77:77::/:\n").unwrap();
    fs::write(folder.join("etc/shadow"), "root:secret\n").unwrap();
    fs::write(folder.join("srv/data"), "of the root\n").unwrap();
    fs::set_permissions(folder.join("srv"), fs::Permissions::from_mode(0o777)).unwrap();
}

#[test]
fn a_folder_is_a_root_and_stays_as_it_was() {
    if !able("a folder as root") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    busybox(folder.path());
    let script = "ls /; cat /etc/passwd; cat /etc/shadow; id -u; ls -ld /tmp /home/sandbox /dev/null; \
                  echo new > /srv/new; rm /srv/data; echo x > /tmp/t; echo h > $HOME/h; ls /proc/1/ > /dev/null";
    let (printed, recording) = run(&spec(Root::Folder(folder.path().to_owned()), script));
    println!("{printed}\n{}\n{:?}", walls(&recording), changes(&recording));
    assert_eq!(exited(&recording), 0);
    assert_eq!(recording.run.program.to_lossy(), "/bin/sh");
    assert!(printed.contains("image:x:77") && printed.contains("sandbox:x:1000:1000"), "{printed}");
    assert!(!printed.contains("secret"), "{printed}");
    assert!(printed.contains("\n1000\n"), "{printed}");
    let changes = changes(&recording);
    for change in
        ["created /srv/new", "deleted /srv/data", "created /tmp/t", "created /home/sandbox/h"]
    {
        assert!(changes.iter().any(|found| found == change), "{change}: {changes:?}");
    }
    assert_eq!(changes.len(), 4, "{changes:?}");
    assert_eq!(fs::read_to_string(folder.path().join("srv/data")).unwrap(), "of the root\n");
    assert!(!folder.path().join("srv/new").exists() && !folder.path().join("proc").exists());
}
