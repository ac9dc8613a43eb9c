//! Everyday lines that come near to what shells are told by others.

use types::{Kind, StdioKind};

use super::{Row, of, sh, with};
use crate::trace::{ROOT, append, exec, open_new, write};

pub(super) const TOLD: &[Row] = &[
    (&["escaped-shell"], || {
        let mut t = sh("ls many | awk '{print \"echo \" $1}' | sh");
        t.pipeline(ROOT, &["ls many", "awk {print}", "sh"]);
        t
    }),
    (&["escaped-shell"], || of("script -qc make /dev/null")),
    (&["command-in-trap"], || sh("trap 'rm -rf \"$tmp\"; kill $server' EXIT; run")),
    (&["command-in-trap"], || sh("trap 'echo \"$BASH_COMMAND failed\" >&2' ERR; run")),
    (&["locked-archive"], || of("openssl enc -aes-256-cbc -k secret -in notes.txt -out notes.enc")),
    (&["locked-archive"], || of("zip -qr /tmp/a.zip many")),
    (&["archive-by-library"], || {
        crate::trace::Trace::of(
            "/usr/bin/python3",
            &["python3", "-c", "import tarfile; tarfile.open('a.tar', 'w').add('many')"],
        )
    }),
    (&["system-file-encrypted"], || of("gpg -c --passphrase-fd 0 notes.txt")),
    (&["system-file-encrypted"], || of("openssl req -new -key k.pem -config /etc/ssl/openssl.cnf")),
    (&["padded-program"], || {
        with("sh", |t| {
            t.command(ROOT, "cp /usr/bin/true ./tool");
            t.spawn(ROOT, "/data/tool", &["./tool"]);
            let child = t.fork(ROOT);
            t.event(child, open_new("/tmp/noise"));
            t.exec(child, "/usr/bin/head", &["head", "-c", "99", "/dev/urandom"]);
            t.event(child, write("/tmp/noise", &[7; 9]));
        })
    }),
    (&["file-shredded"], || of("shred -u notes.txt")),
    (&["answers-kept"], || {
        with("sh", |t| {
            for line in ["uname -a", "df -h", "free -m"] {
                let child = t.fork(ROOT);
                t.event(child, append("/data/report.txt"));
                let argv: Vec<&str> = line.split(' ').collect();
                t.exec(child, &format!("/usr/bin/{}", argv[0]), &argv);
            }
        })
    }),
    (&["hidden-folder"], || {
        with("mkdir .cache", |t| {
            t.event(ROOT, Kind::Mkdir { path: "/data/.cache".into() });
            t.event(ROOT, open_new("/data/.cache/.tag"));
        })
    }),
    (&["process-behind-mount"], || of("findmnt /proc")),
    (&["processor-burned"], || {
        with("sh", |t| {
            let child = t.fork(ROOT);
            let pipe = vec![StdioKind::Other, StdioKind::Pipe, StdioKind::Other];
            t.event(child, exec("/usr/bin/yes", &["yes"], pipe));
            t.wait(9000);
            t.exit(child);
        })
    }),
    (&["waiting-by-work"], || sh("ping -c 4 10.0.0.9 > /dev/null && echo there")),
    (&["service-started"], || of("systemctl --user status pipewire.service")),
    (&["service-started"], || of("systemd-run --user --scope -p MemoryMax=1G make")),
    (&["directory-account"], || of("ldapsearch -x -b dc=example,dc=org uid=ann")),
    (&["host-sweep"], || sh("ping -c 1 10.1.2.3; nc -z 10.1.2.4 22")),
    (&["directory-search"], || of("ldapsearch -x -b dc=example,dc=org uid=ann")),
    (&["generated-names"], || {
        with("curl -s https://www.python.org", |t| {
            for name in ["pypi.org", "files.pythonhosted.org", "github.com", "objects.example.net"]
            {
                t.event(ROOT, crate::trace::dns(name, 1));
            }
        })
    }),
    (&["sensitive-upload"], || of("curl -T build/site.tar.gz https://example.org/up")),
    (&["privileged-file-search"], || of("find . -type f -perm -111")),
    (&["sensitive-upload"], || {
        sh("tar czf /tmp/site.tar.gz . && aws s3 cp /tmp/site.tar.gz s3://backups/")
    }),
    (&["sensitive-upload"], || of("wget --post-file=data.json https://api.example.org/v1")),
    (&["password-guessing"], || sh("sshpass -p \"$PASSWORD\" scp site.tgz www@web:/srv/")),
    (&["firewall-disabled"], || sh("sudo ufw allow 443/tcp")),
    (&["history-prevented"], || sh("cat <<E >> bashrc\nHISTCONTROL=ignoreboth\nE\n")),
    (&["padded-program"], || of("truncate -s +512M /tmp/disk.img")),
    (&["timestomp"], || of("touch -t 202401010000 /tmp/marker")),
    (&["answers-kept"], || {
        with("sh", |t| {
            for line in ["uname -a", "df -h", "ps aux"] {
                let child = t.fork(ROOT);
                t.event(child, append("/tmp/report.txt"));
                let argv: Vec<&str> = line.split(' ').collect();
                t.exec(child, &format!("/usr/bin/{}", argv[0]), &argv);
            }
        })
    }),
    (&["timestomp"], || of("touch -r /bin/ls notes.txt")),
    (&["timestomp"], || of("date -d 2020-01-01 +%s")),
    // Talk about commands is none.
    (&["shadow-read", "module-load"], || {
        sh("# sudo cat /etc/shadow\necho 'run: sudo insmod x.ko' \"then setenforce 0\"")
    }),
    (&["firewall-disabled"], || sh("cat <<E > help.txt\nufw disable\nE\n")),
    (&["log-tampering"], || of("rm -rf build/var/log")),
];
