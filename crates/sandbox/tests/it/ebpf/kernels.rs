//! The monitor and the guards on other kernels than the one that runs the tests: Debian's, in QEMU.

#![expect(unsafe_code, reason = "an attempt is a raw call")]

use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use types::{Access, Endpoint, Kind};

use super::job::{Setup, assert_success, run_with};

/// What is tried, as a process of its own that needs nothing but itself.
#[test]
#[ignore = "run by others as their command"]
fn actor() {
    let folder = std::env::temp_dir();
    let path = folder.join(format!("shieldx-kernels-{}", std::process::id()));
    fs::write(&path, "written").unwrap();
    fs::remove_file(&path).unwrap();
    assert!(fs::read("/no/such/file").is_err());
    assert!(TcpStream::connect("127.0.0.1:4445").is_err());
    let name = [0_u8; 100];
    // SAFETY: the name lives as long as the call and is longer than the kernel takes.
    assert!(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) } < 0);
    let mut child = Command::new(std::env::current_exe().unwrap());
    assert!(child.arg("--list").output().unwrap().status.success());
}

#[test]
fn programs_files_peers_and_refusals_are_told_on_this_kernel() {
    let setdomainname = u32::try_from(libc::SYS_setdomainname).unwrap();
    let mut setup = Setup {
        // What the kernel answers stands in for a filter.
        refusal: Box::new(move |nr, _| (nr == setdomainname).then_some(libc::EINVAL)),
        ..Setup::default()
    };
    setup.options.refusable = vec![setdomainname];
    setup.options.refusal_errnos = vec![libc::EINVAL];
    setup.options.pins = None;
    let ours = std::env::current_exe().unwrap().canonicalize().unwrap();
    let mut command = Command::new(&ours);
    command.args(["--exact", "ebpf::kernels::actor", "--ignored", "--nocapture"]);
    let Some(record) = run_with(&mut command, setup) else { return };
    assert_success(&record);
    record.assert_complete();
    let ours = types::Text::from(ours.to_str().unwrap());
    let exec = |kind: &Kind| matches!(kind, Kind::Exec { path, argv, .. } if *path == ours && argv.len() == 2);
    record.one(exec);
    let created = |kind: &Kind| {
        matches!(kind, Kind::Open { path, access: Access::Write, create: true, .. }
            if path.file_name().starts_with("shieldx-kernels-"))
    };
    assert!(!record.one(created).advisory);
    let written = |kind: &Kind| matches!(kind, Kind::Write { bytes: 7, writes: 1, .. });
    record.one(written);
    let missing = |kind: &Kind| matches!(kind, Kind::Open { path, .. } if path.as_bytes() == b"/no/such/file");
    assert_eq!(record.one(missing).ret, Some(-2));
    let peer = Endpoint::Inet { ip: [127, 0, 0, 1].into(), port: 4445 };
    record.one(|kind| *kind == Kind::Connect { peer: peer.clone() });
    let refused =
        |kind: &Kind| matches!(kind, Kind::Syscall { call, .. } if call == "setdomainname");
    assert!(record.one(refused).blocked);
    assert!(record.any(|kind| matches!(kind, Kind::Fork { thread: false, .. })));
}

/// A guest that hangs must not hang the suite.
const BOOT_MAX: Duration = Duration::from_secs(400);

/// The processes of a boot; none is left when this is dropped.
struct Group(i32);

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: the call takes numbers only; the group is that of a child of ours.
        unsafe { libc::kill(-self.0, libc::SIGKILL) };
    }
}

/// Boots Debian's kernel with BPF among its security modules and runs the tests there that need
/// nothing but this binary. None of them may skip.
#[test]
fn on_debians_kernel_in_qemu_the_monitor_works_and_guards_refuse() {
    if !std::path::Path::new("/usr/bin/qemu-system-x86_64").exists() {
        eprintln!("SKIP kernels: qemu-system-x86_64 is not installed");
        return;
    }
    let inside = ["ebpf::kernels::programs", "ebpf::guard", "ebpf::capture", "ebpf::reuse"];
    let mut boot = Command::new(env!("CARGO"));
    boot.args(["run", "--quiet", "--package", "xtask", "--", "guest", "exec", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(inside)
        .args(["--test-threads", "1", "--nocapture"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let child = boot.spawn().unwrap();
    let group = Group(i32::try_from(child.id()).unwrap());
    let (done, waited) = mpsc::channel::<()>();
    let alarm = thread::spawn(move || {
        let _ = waited.recv_timeout(BOOT_MAX);
        drop(group);
    });
    let output = child.wait_with_output().unwrap();
    drop(done);
    alarm.join().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let problems = String::from_utf8_lossy(&output.stderr).into_owned();
    if problems.contains("apt does not know") || problems.contains("busybox-static") {
        eprintln!("SKIP kernels: no guest kernel: {problems}");
        return;
    }
    assert!(output.status.success(), "{said}\n{problems}");
    assert!(said.contains("test result: ok"), "{said}\n{problems}");
    assert!(!said.contains("SKIP"), "{said}");
    for test in [
        "a_refused_connection_is_told_once",
        "paths_lead_where_the_kernel_went",
        "refusals_are_told_on_this_kernel",
    ] {
        assert!(said.contains(test), "{test}: {said}");
    }
}
