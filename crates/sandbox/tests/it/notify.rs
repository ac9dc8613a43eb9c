//! Tier C on the running kernel: what programs do behind a filter with a listener becomes events.
#![expect(unsafe_code, reason = "installs filters between fork and exec, and receives descriptors")]

mod endurance;
mod facts;

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use sandbox::Net;
use sandbox::monitor::notify::{self, Target};
use sandbox::monitor::{Sink, Summary};
use sandbox::seccomp::{Mode, Policy};
use types::{Access, Event, Kind};

use crate::child::no_new_privileges;

#[derive(Default)]
struct List(Vec<Event>);

impl Sink for List {
    fn event(&mut self, event: Event) {
        self.0.push(event);
    }
}

/// What a command did.
struct Seen {
    events: Vec<Event>,
    summary: Summary,
    output: Output,
}

impl Seen {
    /// The first exec, by the command's own process.
    fn root(&self) -> &Event {
        self.must("exec", |e| matches!(e.kind, Kind::Exec { .. }))
    }

    fn any(&self, pick: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(pick)
    }

    fn text(&self) -> String {
        let lines: Vec<String> = self
            .events
            .iter()
            .filter(|e| !matches!(e.kind, Kind::Open { access: Access::Read, .. }))
            .map(|e| format!("{} {} {:?} ret {:?}", e.task.pid, e.task.comm, e.kind, e.ret))
            .collect();
        let errors = String::from_utf8_lossy(&self.output.stderr);
        format!("{}\n{errors}", lines.join("\n"))
    }

    fn must(&self, what: &str, pick: impl Fn(&Event) -> bool) -> &Event {
        let found = self.events.iter().find(|&event| pick(event));
        found.unwrap_or_else(|| panic!("no {what} in\n{}", self.text()))
    }
}

fn receive(socket: &UnixStream) -> OwnedFd {
    let mut byte = 0_u8;
    let mut iov = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut control = [0_u64; 4];
    // SAFETY: all-zero bytes are a valid msghdr; everything it points at outlives the call.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut iov;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        let got = libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC);
        assert_eq!(got, 1, "{}", std::io::Error::last_os_error());
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        assert!(!header.is_null());
        OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<i32>().read_unaligned())
    }
}

fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the result.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap()
}

/// A command on its way, and its monitor.
struct Watched {
    running: notify::Running<List>,
    child: std::thread::JoinHandle<Output>,
}

fn start(mut command: Command) -> Watched {
    let policy = Policy::standard(Net::Loopback);
    let filter = policy.compile(Mode::Notify);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let start_ns = now_ns();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: the closure makes raw system calls and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            no_new_privileges();
            filter.install_and_send(theirs.as_raw_fd())
        });
    }
    // Starting waits for the exec, which waits for the monitor.
    let child = std::thread::spawn(move || command.output().unwrap());
    let listener = receive(&ours);
    let target =
        Target { listener, start_ns, policy: Arc::new(policy), uid_map: Vec::new(), root_pid: 0 };
    Watched { running: notify::start(target, List::default()).unwrap(), child }
}

fn watch(command: Command) -> Seen {
    let Watched { running, child } = start(command);
    let output = child.join().unwrap();
    let (list, summary) = running.finish();
    let mut events = list.0;
    events.sort_by_key(|event| event.time_ns);
    assert!(summary.counters.balanced(), "{:?}", summary.counters);
    assert_eq!(summary.counters.received, events.len() as u64);
    assert_eq!(summary.counters.seen, events.iter().map(|event| event.count).sum::<u64>());
    assert_eq!(summary.faults, Vec::<String>::new());
    Seen { events, summary, output }
}

fn shell(script: &str) -> Seen {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    watch(command)
}

fn python(script: &str) -> Option<Seen> {
    if !Command::new("python3").arg("--version").output().is_ok_and(|out| out.status.success()) {
        println!("SKIP python3 is not installed");
        return None;
    }
    let mut command = Command::new("python3");
    command.args(["-c", script]);
    Some(watch(command))
}
