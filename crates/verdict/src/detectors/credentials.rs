//! Secrets that were read, or that somebody tried to read.
//!
//! In the sandbox most stores are hidden, so the attempt is the evidence, whatever its errno. What
//! is everyday must stay silent: programs that own a store (`ssh` and its keys), programs that read
//! whatever lies in a tree they were pointed at (`grep -r`, `tar`), and files the run made itself.

mod stores;

use std::collections::{BTreeMap, BTreeSet};

use types::{Endpoint, Kind};

use crate::attack::{
    BROWSER_CREDENTIALS, CLOUD_METADATA, CONTAINER_API, CREDENTIAL_FILES, PASSWD_AND_SHADOW,
    PRIVATE_KEYS, PROC_FILESYSTEM, SHELL_HISTORY,
};
use crate::detector::{Detector, Finding, Hits, Info, TierC};
use crate::paths;
use crate::timeline::{Image, Timeline};

const NEEDS: &[&str] = &["open"];

const fn info(
    id: &'static str,
    title: &'static str,
    attack: crate::attack::Attack,
    looks_for: &'static str,
) -> Info {
    Info { id, title, attack, looks_for, needs: NEEDS, tier_c: TierC::Sees }
}

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: info(
            "shadow-read",
            "Password hashes read",
            PASSWD_AND_SHADOW,
            "an attempt to read the shadow files by a program that does not check passwords",
        ),
        find: shadow,
    },
    Detector {
        info: info(
            "private-key-read",
            "Private key read",
            PRIVATE_KEYS,
            "an attempt to read SSH, GnuPG or TLS private keys that the run did not make",
        ),
        find: private_keys,
    },
    Detector {
        info: info(
            "credential-files",
            "Stored credentials read",
            CREDENTIAL_FILES,
            "an attempt to read stores of passwords and tokens by a program that does not own them",
        ),
        find: credential_files,
    },
    Detector {
        info: info(
            "browser-credentials",
            "Browser's passwords or cookies read",
            BROWSER_CREDENTIALS,
            "an attempt to read a browser's password or cookie store by something else",
        ),
        find: browsers,
    },
    Detector {
        info: info(
            "history-read",
            "Shell history read",
            SHELL_HISTORY,
            "an attempt to read a command history by a program that does not keep it",
        ),
        find: histories,
    },
    Detector {
        info: info(
            "process-secrets",
            "Other processes' memory or environment read",
            PROC_FILESYSTEM,
            "opens of the memory or environment of other processes in /proc",
        ),
        find: process_secrets,
    },
    Detector {
        info: info(
            "service-account-token",
            "Cluster token read",
            CONTAINER_API,
            "an attempt to read the service account token of a container",
        ),
        find: cluster_token,
    },
    Detector {
        info: Info {
            id: "cloud-metadata",
            title: "Cloud metadata service asked",
            attack: CLOUD_METADATA,
            looks_for: "connections or requests to the metadata address of a cloud machine",
            needs: &["connect", "send", "exec", "dns", "request"],
            tier_c: TierC::Sees,
        },
        find: metadata,
    },
    Detector {
        info: Info {
            id: "credential-search",
            title: "Search for secrets",
            attack: CREDENTIAL_FILES,
            looks_for: "find, grep or locate looking for keys and passwords across the system",
            needs: &["exec"],
            tier_c: TierC::Sees,
        },
        find: search,
    },
];

/// Programs that read whatever lies in the tree they are given.
const WALKERS: &[&str] = &[
    "grep",
    "egrep",
    "fgrep",
    "rg",
    "ag",
    "tar",
    "bsdtar",
    "cp",
    "rsync",
    "find",
    "zip",
    "7z",
    "du",
    "md5sum",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "cksum",
    "file",
    "wc",
    "diff",
    "cpio",
    "ls",
    "mv",
    "chown",
    "chmod",
    "rm",
    "restic",
    "borg",
    "duplicity",
    "rclone",
    "clamscan",
    "updatedb",
    "tree",
    "xargs",
    "git",
    "apt-file",
    "dpkg",
    "debsums",
    "aide",
    "rpm",
    "fd",
    "fdfind",
    "ncdu",
    "b2sum",
    "lsof",
    "fuser",
    "ps",
    "top",
    "htop",
    "pgrep",
    "pidof",
    "systemd",
    "systemctl",
    "systemd-analyze",
    "loginctl",
    "pkill",
    "killall",
    "w",
    "pstree",
    "lsns",
    "systemd-cgls",
    "pmap",
    "uptime",
    "free",
];

/// Whether this open is only part of walking a tree: a walker that was not pointed at the file.
fn walks_past(image: &Image<'_>, path: &str) -> bool {
    image.is_trusted(WALKERS) && !pointed_at(image, path)
}

/// Whether a program meets this file without having looked for it: as part of a walk, or as the
/// one that keeps it.
pub(super) fn passes_by(image: &Image<'_>, path: &str) -> bool {
    walks_past(image, path)
        || image.is_package_tool()
        || image.is_trusted(KEY_OWNERS) && stores::is_private_key(path)
        || stores::of(path).is_some_and(|store| store.excuses(image))
}

/// Whether an argument names this file or a folder that holds little else (`/home/ann/.ssh`).
fn pointed_at(image: &Image<'_>, path: &str) -> bool {
    let name = paths::name(path);
    image.operands().any(|arg| {
        let arg = arg.trim_end_matches('/');
        let hidden = paths::name(arg).starts_with('.') && paths::name(arg).len() > 2;
        paths::name(arg) == name || (hidden && path.contains(&format!("/{}/", paths::name(arg))))
    })
}

/// Opens for reading of files in `store` by strangers, of files that were there before.
fn strangers<'t>(
    timeline: &'t Timeline<'_>,
    store: impl Fn(&str) -> bool + 't,
    owners: &'static [&'static str],
) -> impl Iterator<Item = (usize, &'t str)> + 't {
    timeline.reads.iter().filter_map(move |read| {
        let image = timeline.image(read.event);
        let made_here = timeline.written_before(&read.path, read.event).is_some();
        let owner = image.is_trusted(owners);
        (store(&read.path) && !made_here && !owner && !walks_past(image, &read.path))
            .then(|| (read.event, read.path.as_ref()))
    })
}

/// Perl's getpwnam and getpwuid ask the shadow file for every account they look up, so every
/// system script that looks one up tries it. A script the sample brought gets no such credit.
fn looks_up_an_account(image: &Image<'_>) -> bool {
    image.is_trusted(&["perl"])
        && image.script_path().is_some_and(|script| script.starts_with("/usr/"))
        && !image.mentions("shadow")
}

fn shadow(timeline: &Timeline<'_>) -> Option<Finding> {
    const OWNERS: &[&str] = &[
        "su",
        "sudo",
        "passwd",
        "login",
        "unix_chkpwd",
        "chage",
        "chpasswd",
        "useradd",
        "usermod",
        "userdel",
        "groupadd",
        "groupmod",
        "groupdel",
        "newusers",
        "pwck",
        "grpck",
        "pwconv",
        "vipw",
        "sshd",
        "cron",
        "systemd",
        "expiry",
        "gpasswd",
        "sg",
        "newgrp",
        "chsh",
        "chfn",
        "runuser",
        "doas",
        "systemd-sysusers",
        "systemd-userdbd",
        "nscd",
        "nslcd",
        "polkitd",
        "screen",
        "vlock",
        "physlock",
        "slock",
        "dropbear",
        "vsftpd",
    ];
    let mut hits = Hits::default();
    for (event, path) in strangers(timeline, stores::is_shadow, OWNERS) {
        if !looks_up_an_account(timeline.image(event)) {
            hits.add(event, 18, path);
        }
    }
    for (index, event) in timeline.events.iter().enumerate() {
        if let Kind::Link { from, .. } = &event.kind
            && stores::is_shadow(&paths::clean(from))
        {
            hits.add(index, 14, &paths::clean(from));
        }
    }
    // A second name in the arguments shows intent: `unshadow passwd shadow`, `john`, `hashcat`.
    for image in timeline.attempted().filter(|image| image.is(&["unshadow", "john", "hashcat"])) {
        if !image.only_asks() {
            hits.add(image.event, 15, image.exact_name());
        }
    }
    hits.finding("read or tried: ")
}

/// Programs that work with private keys.
const KEY_OWNERS: &[&str] = &[
    "ssh",
    "scp",
    "sftp",
    "ssh-add",
    "ssh-agent",
    "ssh-keygen",
    "ssh-copy-id",
    "sshd",
    "sshd-session",
    "gpg",
    "gpg2",
    "gpgv",
    "gpg-agent",
    "gpgsm",
    "gpgconf",
    "keyboxd",
    "openssl",
    "nginx",
    "apache2",
    "httpd",
    "postgres",
    "dropbear",
    "mosh",
    "autossh",
    "seahorse",
    "gnome-keyring-daemon",
    "certbot",
    "haproxy",
    "exim4",
    "master",
    "dovecot",
];

fn private_keys(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (event, path) in strangers(timeline, stores::is_private_key, KEY_OWNERS) {
        hits.add(event, 15, path);
    }
    if hits.labels.len() > 1 {
        hits.weight = 18;
    }
    hits.finding("read or tried: ")
}

fn credential_files(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    // By store, how much its being read says: 2, or 1 where a library may have looked.
    let mut met: BTreeMap<&str, u32> = BTreeMap::new();
    for read in &timeline.reads {
        let Some(store) = stores::of(&read.path) else { continue };
        let image = timeline.image(read.event);
        if store.excuses(image)
            || walks_past(image, &read.path)
            || timeline.written_before(&read.path, read.event).is_some()
        {
            continue;
        }
        // Libraries look into some stores by themselves, so a single one says nothing when the
        // program runs a language; a tool that prints or copies files was told to.
        let library = image.is_own_will() && !image.is_shell();
        let (weight, says) = if library && !store.telling { (0, 1) } else { (14, 2) };
        let known = met.entry(store.name).or_default();
        *known = says.max(*known);
        hits.add(read.event, weight, store.name);
    }
    let says: u32 = met.values().sum();
    if says >= 4 {
        hits.weight = 16 + (says - 4).min(8);
    }
    hits.finding("stores read or tried: ")
}

fn browsers(timeline: &Timeline<'_>) -> Option<Finding> {
    const OWNERS: &[&str] = &[
        "chrome",
        "google-chrome",
        "chromium",
        "brave",
        "msedge",
        "opera",
        "vivaldi",
        "firefox",
        "firefox-esr",
        "firefox-bin",
        "thunderbird",
        "thunderbird-bin",
        "librewolf",
        "waterfox",
    ];
    let mut hits = Hits::default();
    for (event, path) in strangers(timeline, stores::is_browser_store, OWNERS) {
        hits.add(event, 18, path);
    }
    hits.finding("read or tried: ")
}

fn histories(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (event, path) in strangers(timeline, |path| stores::history(path).is_some(), &[]) {
        let image = timeline.image(event);
        let keeper = stores::history(path).unwrap_or("");
        if !image.is_trusted(&[keeper, "less", "vim", "nano"]) {
            hits.add(event, 14, path);
        } else if image.is_shell() && image.text().is_some() {
            hits.add(event, 13, path);
        }
    }
    hits.finding("read or tried: ")
}

fn process_secrets(timeline: &Timeline<'_>) -> Option<Finding> {
    const OWNERS: &[&str] = &["gdb", "lldb", "strace", "ltrace", "perf", "rr", "gcore", "criu"];
    let mut hits = Hits::default();
    let mut environments = BTreeSet::new();
    let mut environment_event = None;
    for read in &timeline.reads {
        let Some((pid, rest)) = paths::proc_entry(&read.path) else { continue };
        let (task, image) = (&timeline.events[read.event].task, timeline.image(read.event));
        if pid == task.pid || pid == task.tid || image.is_trusted(OWNERS) {
            continue;
        }
        match rest {
            "mem" => hits.add(read.event, 18, &read.path),
            "environ" if !image.is_trusted(WALKERS) => {
                environments.insert(pid);
                environment_event = Some(read.event);
                hits.add(read.event, 0, &read.path);
            }
            _ => {}
        }
    }
    if environments.len() >= 2 {
        hits.weight = hits.weight.max(14);
    } else if let Some(event) = environment_event
        && timeline.image(event).is_own_will()
    {
        hits.weight = hits.weight.max(8);
    } else if environments.len() == 1 {
        hits.weight = hits.weight.max(13);
    }
    hits.finding("read or tried: ")
}

fn cluster_token(timeline: &Timeline<'_>) -> Option<Finding> {
    let token = |path: &str| path.contains("/serviceaccount/") && paths::name(path) == "token";
    let mut hits = Hits::default();
    for (event, path) in strangers(timeline, token, &["kubectl", "helm", "k9s", "argocd"]) {
        hits.add(event, 15, path);
    }
    // In another container, through the client of the cluster.
    for image in timeline.attempted().filter(|image| image.is(&["kubectl", "crictl", "docker"])) {
        if image.has_arg(&["exec", "run"]) && image.mentions("/serviceaccount/token") {
            hits.add(image.event, 15, image.exact_name());
        }
    }
    hits.finding("read or tried: ")
}

const METADATA_NAMES: &[&str] = &[
    "169.254.169.254",
    "169.254.170.2",
    "metadata.google.internal",
    "100.100.100.200",
    "fd00:ec2::254",
];

fn metadata(timeline: &Timeline<'_>) -> Option<Finding> {
    const OWNERS: &[&str] = &[
        "aws",
        "gcloud",
        "gsutil",
        "az",
        "cloud-init",
        "ec2metadata",
        "amazon-ssm-agent",
        "waagent",
    ];
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        let address = match &event.kind {
            Kind::Connect { peer: Endpoint::Inet { ip, .. } }
            | Kind::Send { peer: Some(Endpoint::Inet { ip, .. }), .. } => ip.to_string(),
            Kind::Dns { question, .. } => {
                question.to_lossy().trim_end_matches('.').to_ascii_lowercase()
            }
            Kind::Request { peer: Endpoint::Inet { ip, .. }, host, .. } => {
                let named = host.as_ref().map(|host| host.to_lossy().to_ascii_lowercase());
                let named = named.filter(|host| METADATA_NAMES.contains(&host.as_str()));
                named.unwrap_or_else(|| ip.to_string())
            }
            _ => continue,
        };
        let image = timeline.image(index);
        let owner = image.is_trusted(OWNERS)
            || image.script().is_some_and(|script| OWNERS.contains(&paths::name(script)));
        if METADATA_NAMES.contains(&address.trim_start_matches("::ffff:")) && !owner {
            hits.add(index, 18, &address);
        }
    }
    for image in timeline.attempted().filter(|image| image.is(&["curl", "wget", "http", "nc"])) {
        if let Some(name) = METADATA_NAMES.iter().find(|name| image.mentions(name)) {
            hits.add(image.event, 18, name);
        }
    }
    hits.finding("asked: ")
}

fn search(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| stores::searches_for_secrets(image)) {
        hits.add(image.event, 13, image.exact_name());
    }
    hits.finding("search by ")
}
