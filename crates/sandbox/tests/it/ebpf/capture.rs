//! Paths as the kernel resolved them. Where the kernel takes no programs at the end of its functions
//! (most hosts of tests), these say SKIP; `guest` runs them on a kernel that does.

#![expect(unsafe_code, reason = "a path that another thread changes is a raw pointer")]

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use sandbox::monitor::ebpf::{Options, probe_capture};
use types::{Kind, Text};

use super::job::{Record, Setup, assert_success, folder, run_with};

/// Runs one of the actors in a folder of its own, which is the current one.
fn captured(actor: &str) -> Option<(Record, PathBuf)> {
    if let Err(error) = probe_capture() {
        eprintln!("SKIP capture: {error}");
        return None;
    }
    let folder = folder(actor).canonicalize().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = format!("ebpf::capture::{actor}");
    command.args(["--exact", &name, "--ignored", "--nocapture"]).current_dir(&folder);
    let options = Options { pins: None, ..Options::default() };
    let record = run_with(&mut command, Setup { options, ..Setup::default() })?;
    assert_success(&record);
    record.assert_complete();
    fs::remove_dir_all(&folder).unwrap();
    Some((record, folder))
}

fn text(path: &Path) -> Text {
    Text::new(path.as_os_str().as_bytes())
}

/// Everything through a link to a folder, and around corners.
#[test]
#[ignore = "run by others as their command"]
fn through_links() {
    fs::create_dir("real").unwrap();
    symlink("real", "link").unwrap();
    fs::write("link/a", "x").unwrap();
    fs::rename("link/a", "link/../real/b").unwrap();
    fs::hard_link("link/b", "link/../link/c").unwrap();
    symlink("anything", "link/s").unwrap();
    fs::set_permissions("link/b", fs::Permissions::from_mode(0o640)).unwrap();
    // SAFETY: the path is a NUL-terminated string.
    assert_eq!(unsafe { libc::truncate(c"link/s/../b".as_ptr(), 0) }, -1);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::truncate(c"link/b".as_ptr(), 0) }, 0);
    fs::remove_file("link/b").unwrap();
    fs::create_dir("link/d").unwrap();
    fs::remove_dir("link/d").unwrap();
    fs::write("real/program", [0x7f, b'E', b'L', b'F']).unwrap();
    fs::set_permissions("real/program", fs::Permissions::from_mode(0o700)).unwrap();
    assert!(Command::new("link/program").status().is_err());
    assert!(fs::remove_file("link/nothing").is_err());
}

#[test]
fn paths_lead_where_the_kernel_went_and_are_told_once() {
    let Some((record, folder)) = captured("through_links") else { return };
    let real = |name: &str| text(&folder.join("real").join(name));
    let sure = |wanted: Kind| {
        let event = record.one(|kind| *kind == wanted);
        assert!(!event.advisory, "{event:?}");
    };
    sure(Kind::Rename { from: real("a"), to: real("b") });
    sure(Kind::Link { from: real("b"), to: real("c"), symbolic: false });
    sure(Kind::Chmod { path: real("b"), mode: 0o640 });
    sure(Kind::Truncate { path: real("b"), length: 0 });
    sure(Kind::Unlink { path: real("b"), directory: false });
    sure(Kind::Mkdir { path: real("d") });
    sure(Kind::Unlink { path: real("d"), directory: true });
    let program = real("program");
    let failed = |kind: &Kind| matches!(kind, Kind::Exec { path, .. } if *path == program);
    assert!(!record.one(failed).advisory);
    // The text of a symbolic link is the task's.
    let written = Kind::Link { from: "anything".into(), to: real("s"), symbolic: true };
    assert!(record.one(|kind| *kind == written).advisory);
    // What the kernel found nothing for is what the task said.
    let nothing = text(&folder.join("link/nothing"));
    let missing = |kind: &Kind| matches!(kind, Kind::Unlink { path, .. } if *path == nothing);
    assert!(record.one(missing).advisory);
}

/// Removes files by a path whose last byte another thread keeps changing, and says which were gone.
#[test]
#[ignore = "run by others as their command"]
fn by_a_changing_path() {
    let path = [const { AtomicU8::new(0) }; 2];
    path[0].store(b'x', Ordering::Relaxed);
    let done = AtomicBool::new(false);
    let (mut x, mut y) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for byte in [b'y', b'x'] {
                    path[0].store(byte, Ordering::Relaxed);
                    std::hint::spin_loop();
                }
            }
        });
        for _ in 0..300 {
            fs::write("x", "").unwrap();
            fs::write("y", "").unwrap();
            // SAFETY: two bytes of which the second is 0 at all times.
            assert_eq!(unsafe { libc::unlink(path.as_ptr().cast()) }, 0);
            x += i32::from(!Path::new("x").exists());
            y += i32::from(!Path::new("y").exists());
        }
        done.store(true, Ordering::Relaxed);
    });
    println!("gone {x} {y}");
}

#[test]
fn a_path_that_changes_meanwhile_is_told_as_it_was_used() {
    let Some((record, folder)) = captured("by_a_changing_path") else { return };
    let count = |name: &str| -> u64 {
        let path = text(&folder.join(name));
        let gone = record.events.iter().filter(
            |event| matches!(&event.kind, Kind::Unlink { path: told, .. } if *told == path),
        );
        gone.inspect(|event| assert!(!event.advisory, "{event:?}")).map(|event| event.count).sum()
    };
    let said = String::from_utf8_lossy(&record.output.stdout).into_owned();
    let told = format!("gone {} {}\n", count("x"), count("y"));
    assert!(said.contains(&told), "told {told}{said}");
}
