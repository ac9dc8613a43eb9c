//! Everyday traces: not a single detection. Each is named with the detectors that it comes near.

use std::collections::BTreeSet;

use types::{Endpoint, Kind, StdioKind};
use verdict::{Options, assess, detectors};

use crate::trace::{
    ECONNREFUSED, ENOENT, ROOT, Trace, append, changed, chmod, connect, dns, exec, limit, memory,
    open_new, random, read, rename, socket, syscall, unlink, update, write,
};

type Row = (&'static [&'static str], fn() -> Trace);

fn of(line: &str) -> Trace {
    let argv: Vec<&str> = line.split_whitespace().collect();
    Trace::of(&format!("/usr/bin/{}", argv[0]), &argv)
}

fn sh(text: &str) -> Trace {
    Trace::of("/usr/bin/dash", &["sh", "-c", text])
}

/// `line` in a trace of its own, with what it does.
fn with(line: &str, acts: impl Fn(&mut Trace)) -> Trace {
    let mut trace = of(line);
    acts(&mut trace);
    trace
}

fn files() -> impl Iterator<Item = (u32, String)> {
    (0..100).map(|n| (n, format!("/work/many/{n}.txt")))
}

const GZIP: &[u8] = b"\x1f\x8b\x08\x00and then sixty bytes of noise";

const STREAMS: &[Row] = &[
    // node gives its children socket pairs as streams.
    (&["shell-on-socket"], || {
        let mut t = of("node -e x");
        let child = t.fork(ROOT);
        let pair = vec![StdioKind::Socket { peer: None }; 3];
        t.event(ROOT, connect("127.0.0.1", 8080));
        t.event(child, exec("/usr/bin/dash", &["/bin/sh", "-c", "ls"], pair));
        t
    }),
    (&["shell-behind-pipes", "download-to-shell", "decode-to-shell"], || {
        let mut t = sh("echo ls | sh; curl x | cat; base64 a | base64 -d");
        t.pipeline(ROOT, &["echo ls", "sh"]);
        t.wait(5000);
        let parts = t.pipeline(ROOT, &["curl -s http://127.0.0.1/x", "cat"]);
        t.failed(parts[0], connect("127.0.0.1", 80), ECONNREFUSED);
        t.pipeline(ROOT, &["base64 notes.txt", "base64 -d"]);
        t
    }),
    (&["reverse-shell-command", "sensitive-upload"], || {
        let mut t = sh("grep -r 'bash -i' docs; ssh -i ~/.ssh/id_rsa host true");
        t.command(ROOT, "ssh -i /home/a/.ssh/id_rsa host true");
        t.command(ROOT, "curl -d a=b http://127.0.0.1/");
        t
    }),
];

const SECRETS: &[Row] = &[
    (&["shadow-read"], || with("su -c true", |t| t.failed(ROOT, read("/etc/shadow"), ENOENT))),
    (&["shadow-read"], || {
        let mut t = sh("psql --version");
        let psql = t.command(ROOT, "perl -w /usr/bin/psql --version");
        t.failed(psql, read("/etc/shadow"), ENOENT);
        t
    }),
    (&["shadow-read", "private-key-read"], || {
        with("grep -r colour /etc", |t| {
            t.failed(ROOT, read("/etc/shadow"), ENOENT);
            t.failed(ROOT, read("/etc/ssl/private/key.pem"), ENOENT);
        })
    }),
    (&["private-key-read"], || {
        let mut t = sh("ssh-keygen -f ~/.ssh/id_ed25519; cat ~/.ssh/id_ed25519");
        let keygen = t.command(ROOT, "ssh-keygen -f /home/sandbox/.ssh/id_ed25519");
        t.writes(keygen, "/home/sandbox/.ssh/id_ed25519", b"-----BEGIN OPENSSH PRIVATE KEY-----");
        let cat = t.command(ROOT, "cat /home/sandbox/.ssh/id_ed25519");
        t.event(cat, read("/home/sandbox/.ssh/id_ed25519"));
        t
    }),
    (&["private-key-read"], || {
        with("ssh a@b", |t| t.failed(ROOT, read("/home/a/.ssh/id_rsa"), ENOENT))
    }),
    (&["credential-files", "read-and-send"], || {
        with("curl -n http://127.0.0.1/", |t| {
            t.failed(ROOT, read("/home/sandbox/.netrc"), ENOENT);
            t.failed(ROOT, connect("127.0.0.1", 80), ECONNREFUSED);
        })
    }),
    (&["credential-files"], || {
        let mut t = Trace::of(
            "/work/v/bin/pip",
            &["/work/v/bin/python", "/work/v/bin/pip", "install", "x"],
        );
        t.failed(ROOT, read("/home/sandbox/.netrc"), ENOENT);
        t.failed(ROOT, read("/home/sandbox/.pypirc"), ENOENT);
        t
    }),
    (&["credential-files"], || {
        let mut t = Trace::of("/usr/bin/node", &["node", "/usr/bin/npm", "init", "-y"]);
        t.failed(ROOT, read("/home/sandbox/.npmrc"), ENOENT);
        t.failed(ROOT, read("/work/.npmrc"), ENOENT);
        t
    }),
    (&["browser-credentials"], || {
        with("firefox", |t| {
            t.event(ROOT, read("/home/a/.mozilla/firefox/p/key4.db"));
        })
    }),
    (&["history-read", "history-cleared"], || {
        let mut t = Trace::of("/usr/bin/bash", &["bash", "-i"]);
        t.event(ROOT, read("/home/sandbox/.bash_history"));
        t.event(ROOT, open_new("/home/sandbox/.bash_history"));
        t
    }),
    (&["process-secrets"], || {
        with("ps aux", |t| {
            for pid in 3..20 {
                t.event(ROOT, read(&format!("/proc/{pid}/environ")));
            }
        })
    }),
    (&["service-account-token"], || {
        with("kubectl get pods", |t| {
            let path = "/var/run/secrets/kubernetes.io/serviceaccount/token";
            t.failed(ROOT, read(path), ENOENT);
        })
    }),
    (&["cloud-metadata"], || {
        with("curl http://10.0.0.1/", |t| t.failed(ROOT, connect("10.0.0.1", 80), -101))
    }),
    (&["credential-search"], || {
        let mut t = sh("find /usr -name 'lib*.so'; grep -r token .");
        t.command(ROOT, "find /usr -name lib*.so");
        t.command(ROOT, "find / -name *.conf");
        t.command(ROOT, "grep -r token src");
        t.command(ROOT, "grep -r colour /etc");
        t
    }),
];

const PLACES: &[Row] = &[
    (
        &[
            "cron-job",
            "systemd-unit",
            "systemd-timer",
            "udev-rule",
            "boot-script",
            "sudo-rule",
            "login-configuration",
            "module-configuration",
            "installer-hook",
            "system-program",
            "boot-files",
        ],
        || {
            let mut t = of("apt-get install -y cron");
            let dpkg = t.command(ROOT, "dpkg --unpack cron.deb");
            for path in [
                "/etc/cron.d/x",
                "/lib/systemd/system/x.service",
                "/lib/systemd/system/x.timer",
                "/lib/udev/rules.d/x.rules",
                "/etc/init.d/x",
                "/etc/sudoers.d/x",
                "/etc/pam.d/x",
                "/lib/modules/6/x.ko",
                "/etc/apt/apt.conf.d/x",
                "/usr/bin/x",
                "/boot/vmlinuz-6",
            ] {
                t.event(dpkg, append(&format!("{path}.dpkg-new")));
                t.event(dpkg, rename(&format!("{path}.dpkg-new"), path));
            }
            t
        },
    ),
    (&["cron-job", "at-job"], || {
        let mut t = sh("crontab -l; at -l");
        let crontab = t.command(ROOT, "crontab -l");
        t.failed(crontab, read("/var/spool/cron/crontabs/sandbox"), ENOENT);
        t.command(ROOT, "at -l");
        t
    }),
    (&["shell-startup", "desktop-autostart", "path-interception"], || {
        let mut t = of("git clone dotfiles");
        for path in [
            "/work/dotfiles/.bashrc",
            "/work/dotfiles/autostart/x.desktop",
            "/work/dotfiles/bin/ls",
        ] {
            t.event(ROOT, append(path));
        }
        t
    }),
    (&["authorized-keys"], || {
        with("ssh-keygen -f /home/sandbox/.ssh/id_ed25519", |t| {
            t.event(ROOT, append("/home/sandbox/.ssh/id_ed25519"));
            t.event(ROOT, append("/home/sandbox/.ssh/known_hosts"));
        })
    }),
    (&["library-preload"], || {
        let mut t = sh("LD_PRELOAD=/usr/lib/libjemalloc.so ls; LD_PRELOAD=./own.so ls");
        t.writes(ROOT, "/work/own.so", b"\x7fELF");
        let ldconfig = t.command(ROOT, "ldconfig");
        t.event(ldconfig, append("/etc/ld.so.cache"));
        t
    }),
    (&["python-startup"], || {
        let mut t = Trace::of("/usr/bin/python3.13", &["python3", "-m", "venv", "v"]);
        let pip = t.spawn(ROOT, "/work/v/bin/python3", &["python3", "-m", "pip", "install", "x"]);
        t.event(pip, append("/work/v/lib/python3.13/site-packages/distutils-precedence.pth"));
        t.event(pip, append("/home/sandbox/.local/lib/python3.13/site-packages/__editable__.pth"));
        t
    }),
    (&["local-account", "password-file"], || {
        let mut t = sh("getent passwd root; passwd -S; useradd --help");
        t.event(ROOT, read("/etc/passwd"));
        t.command(ROOT, "passwd -S");
        t.command(ROOT, "useradd --help");
        t
    }),
    (&["web-shell", "root-certificate", "name-resolution"], || {
        let mut t = of("cp index.php /work/htdocs-copy");
        t.event(ROOT, append("/work/site/index.php"));
        t.event(ROOT, append("/var/www/html/index.html"));
        t.event(ROOT, append("/work/ca.crt"));
        t.event(ROOT, read("/etc/hosts"));
        t
    }),
];

const MANY_FILES: &[Row] = &[
    (&["mass-encryption"], || {
        with("gzip -r many", |t| {
            for (_, path) in files() {
                t.writes(ROOT, &format!("{path}.gz"), GZIP);
                t.event(ROOT, unlink(&path));
            }
            for (_, path) in files() {
                t.event(ROOT, changed(&format!("{path}.gz"), "created", 0o644, Some(7_990)));
                t.event(ROOT, changed(&path, "deleted", 0, None));
            }
        })
    }),
    (&["mass-encryption"], || {
        let mut t = sh("for f in many/*; do mv $f $f.bak; done");
        for (_, path) in files() {
            let mv = t.command(ROOT, "mv a b");
            t.event(mv, rename(&path, &format!("{path}.bak")));
        }
        t
    }),
    // A bulk rename without a change of content is no harm, whatever the ending.
    (&["mass-encryption"], || {
        let mut t = of("rename s/txt/foo/ many");
        for (_, path) in files() {
            t.event(ROOT, rename(&path, &path.replace(".txt", ".foo")));
        }
        t
    }),
    (&["mass-encryption"], || {
        with("sed -i s/red/blue/ many", |t| {
            for (n, path) in files() {
                let temporary = format!("/work/many/sed{n}xyz");
                t.writes(ROOT, &temporary, b"file 1 has colour blue\n");
                t.event(ROOT, rename(&temporary, &path));
            }
        })
    }),
    (&["mass-encryption"], || {
        with("git add .", |t| {
            for n in 0..100 {
                let temporary = format!("/work/.git/objects/aa/tmp_obj_{n}");
                t.writes(ROOT, &temporary, b"\x78\x01noise noise noise noise noise");
                t.event(ROOT, rename(&temporary, &format!("/work/.git/objects/aa/{n:038}")));
            }
        })
    }),
    // New files with random content: test data, keys, caches.
    (&["mass-encryption", "mass-destruction"], || {
        let mut t = of("split -b 4096 noise part-");
        for n in 0..50 {
            t.writes(ROOT, &format!("/work/part-{n}"), &random(n));
            let ending = char::from(b'a' + u8::try_from(n % 26).unwrap());
            t.writes(ROOT, &format!("/work/part.{ending}{ending}"), &random(n));
        }
        for ending in 'a'..='y' {
            t.event(ROOT, unlink(&format!("/work/part.{ending}{ending}")));
        }
        t
    }),
    (&["mass-encryption", "ransom-note"], || {
        with("openssl enc -aes-256-cbc -in notes.txt -out notes.enc", |t| {
            t.writes(ROOT, "/work/notes.enc", b"Salted__01234567noise");
            t.event(ROOT, append("/work/README.md"));
            t.event(ROOT, append("/work/recovery.txt"));
        })
    }),
    (&["mass-destruction"], || {
        with("rm -rf many", |t| {
            for (_, path) in files() {
                t.event(ROOT, unlink(&path));
            }
        })
    }),
    (&["mass-destruction"], || {
        with("perl -pi -e s/a/b/ many", |t| {
            for (_, path) in files() {
                t.event(ROOT, unlink(&path));
                t.writes(ROOT, &path, b"file 1 has colour green\n");
            }
        })
    }),
];

const CODE: &[Row] = &[
    (&["memory-file-exec"], || {
        with("java -version", |t| {
            t.event(ROOT, Kind::MemfdCreate { name: "jit".into() });
            t.command(ROOT, "ls /");
        })
    }),
    (&["deleted-file-exec", "self-deletion", "dropped-program", "hidden-program"], || {
        let mut t = of("make test");
        let ld = t.command(ROOT, "ld -o conftest");
        t.writes(ld, "/work/conftest", b"\x7fELF\x02\x01\x01");
        let test = t.spawn(ROOT, "/work/conftest", &["./conftest"]);
        t.exit(test);
        let rm = t.command(ROOT, "rm -f conftest");
        t.event(rm, unlink("/work/conftest"));
        t.spawn(ROOT, "/home/a/.cargo/bin/cargo", &["cargo", "--version"]);
        t
    }),
    (&["writable-code", "code-in-memory"], || {
        with("node -e 1", |t| {
            t.event(ROOT, memory(true));
            t.event(ROOT, memory(false));
        })
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
        let mut t = Trace::of("/work/tests", &["./tests"]);
        let checker = t.fork(ROOT);
        t.refused(checker, Kind::Ptrace { request: 16, target_pid: ROOT });
        t
    }),
    (&["setuid-bit", "file-capability", "timestomp", "device-node"], || {
        with("tar xpf root.tar", |t| {
            t.event(ROOT, chmod("/work/root/bin/su", 0o4755));
            let name = "security.capability".into();
            t.failed(ROOT, Kind::SetXattr { path: "/work/root/ping".into(), name }, -1);
            t.event(
                ROOT,
                Kind::SetTimes { path: "/work/root/bin/su".into(), seconds: 1_000_000_000 },
            );
            t.failed(ROOT, Kind::Mknod { path: "/work/root/dev/sda".into(), mode: 0o060_644 }, -1);
        })
    }),
    (&["setuid-bit", "file-attributes"], || {
        let mut t = sh("chmod 755 notes.txt; mkdir -m 2775 shared; chmod -R go-w many");
        t.event(ROOT, chmod("/work/notes.txt", 0o755));
        t.event(ROOT, chmod("/work/shared", 0o2775));
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

const TRACES: &[Row] = &[
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
                Kind::SetTimes { path: "/work/notes.txt".into(), seconds: 1_577_836_800 },
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
            t.event(ROOT, unlink("/work/notes.bak"));
        })
    }),
];

const KERNEL: &[Row] = &[
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
        let mut t = Trace::of("/work/tools/bin/node", &["node", "-e", "1"]);
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
        t.writes(ROOT, "/work/z", &[0; 64]);
        let blkid = t.command(ROOT, "blkid");
        t.failed(blkid, read("/dev/sda"), ENOENT);
        t.event(ROOT, open_new("/dev/null"));
        t.event(ROOT, open_new("/dev/shm/x"));
        t
    }),
];

const NETWORK: &[Row] = &[
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

const PROGRAMS: &[Row] = &[
    (&["download-execute"], || {
        let mut t = sh("curl -o page http://127.0.0.1/page; cat page; ./configure");
        let curl = t.command(ROOT, "curl -o page http://127.0.0.1/page");
        t.event(curl, connect("127.0.0.1", 80));
        t.writes(curl, "/work/page", b"hello");
        t.command(ROOT, "cat page");
        let git = t.command(ROOT, "git clone https://10.0.0.1/x");
        t.event(git, connect("10.0.0.1", 443));
        t.writes(git, "/work/x/configure", b"#!/bin/sh\n");
        t.spawn(ROOT, "/work/x/configure", &["./configure"]);
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
        t.writes(ld, "/work/hello", b"\x7fELF\x02\x01\x01");
        t.spawn(ROOT, "/work/hello", &["./hello"]);
        let venv = t.command(ROOT, "ln -s /usr/bin/python3 v/bin/python");
        t.event(
            venv,
            Kind::Link {
                from: "/usr/bin/python3".into(),
                to: "/work/v/bin/python".into(),
                symbolic: true,
            },
        );
        t.spawn(ROOT, "/work/v/bin/python", &["v/bin/python", "x.py"]);
        t
    }),
    (&["false-task-name", "false-program-name", "false-file-type"], || {
        let mut t = Trace::of("/usr/bin/bash", &["-bash"]);
        t.event(ROOT, Kind::SetName { name: "bash".into() });
        t.spawn(ROOT, "/usr/bin/[", &["[", "a", "]"]);
        let node = t.command(ROOT, "node -e 1");
        t.event(node, Kind::SetName { name: "node-MainThread".into() });
        t.event(node, Kind::SetName { name: "libuv-worker".into() });
        t.spawn(ROOT, "/work/run.sh", &["./run.sh"]);
        t.spawn(ROOT, "/usr/sbin/sshd", &["sshd", "-t"]);
        t
    }),
    (&["hidden-program"], || {
        let mut t = of("npm test");
        t.spawn(ROOT, "/work/node_modules/.bin/jest", &["jest"]);
        t.spawn(ROOT, "/work/.venv/bin/python", &["python", "x.py"]);
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
        let mut t = Trace::of("/work/configure", &["/bin/sh", "./configure"]);
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
                let file = format!("/work/__pycache__/m{n}.cpython-313.pyc");
                let temporary = format!("{file}.1403");
                t.writes(ROOT, &temporary, b"\xf3\x0d\x0d\x0a\x00\x00\x00\x00abcdefgh");
                t.event(ROOT, rename(&temporary, &file));
                t.event(ROOT, update(&file));
                t.event(ROOT, write(&file, b"\xf3\x0d\x0d\x0a\x00\x00\x00\x00abcdefgh"));
            }
        })
    }),
];

const ALL: &[&[Row]] =
    &[STREAMS, SECRETS, PLACES, MANY_FILES, CODE, TRACES, KERNEL, NETWORK, PROGRAMS];

#[test]
fn everyday_traces_have_no_detection() {
    let mut wrong = Vec::new();
    for (near, build) in ALL.iter().copied().flatten() {
        let assessment = assess(&build().finish(), &Options::default());
        let found = assessment.detections.iter().map(|d| format!("{}: {}", d.detector, d.summary));
        wrong.extend(found.map(|found| format!("near {near:?}: {found}")));
        assert_eq!(assessment.score == 0, assessment.detections.is_empty());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_detector_has_an_everyday_trace_that_comes_near() {
    let near: BTreeSet<&str> =
        ALL.iter().copied().flatten().flat_map(|row| row.0.iter().copied()).collect();
    let known: BTreeSet<&str> = detectors().iter().map(|info| info.id).collect();
    assert_eq!(near, known);
}
