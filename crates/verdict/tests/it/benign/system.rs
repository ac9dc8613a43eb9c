//! Everyday work with code, traces, the kernel, the network and programs.

use types::{Endpoint, Kind};

use super::{Row, of, sh, with};
use crate::trace::{
    ECONNREFUSED, ENOENT, ROOT, Trace, append, chmod, connect, dns, limit, memory, open_new, read,
    region, rename, socket, syscall, unlink, update, write,
};

pub(super) const CODE: &[Row] = &[
    // Decoded data that nobody runs, and a project that is fetched and built.
    (&["misleading-name"], || {
        let mut t = sh("sh 'my tests.sh'; sh ../run.sh; ls '...'");
        t.spawn(ROOT, "/usr/bin/dash", &["sh", "my tests.sh"]);
        t.spawn(ROOT, "/usr/bin/dash", &["sh", "../run.sh"]);
        t.spawn(ROOT, "/usr/bin/ls", &["ls", "..."]);
        t
    }),
    (&["decoded-program", "compiled-after-delivery"], || {
        let mut t = sh("base64 -d logo.b64 > logo.png; make");
        let decoder = t.fork(ROOT);
        t.event(decoder, open_new("/data/logo.png"));
        t.exec(decoder, "/usr/bin/base64", &["base64", "-d", "logo.b64"]);
        let curl = t.command(ROOT, "curl -sO http://198.51.100.7/demo.tar.gz");
        t.event(curl, open_new("/data/demo.tar.gz"));
        t.command(ROOT, "gcc -o demo demo.c");
        t
    }),
    (&["memory-file-exec"], || {
        with("java -version", |t| {
            t.event(ROOT, Kind::MemfdCreate { name: "jit".into() });
            t.command(ROOT, "ls /");
        })
    }),
    (&["deleted-file-exec", "self-deletion", "dropped-program", "hidden-program"], || {
        let mut t = of("make test");
        let ld = t.command(ROOT, "ld -o conftest");
        t.writes(ld, "/data/conftest", b"\x7fELF\x02\x01\x01");
        let test = t.spawn(ROOT, "/data/conftest", &["./conftest"]);
        t.exit(test);
        let rm = t.command(ROOT, "rm -f conftest");
        t.event(rm, unlink("/data/conftest"));
        t.spawn(ROOT, "/home/a/.cargo/bin/cargo", &["cargo", "--version"]);
        t
    }),
    (&["writable-code", "code-in-memory"], || {
        with("node -e 1", |t| {
            t.event(ROOT, memory(true));
            t.event(ROOT, memory(false));
        })
    }),
    // What looks at the memory of compilers at run time find.
    (&["memory-implant", "rewritten-text"], || {
        let mut t = of("luajit x.lua");
        t.event(ROOT, memory(true));
        for finding in ["write_execute", "anonymous_executable", "memfd", "deleted", "strings"] {
            t.event(ROOT, region(finding));
        }
        t
    }),
    (&["writable-code"], || {
        with("git grep -P x", |t| {
            t.event(ROOT, memory(true));
        })
    }),
    (&["process-injection", "debugger-evasion", "process-memory-write"], || {
        let mut t = of("strace ls");
        let child = t.fork(ROOT);
        t.refused(child, Kind::Ptrace { request: 0, target_pid: 0 });
        t.refused(ROOT, Kind::Ptrace { request: 16, target_pid: child });
        t.refused(ROOT, Kind::Ptrace { request: 0x4206, target_pid: child });
        t
    }),
    // A leak checker attaches to the program it belongs to.
    (&["process-injection"], || {
        let mut t = Trace::of("/data/tests", &["./tests"]);
        let checker = t.fork(ROOT);
        t.refused(checker, Kind::Ptrace { request: 16, target_pid: ROOT });
        t
    }),
    (&["setuid-bit", "file-capability", "timestomp", "device-node"], || {
        with("tar xpf root.tar", |t| {
            t.event(ROOT, chmod("/data/root/bin/su", 0o4755));
            let name = "security.capability".into();
            t.failed(ROOT, Kind::SetXattr { path: "/data/root/ping".into(), name }, -1);
            t.event(
                ROOT,
                Kind::SetTimes { path: "/data/root/bin/su".into(), seconds: 1_000_000_000 },
            );
            t.failed(ROOT, Kind::Mknod { path: "/data/root/dev/sda".into(), mode: 0o060_644 }, -1);
        })
    }),
    (&["setuid-bit", "file-attributes"], || {
        let mut t = sh("chmod 755 notes.txt; mkdir -m 2775 shared; chmod -R go-w many");
        t.event(ROOT, chmod("/data/notes.txt", 0o755));
        t.event(ROOT, chmod("/data/shared", 0o2775));
        t.event(ROOT, chmod("/tmp/open", 0o777));
        t.command(ROOT, "chmod 0755 notes.txt");
        t
    }),
    (&["become-root", "sudo-probe", "password-guessing"], || {
        let mut t = of("sudo --version");
        t.failed(ROOT, Kind::SetIds { call: "setresuid".to_owned(), ids: vec![0, 0, 0] }, -1);
        let own = t.command(ROOT, "bash -c true");
        t.event(own, Kind::SetIds { call: "setuid".to_owned(), ids: vec![1000] });
        t
    }),
    (&["privileged-file-search"], || of("find . -perm 644 -name x")),
];

pub(super) const TRACES: &[Row] = &[
    (&["log-tampering"], || {
        with("dpkg -i x.deb", |t| {
            t.event(ROOT, append("/var/log/dpkg.log"));
        })
    }),
    (&["log-tampering"], || {
        with("last", |t| {
            t.event(ROOT, read("/var/log/wtmp"));
        })
    }),
    (&["history-prevented", "mailbox-cleared"], || {
        let mut t = sh("HISTCONTROL=ignoredups; echo $HISTFILE");
        t.event(ROOT, read("/var/mail/root"));
        t
    }),
    (&["timestomp"], || {
        with("touch -d 2020-01-01 notes.txt", |t| {
            t.event(
                ROOT,
                Kind::SetTimes { path: "/data/notes.txt".into(), seconds: 1_577_836_800 },
            );
        })
    }),
    (
        &["security-tool-stopped", "mass-kill", "audit-disabled", "firewall-disabled", "shutdown"],
        || {
            let mut t = sh("sleep 50 & kill $!; systemctl status auditd; iptables -L; auditctl -l");
            let sleep = t.command(ROOT, "sleep 50");
            t.event(ROOT, Kind::Kill { target_pid: i64::from(sleep), signal: 15 });
            for line in [
                "systemctl status auditd",
                "iptables -L",
                "auditctl -l",
                "systemctl --version",
                "pkill sleep",
                "shutdown --help",
                "ufw status",
            ] {
                t.exec(
                    ROOT,
                    &format!("/usr/sbin/{}", line.split(' ').next().unwrap()),
                    &line.split(' ').collect::<Vec<_>>(),
                );
            }
            t
        },
    ),
    (&["mass-kill"], || {
        let mut t = of("timeout 1 make -j8");
        let children: Vec<u32> = (0..12).map(|_| t.command(ROOT, "cc -c x.c")).collect();
        for child in children {
            t.event(ROOT, Kind::Kill { target_pid: i64::from(child), signal: 15 });
        }
        t
    }),
    (&["resource-exhaustion"], || {
        let mut t = sh("for i in $(seq 1000); do :; done");
        for _ in 0..400 {
            let child = t.fork(ROOT);
            t.exit(child);
        }
        t.event(ROOT, limit("time"));
        t
    }),
    (&["recovery-inhibited"], || {
        with("btrfs subvolume list /", |t| {
            t.event(ROOT, unlink("/data/notes.bak"));
        })
    }),
];

pub(super) const KERNEL: &[Row] = &[
    (&["namespace-escape"], || {
        let mut t = of("python3 x.py");
        t.refused(ROOT, syscall("clone", &[0x0120_0011]));
        t.failed(ROOT, syscall("clone3", &[0x003d_0f00, 88]), -38);
        t.refused(ROOT, syscall("unshare", &[0x200]));
        t.refused(ROOT, syscall("ioctl", &[0, 0x5401]));
        t
    }),
    (&["host-interface"], || {
        with("node -e 1", |t| {
            t.event(ROOT, read("/proc/sys/kernel/core_pattern"));
            t.event(ROOT, read("/sys/fs/cgroup/memory.max"));
            t.event(ROOT, read("/proc/self/exe"));
        })
    }),
    (&["container-engine"], || {
        with("docker ps", |t| {
            let peer = Endpoint::Unix { path: "/var/run/docker.sock".into(), abstract_name: false };
            t.failed(ROOT, Kind::Connect { peer }, ENOENT);
        })
    }),
    (&["kernel-surface"], || {
        with("node -e 1", |t| t.refused(ROOT, syscall("io_uring_setup", &[256])))
    }),
    (&["kernel-surface"], || {
        let mut t = Trace::of("/data/tools/bin/node", &["node", "-e", "1"]);
        t.refused(ROOT, syscall("io_uring_setup", &[256]));
        t
    }),
    (&["kernel-surface"], || {
        with("perf stat true", |t| t.refused(ROOT, syscall("perf_event_open", &[])))
    }),
    (&["kernel-surface"], || with("su --version", |t| t.refused(ROOT, syscall("keyctl", &[])))),
    (&["kernel-surface", "module-load"], || {
        let mut t = of("dmesg");
        t.refused(ROOT, syscall("syslog", &[10]));
        t.refused(ROOT, syscall("process_madvise", &[]));
        t.command(ROOT, "modprobe --version");
        t.command(ROOT, "lsmod");
        t
    }),
    (&["exotic-socket", "raw-socket", "packet-capture"], || {
        let mut t = of("ping -c1 127.0.0.1");
        t.refused(ROOT, socket(2, 3));
        let ip = t.command(ROOT, "ip addr");
        t.event(ip, socket(16, 3));
        let dhclient = t.command(ROOT, "dhclient -n");
        t.refused(dhclient, socket(17, 3));
        t
    }),
    (&["raw-disk-read", "disk-wipe"], || {
        let mut t = of("dd if=/dev/zero of=z bs=1M count=16");
        t.writes(ROOT, "/data/z", &[0; 64]);
        let blkid = t.command(ROOT, "blkid");
        t.failed(blkid, read("/dev/sda"), ENOENT);
        t.event(ROOT, open_new("/dev/null"));
        t.event(ROOT, open_new("/dev/shm/x"));
        t
    }),
];

pub(super) const NETWORK: &[Row] = &[
    (&["login-spread"], || {
        let mut t = sh("ssh a; scp x b:; ssh -o BatchMode=yes c true");
        for line in ["ssh a uptime", "scp x b:", "ssh -o BatchMode=yes c true", "ssh d uptime"] {
            t.command(ROOT, line);
        }
        t
    }),
    (&["port-scan"], || {
        let mut t = of("python3 -m pytest");
        for port in 40_000..40_060 {
            t.event(ROOT, connect("127.0.0.1", port));
        }
        t
    }),
    (
        &["port-scan", "login-flood", "backdoor-port", "beacon", "tunnel-tool", "anonymity-proxy"],
        || {
            let mut t = of("curl -s http://127.0.0.1:9/ http://10.0.0.1/");
            for wait in [1000, 2000, 4000, 8000, 16_000] {
                t.failed(ROOT, connect("127.0.0.1", 9), ECONNREFUSED);
                t.failed(ROOT, connect("10.0.0.1", 443), ECONNREFUSED);
                t.wait(wait);
            }
            t.command(ROOT, "ssh host true");
            t
        },
    ),
    (&["dns-tunnel", "drop-site"], || {
        let mut t = of("apt-get update");
        for name in [
            "deb.debian.org",
            "ec2-3-120-0-12.eu-central-1.compute.amazonaws.com",
            "d1a2b3c4e5f6g7.cloudfront.net",
            "objects.githubusercontent.com",
            "4.3.2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
        ] {
            t.event(ROOT, dns(name, 28));
        }
        t
    }),
    (&["crypto-miner"], || {
        let mut t = sh("grep -r xmrig .; stress --cpu 2");
        t.command(ROOT, "grep -r xmrig .");
        let server = t.command(ROOT, "python3 -m http.server 3333");
        t.event(server, connect("127.0.0.1", 3333));
        t
    }),
];

pub(super) const PROGRAMS: &[Row] = &[
    (&["security-software-search"], || {
        let mut t = sh("systemctl status auditd; grep -r falcon src");
        t.command(ROOT, "systemctl status auditd");
        t.command(ROOT, "grep -r falcon src");
        t
    }),
    (&["download-execute"], || {
        let mut t = sh("curl -o page http://127.0.0.1/page; cat page; ./configure");
        let curl = t.command(ROOT, "curl -o page http://127.0.0.1/page");
        t.event(curl, connect("127.0.0.1", 80));
        t.writes(curl, "/data/page", b"hello");
        t.command(ROOT, "cat page");
        let git = t.command(ROOT, "git clone https://10.0.0.1/x");
        t.event(git, connect("10.0.0.1", 443));
        t.writes(git, "/data/x/configure", b"#!/bin/sh\n");
        t.spawn(ROOT, "/data/x/configure", &["./configure"]);
        t
    }),
    (&["obfuscated-command"], || {
        let mut t = sh("echo aGkK | base64 -d; printf '\\033[1m'");
        t.spawn(
            ROOT,
            "/usr/bin/python3",
            &["python3", "-c", "import base64; print(base64.b64decode('aGkK'))"],
        );
        t.spawn(
            ROOT,
            "/usr/bin/python3",
            &["python3", "-c", "exec(compile(open('setup.py').read(), 'setup.py', 'exec'))"],
        );
        t.spawn(ROOT, "/usr/bin/perl", &["perl", "-e", "print pack('N', 1)"]);
        t
    }),
    (&["dropped-program", "renamed-utility"], || {
        let mut t = of("gcc -o hello hello.c");
        let ld = t.command(ROOT, "ld -o hello");
        t.writes(ld, "/data/hello", b"\x7fELF\x02\x01\x01");
        t.spawn(ROOT, "/data/hello", &["./hello"]);
        let venv = t.command(ROOT, "ln -s /usr/bin/python3 v/bin/python");
        t.event(
            venv,
            Kind::Link {
                from: "/usr/bin/python3".into(),
                to: "/data/v/bin/python".into(),
                symbolic: true,
            },
        );
        t.spawn(ROOT, "/data/v/bin/python", &["v/bin/python", "x.py"]);
        t
    }),
    (&["false-task-name", "false-program-name", "false-file-type"], || {
        let mut t = Trace::of("/usr/bin/bash", &["-bash"]);
        t.event(ROOT, Kind::SetName { name: "bash".into() });
        t.spawn(ROOT, "/usr/bin/[", &["[", "a", "]"]);
        let node = t.command(ROOT, "node -e 1");
        t.event(node, Kind::SetName { name: "node-MainThread".into() });
        t.event(node, Kind::SetName { name: "libuv-worker".into() });
        t.spawn(ROOT, "/data/run.sh", &["./run.sh"]);
        t.spawn(ROOT, "/usr/sbin/sshd", &["sshd", "-t"]);
        t
    }),
    (&["hidden-program"], || {
        let mut t = of("npm test");
        t.spawn(ROOT, "/data/node_modules/.bin/jest", &["jest"]);
        t.spawn(ROOT, "/data/.venv/bin/python", &["python", "x.py"]);
        t
    }),
    (&["discovery-burst"], || {
        let mut t = sh("./status.sh");
        for line in [
            "ps aux",
            "df -h",
            "free -m",
            "uptime",
            "uname -a",
            "id",
            "hostname",
            "ip a",
            "ss -tln",
            "mount",
            "lscpu",
            "env",
            "who",
            "dpkg -l",
            "cat /etc/passwd",
            "crontab -l",
            "docker ps",
        ] {
            t.command(ROOT, line);
        }
        t
    }),
    (&["mass-kill"], || {
        let mut t = sh("pidof sh");
        t.spawn(ROOT, "/usr/sbin/killall5", &["pidof", "sh"]);
        t
    }),
    (&["misleading-name"], || {
        let mut t = sh("awk, perl");
        t.command(ROOT, "mawk");
        t.spawn(ROOT, "/usr/bin/mawk", &["awk", " { if ($4 ~ /%/) {print $3} else {print $4} } "]);
        t.spawn(ROOT, "/usr/bin/perl", &["perl", "-ne", " print if / x / "]);
        t
    }),
    (&["shadow-read"], || {
        with("screen -ls", |t| {
            t.event(ROOT, read("/etc/shadow"));
        })
    }),
    (&["raw-disk-read"], || {
        let mut t = sh("debugfs -R ls disk.img");
        t.spawn(ROOT, "/usr/sbin/debugfs", &["debugfs", "-R", "ls -l", "disk.img"]);
        t
    }),
    (&["discovery-burst"], || {
        let mut t = sh("id; cat /etc/passwd; ls /");
        for line in ["id", "cat /etc/passwd", "ls /"] {
            t.command(ROOT, line);
        }
        t.event(ROOT, read("/etc/passwd"));
        t
    }),
    (&["discovery-burst"], || {
        let mut t = Trace::of("/data/configure", &["/bin/sh", "./configure"]);
        for line in
            ["uname -m", "hostname", "arch", "id -u", "df .", "ps -p 1", "env", "mount", "ip addr"]
        {
            t.command(ROOT, line);
        }
        t
    }),
    (&["sandbox-checks"], || {
        with("java -version", |t| {
            t.event(ROOT, read("/proc/self/cgroup"));
            t.event(ROOT, read("/sys/class/dmi/id/product_name"));
            t.event(ROOT, read("/proc/cpuinfo"));
        })
    }),
    (
        &["key-logging", "screen-capture", "audio-capture", "video-capture", "clipboard-read"],
        || {
            let mut t = sh("ls /dev; xclip; arecord --version");
            t.event(ROOT, read("/dev/input"));
            t.command(ROOT, "xclip");
            t.command(ROOT, "arecord --version");
            t.command(ROOT, "ffmpeg -version");
            t
        },
    ),
    (&["sensitive-upload", "read-and-send"], || {
        let mut t = sh("tar czf backup.tgz /work; scp backup.tgz host:");
        t.command(ROOT, "tar czf backup.tgz /work");
        t.command(ROOT, "scp backup.tgz host:");
        let getent = t.command(ROOT, "python3 x.py");
        t.event(getent, read("/etc/passwd"));
        t.failed(getent, connect("127.0.0.1", 80), ECONNREFUSED);
        t
    }),
    (&["mass-encryption"], || {
        with("python3 -m compileall .", |t| {
            for n in 0..40 {
                let file = format!("/data/__pycache__/m{n}.cpython-313.pyc");
                let temporary = format!("{file}.1403");
                t.writes(ROOT, &temporary, b"\xf3\x0d\x0d\x0a\x00\x00\x00\x00abcdefgh");
                t.event(ROOT, rename(&temporary, &file));
                t.event(ROOT, update(&file));
                t.event(ROOT, write(&file, b"\xf3\x0d\x0d\x0a\x00\x00\x00\x00abcdefgh"));
            }
        })
    }),
];
