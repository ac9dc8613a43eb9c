//! Programs are found where a run would find them, and never outside of the root.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::Programs;
use crate::root::unpack::tests::{DIR, FILE, HARD, LINK, Line, archive};
use crate::spec::Root;

const MANY: u64 = 1 << 30;

struct Shelf(tempfile::TempDir);

impl Shelf {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn tar(&self, name: &str, lines: &[Line<'_>]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, archive(lines)).unwrap();
        path
    }
}

fn found(root: &Root, over: &[PathBuf], name: &str) -> Result<(String, String), String> {
    let programs = Programs::open(root, over, MANY).map_err(|refusal| refusal.to_string())?;
    let path = ["/opt", "/bin"].map(PathBuf::from);
    let found = programs.program(OsStr::new(name), Path::new("/app"), &path);
    let mut found = found.map_err(|refusal| refusal.to_string())?;
    let mut text = String::new();
    found.content.read_to_string(&mut text).unwrap();
    Ok((found.path.display().to_string(), text))
}

fn reads(root: &Root, over: &[PathBuf], name: &str) -> String {
    found(root, over, name).unwrap().1
}

#[test]
fn links_of_an_archive_lead_where_they_lead_inside() {
    let shelf = Shelf::new();
    let tar = shelf.tar(
        "root.tar",
        &[
            (DIR, "usr/bin", ""),
            (LINK, "bin", "usr/bin"),
            (FILE, "bin/tool", "the tool"),
            (LINK, "opt", "/../../usr/bin"),
            (HARD, "usr/bin/twin", "usr/bin/tool"),
            (LINK, "app/tool", "../../../../bin/twin"),
            (LINK, "round", "round"),
            (FILE, "usr/bin/again", "first"),
            (FILE, "usr/bin/again", "second"),
        ],
    );
    let root = Root::Tar(tar);
    for name in ["/bin/tool", "/usr/bin/tool", "/opt/twin", "./tool", "/app/../bin/./tool"] {
        assert_eq!(reads(&root, &[], name), "the tool", "{name}");
    }
    assert_eq!(found(&root, &[], "./tool").unwrap().0, "/usr/bin/twin");
    assert_eq!(reads(&root, &[], "/bin/again"), "second");
    for name in ["/round", "/missing", "/bin", "/bin/tool/x", "/etc/passwd", "tool"] {
        assert!(found(&root, &[], name).is_err(), "{name}");
    }
}

#[test]
fn a_folder_is_never_left() {
    let shelf = Shelf::new();
    let (root, canary) = (shelf.0.path().join("root"), shelf.0.path().join("canary"));
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::write(&canary, "outside").unwrap();
    fs::write(root.join("bin/tool"), "inside").unwrap();
    symlink(&canary, root.join("bin/absolute")).unwrap();
    symlink("../../canary", root.join("bin/relative")).unwrap();
    symlink("/bin/tool", root.join("bin/own")).unwrap();
    symlink(shelf.0.path(), root.join("up")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("bin/pipe"), 0o644.into()).unwrap();
    let given = Root::Folder(root.clone());
    for name in ["/bin/absolute", "/bin/relative", "/up/canary", "/../canary", "/bin/pipe"] {
        assert!(found(&given, &[], name).is_err(), "{name}");
    }
    assert_eq!(reads(&given, &[], "/bin/own"), "inside");
    // Not to be executed, so not what is found along PATH.
    assert!(found(&given, &[], "tool").is_err());
    fs::set_permissions(root.join("bin/tool"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(reads(&given, &[], "tool"), "inside");
}

#[test]
fn layers_replace_and_hide_what_lies_below() {
    let shelf = Shelf::new();
    let root = shelf.0.path().join("root");
    fs::create_dir_all(root.join("a")).unwrap();
    fs::create_dir_all(root.join("b")).unwrap();
    for name in ["a/x", "a/y", "b/x", "plain"] {
        fs::write(root.join(name), "below").unwrap();
    }
    let one = shelf.tar(
        "1.tar",
        &[(FILE, "a/x", "over"), (FILE, "a/.wh.y", ""), (FILE, "b/.wh..wh..opq", "")],
    );
    let two = shelf.tar("2.tar", &[(FILE, "a/y", "again"), (LINK, "to", "/plain")]);
    for base in [Root::Folder(root), {
        let names = ["a/x", "a/y", "b/x", "plain"];
        Root::Tar(shelf.tar("0.tar", &names.map(|name| (FILE, name, "below"))))
    }] {
        let first = [one.clone()];
        assert_eq!(reads(&base, &first, "/a/x"), "over");
        assert!(found(&base, &first, "/a/y").is_err());
        assert!(found(&base, &first, "/b/x").is_err());
        let both = [one.clone(), two.clone()];
        assert_eq!(reads(&base, &both, "/a/y"), "again");
        assert_eq!(reads(&base, &both, "/to"), "below");
    }
}

#[test]
fn what_cannot_be_looked_into_says_why() {
    let image = found(&Root::Image("busybox".to_owned()), &[], "/bin/sh").unwrap_err();
    assert!(image.contains("Docker"), "{image}");
    let shelf = Shelf::new();
    let broken = shelf.0.path().join("broken.tar");
    fs::write(&broken, [1; 700]).unwrap();
    assert!(found(&Root::Tar(broken), &[], "/bin/sh").unwrap_err().contains("checksum"));
    let out = shelf.tar("out.tar", &[(FILE, "../canary", "x")]);
    assert!(found(&Root::Tar(out), &[], "/canary").unwrap_err().contains("leads out"));
}

/// Each name led through forty links, and each whiteout past everything: hours for a small file.
#[test]
fn archives_that_were_made_to_be_slow_are_given_up() {
    let shelf = Shelf::new();
    let around = "./".repeat(48);
    let mut links: Vec<(String, String)> =
        (0..38).map(|n| (format!("l{n}"), format!("{around}l{}", n + 1))).collect();
    links.push(("l38".to_owned(), format!("{around}end")));
    let mut lines: Vec<Line<'_>> = vec![(DIR, "end", "")];
    lines.extend(links.iter().map(|(name, to)| (LINK, name.as_str(), to.as_str())));
    let through: Vec<Line<'_>> = (0..40_000).map(|_| (FILE, "l0/x", "")).collect();
    let slow = shelf.tar("slow.tar", &[lines, through].concat());
    let names: Vec<String> = (0..20_000).map(|n| format!("n{n}")).collect();
    let files = names.iter().map(|name| (FILE, name.as_str(), ""));
    let whiteouts = (0..10_000).map(|_| (FILE, ".wh..wh..opq", ""));
    let hidden = shelf.tar("hidden.tar", &files.chain(whiteouts).collect::<Vec<_>>());
    for tar in [slow, hidden] {
        let refusal = found(&Root::Tar(tar), &[], "/x").unwrap_err();
        assert!(refusal.contains("too many others") || refusal.contains("no folder"), "{refusal}");
    }
}
