//! What guards refuse in the kernel, and how it is told. Where the kernel has no use for guards (most
//! hosts), these say SKIP; `guest` runs them on a kernel that has.

#![expect(unsafe_code, reason = "the attempts are raw calls")]

use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::process::Command;

use sandbox::monitor::ebpf::{Guard, Options, probe_guard};
use types::{Endpoint, Event, Kind, Tier};

use super::job::{Record, Setup, run_with};

/// Runs `actor` with something refused to it.
fn refused(guard: Guard) -> Option<Record> {
    if let Err(error) = probe_guard() {
        eprintln!("SKIP tier A: {error}");
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "ebpf::guard::actor", "--ignored", "--nocapture"]);
    let options = Options { guard, pins: None, ..Options::default() };
    let record = run_with(&mut command, Setup { options, ..Setup::default() })?;
    assert_eq!(record.tier, Tier::A);
    record.assert_complete();
    Some(record)
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap()
}

/// The attempts, as their own process; says on standard output how each ended.
#[test]
#[ignore = "run by others as their command"]
fn actor() {
    let connect = std::net::TcpStream::connect("127.0.0.1:4444").unwrap_err().raw_os_error();
    println!("connect {}", connect.unwrap());
    let unix = UnixStream::connect("/no/such.sock").unwrap_err().raw_os_error();
    println!("unix {}", unix.unwrap());
    match UdpSocket::bind("127.0.0.1:0") {
        Err(error) => println!("bind {}", error.raw_os_error().unwrap()),
        Ok(socket) => match socket.send_to(b"x", "127.0.0.1:5353") {
            Ok(_) => println!("send 0 from {}", socket.as_raw_fd()),
            Err(error) => println!("send {}", error.raw_os_error().unwrap()),
        },
    }
    // SAFETY: a fresh mapping at an address of the kernel's choice, unused and never freed.
    let mapped = unsafe {
        libc::mmap(std::ptr::null_mut(), 4096, 7, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    println!("memory {}", if mapped == libc::MAP_FAILED { errno() } else { 0 });
    // SAFETY: the call takes numbers only. libc's own function makes it for every thread.
    let set = unsafe { libc::syscall(libc::SYS_setuid, 1234) };
    println!("setuid {}", if set < 0 { errno() } else { 0 });
}

fn said(record: &Record) -> String {
    String::from_utf8_lossy(&record.output.stdout).into_owned()
}

#[track_caller]
fn assert_refused(event: &Event) {
    assert!(event.blocked && !event.advisory, "{event:?}");
    assert_eq!(event.ret, Some(-1));
}

#[test]
fn a_refused_connection_is_told_once_with_its_true_peer() {
    let Some(record) = refused(Guard::CONNECT) else { return };
    let peer = Endpoint::Inet { ip: [127, 0, 0, 1].into(), port: 4444 };
    assert!(said(&record).contains("connect 1\n"), "{}", said(&record));
    assert_refused(record.one(|kind| *kind == Kind::Connect { peer: peer.clone() }));
    assert_eq!(record.summary.calls["connect"].blocked, 1);
    // Unix sockets are not the network, and fail as they would.
    assert!(said(&record).contains("unix 2\n"), "{}", said(&record));
    let unix = |kind: &Kind| matches!(kind, Kind::Connect { peer: Endpoint::Unix { .. } });
    assert!(!record.one(unix).blocked);
    assert!(said(&record).contains("send 1\n"), "{}", said(&record));
    let peer = Endpoint::Inet { ip: [127, 0, 0, 1].into(), port: 5353 };
    let send = |kind: &Kind| matches!(kind, Kind::Send { peer: Some(to), .. } if *to == peer);
    assert_refused(record.one(send));
}

#[test]
fn refused_memory_addresses_and_identities_are_told() {
    let guard = Guard::BIND.and(Guard::WRITE_EXECUTE).and(Guard::SET_IDS);
    let Some(record) = refused(guard) else { return };
    for line in ["bind 1\n", "memory 1\n", "setuid 1\n"] {
        assert!(said(&record).contains(line), "{line}: {}", said(&record));
    }
    assert!(!said(&record).contains("connect 1\n"), "nobody said to refuse that");
    let any = Endpoint::Inet { ip: [127, 0, 0, 1].into(), port: 0 };
    assert_refused(record.one(|kind| *kind == Kind::Bind { address: any.clone() }));
    let both =
        |kind: &Kind| matches!(kind, Kind::Memory { write_execute: true, anonymous: true, .. });
    assert_refused(record.one(both));
    assert_refused(record.one(|kind| matches!(kind, Kind::SetIds { ids, .. } if *ids == [1234])));
}

#[test]
fn a_refused_program_or_file_is_told_with_the_path_the_kernel_found() {
    let ours = std::env::current_exe().unwrap().canonicalize().unwrap();
    let ours = types::Text::from(ours.to_str().unwrap());
    let Some(record) = refused(Guard::EXEC) else { return };
    assert_eq!(record.output.status.code(), Some(127));
    assert_refused(record.one(|kind| matches!(kind, Kind::Exec { path, .. } if *path == ours)));
    let record = refused(Guard::OPEN).unwrap();
    assert_refused(record.one(|kind| matches!(kind, Kind::Open { path, .. } if *path == ours)));
    assert!(!record.any(|kind| matches!(kind, Kind::Exec { .. })), "it was told twice");
}
