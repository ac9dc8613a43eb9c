//! What a hostile archive gets, tried on a folder of the test's own with a canary beside it.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use tar::EntryType;

use super::{Owners, Unpacker, Whiteouts};

/// `(kind, name, link or content)`.
pub(in crate::root) type Line<'a> = (EntryType, &'a str, &'a str);

pub(in crate::root) const FILE: EntryType = EntryType::Regular;
pub(in crate::root) const DIR: EntryType = EntryType::Directory;
pub(in crate::root) const LINK: EntryType = EntryType::Symlink;
pub(in crate::root) const HARD: EntryType = EntryType::Link;

/// Names are written as they are: the library would refuse some of them.
pub(in crate::root) fn archive(lines: &[Line<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, name, text) in lines {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(if *kind == DIR { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        let content = if *kind == FILE { text.as_bytes() } else { b"" };
        if *kind != FILE {
            header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Unpacks layers into `outer/tree`; `outer/canary` must be what it was afterwards.
fn unpack(
    layers: &[&[Line<'_>]],
    whiteouts: Whiteouts,
) -> Result<(tempfile::TempDir, super::Report), String> {
    let outer = tempfile::tempdir().unwrap();
    let tree = outer.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(outer.path().join("canary"), "untouched").unwrap();
    let folder = fs::File::open(&tree).unwrap();
    let mut unpacker = Unpacker::new(folder.as_fd(), Owners::Flattened, whiteouts, 1 << 20);
    let result = layers.iter().try_for_each(|lines| {
        unpacker.layer(&mut archive(lines).as_slice()).map_err(|refusal| refusal.to_string())
    });
    assert_eq!(fs::read_to_string(outer.path().join("canary")).unwrap(), "untouched");
    assert_eq!(fs::metadata(outer.path().join("canary")).unwrap().nlink(), 1);
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 2, "something new beside the tree");
    result.map(|()| (outer, unpacker.finish()))
}

fn refused(lines: &[Line<'_>], why: &str) {
    let error = unpack(&[lines], Whiteouts::Applied).map(|_| ()).unwrap_err();
    assert!(error.contains(why), "{error}");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn names_do_not_lead_out() {
    refused(&[(FILE, "../canary", "x")], "leads out");
    refused(&[(FILE, "a/../../canary", "x")], "leads out");
    refused(&[(HARD, "a", "../canary")], "leads out");
    refused(&[(FILE, ".wh...", "")], "whiteout");
    refused(&[(FILE, "a/.wh..", "")], "whiteout");
    refused(&[(FILE, ".wh.", "")], "whiteout");
    refused(&[(FILE, "/", "x")], "no name");
    let (outer, _) =
        unpack(&[&[(FILE, "/a", "x"), (FILE, "./b", "y")]], Whiteouts::Applied).unwrap();
    assert_eq!(names(&outer.path().join("tree")), ["a", "b"]);
}

#[test]
fn links_do_not_lead_out() {
    let far = "../../../../../../../../../..";
    for target in [far, "/", ".."] {
        let first: &[Line<'_>] =
            &[(LINK, "l", target), (FILE, "canary", "inside"), (LINK, "l2", "l")];
        let (outer, _) = unpack(&[first, &[(FILE, "l2/new", "x")]], Whiteouts::Applied).unwrap();
        assert_eq!(names(&outer.path().join("tree")), ["canary", "l", "l2", "new"]);
    }
    refused(&[(LINK, "l", "../canary"), (FILE, "l/new", "x")], "make the folder l");
    // Through the last part of a name nothing is followed: the link is replaced.
    let (outer, _) =
        unpack(&[&[(LINK, "l", "../canary"), (FILE, "l", "mine")]], Whiteouts::Applied).unwrap();
    assert_eq!(fs::read_to_string(outer.path().join("tree/l")).unwrap(), "mine");
    // A hard link to a symbolic link is a second name of that, not of what it leads to.
    let (outer, _) =
        unpack(&[&[(LINK, "l", "../canary"), (HARD, "h", "l")]], Whiteouts::Applied).unwrap();
    assert!(fs::symlink_metadata(outer.path().join("tree/h")).unwrap().is_symlink());
    refused(&[(LINK, "l", "/"), (HARD, "h", "l/canary")], "hard link");
    refused(&[(DIR, "d", ""), (HARD, "h", "d")], "hard link");
    refused(&[(HARD, "h", "nothing")], "hard link");
    refused(&[(LINK, "a", "b"), (LINK, "b", "a"), (FILE, "a/x", "")], "a");
    refused(&[(LINK, "l", "../canary"), (FILE, ".wh.x", ""), (FILE, "l/x", "")], "l");
}

#[test]
fn whiteouts_reach_the_layers_below_and_nothing_else() {
    let below: &[Line<'_>] = &[
        (DIR, "d", ""),
        (FILE, "d/old", "1"),
        (FILE, "d/kept", "1"),
        (FILE, "gone", "1"),
        (LINK, "out", ".."),
    ];
    let above: &[Line<'_>] = &[
        (FILE, "d/new", "2"),
        (FILE, "d/.wh..wh..opq", ""),
        (FILE, "d/kept", "2"),
        (FILE, ".wh.gone", ""),
        (FILE, "out/.wh.canary", ""),
        (FILE, ".wh..wh.plnk", ""),
        (FILE, "mine", "2"),
        (FILE, ".wh.mine", ""),
    ];
    let (outer, report) = unpack(&[below, above], Whiteouts::Applied).unwrap();
    let tree = outer.path().join("tree");
    assert_eq!(names(&tree), ["d", "mine", "out"]);
    assert_eq!(names(&tree.join("d")), ["kept", "new"]);
    assert!(report.opaque.is_empty());
}

#[test]
fn over_another_tree_whiteouts_stay() {
    let lines: &[Line<'_>] = &[
        (FILE, "etc/.wh.hosts", ""),
        (FILE, "opt/.wh..wh..opq", ""),
        (FILE, "opt/mine", ""),
        (FILE, ".wh.again", ""),
    ];
    let later: &[Line<'_>] = &[(FILE, "again/file", "")];
    let (outer, report) = match unpack(&[lines, later], Whiteouts::Kept) {
        Err(error) if error.contains("not permitted") => {
            println!("SKIP whiteouts over another tree: {error}");
            return;
        }
        other => other.unwrap(),
    };
    let tree = outer.path().join("tree");
    let hosts = fs::symlink_metadata(tree.join("etc/hosts")).unwrap();
    assert!(hosts.file_type().is_char_device() && hosts.rdev() == 0);
    assert_eq!(report.opaque, [b"opt".to_vec(), b"again".to_vec()]);
    assert_eq!(names(&tree), ["again", "etc", "opt"]);
}

#[test]
fn what_is_not_a_file_stays_out_and_is_told() {
    let lines: &[Line<'_>] = &[
        (EntryType::Char, "dev/sda", ""),
        (EntryType::Block, "b", ""),
        (EntryType::Fifo, "f", ""),
        (EntryType::new(b'Z'), "z", ""),
    ];
    let (outer, report) = unpack(&[lines], Whiteouts::Applied).unwrap();
    assert_eq!(names(&outer.path().join("tree")), ["dev"]);
    let notes = report.notes().join("\n");
    assert!(notes.contains("3 device nodes") && notes.contains("1 entries of unknown"), "{notes}");
}

#[test]
fn later_entries_replace_earlier_ones_of_any_kind() {
    let (outer, _) = unpack(
        &[&[
            (DIR, "a", ""),
            (FILE, "a/b", "1"),
            (FILE, "a", "file"),
            (FILE, "c", "1"),
            (DIR, "c", ""),
            (FILE, "c/d", "2"),
            (HARD, "c/e", "c/d"),
            (HARD, "c/e", "c/d"),
        ]],
        Whiteouts::Applied,
    )
    .unwrap();
    let tree = outer.path().join("tree");
    assert_eq!(fs::read_to_string(tree.join("a")).unwrap(), "file");
    assert_eq!(fs::metadata(tree.join("c/d")).unwrap().nlink(), 2);
}

#[test]
fn sizes_and_numbers_are_bounded() {
    refused(&[(FILE, "big", &"x".repeat((1 << 20) + 1))], "more than 1048576 bytes");
    let many: Vec<String> = (0..1100).map(|n| format!("f{n}")).collect();
    let many: Vec<Line<'_>> = many.iter().map(|name| (FILE, name.as_str(), "")).collect();
    refused(&many, "more than 1048576 bytes");
    let deep = "d/".repeat(49) + "x";
    let lines: Vec<Line<'_>> = vec![(FILE, &deep, "")];
    unpack(&[&lines], Whiteouts::Applied).unwrap();
    let one_after_the_other: Vec<Line<'_>> =
        vec![(FILE, &deep, ""), (LINK, "l", &deep[..97]), (FILE, "l/a/b", "")];
    unpack(&[&one_after_the_other], Whiteouts::Applied).unwrap();
}

#[test]
fn a_file_that_claims_more_than_there_is_is_refused() {
    let mut bytes = archive(&[(FILE, "a", "hello")]);
    bytes.truncate(514);
    let folder = tempfile::tempdir().unwrap();
    let open = fs::File::open(folder.path()).unwrap();
    let mut unpacker = Unpacker::new(open.as_fd(), Owners::Flattened, Whiteouts::Applied, 1 << 20);
    assert!(unpacker.layer(&mut bytes.as_slice()).is_err());
}
