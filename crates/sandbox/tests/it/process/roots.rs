//! Runs in given roots: a folder, a tar file, an OCI layout.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use sandbox::root::oci;
use sandbox::runner::process::Process;
use sandbox::{Root, RunError, Runner as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{BUSYBOX, able, changes, exited, refused, run, spec, walls};

/// A root with a shell in `folder`.
pub(crate) fn busybox(folder: &Path) {
    for name in ["bin", "etc", "var", "srv"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    fs::copy(BUSYBOX, folder.join("bin/busybox")).unwrap();
    for name in ["sh", "ls", "cat", "rm", "mkdir", "id", "mv", "ln", "mkfifo", "sleep", "stat"] {
        symlink("busybox", folder.join("bin").join(name)).unwrap();
    }
    fs::write(folder.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nimage:x:77:77::/:\n").unwrap();
    fs::write(folder.join("etc/shadow"), "root:secret\n").unwrap();
    fs::write(folder.join("srv/data"), "of the root\n").unwrap();
    fs::set_permissions(folder.join("srv"), fs::Permissions::from_mode(0o777)).unwrap();
}

/// A folder as a tar file.
pub(crate) fn packed(folder: &Path) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.follow_symlinks(false);
    builder.append_dir_all(".", folder).unwrap();
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What every root's run looks at, and what it must find changed afterwards.
fn check_root(root: Root) {
    let script = "ls /; cat /etc/passwd; cat /etc/shadow; id -u; ls -ld /home/sandbox /dev/null; \
                  ls /proc/1 > /dev/null; echo new > /srv/new; rm /srv/data; echo x > /tmp/t; \
                  echo h > $HOME/h; echo w > w";
    let (printed, recording) = run(&spec(root, script));
    assert_eq!(exited(&recording), 0, "{printed}");
    assert_eq!(recording.run.program.to_lossy(), "/bin/sh");
    for line in ["image:x:77:77::/:", "sandbox:x:1000:1000:sandbox:/home/sandbox:/bin/sh", "1000"] {
        assert!(printed.lines().any(|printed| printed == line), "{line}: {printed}");
    }
    assert!(!printed.contains("secret"), "{printed}");
    let mut changes = changes(&recording);
    changes.sort();
    let expected = [
        "created /home/sandbox/h",
        "created /srv/new",
        "created /tmp/t",
        "created /work/w",
        "deleted /srv/data",
    ];
    assert_eq!(changes, expected);
}

#[test]
fn a_folder_is_a_root_and_stays_as_it_was() {
    if !able("a folder as root") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    busybox(folder.path());
    check_root(Root::Folder(folder.path().to_owned()));
    assert_eq!(fs::read_to_string(folder.path().join("srv/data")).unwrap(), "of the root\n");
    assert!(!folder.path().join("srv/new").exists() && !folder.path().join("proc").exists());
}

#[test]
fn a_program_that_is_not_there_and_one_that_cannot_start_are_told_apart() {
    if !able("programs that are not there") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    busybox(folder.path());
    for (name, mode) in [("closed", 0o644), ("orphan", 0o755)] {
        let path = folder.path().join("bin").join(name);
        fs::write(&path, "#!/opt/none/python\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let starting = "start the program";
    for (program, step, errno) in [
        ("none-such", starting, libc::ENOENT),
        ("/bin/none-such", starting, libc::ENOENT),
        ("closed", starting, libc::EACCES),
        ("/bin/closed", starting, libc::EACCES),
        ("orphan", sandbox::runner::NO_INTERPRETER, libc::ENOENT),
    ] {
        let mut spec = spec(Root::Folder(folder.path().to_owned()), "");
        spec.program = program.into();
        let _turn = crate::turn();
        let RunError::Setup { step: told, source } = Process::new().run(&spec).unwrap_err() else {
            panic!("{program}")
        };
        assert!(told.starts_with(step), "{program}: {told}");
        assert_eq!(source.raw_os_error(), Some(errno), "{program}: {told}");
    }
}

#[test]
fn a_tar_file_is_a_root_plain_and_packed() {
    if !able("a tar file as root") {
        return;
    }
    let side = tempfile::tempdir().unwrap();
    let folder = side.path().join("root");
    busybox(&folder);
    let bytes = packed(&folder);
    for (name, bytes) in [("root.tar", bytes.clone()), ("root.tar.gz", gzip(&bytes))] {
        fs::write(side.path().join(name), bytes).unwrap();
        check_root(Root::Tar(side.path().join(name)));
    }
}

/// An image layout that is built by hand, one blob after the other.
pub(crate) struct Layout(PathBuf);

impl Layout {
    pub(crate) fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self(folder.to_owned())
    }

    /// A descriptor of new content.
    pub(crate) fn blob(&self, kind: &str, bytes: &[u8]) -> serde_json::Value {
        let digest: String =
            Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(self.0.join("blobs/sha256").join(&digest), bytes).unwrap();
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": format!("sha256:{digest}"),
            "size": bytes.len(),
        })
    }

    pub(crate) fn document(&self, kind: &str, value: &serde_json::Value) -> serde_json::Value {
        self.blob(kind, value.to_string().as_bytes())
    }

    pub(crate) fn manifest(&self, architecture: &str, layers: &[Vec<u8>]) -> serde_json::Value {
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Env": ["PATH=/bin", "A=b"],
                "WorkingDir": "/srv",
                "Entrypoint": ["sh"],
                "Cmd": ["-c", "true"],
                "User": "77",
            },
            "rootfs": {"type": "layers", "diff_ids": []},
        });
        let config = self.document("config.v1+json", &config);
        let layers: Vec<_> =
            layers.iter().map(|layer| self.blob("layer.v1.tar+gzip", &gzip(layer))).collect();
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        self.document("manifest.v1+json", &manifest)
    }

    pub(crate) fn index(&self, manifests: &[serde_json::Value]) {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(self.0.join("index.json"), index.to_string()).unwrap();
    }
}

fn named(mut descriptor: serde_json::Value, name: &str) -> serde_json::Value {
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    descriptor
}

/// A second layer: takes a file away, replaces a folder, adds what the checks look for.
fn second() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |path: &str, content: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    };
    add("etc/.wh.removed", "");
    add("opt/.wh..wh..opq", "");
    add("opt/new", "");
    add("srv/data", "of the second layer\n");
    builder.into_inner().unwrap()
}

#[test]
fn an_oci_layout_is_a_root() {
    if !able("an OCI layout as root") {
        return;
    }
    let side = tempfile::tempdir().unwrap();
    let folder = side.path().join("root");
    busybox(&folder);
    fs::create_dir(folder.join("opt")).unwrap();
    fs::write(folder.join("opt/old"), "").unwrap();
    fs::write(folder.join("etc/removed"), "").unwrap();
    let layout = Layout::new(&side.path().join("image"));
    let ours = layout.manifest("amd64", &[packed(&folder), second()]);
    let other = layout.manifest("s390x", &[]);
    let platform = |mut descriptor: serde_json::Value, name: &str| {
        descriptor["platform"] = json!({"os": "linux", "architecture": name});
        descriptor
    };
    let inner = json!({
        "schemaVersion": 2,
        "manifests": [platform(other.clone(), "s390x"), platform(ours.clone(), "amd64")],
    });
    let inner = layout.document("index.v1+json", &inner);
    layout.index(&[named(inner, "registry/app:1"), named(ours, "registry/app:2")]);
    let path = side.path().join("image");
    for name in ["registry/app:1", "2"] {
        check_root(Root::Oci(path.clone(), Some(name.to_owned())));
    }
    let image = oci::image(&path, Some("1")).unwrap();
    assert_eq!(
        (image.env.as_slice(), image.layers),
        (&["PATH=/bin", "A=b"].map(str::to_owned)[..], 2)
    );
    assert_eq!((image.working_dir, image.user), (Some("/srv".into()), Some("77".to_owned())));
    assert_eq!([image.entrypoint, image.cmd].concat(), ["sh", "-c", "true"]);

    let script = "cat /srv/data; ls /opt /etc";
    let (printed, recording) = run(&spec(Root::Oci(path.clone(), Some("1".to_owned())), script));
    assert!(printed.starts_with("of the second layer\n"), "{printed}");
    assert!(!printed.contains("old") && !printed.contains("removed"), "{printed}");
    assert!(walls(&recording).contains("the OCI image"), "{}", walls(&recording));

    let error = |name: Option<&str>| oci::image(&path, name).unwrap_err().to_string();
    assert!(error(None).contains("2 images: name one (it names registry/app:1"), "{}", error(None));
    assert!(error(Some("3")).contains("no image 3"), "{}", error(Some("3")));
    layout.index(&[other]);
    assert!(error(None).contains("linux/s390x"), "{}", error(None));
}

#[test]
fn a_layout_that_is_not_what_its_digests_name_is_refused() {
    if !able("a damaged OCI layout") {
        return;
    }
    let side = tempfile::tempdir().unwrap();
    let folder = side.path().join("root");
    busybox(&folder);
    let path = side.path().join("image");
    let layout = Layout::new(&path);
    let manifest = layout.manifest("amd64", &[packed(&folder)]);
    layout.index(std::slice::from_ref(&manifest));
    let ask = || spec(Root::Oci(path.clone(), None), "true");
    assert_eq!(exited(&run(&ask()).1), 0);

    let blobs = path.join("blobs/sha256");
    let blob = |value: &serde_json::Value| {
        blobs.join(value["digest"].as_str().unwrap().trim_start_matches("sha256:"))
    };
    let document: serde_json::Value =
        serde_json::from_slice(&fs::read(blob(&manifest)).unwrap()).unwrap();
    let layer = blob(&document["layers"][0]);
    let whole = fs::read(&layer).unwrap();

    // Bytes behind the archive that no reader of the archive would see.
    fs::write(&layer, [whole.as_slice(), b"more"].concat()).unwrap();
    assert!(refused(&ask()).contains("not what the manifest names"), "{}", refused(&ask()));
    // Another layer in its place.
    fs::write(&layer, gzip(&second())).unwrap();
    assert!(refused(&ask()).contains("not what the manifest names"));
    // A link out of the layout.
    fs::remove_file(&layer).unwrap();
    symlink("/etc/passwd", &layer).unwrap();
    assert!(refused(&ask()).contains("could not open"), "{}", refused(&ask()));
    fs::remove_file(&layer).unwrap();
    fs::write(&layer, whole).unwrap();
    assert_eq!(exited(&run(&ask()).1), 0);

    let mut far = manifest.clone();
    far["digest"] = json!("sha256:../../../../../../etc/passwd");
    layout.index(&[far]);
    assert!(refused(&ask()).contains("no sha256 digest"), "{}", refused(&ask()));
    fs::write(blob(&manifest), "{}").unwrap();
    layout.index(&[manifest]);
    assert!(refused(&ask()).contains("not what its digest names"), "{}", refused(&ask()));
}

#[test]
fn what_is_missing_in_a_root_is_said() {
    if !able("a root without programs") {
        return;
    }
    let side = tempfile::tempdir().unwrap();
    let root = || Root::Folder(side.path().to_owned());
    let error = Process::new().run(&spec(root(), "true")).unwrap_err().to_string();
    assert!(error.contains("the root has no sh along PATH (/usr/bin:/bin)"), "{error}");
    assert!(refused(&spec(Root::Image("alpine".into()), "true")).contains("runner docker"));
    let tar = side.path().join("not.tar");
    fs::write(&tar, "x".repeat(600)).unwrap();
    assert!(refused(&spec(Root::Tar(tar), "true")).contains("is it a tar file?"));
    let missing = refused(&spec(Root::Tar(side.path().join("none")), "true"));
    assert!(missing.contains("No such file"), "{missing}");
}

/// Folders of a stranger's root where the sandbox mounts its own: links there lead nowhere.
#[test]
fn links_in_place_of_the_sandboxes_own_folders_are_covered() {
    if !able("a root with links where folders are covered") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    busybox(folder.path());
    fs::remove_dir(folder.path().join("var")).unwrap();
    for (name, to) in [
        ("proc", "/etc"),
        ("dev", "/srv"),
        ("tmp", "/tmp"),
        ("var", ".."),
        ("work", "/bin"),
        ("run", "nowhere"),
        ("sys", "sys"),
    ] {
        symlink(to, folder.path().join(name)).unwrap();
    }
    let script = "echo x > /tmp/t && ls /proc/self/stat /dev/null /bin/sh && cat /srv/data && ls -ld /tmp /var/tmp";
    let (printed, recording) = run(&spec(Root::Folder(folder.path().to_owned()), script));
    assert_eq!(exited(&recording), 0, "{printed}");
    assert_eq!(changes(&recording), ["created /tmp/t"]);
    assert!(printed.contains("drwxrwxrwt"), "{printed}");
    assert_eq!(fs::read_dir(folder.path().join("srv")).unwrap().count(), 1);
}
