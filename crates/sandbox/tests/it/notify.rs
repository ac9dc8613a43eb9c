//! Tier C on the running kernel: what programs do behind a filter with a listener becomes events.
#![expect(unsafe_code, reason = "installs filters between fork and exec, and receives descriptors")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use shieldx_sandbox::Net;
use shieldx_sandbox::monitor::notify::{self, Target};
use shieldx_sandbox::monitor::{Sink, Summary};
use shieldx_sandbox::seccomp::{Mode, Policy};
use shieldx_types::{Access, Endpoint, Event, Kind, StdioKind};

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

#[test]
fn this_host_can_run_it() {
    println!("{:?}", notify::probe().unwrap());
    assert!(notify::watched().contains(&"execve"));
}

#[test]
fn programs_their_families_and_ends() {
    let seen = shell("cd /usr; /bin/true one 'two three'; no-such-program; sh -c 'exit 7'; exit 3");
    assert_eq!(seen.output.status.code(), Some(3), "{}", seen.text());
    let exec = seen.must("exec of true", |e| {
        matches!(&e.kind, Kind::Exec { argv, cwd, stdio, memfd: false, deleted: false, path }
            if argv.len() == 3 && argv[2] == "two three".into() && *cwd == "/usr".into()
                && path.ends_with("/true")
                && stdio == &[StdioKind::Other, StdioKind::Pipe, StdioKind::Pipe])
    });
    assert_eq!((exec.ret, exec.advisory), (Some(0), true));
    let root = &seen.root().task;
    assert_eq!(exec.task.ppid, root.pid, "{}", seen.text());
    seen.must("exit 7", |e| matches!(e.kind, Kind::Exit { code: Some(7), .. }));
    let end = seen.must("exit 3", |e| matches!(e.kind, Kind::Exit { code: Some(3), .. }));
    assert_eq!(end.task.pid, root.pid);
    let born =
        |pid| move |e: &Event| matches!(e.kind, Kind::Fork { child_pid, .. } if child_pid == pid);
    assert_eq!(seen.must("birth of true", born(exec.task.pid)).task.pid, root.pid);
    assert!(!seen.any(|e| matches!(e.kind, Kind::Syscall { .. })), "{}", seen.text());
}

#[test]
fn a_search_along_path_does_not_look_like_programs() {
    let Some(seen) = python(
        "import os\n\
         os.environ['PATH'] = '/nonexistent:/usr/lib:/usr/bin:/bin'\n\
         os.execvp('true', ['true'])",
    ) else {
        return;
    };
    let tries: Vec<&Event> = seen
        .events
        .iter()
        .filter(|e| matches!(&e.kind, Kind::Exec { path, .. } if path.ends_with("/true")))
        .collect();
    let ends: Vec<Option<i64>> = tries.iter().map(|e| e.ret).collect();
    let missing = Some(-i64::from(libc::ENOENT));
    assert_eq!(ends, [missing, missing, Some(0)], "{}", seen.text());
}

#[test]
fn files_are_told_with_their_real_names() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().canonicalize().unwrap();
    let path = |name: &str| at.join(name).to_str().unwrap().into();
    std::fs::create_dir(at.join("real")).unwrap();
    std::os::unix::fs::symlink("real", at.join("link")).unwrap();
    let seen = shell(&format!(
        "cd {}; echo x > link/a; cat link/a; cat none; mv link/a b; chmod 4755 b; ln -s b c; \
         ln b d; mkdir e; rmdir e; touch -d 2001-01-01 b; truncate -s 5 b; mkfifo p; rm b",
        at.display()
    ));
    assert!(seen.output.status.success(), "{}", seen.text());
    let open = |name: &str, access, create| {
        let wanted = path(name);
        move |e: &Event| {
            matches!(&e.kind, Kind::Open { path, access: a, create: c, .. }
                if *path == wanted && *a == access && *c == create)
        }
    };
    seen.must("creation", open("real/a", Access::Write, true));
    assert_eq!(seen.must("read", open("real/a", Access::Read, false)).ret, None);
    let missing = seen.must("failed read", open("none", Access::Read, false));
    assert_eq!(missing.ret, Some(-2));
    let (from, to) = (path("real/a"), path("b"));
    seen.must("rename", |e| e.kind == Kind::Rename { from: from.clone(), to: to.clone() });
    let b = path("b");
    seen.must("chmod", |e| e.kind == Kind::Chmod { path: b.clone(), mode: 0o4755 });
    seen.must(
        "symlink",
        |e| matches!(&e.kind, Kind::Link { from, symbolic: true, .. } if *from == "b".into()),
    );
    seen.must(
        "link",
        |e| matches!(&e.kind, Kind::Link { from, symbolic: false, .. } if *from == b),
    );
    seen.must("mkdir", |e| e.kind == Kind::Mkdir { path: path("e") });
    seen.must("rmdir", |e| e.kind == Kind::Unlink { path: path("e"), directory: true });
    seen.must("forged time", |e| {
        matches!(&e.kind, Kind::SetTimes { path, seconds } if *path == b && (970_000_000..990_000_000).contains(seconds))
    });
    seen.must("truncate", |e| e.kind == Kind::Truncate { path: b.clone(), length: 5 });
    seen.must("mkfifo", |e| matches!(&e.kind, Kind::Mknod { path: p, .. } if *p == path("p")));
    seen.must("unlink", |e| e.kind == Kind::Unlink { path: b.clone(), directory: false });
}

#[test]
fn a_shell_wired_to_a_socket_is_seen_with_its_far_end() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let Some(seen) = python(&format!(
        "import socket, os, subprocess\n\
         s = socket.create_connection(('127.0.0.1', {port}))\n\
         [os.dup2(s.fileno(), fd) for fd in (0, 1, 2)]\n\
         s.send(b'hello')\n\
         subprocess.call(['sh', '-c', 'true'])"
    )) else {
        return;
    };
    let peer = Endpoint::Inet { ip: "127.0.0.1".parse().unwrap(), port };
    seen.must("socket", |e| matches!(e.kind, Kind::Socket { family: 2, socket_type: 1, .. }));
    seen.must("connect", |e| e.kind == Kind::Connect { peer: peer.clone() } && e.advisory);
    for stream in 0..3 {
        let wired = Kind::StdioSocket { stream, peer: Some(peer.clone()) };
        seen.must("standard stream", |e| e.kind == wired);
    }
    seen.must("send", |e| e.kind == Kind::Send { peer: Some(peer.clone()), bytes: 5 });
    let socket = StdioKind::Socket { peer: Some(peer.clone()) };
    seen.must(
        "shell on the socket",
        |e| matches!(&e.kind, Kind::Exec { stdio, .. } if stdio.iter().all(|s| *s == socket)),
    );
}

#[test]
fn questions_to_name_servers_are_read() {
    let Some(seen) = python(
        "import socket\n\
         q = lambda n: b'\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0' + n + b'\\0\\0\\x10\\0\\1'\n\
         s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         s.sendto(q(b'\\3one\\4test'), ('127.0.0.1', 53))\n\
         s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n\
         s.connect(('::1', 53))\n\
         s.send(q(b'\\3two\\4test'))\n\
         try: s.sendmsg([q(b'\\5three'), b''])\n\
         except OSError: pass\n",
    ) else {
        return;
    };
    for name in ["one.test", "two.test", "three"] {
        seen.must(name, |e| {
            matches!(&e.kind, Kind::Dns { question, record: 16, server: Some(_) } if *question == name.into())
        });
    }
}

#[test]
fn memory_that_runs_is_told() {
    let Some(seen) = python(
        // mov eax, 2 (open); lea rdi, path; xor esi, esi; syscall; ret
        "import mmap, ctypes, os\n\
         code = bytes.fromhex('b802000000 488d3d05000000 31f6 0f05 c3') + b'/etc/passwd\\0'\n\
         libc = ctypes.CDLL(None)\n\
         def run(m):\n\
         \x20 m.write(code)\n\
         \x20 a = ctypes.addressof(ctypes.c_char.from_buffer(m))\n\
         \x20 libc.mprotect(ctypes.c_void_p(a), 4096, 5)\n\
         \x20 ctypes.CFUNCTYPE(ctypes.c_int)(a)()\n\
         keep = mmap.mmap(-1, 4096, prot=7)\n\
         run(mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))\n\
         run(mmap.mmap(-1, 4096))\n\
         f = os.memfd_create('twice', 0)\n\
         os.truncate(f, 4096)\n\
         os.write(f, code)\n\
         m = mmap.mmap(f, 4096, prot=5)\n\
         last = mmap.mmap(f, 4096)\n\
         run(last)\n\
         a = ctypes.addressof(ctypes.c_char.from_buffer(last))\n\
         call = ctypes.CFUNCTYPE(ctypes.c_int)(a)\n\
         if os.fork() == 0: call()",
    ) else {
        return;
    };
    seen.must("W+X mapping", |e| {
        matches!(&e.kind, Kind::Memory { call, write_execute: true, anonymous: _, .. } if call == "mmap")
    });
    seen.must("executable memory file", |e| {
        matches!(&e.kind, Kind::Memory { call, file: Some(file), write_execute: false, .. }
            if call == "mmap" && file.starts_with("/memfd:twice"))
    });
    let ran = |start: u64, length: u64| {
        seen.any(|e| {
            matches!(&e.kind, Kind::MemoryExecuted { address, call }
                if call == "open" && (start..start + length).contains(address))
        })
    };
    let protected: Vec<bool> = seen
        .events
        .iter()
        .filter_map(|e| match &e.kind {
            Kind::Memory { call, address, length, protection: 5, .. } if call == "mprotect" => {
                Some(ran(*address, *length))
            }
            _ => None,
        })
        .collect();
    assert_eq!(protected, [true; 3], "{}", seen.text());
    let root = seen.root().task.pid;
    seen.must("call of the child", |e| {
        matches!(e.kind, Kind::MemoryExecuted { .. }) && e.task.ppid == root
    });
}

#[test]
fn programs_without_a_file_are_marked() {
    let Some(seen) = python(
        "import os\n\
         for how in range(3):\n\
         \x20 if os.fork() == 0:\n\
         \x20  if how < 2:\n\
         \x20   f = os.memfd_create('hidden', 0)\n\
         \x20  else:\n\
         \x20   f = os.open('/tmp', os.O_TMPFILE | os.O_RDWR, 0o700)\n\
         \x20  os.write(f, open('/bin/true', 'rb').read())\n\
         \x20  name = f'/proc/self/fd/{f}'\n\
         \x20  if how > 0: f = os.open(name, os.O_RDONLY)\n\
         \x20  if how == 0: os.execve(name, ['a'], {})\n\
         \x20  else: os.execve(f, ['b'], {})\n\
         \x20 os.wait()",
    ) else {
        return;
    };
    seen.must("memfd_create", |e| e.kind == Kind::MemfdCreate { name: "hidden".into() });
    let memfds = seen.events.iter().filter(|e| {
        matches!(&e.kind, Kind::Exec { memfd: true, path, .. } if *path == "/memfd:hidden".into())
    });
    assert_eq!(memfds.count(), 2, "{}", seen.text());
    seen.must("deleted", |e| matches!(&e.kind, Kind::Exec { deleted: true, memfd: false, .. }));
}

#[test]
fn refused_calls_are_told_with_their_errno() {
    let Some(seen) = python(
        "import ctypes, socket, os\n\
         libc = ctypes.CDLL(None, use_errno=True)\n\
         libc.ptrace(16, 1, 0, 0)\n\
         libc.mount(b'none', b'/mnt/../mnt', b'tmpfs', 0, 0)\n\
         libc.unshare(0x10000000)\n\
         buf = (ctypes.c_uint64 * 11)(0x10000000)\n\
         libc.syscall(435, buf, 88)\n\
         libc.syscall(310, 1, 0, 0, 0, 0, 0)\n\
         libc.syscall(0x40000065, 0)\n\
         libc.ioctl(0, ctypes.c_ulong(0x5412 | 1 << 40), b'x')\n\
         for family, kind in ((17, 3), (2, 3)):\n\
         \x20 try: socket.socket(family, kind)\n\
         \x20 except OSError as e: print(e.errno)\n\
         os.kill(1, 0)",
    ) else {
        return;
    };
    let blocked = |what: &str, errno: i32, pick: &dyn Fn(&Kind) -> bool| {
        let event = seen.must(what, |e| e.blocked && pick(&e.kind));
        assert_eq!(event.ret, Some(-i64::from(errno)), "{what}");
    };
    let call = |name: &'static str| move |kind: &Kind| matches!(kind, Kind::Syscall { call, .. } if call == name);
    blocked("ptrace", libc::EPERM, &|k| matches!(k, Kind::Ptrace { request: 16, target_pid: 1 }));
    blocked(
        "mount",
        libc::EPERM,
        &|k| matches!(k, Kind::Syscall { call, target: Some(at), .. } if call == "mount" && *at == "/mnt".into()),
    );
    blocked("unshare", libc::EPERM, &call("unshare"));
    blocked("clone3", libc::ENOSYS, &call("clone3"));
    blocked("ioctl", libc::EPERM, &call("ioctl"));
    blocked("x32", libc::ENOSYS, &call("syscall_1073741925"));
    blocked("process_vm_readv", libc::EPERM, &|k| {
        matches!(k, Kind::ProcessMemory { write: false, target_pid: 1 })
    });
    blocked("packet socket", libc::EPERM, &|k| matches!(k, Kind::Socket { family: 17, .. }));
    blocked("raw socket", libc::EPERM, &|k| {
        matches!(k, Kind::Socket { family: 2, socket_type: 3, .. })
    });
    seen.must("kill", |e| e.kind == Kind::Kill { target_pid: 1, signal: 0 } && !e.blocked);
}

#[test]
fn a_flood_is_answered_and_counted() {
    let seen = shell("i=0; while [ $i -lt 3000 ]; do : > /dev/null; i=$((i+1)); done; kill -9 $$");
    let opens: u64 = seen
        .events
        .iter()
        .filter(|e| matches!(&e.kind, Kind::Open { path, .. } if *path == "/dev/null".into()))
        .map(|e| e.count)
        .sum();
    assert!(opens >= 3000, "{opens}");
    assert!(seen.summary.counters.aggregated >= 2900);
}

#[test]
fn a_storm_of_tasks_is_followed() {
    let Some(seen) = python(
        "import os, threading\n\
         gate = threading.Barrier(300)\n\
         def body(n):\n\
         \x20 gate.wait()\n\
         \x20 try: os.rmdir(f'/nowhere/{n}')\n\
         \x20 except OSError: pass\n\
         threads = [threading.Thread(target=body, args=(n,)) for n in range(300)]\n\
         [t.start() for t in threads]\n\
         [t.join() for t in threads]\n\
         for n in range(300):\n\
         \x20 if os.fork() == 0: os._exit(n % 7)\n\
         \x20 if n % 3 == 0: os.wait()",
    ) else {
        return;
    };
    assert!(seen.output.status.success(), "{}", seen.text());
    let root = &seen.root().task;
    let removed: std::collections::BTreeSet<u32> = seen
        .events
        .iter()
        .filter(|e| matches!(e.kind, Kind::Unlink { .. }) && e.task.pid == root.pid)
        .map(|e| e.task.tid)
        .collect();
    assert_eq!(removed.len(), 300);
    let ends = seen.events.iter().filter(|e| {
        matches!(e.kind, Kind::Exit { code: Some(0..7), .. }) && e.task.ppid == root.pid
    });
    assert!(ends.count() >= 300);
}

#[test]
fn it_stops_when_told_although_tasks_live() {
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 2; : > /dev/null"]);
    let Watched { running, child } = start(command);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let (list, summary) = running.finish();
    assert!(!child.is_finished(), "the command still sleeps");
    assert!(list.0.iter().any(|e| matches!(e.kind, Kind::Exec { .. })));
    assert!(summary.counters.balanced() && summary.faults.is_empty(), "{summary:?}");
    child.join().unwrap();
}

#[test]
fn everyday_programs_run_and_nothing_of_theirs_is_blocked() {
    let commands = [
        ("tar", "ls -la / | sort | head -3; tar cf a.tar /etc/passwd; id"),
        ("git", "git init -q r; cd r; echo x >x; git add x; git status --short"),
        ("gcc", "echo 'int main(){return 0;}' >a.c; gcc -o a a.c; ./a"),
        (
            "python3",
            "python3 -c 'import threading, subprocess, sqlite3; \
          t = threading.Thread(target=print); t.start(); t.join(); subprocess.run([\"id\"])'",
        ),
        ("node", "node -e 'console.log(require(\"child_process\").execSync(\"id\") + \"\")'"),
        ("java", "java -version"),
        ("go", "go version"),
        ("perl", "perl -e 'if (fork) { wait } else { exit 0 }'"),
    ];
    for (needs, script) in commands {
        let known = Command::new("sh").args(["-c", &format!("command -v {needs}")]).output();
        if !known.is_ok_and(|output| output.status.success()) {
            println!("SKIP {needs} is not installed");
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.current_dir(folder.path()).args(["-ec", script]);
        let seen = watch(command);
        assert!(seen.output.status.success(), "{script}: {}", seen.text());
        // io_uring is refused to everybody; node asks for it and copes.
        let expected = |e: &Event| matches!(&e.kind, Kind::Syscall { call, .. } if call.starts_with("io_uring"));
        assert!(!seen.any(|e| e.blocked && !expected(e)), "{script}: {}", seen.text());
    }
}

/// Memory that a program hides from debuggers is still read, or the record says that it was not.
#[test]
fn hiding_from_debuggers_does_not_hide_from_the_monitor() {
    let Some(seen) = python(
        "import ctypes\n\
         ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n\
         try: open('/hidden-from-nobody')\n\
         except OSError: pass",
    ) else {
        return;
    };
    seen.must(
        "open",
        |e| matches!(&e.kind, Kind::Open { path, .. } if *path == "/hidden-from-nobody".into()),
    );
}

/// The whole of it as the least privileged user: namespaces of its own, a filter, and a monitor
/// that is neither root nor inside.
#[test]
fn an_ordinary_user_sees_into_namespaces_of_its_own() {
    const NOBODY: u32 = 65534;
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        let folder = tempfile::tempdir().unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), mode).unwrap();
        let copy = folder.path().join("it");
        std::fs::copy("/proc/self/exe", &copy).unwrap();
        let name = "notify::an_ordinary_user_sees_into_namespaces_of_its_own";
        let mut command = Command::new(copy);
        command.args(["--exact", name, "--nocapture"]).current_dir("/").uid(NOBODY).gid(NOBODY);
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        println!("{}", text.lines().find(|line| line.starts_with("SKIP")).unwrap_or(""));
        return;
    }
    let allowed = Command::new("unshare").args(["-Urp", "--fork", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        println!("SKIP this host has no user namespaces for ordinary users");
        return;
    }
    let mut command = Command::new("sh");
    let hiding = "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); open('/etc/hostname')";
    command.args([
        "-c",
        "cat /proc/self/comm < /etc/passwd; python3 -c \"$1\"; kill -9 $$",
        "sh",
        hiding,
    ]);
    // SAFETY: the closure makes raw system calls and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS;
            if libc::unshare(flags) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            let child = libc::fork();
            if child != 0 {
                let mut status = 0;
                libc::waitpid(child, &raw mut status, 0);
                libc::_exit(0);
            }
            let kind = c"proc".as_ptr();
            match libc::mount(kind, c"/proc".as_ptr(), kind, 0, std::ptr::null()) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let seen = watch(command);
    let shell = &seen.must("shell", |e| matches!(e.kind, Kind::Exec { .. })).task;
    assert_eq!((shell.pid, shell.ppid), (1, 0), "{}", seen.text());
    let cat =
        seen.must("cat", |e| matches!(&e.kind, Kind::Exec { path, .. } if path.ends_with("/cat")));
    // 2 was the short-lived sender of the listener.
    assert_eq!((cat.task.pid, cat.task.ppid, cat.ret), (3, 1, Some(0)));
    let comm = format!("/proc/{}/comm", cat.task.pid);
    seen.must(
        "read of its own name",
        |e| matches!(&e.kind, Kind::Open { path, .. } if *path == comm.as_str().into()),
    );
    seen.must(
        "redirection",
        |e| matches!(&e.kind, Kind::Open { path, .. } if *path == "/etc/passwd".into()),
    );
}
