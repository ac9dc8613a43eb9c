//! Each kind of event, from a program that causes it.

use std::fs;
use std::path::Path;
use std::process::Command;

use sandbox::monitor::ebpf::Options;
use types::{Access, Calls, Endpoint, Event, Kind, StdioKind, Text, Traffic};

use super::job::{Record, Setup, assert_success, compile, folder, run, run_with, sh};

/// Runs C statements in a folder of their own.
pub(super) fn run_c(name: &str, statements: &str) -> Option<(Record, String)> {
    let folder = folder(name);
    let source = format!("{}{statements}\n\treturn 0;\n}}\n", include_str!("prelude.c"));
    let program = compile(&folder, &source)?;
    let record = run(Command::new(program).current_dir(&folder));
    fs::remove_dir_all(&folder).unwrap();
    let record = record?;
    assert_success(&record);
    record.assert_complete();
    Some((record, folder.display().to_string()))
}

pub(super) fn text(folder: &str, name: &str) -> Text {
    Text::from(format!("{folder}/{name}").as_str())
}

fn inet(ip: [u8; 4], port: u16) -> Endpoint {
    Endpoint::Inet { ip: ip.into(), port }
}

#[test]
fn a_shell_script_is_told_from_exec_to_exit() {
    let Some(record) = run(&mut sh("cd /usr && /bin/echo hi; exit 3")) else { return };
    record.assert_complete();
    let echo =
        record.one(|kind| matches!(kind, Kind::Exec { path, .. } if path.ends_with("/echo")));
    let Kind::Exec { argv, cwd, memfd, deleted, stdio, .. } = &echo.kind else { unreachable!() };
    assert_eq!(*argv, [Text::from("/bin/echo"), Text::from("hi")]);
    assert_eq!(cwd.as_bytes(), b"/usr");
    assert!(!memfd && !deleted);
    assert_eq!(stdio[1..], [StdioKind::Pipe, StdioKind::Pipe]);
    assert_eq!(echo.task.comm.as_bytes(), b"echo");

    let fork = record.one(|kind| matches!(kind, Kind::Fork { .. }));
    let Kind::Fork { child_pid, child_tid, child_start_ns, thread } = fork.kind else {
        unreachable!()
    };
    assert_eq!((child_pid, child_start_ns), (echo.task.pid, echo.task.start_ns));
    assert_eq!((child_tid, thread), (child_pid, false));
    assert_eq!(fork.task.pid, echo.task.ppid);

    let exit = |pid: u32| {
        let exits = |event: &&Event| {
            event.task.pid == pid && matches!(event.kind, Kind::Exit { thread: false, .. })
        };
        record.events.iter().find(exits).unwrap().kind.clone()
    };
    assert_eq!(exit(child_pid), Kind::Exit { code: Some(0), signal: None, thread: false });
    assert_eq!(exit(fork.task.pid), Kind::Exit { code: Some(3), signal: None, thread: false });
    assert!(record.events.is_sorted_by_key(|event| event.time_ns));
}

#[test]
fn failed_programs_threads_and_deaths_by_signal_are_told() {
    let Some((record, folder)) = run_c(
        "programs",
        r#"
	char *none[] = { "x", 0 };
	execve("./missing", none, none);
	pthread_t t;
	pthread_create(&t, 0, nothing, 0);
	pthread_join(t, 0);
	if (fork() == 0)
		raise(SIGTERM);
	wait(0);
	prctl(PR_SET_NAME, "kworker/0:1");
	int child = fork();
	if (child == 0)
		pause();
	kill(child, SIGKILL);
	kill(0x7ffffff, SIGUSR1);
"#,
    ) else {
        return;
    };
    let missing = |kind: &Kind| matches!(kind, Kind::Exec { argv, .. } if argv.is_empty());
    let missing = record.one(missing);
    assert_eq!(missing.ret, Some(-2));
    assert!(missing.advisory);
    assert!(matches!(&missing.kind, Kind::Exec { path, .. } if *path == text(&folder, "missing")));
    record.one(|kind| matches!(kind, Kind::Fork { thread: true, .. }));
    record.one(|kind| matches!(kind, Kind::Exit { thread: true, .. }));
    record.one(|kind| matches!(kind, Kind::Exit { signal: Some(15), code: None, thread: false }));
    record.one(|kind| matches!(kind, Kind::Exit { signal: Some(9), code: None, thread: false }));
    record.one(|kind| matches!(kind, Kind::SetName { name } if name.as_bytes() == b"kworker/0:1"));
    record.one(|kind| matches!(kind, Kind::Kill { signal: 9, target_pid } if *target_pid > 0));
    let kill = record.one(|kind| matches!(kind, Kind::Kill { target_pid: 0x7ff_ffff, signal: 10 }));
    assert_eq!(kill.ret, Some(-3));
}

#[test]
fn every_call_that_returns_is_counted_by_its_name_once() {
    let Some(record) = run_counted() else { return };
    let calls = &record.summary.calls;
    let made = |name: &str| calls.get(name).map_or(0, |calls| calls.made);
    assert_eq!(made("getppid"), 1000);
    assert_eq!(made("lseek"), 7, "{calls:?}");
    // A fork returns in the child too, who did not make it: ours and that of the thread.
    assert_eq!(made("clone") + made("clone3") + made("fork"), 2, "{calls:?}");
    assert_eq!(calls["setdomainname"], Calls { made: 3, blocked: 3 });
    assert_eq!(calls["lseek"].blocked, 0);
    // The call has no name yet.
    assert_eq!(calls["other"].made, 2, "{calls:?}");
}

#[test]
fn bytes_of_packets_are_counted_both_ways_by_protocol() {
    let Some((record, _)) = run_c(
        "packets",
        r#"
	int u = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = loopback(0);
	socklen_t len = sizeof(a);
	bind(u, (void *)&a, len);
	getsockname(u, (void *)&a, &len);
	char data[1000] = { 0 };
	for (int i = 0; i < 10; i++) {
		sendto(u, data, sizeof(data), 0, (void *)&a, sizeof(a));
		recv(u, data, sizeof(data), 0);
	}
	int s = socket(AF_INET6, SOCK_STREAM, 0), c = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 b = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	len = sizeof(b);
	if (bind(s, (void *)&b, sizeof(b)) == 0) {
		listen(s, 1);
		getsockname(s, (void *)&b, &len);
		connect(c, (void *)&b, sizeof(b));
		int p = accept(s, 0, 0);
		write(c, data, 500);
		read(p, data, 500);
	}
	int pair[2];
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	write(pair[0], data, 777);
"#,
    ) else {
        return;
    };
    let traffic = &record.summary.traffic;
    if traffic.is_empty() {
        eprintln!("SKIP packets: this kernel has no programs for packets of a cgroup");
        return;
    }
    // 20 bytes of IP and 8 of UDP stand before the data.
    let udp = Traffic { received_bytes: 10_280, sent_bytes: 10_280 };
    assert_eq!(traffic["udp"], udp, "{traffic:?}");
    let tcp = traffic["tcp"];
    assert_eq!(tcp.sent_bytes, tcp.received_bytes, "all of it stays here: {traffic:?}");
    assert!(tcp.sent_bytes == 0 || (500..5_000).contains(&tcp.sent_bytes), "{traffic:?}");
    assert_eq!(traffic["other"], Traffic::default(), "a pair of sockets sends no packets");
}

fn run_counted() -> Option<Record> {
    let folder = folder("counted");
    let statements = r#"
	for (int i = 0; i < 1000; i++)
		syscall(SYS_getppid);
	for (int i = 0; i < 7; i++)
		lseek(77, 0, SEEK_SET);
	for (int i = 0; i < 3; i++)
		setdomainname("", 0xffff);
	syscall(399);
	syscall(100000);
	pthread_t t;
	pthread_create(&t, 0, nothing, 0);
	pthread_join(t, 0);
	if (fork() == 0)
		_exit(0);
	wait(0);
"#;
    let source = format!("{}{statements}\n\treturn 0;\n}}\n", include_str!("prelude.c"));
    let program = compile(&folder, &source)?;
    let setdomainname = u32::try_from(libc::SYS_setdomainname).unwrap();
    let mut setup = Setup {
        // What the kernel answers stands in for a filter.
        refusal: Box::new(move |nr, _| (nr == setdomainname).then_some(libc::EINVAL)),
        ..Setup::default()
    };
    setup.options.refusable = vec![setdomainname];
    setup.options.refusal_errnos = vec![libc::EINVAL];
    let record = run_with(Command::new(program).current_dir(&folder), setup);
    fs::remove_dir_all(&folder).unwrap();
    let record = record?;
    assert_success(&record);
    record.assert_complete();
    Some(record)
}

const FILE_CALLS: &str = r#"
	int fd = open("new", O_CREAT | O_TRUNC | O_WRONLY, 0600);
	write(fd, "first\n", 6);
	write(fd, "second\n", 7);
	struct iovec v[2] = { { "a", 1 }, { "bc", 2 } };
	writev(fd, v, 2);
	fchmod(fd, 04755);
	fchown(fd, 1, 2);
	ftruncate(fd, 3);
	fsetxattr(fd, "user.test", "x", 1, 0);
	struct timespec times[2] = { { 1, 0 }, { 1000, 0 } };
	utimensat(AT_FDCWD, "new", times, 0);
	futimens(fd, 0);
	close(fd);
	mkdir("./x/../dir//", 0700);
	mkdir("./dir//", 0700);
	int dir = open("dir", O_RDONLY | O_DIRECTORY);
	mknodat(dir, "pipe", S_IFIFO | 0600, 0);
	renameat(AT_FDCWD, "new", dir, "moved");
	linkat(dir, "moved", AT_FDCWD, "hard", 0);
	symlink("/etc/passwd", "soft");
	chmod("soft-missing", 0600);
	unlinkat(dir, "pipe", 0);
	unlink("dir/moved");
	rmdir("dir");
	open("/root-is-not-here", O_RDONLY);
	close(open("/etc/hostname", O_RDONLY));
	char *shared;
	fd = open("mapped", O_CREAT | O_RDWR, 0600);
	ftruncate(fd, 4096);
	shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
"#;

#[test]
fn file_calls_are_told_with_absolute_paths() {
    let Some((record, folder)) = run_c("files", FILE_CALLS) else {
        return;
    };
    let path = |name: &str| text(&folder, name);
    let new = record.one(|kind| matches!(kind, Kind::Open { path: p, .. } if *p == path("new")));
    assert!(!new.advisory);
    assert!(matches!(
        new.kind,
        Kind::Open { access: Access::Write, create: true, truncate: true, .. }
    ));
    let expect = [
        Kind::Write { path: path("new"), writes: 3, bytes: 16, head: "66697273740a".to_owned() },
        Kind::Write { path: path("mapped"), writes: 1, bytes: 0, head: String::new() },
        Kind::Chmod { path: path("new"), mode: 0o4755 },
        Kind::Chmod { path: path("soft-missing"), mode: 0o600 },
        Kind::Chown { path: path("new"), uid: 1, gid: 2 },
        Kind::Truncate { path: path("new"), length: 3 },
        Kind::SetXattr { path: path("new"), name: Text::from("user.test") },
        Kind::SetTimes { path: path("new"), seconds: 1000 },
        Kind::Mknod { path: path("dir/pipe"), mode: 0o10600 },
        Kind::Rename { from: path("new"), to: path("dir/moved") },
        Kind::Link { from: path("dir/moved"), to: path("hard"), symbolic: false },
        Kind::Link { from: Text::from("/etc/passwd"), to: path("soft"), symbolic: true },
        Kind::Unlink { path: path("dir/pipe"), directory: false },
        Kind::Unlink { path: path("dir/moved"), directory: false },
        Kind::Unlink { path: path("dir"), directory: true },
    ];
    for kind in expect {
        record.one(|other| *other == kind);
    }
    // Both ways of writing the folder's name mean it; only the second one exists.
    let mkdir = |event: &&Event| event.kind == Kind::Mkdir { path: path("dir") };
    let rets: Vec<_> = record.events.iter().filter(mkdir).map(|event| event.ret).collect();
    assert_eq!(rets, [Some(-2), Some(0)]);
    let now = record.events.iter().find_map(|event| match event.kind {
        Kind::SetTimes { seconds, .. } if seconds != 1000 => Some(seconds),
        _ => None,
    });
    assert!(now.unwrap() > 1_700_000_000);
    let failed = |kind: &Kind| matches!(kind, Kind::Open { path, .. } if path.as_bytes() == b"/root-is-not-here");
    assert_eq!(record.one(failed).ret, Some(-2));
    assert!(record.any(|kind| matches!(kind, Kind::Open { path, access: Access::Read, .. } if path.as_bytes() == b"/etc/hostname")));
}

#[test]
fn sockets_and_questions_are_told_with_their_peers() {
    let Some((record, _)) = run_c(
        "network",
        r#"
	int server = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = loopback(0);
	bind(server, (void *)&a, sizeof(a));
	listen(server, 1);
	socklen_t len = sizeof(a);
	getsockname(server, (void *)&a, &len);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	connect(client, (void *)&a, sizeof(a));
	int peer = accept(server, 0, 0);
	write(client, "hello", 5);
	write(client, "again", 5);
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in to = loopback(9);
	sendto(udp, "abc", 3, 0, (void *)&to, sizeof(to));
	struct sockaddr_in dns = loopback(53);
	char question[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\7example\3org\0\0\x1c\0\1";
	connect(udp, (void *)&dns, sizeof(dns));
	send(udp, question, sizeof(question) - 1, 0);
	struct iovec v = { question, sizeof(question) - 1 };
	struct mmsghdr m = { .msg_hdr = { .msg_iov = &v, .msg_iovlen = 1 } };
	sendmmsg(udp, &m, 1, 0);
	struct sockaddr_un path = { AF_UNIX, "/no/such.sock" };
	connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&path, sizeof(path));
	dup2(client, 0);
	dup2(client, 1);
	if (fork() == 0)
		execl("/bin/true", "true", (char *)0);
	wait(0);
"#,
    ) else {
        return;
    };
    let connect = record.one(
        |kind| matches!(kind, Kind::Connect { peer: Endpoint::Inet { port, .. } } if *port > 1024),
    );
    let Kind::Connect { peer: server } = &connect.kind else { unreachable!() };
    assert!(!connect.advisory);
    record.one(|kind| *kind == Kind::Listen { address: Some(server.clone()) });
    record.one(|kind| *kind == Kind::Bind { address: inet([127, 0, 0, 1], port(server)) });
    record.one(|kind| matches!(kind, Kind::Accept { peer: Some(Endpoint::Inet { .. }) }));
    let send =
        record.one(|kind| matches!(kind, Kind::Send { peer: Some(peer), .. } if peer == server));
    assert_eq!(
        (send.count, &send.kind),
        (2, &Kind::Send { peer: Some(server.clone()), bytes: 10 })
    );
    record.one(|kind| *kind == Kind::Send { peer: Some(inet([127, 0, 0, 1], 9)), bytes: 3 });
    let questions = record.events.iter().filter(|event| {
        event.kind
            == Kind::Dns {
                question: Text::from("example.org"),
                record: 28,
                server: Some(inet([127, 0, 0, 1], 53)),
            }
    });
    assert_eq!(questions.count(), 2, "{}", record.list());
    let unix = Endpoint::Unix { path: Text::from("/no/such.sock"), abstract_name: false };
    assert_eq!(record.one(|kind| *kind == Kind::Connect { peer: unix.clone() }).ret, Some(-2));
    for stream in [0, 1] {
        record.one(|kind| *kind == Kind::StdioSocket { stream, peer: Some(server.clone()) });
    }
    let exec =
        record.one(|kind| matches!(kind, Kind::Exec { path, .. } if path.ends_with("/true")));
    let Kind::Exec { stdio, .. } = &exec.kind else { unreachable!() };
    assert_eq!(stdio[0], StdioKind::Socket { peer: Some(server.clone()) });
}

fn port(endpoint: &Endpoint) -> u16 {
    match endpoint {
        Endpoint::Inet { port, .. } => *port,
        other => panic!("{other:?}"),
    }
}

#[test]
fn executable_memory_and_memory_files_are_told() {
    let Some((record, _)) = run_c(
        "memory",
        r#"
	/* mov eax, 39 (getpid); syscall; ret */
	char code[] = { 0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3 };
	char *both = mmap(0, 8192, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(both, code, sizeof(code));
	((void (*)(void))both)();
	((void (*)(void))both)();
	char *later = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(later, code, sizeof(code));
	mprotect(later, 4096, 5);
	if (fork() == 0) {
		((void (*)(void))later)();
		_exit(0);
	}
	wait(0);
	int fd = memfd_create("payload", 0);
	int in = open("/bin/true", O_RDONLY);
	while (sendfile(fd, in, 0, 1 << 20) > 0)
		;
	char *argv[] = { "innocent", 0 }, *env[] = { 0 };
	if (fork() == 0)
		fexecve(fd, argv, env);
	wait(0);
	process_vm_readv(1, 0, 0, 0, 0, 0);
	ptrace(PTRACE_ATTACH, 0x7ffffff, 0, 0);
"#,
    ) else {
        return;
    };
    let both = record.one(|kind| matches!(kind, Kind::Memory { write_execute: true, .. }));
    let Kind::Memory { address: both, length: 8192, protection: 7, anonymous: true, .. } =
        both.kind
    else {
        panic!("{both:?}")
    };
    let later = record.one(|kind| matches!(kind, Kind::Memory { call, .. } if call == "mprotect"));
    let Kind::Memory { address: later, write_execute: false, anonymous: true, .. } = later.kind
    else {
        panic!("{later:?}")
    };
    for address in [both, later] {
        record.one(|kind| *kind == Kind::MemoryExecuted { address, call: "getpid".to_owned() });
    }
    record.one(|kind| matches!(kind, Kind::MemfdCreate { name } if name.as_bytes() == b"payload"));
    let exec = record.one(|kind| matches!(kind, Kind::Exec { memfd: true, deleted: true, .. }));
    let Kind::Exec { path, argv, .. } = &exec.kind else { unreachable!() };
    assert_eq!((path.as_bytes(), argv[0].as_bytes()), (&b"/memfd:payload"[..], &b"innocent"[..]));
    record.one(|kind| *kind == Kind::ProcessMemory { write: false, target_pid: 1 });
    record.one(|kind| *kind == Kind::Ptrace { request: 16, target_pid: 0x7ff_ffff });
}

#[test]
fn calls_at_the_kernels_own_surface_are_told() {
    let Some((record, folder)) = run_c(
        "surface",
        r#"
	unshare(CLONE_NEWUTS);
	mount("none", "mnt", "tmpfs", 0, 0);
	umount2("mnt", 0);
	chroot("missing");
	setgid(1);
	unsigned groups[] = { 5, 6 };
	syscall(SYS_setgroups, 2, groups);
	setresuid(1, 2, 3);
	syscall(SYS_bpf, 0, 0, 0);
	syscall(SYS_keyctl, 0, 0, 0);
	syscall(313, -1, "", 0);
	syscall(0x40000000 + SYS_getpid);
	ioctl(0, 0x5412, "x");
	long flags = CLONE_NEWPID | CLONE_NEWUSER, args[8] = { flags };
	if (syscall(SYS_clone3, args, 64) == 0)
		_exit(0);
	int result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20));
"#,
    ) else {
        return;
    };
    let call = |name: &str| {
        record.one(|kind| matches!(kind, Kind::Syscall { call, .. } if call == name)).clone()
    };
    let target = |name: &str| match call(name).kind {
        Kind::Syscall { target, .. } => target,
        other => panic!("{other:?}"),
    };
    assert_eq!(target("mount"), Some(text(&folder, "mnt")));
    assert_eq!(target("umount2"), Some(text(&folder, "mnt")));
    assert_eq!(target("chroot"), Some(text(&folder, "missing")));
    assert!(matches!(call("unshare").kind, Kind::Syscall { args, .. } if args[0] == 0x400_0000));
    for name in ["bpf", "keyctl", "finit_module", "ioctl", "x32_getpid", "ia32_20"] {
        call(name);
    }
    assert!(matches!(call("clone3").kind, Kind::Syscall { args, .. } if args[0] == 0x3000_0000));
    // The child is process 1 of its own namespace; it goes by the number that the run gave it.
    let child = call("clone3").ret.and_then(|pid| u32::try_from(pid).ok());
    assert!(record.events.iter().any(|event| Some(event.task.pid) == child));
    let ids = |name: &str, expect: &[u32]| {
        record.one(
            |kind| matches!(kind, Kind::SetIds { call, ids } if call == name && ids == expect),
        );
    };
    ids("setgid", &[1]);
    ids("setgroups", &[5, 6]);
    ids("setresuid", &[1, 2, 3]);
}

#[test]
fn a_refused_call_is_told_as_blocked_and_a_failed_one_is_not() {
    let folder = folder("refused");
    let source = concat!(
        include_str!("prelude.c"),
        "\tgetpriority(PRIO_PROCESS, 0x7ffffff);\n\tsetpriority(99, 0, 0);\n",
        "\tmkdir(\"/\", 0);\n\tmkdir(\"/proc/x\", 0);\n\treturn 0;\n}\n"
    );
    let Some(program) = compile(&folder, source) else { return };
    let (get, set, mkdir) = (140, 141, 83);
    let options = Options {
        refusable: vec![get, set, mkdir],
        refusal_errnos: vec![libc::ESRCH, libc::EINVAL, libc::EEXIST],
        ..Options::default()
    };
    // As if a policy refused these three; only two of the failures below have its errno.
    let refusal = move |nr: u32, _: &[u64; 6]| match nr {
        nr if nr == get => Some(libc::ESRCH),
        nr if nr == set => Some(libc::EPERM),
        nr if nr == mkdir => Some(libc::EEXIST),
        _ => None,
    };
    let setup = Setup { options, refusal: Box::new(refusal), ..Setup::default() };
    let Some(record) = run_with(&mut Command::new(&program), setup) else { return };
    fs::remove_dir_all(&folder).unwrap();
    record.assert_complete();
    let get =
        record.one(|kind| matches!(kind, Kind::Syscall { call, .. } if call == "getpriority"));
    assert!(get.blocked && get.ret == Some(-3));
    assert!(
        !record.any(|kind| matches!(kind, Kind::Syscall { call, .. } if call == "setpriority"))
    );
    let blocked = |path: &[u8]| {
        record.one(|kind| matches!(kind, Kind::Mkdir { path: p } if p.as_bytes() == path)).blocked
    };
    assert!(blocked(b"/") && !blocked(b"/proc/x"));
}

#[test]
fn python_and_a_compiler_leave_nothing_unaccounted() {
    let folder = folder("everyday");
    fs::write(folder.join("a.c"), "int main(void) { return 0; }").unwrap();
    for (program, args) in
        [("python3", ["-c", "import json, socket; print(1)", ""]), ("cc", ["a.c", "-o", "a"])]
            .map(|(program, args)| (program, args.into_iter().filter(|arg| !arg.is_empty())))
    {
        if !Path::new("/usr/bin").join(program).exists() {
            eprintln!("SKIP {program}: not installed");
            continue;
        }
        let Some(record) = run(Command::new(program).args(args).current_dir(&folder)) else {
            return;
        };
        assert_success(&record);
        record.assert_complete();
        assert_eq!(record.summary.counters.truncated, 0);
        assert!(!record.any(|kind| matches!(kind, Kind::MemoryExecuted { .. })));
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_is_too_long_is_cut_and_says_so() {
    let long = "x".repeat(40_000);
    let Some(record) = run(&mut sh(&format!("/bin/true {long}; : > {}", "y".repeat(5000)))) else {
        return;
    };
    assert!(record.summary.counters.balanced());
    assert_eq!(record.summary.counters.truncated, 3, "{}", record.list());
    let exec = record.events.iter().filter(|event| event.truncated);
    let lens: Vec<usize> = exec
        .map(|event| match &event.kind {
            Kind::Exec { argv, .. } => argv.iter().map(|arg| arg.as_bytes().len()).sum(),
            Kind::Open { path, .. } => path.as_bytes().len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(lens.iter().all(|len| (4000..=16_384).contains(len)), "{lens:?}");
}
