//! The second wall on the running kernel, without the first one in front of it; and behind an
//! overlay that was mounted and entered before the rules were made.

use std::ffi::CString;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use sandbox::Net;
use sandbox::landlock::{Ruleset, abi};

use crate::child::{call, forked, no_new_privileges};

const EACCES: i64 = -(libc::EACCES as i64);
const EPERM: i64 = -(libc::EPERM as i64);

fn missing(least: u32) -> bool {
    let found = abi().unwrap_or(0);
    if found < least {
        println!("SKIP Landlock ABI {least} is needed, this kernel has {found}");
    }
    found < least
}

fn address(text: &CString) -> u64 {
    text.as_ptr().addr() as u64
}

const AT_FDCWD: u64 = libc::AT_FDCWD as i64 as u64;

fn open(path: &CString, flags: i32) -> i64 {
    call(libc::SYS_openat, [AT_FDCWD, address(path), flags as u64, 0o600, 0, 0])
}

#[test]
fn writes_stay_where_they_are_allowed() {
    if missing(3) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("in");
    std::fs::create_dir_all(inside.join("a")).unwrap();
    std::fs::create_dir(inside.join("b")).unwrap();
    std::fs::write(inside.join("a/file"), "x").unwrap();
    std::fs::write(folder.path().join("out"), "x").unwrap();
    let rules = Ruleset::beneath(&["/".into()], std::slice::from_ref(&inside), Net::None).unwrap();
    assert!(rules.describe().starts_with("ABI "));
    let name = |path: PathBuf| CString::new(path.as_os_str().as_bytes()).unwrap();
    let (file, moved) = (name(inside.join("a/file")), name(inside.join("b/file")));
    let (out, new_out) = (name(folder.path().join("out")), name(folder.path().join("new")));
    let node = name(inside.join("node"));
    let proc = CString::new("/proc/self/comm").unwrap();
    let (told, _) = forked(|tell| {
        no_new_privileges();
        tell(rules.restrict().map_or(-1, |()| 0));
        tell(open(&file, libc::O_RDWR | libc::O_TRUNC).min(0));
        let (from, to) = (address(&file), address(&moved));
        tell(call(libc::SYS_renameat2, [AT_FDCWD, from, AT_FDCWD, to, 0, 0]));
        tell(open(&out, libc::O_RDONLY).min(0));
        tell(open(&out, libc::O_WRONLY));
        tell(open(&new_out, libc::O_WRONLY | libc::O_CREAT));
        tell(call(libc::SYS_truncate, [address(&out), 0, 0, 0, 0, 0]));
        tell(call(libc::SYS_unlinkat, [AT_FDCWD, address(&out), 0, 0, 0, 0]));
        tell(call(libc::SYS_mknodat, [AT_FDCWD, address(&node), 0o20_600, 0x103, 0, 0]));
        tell(open(&proc, libc::O_WRONLY));
    });
    assert_eq!(&told[..4], &[0; 4], "allowed: restrict, write, rename, read");
    assert!(told[4..].iter().all(|&result| result == EACCES || result == EPERM), "{told:?}");
    assert!(folder.path().join("out").exists() && !folder.path().join("new").exists());
}

#[test]
fn the_root_is_writable_but_for_the_kernels_trees() {
    if missing(3) {
        return;
    }
    let rules = Ruleset::new(Net::Loopback).unwrap();
    let comm = CString::new("/proc/self/comm").unwrap();
    let top = CString::new("/shieldx-landlock-test").unwrap();
    let (null, bash) = (CString::new("/dev/null").unwrap(), CString::new("/bin/sh").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let temp = CString::new(folder.path().join("t").as_os_str().as_bytes()).unwrap();
    let (told, _) = forked(|tell| {
        no_new_privileges();
        tell(rules.restrict().map_or(-1, |()| 0));
        tell(open(&temp, libc::O_WRONLY | libc::O_CREAT).min(0));
        tell(open(&bash, libc::O_RDONLY).min(0));
        let null = open(&null, libc::O_RDWR);
        tell(null.min(0));
        // TCGETS on a device that is no terminal.
        tell(call(libc::SYS_ioctl, [null.unsigned_abs(), 0x5401, 0, 0, 0, 0]));
        tell(open(&comm, libc::O_WRONLY));
        tell(open(&top, libc::O_WRONLY | libc::O_CREAT));
        let socket = call(libc::SYS_socket, [2, 1, 0, 0, 0, 0]).unsigned_abs();
        let any = libc::sockaddr { sa_family: 2, sa_data: [0; 14] };
        tell(call(libc::SYS_bind, [socket, (&raw const any).addr() as u64, 16, 0, 0, 0]));
    });
    let enotty = -i64::from(libc::ENOTTY);
    assert_eq!(told, [0, 0, 0, 0, enotty, EACCES, EACCES, 0]);
}

#[test]
fn without_a_network_there_is_no_tcp() {
    if missing(4) {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let rules = Ruleset::new(Net::None).unwrap();
    let (told, _) = forked(|tell| {
        no_new_privileges();
        tell(rules.restrict().map_or(-1, |()| 0));
        let mut peer = libc::sockaddr { sa_family: 2, sa_data: [0; 14] };
        for (at, byte) in port.to_be_bytes().into_iter().chain([127, 0, 0, 1]).enumerate() {
            peer.sa_data[at] = byte.cast_signed();
        }
        let peer = (&raw const peer).addr() as u64;
        let socket = call(libc::SYS_socket, [2, 1, 0, 0, 0, 0]).unsigned_abs();
        tell(call(libc::SYS_connect, [socket, peer, 16, 0, 0, 0]));
        let socket = call(libc::SYS_socket, [2, 1, 0, 0, 0, 0]).unsigned_abs();
        tell(call(libc::SYS_bind, [socket, peer, 16, 0, 0, 0]));
    });
    assert_eq!(told, [0, EACCES, EACCES]);
}

#[test]
fn signals_reach_the_inside_only() {
    if missing(6) {
        return;
    }
    let mut outside = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let pid = u64::from(outside.id());
    let rules = Ruleset::new(Net::None).unwrap();
    let (told, _) = forked(|tell| {
        no_new_privileges();
        tell(rules.restrict().map_or(-1, |()| 0));
        tell(call(libc::SYS_kill, [pid, 0, 0, 0, 0, 0]));
        let child = call(libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]);
        if child == 0 {
            loop {
                call(libc::SYS_pause, [0; 6]);
            }
        }
        let child = child.unsigned_abs();
        tell(call(libc::SYS_kill, [child, libc::SIGKILL as u64, 0, 0, 0, 0]));
        tell(call(libc::SYS_wait4, [child, 0, 0, 0, 0, 0]).signum());
    });
    assert!(outside.try_wait().unwrap().is_none(), "the outside lives");
    outside.kill().unwrap();
    outside.wait().unwrap();
    assert_eq!(told, [0, EPERM, 0, 1]);
}

/// As the sandbox does it: a new mount namespace, an overlay in memory over the host's root,
/// pivot_root, and only then rules that name files through the overlay.
#[test]
fn rules_hold_behind_an_overlay_and_pivot_root() {
    if missing(3) {
        return;
    }
    let script = "mount --make-rprivate / && mount -t tmpfs none $1 && cd $1 && \
         mkdir up work root && mount -t overlay -o lowerdir=/,upperdir=up,workdir=work none root && \
         mount -t proc none root/proc && cd root && mkdir old && pivot_root . old && \
         exec chroot . \"$2\" --exact landlock::inside_the_overlay --ignored --nocapture";
    let folder = tempfile::tempdir().unwrap();
    let exe = std::fs::read_link("/proc/self/exe").unwrap();
    let output = std::process::Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "sh", "-c", script, "sh"])
        .args([folder.path(), &exe])
        .output();
    let output = match output {
        Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("unshare") => output,
        other => {
            println!("SKIP a new mount namespace needs root: {other:?}");
            return;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("1 passed"), "{text}{errors}");
}

#[test]
#[ignore = "runs behind the overlay that rules_hold_behind_an_overlay_and_pivot_root makes"]
fn inside_the_overlay() {
    let rules = Ruleset::new(Net::None).unwrap();
    let usr = CString::new("/usr/shieldx-landlock-test").unwrap();
    let etc = CString::new("/etc/passwd").unwrap();
    let proc = CString::new("/proc/sys/kernel/core_pattern").unwrap();
    let (told, _) = forked(|tell| {
        no_new_privileges();
        tell(rules.restrict().map_or(-1, |()| 0));
        tell(open(&usr, libc::O_WRONLY | libc::O_CREAT).min(0));
        tell(open(&etc, libc::O_RDWR | libc::O_APPEND).min(0));
        tell(open(&proc, libc::O_WRONLY));
    });
    assert_eq!(told, [0, 0, 0, EACCES]);
    let mut text = String::new();
    std::fs::File::open("/etc/passwd").unwrap().read_to_string(&mut text).unwrap();
    assert!(!text.is_empty());
}
