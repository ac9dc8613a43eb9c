//! Which plain reads are recorded.
//!
//! Not an opinion on what is bad: a list of files whose reading somebody may ask about. Everything
//! else that is only read would bury the rest (a `find` opens every folder of a disk).

/// Anywhere in the path.
const PARTS: [&str; 45] = [
    "/.terraform.d/",
    "/.config/rclone/",
    "/.config/hub",
    "/.config/discord",
    "/.config/Slack",
    "/.config/solana",
    "/.m2/settings",
    "/.cargo/credentials",
    "/.claude/",
    "/krb5cc_",
    "/etc/NetworkManager/system-connections/",
    "/etc/letsencrypt/",
    "/dev/snd/",
    "/dev/video",
    "/.ssh/",
    "/.aws/",
    "/.azure/",
    "/.config/gcloud",
    "/.kube/",
    "/.docker/",
    "/.gnupg/",
    "/.mozilla/",
    "/.config/google-chrome",
    "/.config/chromium",
    "/.config/gh/",
    "/.thunderbird/",
    "/keyrings/",
    "/.password-store",
    "/.bitcoin",
    "/.ethereum",
    "/.electrum",
    "/wallet",
    "/etc/cron",
    "/etc/systemd/system",
    "/etc/sudoers",
    "/etc/ssh/",
    "/etc/pam.d/",
    "/etc/ssl/private",
    "/serviceaccount",
    "/dev/input",
    "/sys/class/dmi",
    "/sys/devices/virtual/dmi",
    "/sys/hypervisor",
    "/proc/sys/kernel",
    "/proc/sys/fs",
];

/// The last component.
const NAMES: [&str; 53] = [
    "key4.db",
    "krb5.keytab",
    "shadow.bak",
    ".credentials.json",
    "shadow",
    "shadow-",
    "gshadow",
    "gshadow-",
    "passwd",
    "group",
    "sudoers",
    "opasswd",
    "hosts",
    "resolv.conf",
    "crontab",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".my.cnf",
    ".git-credentials",
    ".npmrc",
    ".pypirc",
    ".boto",
    ".s3cfg",
    ".dockercfg",
    ".vault-token",
    ".env",
    "credentials",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "authorized_keys",
    "known_hosts",
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".mysql_history",
    ".psql_history",
    ".dockerenv",
    "machine-id",
    "kcore",
    "kmem",
    "mem",
    "kallsyms",
    "environ",
    "maps",
    "cgroup",
    "cpuinfo",
    "login.defs",
    "Login Data",
    "cookies.sqlite",
    "logins.json",
];

/// Only below /proc: these names are too common elsewhere.
const PROC_NAMES: [&str; 9] =
    ["mem", "environ", "maps", "cgroup", "cpuinfo", "kcore", "kallsyms", "cmdline", "mounts"];

/// The last component ends with this.
const ENDINGS: [&str; 9] =
    [".pem", ".key", ".kdbx", ".ppk", ".p12", ".pfx", ".keystore", ".jks", ".wallet"];

/// Whether a successful or failed plain read of `path` is recorded.
pub(crate) fn watched(path: &[u8]) -> bool {
    let text = String::from_utf8_lossy(path);
    let name = text.rsplit('/').next().unwrap_or("");
    let in_proc = text.starts_with("/proc/");
    let own_proc = text.starts_with("/proc/self/");
    if in_proc && PROC_NAMES.contains(&name) {
        return !(own_proc && matches!(name, "maps" | "mounts" | "cgroup"));
    }
    if NAMES.contains(&name) && !PROC_NAMES.contains(&name) {
        return true;
    }
    // Certificates that every TLS client reads are not keys.
    let public = text.starts_with("/etc/ssl/certs") || text.starts_with("/usr/");
    (!public && ENDINGS.iter().any(|ending| name.ends_with(ending)))
        || PARTS.iter().any(|part| text.contains(part))
        || text.starts_with("/dev/sd")
        || text.starts_with("/dev/vd")
        || text.starts_with("/dev/nvme")
        || text.starts_with("/dev/mem")
        || text.starts_with("/dev/fb")
        || text.starts_with("/dev/cpu")
        || text.starts_with("/dev/kmsg")
        || text.starts_with("/dev/port")
        || text.starts_with("/dev/uinput")
        || text.starts_with("/dev/hidraw")
        || text.starts_with("/var/log/")
        || text.starts_with("/var/spool/cron")
        || (text.starts_with("/root/.") || text.starts_with("/home/")) && dotfile(&text)
}

/// A hidden file directly in somebody's home.
fn dotfile(path: &str) -> bool {
    let below = path.strip_prefix("/root/").or_else(|| {
        path.strip_prefix("/home/").and_then(|rest| rest.split_once('/').map(|(_, below)| below))
    });
    below.is_some_and(|below| below.starts_with('.') && !below.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::watched;

    #[test]
    fn telling_files_and_only_they() {
        for path in ["/etc/shadow", "/home/u/.ssh/id_rsa", "/proc/77/environ", "/home/u/.netrc"] {
            assert!(watched(path.as_bytes()), "{path}");
        }
        for path in ["/etc/ld.so.cache", "/usr/lib/python3/mem", "/etc/ssl/certs/a.pem", "/tmp/x.c"]
        {
            assert!(!watched(path.as_bytes()), "{path}");
        }
    }
}
