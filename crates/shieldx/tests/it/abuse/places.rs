//! Attempts 37–61: files, rights, sockets, and the monitor itself.

use std::fs;
use std::io::Read as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Command, Stdio};

use types::{Level, Tier, Verdict};

use super::{attempt, expect};
use crate::lab::{Lab, have, tier};

#[test]
fn n37_to_n44_kernel_files() {
    let Some((_, outcome)) = attempt(&[], &["proc-writes"]) else { return };
    let output = outcome.output();
    let opened: Vec<&str> = output
        .lines()
        .filter(|line| line.starts_with("RESULT /") && !line.contains("RESULT /proc/1/oom"))
        .filter(|line| !line.contains(" -1 errno="))
        .collect();
    assert!(opened.is_empty(), "{opened:?}");
    assert!(output.lines().count() > 10, "{}", outcome.summary());
}

#[test]
fn n42_n43_n49_own_program_and_inherited_descriptors() {
    let Some((_, outcome)) = attempt(&[], &["self-exe"]) else { return };
    assert!(expect(&outcome, "/proc/self/exe").0 < 0);
    assert!(expect(&outcome, "/proc/1/exe").0 < 0);
    assert!(expect(&outcome, "/proc/1/cwd/../../../../etc/shadow").0 < 0);
    let inherited: Vec<String> = outcome
        .output()
        .lines()
        .filter_map(|line| line.strip_prefix("FD "))
        .filter(|line| !matches!(line.split(' ').next(), Some("0" | "1" | "2")))
        .map(str::to_owned)
        .collect();
    assert!(inherited.is_empty(), "descriptors came in: {inherited:?}");
}

#[test]
fn n45_artefacts_are_extracted_safely() {
    if !have("n45", &["cc"]) {
        return;
    }
    let lab = Lab::new();
    let mut command = lab.program("abuse.c");
    command.push("artefacts".to_owned());
    let keep = lab.side().join("kept");
    let keep_word = keep.to_str().expect("ASCII").to_owned();
    let outcome = lab.shieldx().with(&["--keep", &keep_word]).run(&command);
    let mut folders = vec![keep.clone()];
    let mut plain = false;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the kept folder").flatten() {
            let kind = fs::symlink_metadata(entry.path()).expect("metadata").file_type();
            assert!(kind.is_file() || kind.is_dir(), "{:?} is {kind:?}", entry.path());
            if kind.is_dir() {
                folders.push(entry.path());
            }
            if entry.file_name() == "plain" {
                plain = true;
                assert_eq!(fs::read(entry.path()).expect("the kept file"), b"plain\n");
            }
        }
    }
    assert!(plain, "the regular file was not kept: {}", outcome.summary());
    lab.assert_no_process();
}

#[test]
fn n46_n47_no_new_privileges_and_no_capabilities() {
    let Some((_, outcome)) = attempt(&[], &["no-new-privileges"]) else { return };
    assert_eq!(expect(&outcome, "no_new_privs").0, 1);
    assert_ne!(expect(&outcome, "euid").0, 0);
    let output = outcome.output();
    let sets: Vec<&str> = output.lines().filter(|line| line.starts_with("STATUS Cap")).collect();
    assert_eq!(sets.len(), 5, "{output}");
    for set in sets {
        assert!(set.ends_with("\t0000000000000000"), "{set}");
    }
    assert!(output.contains("Seccomp:\t2"), "{output}");
}

#[test]
fn n48_device_nodes() {
    let Some((_, outcome)) = attempt(&[], &["surface", "mknod"]) else { return };
    let (value, errno) = expect(&outcome, "mknod");
    // Not the filter's refusal: no capability, and Landlock allows no device nodes.
    let refused = errno == libc::EPERM || errno == libc::EACCES;
    assert!(value < 0 && refused, "{}", outcome.summary());
    assert!(outcome.events.iter().any(|event| event.kind.name() == "mknod" && !event.happened()));
}

#[test]
fn n50_sockets_of_the_host_are_not_there() {
    let sockets = ["/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket"];
    let mut words = vec!["unix"];
    words.extend(sockets);
    let Some((_, outcome)) = attempt(&[], &words) else { return };
    for socket in sockets {
        assert!(expect(&outcome, socket).0 < 0, "{}", outcome.summary());
    }
}

#[test]
fn n51_to_n54_socket_families() {
    let Some((_, outcome)) = attempt(&["--net", "loopback"], &["sockets"]) else { return };
    for family in ["packet", "raw", "vsock", "alg", "netlink-audit", "bluetooth", "xdp"] {
        assert!(expect(&outcome, family).0 < 0, "{family}: {}", outcome.summary());
    }
    assert!(outcome.blocked("socket"), "{}", outcome.summary());
}

#[test]
fn n55_abstract_sockets_of_the_host() {
    let name = format!("shieldx-canary-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("an abstract name");
    let server = UnixListener::bind_addr(&address).expect("a listener");
    server.set_nonblocking(true).expect("nonblocking");
    let Some((_, outcome)) = attempt(&["--net", "loopback"], &["abstract", &name]) else { return };
    assert!(expect(&outcome, "abstract").0 < 0, "{}", outcome.summary());
    assert!(server.accept().is_err(), "somebody inside reached the host's socket");
}

#[test]
fn n56_n57_metadata_address_and_loopback_of_the_host() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    server.set_nonblocking(true).expect("nonblocking");
    let port = server.local_addr().expect("an address").port().to_string();
    for net in ["none", "loopback"] {
        let options = ["--net", net];
        let Some((_, outcome)) = attempt(&options, &["reach", "169.254.169.254"]) else { return };
        // Landlock forbids TCP where there is no network; else there is no route.
        let errno = expect(&outcome, "connect").1;
        assert!(errno == libc::ENETUNREACH || errno == libc::EACCES, "{net}: {errno}");
        let Some((_, outcome)) = attempt(&options, &["reach", "127.0.0.1", &port]) else { return };
        assert!(expect(&outcome, "connect").0 < 0, "{net}");
    }
    assert!(server.accept().is_err(), "somebody inside reached the host's loopback");
}

#[test]
fn n60_event_flood_loses_nothing_or_says_so() {
    let Some((_, outcome)) = attempt(&["--timeout", "120s"], &["event-flood"]) else { return };
    assert_eq!(expect(&outcome, "flood").0, 440_000);
    let evidence = &outcome.assessment.evidence;
    if evidence.counters.dropped > 0 {
        assert_eq!(evidence.level, Level::Incomplete, "{}", outcome.summary());
        assert_eq!(outcome.assessment.verdict, Verdict::Inconclusive);
    } else if tier() == Tier::B {
        assert_eq!(evidence.level, Level::Full, "{}", outcome.summary());
        let unlinks = outcome.events.iter().filter(|event| event.kind.name() == "unlink");
        assert_eq!(unlinks.count(), 20_000, "{:?}", evidence.counters);
    }
    assert!(outcome.blocked("ptrace"), "what matters was lost in the flood");
}

#[test]
fn n61_spoofed_names_cannot_drive_the_terminal() {
    if !have("n61", &["cc"]) {
        return;
    }
    let lab = Lab::new();
    let command = lab.program("abuse.c");
    let mut child = Command::new(env!("CARGO_BIN_EXE_shieldx"))
        .args(["run", "--cwd"])
        .arg(lab.work())
        .args(["--", &command[0], "spoof"])
        .current_dir(lab.work())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("shieldx starts");
    let mut report = Vec::new();
    child.stderr.take().expect("stderr").read_to_end(&mut report).expect("the report");
    child.wait().expect("shieldx ends");
    let bad: Vec<u8> = report
        .iter()
        .copied()
        .filter(|&byte| byte < 0x20 && byte != b'\n' && byte != b'\t')
        .collect();
    assert!(bad.is_empty(), "control bytes {bad:?} in {:?}", String::from_utf8_lossy(&report));
}
