//! A kernel reads what `erofs` writes, where this one knows the file system and gives loop devices.

use std::io::Write as _;
use std::process::Command;

use sandbox_microvm::erofs::{Content, Tree, write};

fn skip(reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIP a kernel reads the image: {reason}");
}

#[test]
fn a_kernel_reads_the_image() {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !known.contains("erofs") {
        return skip("this kernel has no erofs; guests read such images in every run");
    }
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let mut tree = Tree::default();
    for n in 0..300 {
        let content = Content::Bytes(vec![b'x'; n * 37]);
        tree.file(format!("/d/file-{n}"), 0o640, content).unwrap();
    }
    tree.link("/l", "d/file-7").unwrap();
    write(&tree, &mut std::fs::File::create(&image).unwrap()).unwrap();
    let at = dir.path().join("at");
    std::fs::create_dir(&at).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "erofs", "-o", "ro,loop"])
        .args([&image, &at])
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        return skip("it cannot be mounted here (root, loop devices)");
    }
    let read: Vec<u64> = (0..300)
        .map(|n| std::fs::metadata(at.join(format!("d/file-{n}"))).map_or(0, |meta| meta.len()))
        .collect();
    let linked = std::fs::read(at.join("l")).map(|bytes| bytes.len());
    assert!(Command::new("umount").arg(&at).status().unwrap().success());
    assert!(read.iter().enumerate().all(|(n, &size)| size == n as u64 * 37));
    assert_eq!(linked.unwrap(), 7 * 37);
}
