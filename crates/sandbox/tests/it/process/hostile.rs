//! Archives that want out, or want everything: whole runs, with the host looked at afterwards.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use sandbox::Root;
use tar::EntryType;

use super::roots::{busybox, packed};
use super::{able, exited, refused, run, spec, walls};

fn header(name: &str, kind: EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_cksum();
    header
}

/// Whether anything of this process' runs is still mounted, or a name of theirs is left.
fn assert_nothing_left(before: &str) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert_eq!(mounts, before, "the host's mounts changed");
}

fn write_tar(path: &Path, fill: impl FnOnce(&mut dyn Write)) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    fill(&mut file);
    file.write_all(&[0; 1024]).unwrap();
    file.flush().unwrap();
}

#[test]
fn a_million_entries_are_refused() {
    if !able("a million entries") {
        return;
    }
    let side = tempfile::tempdir().unwrap();
    let path = side.path().join("many.tar");
    write_tar(&path, |file| {
        for number in 0..1_000_000 {
            let name = format!("d{}/f{number}", number / 1000);
            file.write_all(header(&name, EntryType::Regular, 0).as_bytes()).unwrap();
        }
    });
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut spec = spec(Root::Tar(path), "true");
    assert!(refused(&spec).contains("more than 67108864 bytes"), "{}", refused(&spec));
    spec.limits.disk_bytes = 4 << 30;
    let error = refused(&spec);
    assert!(error.contains("more than 500000 entries"), "{error}");
    assert_nothing_left(&before);
}

#[test]
fn bombs_are_refused_and_cost_no_more_than_the_bound() {
    if !able("bombs") {
        return;
    }
    let side = tempfile::tempdir().unwrap();
    // One file of 8 TiB that is said to be there.
    let claimed = side.path().join("claimed.tar");
    write_tar(&claimed, |file| {
        file.write_all(header("big", EntryType::Regular, 0o77_777_777_777).as_bytes()).unwrap();
    });
    assert!(refused(&spec(Root::Tar(claimed), "true")).contains("more than 67108864 bytes"));
    // 256 MiB of zeros in little more than 1 MB, in files, and in entries that nobody unpacks.
    for (name, kind) in [("file", EntryType::Regular), ("other", EntryType::new(b'Q'))] {
        let path = side.path().join(format!("{name}.tar.gz"));
        let file = BufWriter::new(File::create(&path).unwrap());
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        for number in 0..4 {
            let size = 64 << 20;
            let name = format!("f{number}");
            encoder.write_all(header(&name, kind, size).as_bytes()).unwrap();
            let zeros = vec![0; 1 << 20];
            for _ in 0..64 {
                encoder.write_all(&zeros).unwrap();
            }
        }
        encoder.finish().unwrap().flush().unwrap();
        let error = refused(&spec(Root::Tar(path), "true"));
        assert!(error.contains("more than 67108864 bytes"), "{error}");
    }
}

/// What it is called, its entries, and why it is refused if it is.
type Case = (&'static str, Vec<tar::Header>, Option<&'static str>);

/// Ways to a file of the host, by its path without the first slash.
fn cases(inside: &str) -> Vec<Case> {
    let far = "../".repeat(30);
    let link = |name: &str, kind, to: &str| {
        let mut header = header(name, kind, 0);
        header.as_old_mut().linkname[..to.len()].copy_from_slice(to.as_bytes());
        header.set_cksum();
        header
    };
    let up = format!("{}tmp", "../".repeat(10));
    vec![
        ("dots", vec![header("../../canary", EntryType::Regular, 0)], Some("leads out")),
        ("whiteout of dots", vec![header("srv/.wh...", EntryType::Regular, 0)], Some("whiteout")),
        ("hard link out", vec![link("h", EntryType::Link, &up)], Some("leads out")),
        ("absolute", vec![header(&format!("/{inside}"), EntryType::Regular, 0)], None),
        (
            "through a link",
            vec![
                link("out", EntryType::Symlink, "/"),
                header(&format!("out/{inside}"), EntryType::Regular, 0),
                link("up", EntryType::Symlink, &far),
                header(&format!("up/{inside}"), EntryType::Regular, 0),
                header("up/.wh.nothing", EntryType::Regular, 0),
            ],
            None,
        ),
        (
            "hard link through a link",
            vec![
                link("o", EntryType::Symlink, "/"),
                link("h", EntryType::Link, &format!("o/{inside}")),
            ],
            Some("hard link"),
        ),
        (
            "devices",
            vec![
                header("sda", EntryType::Block, 0),
                header("mem", EntryType::Char, 0),
                header("pipe", EntryType::Fifo, 0),
            ],
            None,
        ),
    ]
}

#[test]
fn names_links_and_devices_get_nothing_of_the_host() {
    if !able("hostile names") {
        return;
    }
    let side = tempfile::tempdir().unwrap();
    let canary = side.path().join("canary");
    fs::write(&canary, "untouched").unwrap();
    let folder = side.path().join("root");
    busybox(&folder);
    let root = packed(&folder);
    let base = &root[..root.len() - 1024];
    let inside = canary.strip_prefix("/").unwrap().to_str().unwrap();
    for (what, entries, why) in cases(inside) {
        let path = side.path().join("case.tar");
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.as_bytes().to_vec()).collect();
        fs::write(&path, [base, &bytes, &[0; 1024]].concat()).unwrap();
        let script = format!("ls -l /; cat /{inside}; ls -l /{inside}");
        let spec = spec(Root::Tar(path), &script);
        if let Some(why) = why {
            let error = refused(&spec);
            assert!(error.contains(why), "{what}: {error}");
        } else {
            let (printed, recording) = run(&spec);
            exited(&recording);
            assert!(!printed.contains("untouched"), "{what}: {printed}");
            if what == "devices" {
                assert!(!printed.contains("sda") && !printed.contains("pipe"), "{printed}");
                let walls = walls(&recording);
                assert!(walls.contains("3 device nodes and FIFOs"), "{walls}");
            }
        }
        assert_eq!(fs::read_to_string(&canary).unwrap(), "untouched", "{what}");
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(fs::metadata(&canary).unwrap().nlink(), 1, "{what}");
    }
}
