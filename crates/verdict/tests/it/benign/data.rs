//! Everyday work with files, secrets and places that a sample might want.

use types::{Kind, StdioKind};

use super::{GZIP, Row, files, of, sh, with};
use crate::trace::{
    ECONNREFUSED, ENOENT, ROOT, Trace, append, changed, connect, exec, open_new, random, read,
    rename, unlink,
};

pub(super) const STREAMS: &[Row] = &[
    // A test runner that talks to its own server and gives a shell its lines.
    (&["shell-for-network-client", "command-loop"], || {
        let mut t = of("python3 tests.py");
        for _ in 0..4 {
            t.event(ROOT, connect("127.0.0.1", 8080));
            let child = t.fork(ROOT);
            t.event(child, exec("/usr/bin/dash", &["/bin/sh"], vec![StdioKind::Pipe; 3]));
        }
        t
    }),
    // One question to a service, then a build of several steps.
    (&["shell-for-network-client", "command-loop"], || {
        let mut t = of("python3 build.py");
        t.event(ROOT, connect("198.51.100.7", 443));
        for _ in 0..5 {
            let child = t.fork(ROOT);
            let pipes = vec![StdioKind::Pipe; 3];
            t.event(child, exec("/usr/bin/dash", &["/bin/sh", "-c", "make"], pipes));
        }
        t
    }),
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

pub(super) const SECRETS: &[Row] = &[
    // A backup walks over planted files like over all others.
    (&["decoys-gathered", "decoys-taken-out", "mass-encryption", "mass-destruction"], || {
        let mut t = of("tar czf backup.tgz /home/sandbox");
        let names = [".aws/credentials", ".ssh/id_ed25519", ".kube/config", "Documents/a.txt"];
        let paths: Vec<String> = names.iter().map(|name| format!("/home/sandbox/{name}")).collect();
        t.recording.run.decoys = paths.iter().map(|path| path.as_str().into()).collect();
        for path in &paths {
            t.event(ROOT, read(path));
        }
        t
    }),
    // Who works with one key and one document is no collector.
    (&["decoys-gathered"], || {
        let mut t = of("ssh -i /home/sandbox/.ssh/id_ed25519 host");
        let names = [".ssh/id_ed25519", "Documents/a.txt"];
        let paths = names.map(|name| format!("/home/sandbox/{name}"));
        t.recording.run.decoys = paths.iter().map(|path| path.as_str().into()).collect();
        t.event(ROOT, read(&paths[0]));
        let cat = t.command(ROOT, "cat /home/sandbox/Documents/a.txt");
        t.event(cat, read(&paths[1]));
        t
    }),
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
            "/data/v/bin/pip",
            &["/data/v/bin/python", "/data/v/bin/pip", "install", "x"],
        );
        t.failed(ROOT, read("/home/sandbox/.netrc"), ENOENT);
        t.failed(ROOT, read("/home/sandbox/.pypirc"), ENOENT);
        t
    }),
    (&["credential-files"], || {
        let mut t = Trace::of("/usr/bin/node", &["node", "/usr/bin/npm", "init", "-y"]);
        t.failed(ROOT, read("/home/sandbox/.npmrc"), ENOENT);
        t.failed(ROOT, read("/data/.npmrc"), ENOENT);
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

pub(super) const PLACES: &[Row] = &[
    (&["repository-hook"], || {
        let mut t = sh("git init; cp lint .git/hooks/pre-commit");
        let git = t.command(ROOT, "git init /home/a/other");
        t.event(git, open_new("/home/a/other/.git/hooks/pre-commit.sample"));
        let cp = t.command(ROOT, "cp lint .git/hooks/pre-commit");
        t.event(cp, open_new("/data/.git/hooks/pre-commit"));
        t
    }),
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
    // An alias more, and nothing that runs.
    (&["shell-startup", "history-prevented"], || {
        let mut t = sh("echo \"alias ll='ls -l'\" >> ~/.bashrc; \
                        echo 'HISTCONTROL=ignoreboth' >> ~/.bashrc");
        t.event(ROOT, append("/home/sandbox/.bashrc"));
        let mut change = changed("/home/sandbox/.bashrc", "modified", 0o644, None);
        if let Kind::FileChanged(change) = &mut change {
            change.format = Some("shell-settings".to_owned());
        }
        t.event(ROOT, change);
        t
    }),
    // A database tries every part that a table might have.
    (&["mass-destruction"], || {
        let mut t = of("postgres");
        for part in 0..20 {
            let path = format!("/data/pg/base/5/16391.{part}").as_str().into();
            t.failed(ROOT, Kind::Truncate { path, length: 0 }, ENOENT);
        }
        t
    }),
    (&["shell-startup", "desktop-autostart", "path-interception"], || {
        let mut t = of("git clone dotfiles");
        for path in [
            "/data/dotfiles/.bashrc",
            "/data/dotfiles/autostart/x.desktop",
            "/data/dotfiles/bin/ls",
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
        t.writes(ROOT, "/data/own.so", b"\x7fELF");
        let ldconfig = t.command(ROOT, "ldconfig");
        t.event(ldconfig, append("/etc/ld.so.cache"));
        t
    }),
    (&["python-startup"], || {
        let mut t = Trace::of("/usr/bin/python3.13", &["python3", "-m", "venv", "v"]);
        let pip = t.spawn(ROOT, "/data/v/bin/python3", &["python3", "-m", "pip", "install", "x"]);
        t.event(pip, append("/data/v/lib/python3.13/site-packages/distutils-precedence.pth"));
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
        let mut t = of("cp index.php /data/htdocs-copy");
        t.event(ROOT, append("/data/site/index.php"));
        t.event(ROOT, append("/var/www/html/index.html"));
        t.event(ROOT, append("/data/ca.crt"));
        t.event(ROOT, read("/etc/hosts"));
        t
    }),
];

pub(super) const MANY_FILES: &[Row] = &[
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
                let temporary = format!("/data/many/sed{n}xyz");
                t.writes(ROOT, &temporary, b"file 1 has colour blue\n");
                t.event(ROOT, rename(&temporary, &path));
            }
        })
    }),
    (&["mass-encryption"], || {
        with("git add .", |t| {
            for n in 0..100 {
                let temporary = format!("/data/.git/objects/aa/tmp_obj_{n}");
                t.writes(ROOT, &temporary, b"\x78\x01noise noise noise noise noise");
                t.event(ROOT, rename(&temporary, &format!("/data/.git/objects/aa/{n:038}")));
            }
        })
    }),
    // New files with random content: test data, keys, caches.
    (&["mass-encryption", "mass-destruction"], || {
        let mut t = of("split -b 4096 noise part-");
        for n in 0..50 {
            t.writes(ROOT, &format!("/data/part-{n}"), &random(n));
            let ending = char::from(b'a' + u8::try_from(n % 26).unwrap());
            t.writes(ROOT, &format!("/data/part.{ending}{ending}"), &random(n));
        }
        for ending in 'a'..='y' {
            t.event(ROOT, unlink(&format!("/data/part.{ending}{ending}")));
        }
        t
    }),
    (&["mass-encryption", "ransom-note"], || {
        with("openssl enc -aes-256-cbc -in notes.txt -out notes.enc", |t| {
            t.writes(ROOT, "/data/notes.enc", b"Salted__01234567noise");
            t.event(ROOT, append("/data/README.md"));
            t.event(ROOT, append("/data/recovery.txt"));
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
